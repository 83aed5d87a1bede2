//! Reports as their readers meet them: files that are whole, and pages that a browser draws.

#[path = "report/browser.rs"]
mod browser;
#[path = "report/synthetic.rs"]
mod synthetic;

use archipel_simulator::report::{
    Findings, ReportError, compare, folder, html, json, summary, trace,
};
use browser::Look;
use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// A folder of this test's own, empty.
fn folder_of(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("report")
        .join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("an earlier run's folder can be removed");
    }
    fs::create_dir_all(&dir).expect("a folder can be made");
    dir
}

/// The browser; none, with a word about it, outside CI where there is none.
fn chromium() -> Option<PathBuf> {
    let found = browser::find();
    if found.is_none() {
        let fix = "no Chromium on PATH: on Debian, `apt-get install chromium` installs it";
        assert!(env::var_os("CI").is_none(), "{fix}");
        eprintln!("not looked at in a browser: {fix}");
    }
    found
}

const LOOKS: [Look; 3] = [
    Look {
        dark: false,
        width: 1280,
    },
    Look {
        dark: true,
        width: 1280,
    },
    Look {
        dark: false,
        width: 800,
    },
];

/// Opens a report in every look and checks what holds of all reports.
fn look_at(name: &str, findings: &Findings, figures: usize) {
    let dir = folder_of(name);
    folder::write(&dir, findings).expect("the report is written");
    let page = fs::read_to_string(dir.join("report.html")).expect("it is text");
    let Some(chromium) = chromium() else {
        return;
    };
    for look in LOOKS {
        let seen = browser::open(&chromium, &dir, name, &page, look);
        let what = format!("{name} {look:?}: {seen:#?}");
        assert_eq!((seen.dark, seen.width), (look.dark, look.width), "{what}");
        assert_eq!(seen.figures, figures, "{what}");
        assert!(seen.console.is_empty(), "{what}");
        assert!(
            seen.requests.is_empty() && seen.resources.is_empty(),
            "{what}"
        );
        assert!(
            seen.overlaps.is_empty() && seen.outside.is_empty(),
            "{what}"
        );
        assert!(seen.faint.is_empty() && !seen.spills, "{what}");
        // The one script is the probe itself.
        assert_eq!((seen.scripts, seen.images), (1, 0), "{what}");
    }
}

#[test]
fn a_passing_run_is_drawn() {
    look_at("passing", &synthetic::passing(), 11);
}

#[test]
fn a_failing_run_is_drawn() {
    let findings = synthetic::failing();
    look_at("failing", &findings, 9);
    let page = html::render(&findings);
    for said in [
        "FAIL S1",
        "fail:S1",
        "S6, R3",
        "partition  {m0,m1,m2}",
        "vote round 9",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_run_without_anything_says_so() {
    let findings = synthetic::interrupted();
    look_at("interrupted", &findings, 0);
    let page = html::render(&findings);
    for said in [
        "INTERRUPTED",
        "No loss was measured",
        "No activity was recorded",
        "No round was certified",
        "No fault window came about",
        "No bandwidth was measured",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_huge_run_with_hostile_names_stays_small_and_text() {
    let findings = synthetic::huge();
    let page = html::render(&findings);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("Of 10,000 losses") && page.contains("Of 10,000 rounds"));
    look_at("huge", &findings, 11);
}

/// The browser's eye itself: a page with every flaw must be seen to have them.
#[test]
fn flaws_of_a_page_are_seen() {
    let Some(chromium) = chromium() else {
        return;
    };
    let page = "<!doctype html><html><head></head><body style='background:#fff'>\
        <svg width='200' height='50'><text x='10' y='20'>one label</text>\
        <text x='30' y='22'>another</text><text x='180' y='20'>outside of it</text></svg>\
        <p style='color:#eee'>faint</p><div style='width:3000px'>wide</div>\
        <img src='http://archipel.invalid/pixel.png'><script>missing()</script></body></html>";
    let look = Look {
        dark: false,
        width: 1280,
    };
    let seen = browser::open(&chromium, &folder_of("flaws"), "flaws", page, look);
    assert_eq!(seen.overlaps, ["one label | another"], "{seen:#?}");
    assert_eq!(seen.outside, ["outside of it"], "{seen:#?}");
    assert!(seen.faint[0].ends_with("faint") && seen.spills, "{seen:#?}");
    assert!(
        seen.console
            .iter()
            .any(|line| line.contains("missing is not defined")),
        "{seen:#?}"
    );
    let asked = "http://archipel.invalid/pixel.png".to_owned();
    assert!(
        seen.requests.contains(&asked) && seen.resources.contains(&asked),
        "{seen:#?}"
    );
}

#[test]
fn a_comparison_is_drawn() {
    let mut other = synthetic::passing();
    other.codec = "int8".to_owned();
    other.losses.iter_mut().for_each(|point| point.loss *= 1.3);
    let runs = [
        ("out/topk-2bit".to_owned(), synthetic::passing()),
        ("out/int8, a folder with a longer name".to_owned(), other),
        ("out/<nothing>".to_owned(), synthetic::interrupted()),
    ];
    let compared = compare::compare(&runs);
    assert_eq!(compared.table.lines().count(), 5, "{}", compared.table);
    assert!(
        compared
            .table
            .lines()
            .all(|line| line.chars().count() <= 120),
        "{}",
        compared.table
    );
    assert_eq!(compared.csv.lines().count(), 4);
    let dir = folder_of("compared");
    fs::write(dir.join("compare.svg"), &compared.svg).expect("the picture is written");
    let Some(chromium) = chromium() else {
        return;
    };
    let page = format!(
        "<!doctype html><html><head></head><body>{}</body></html>",
        compared.svg
    );
    let look = Look {
        dark: true,
        width: 1280,
    };
    let seen = browser::open(&chromium, &dir, "compared", &page, look);
    assert!(
        seen.overlaps.is_empty() && seen.outside.is_empty(),
        "{seen:#?}"
    );
    assert!(
        seen.texts > 40 && seen.console.is_empty() && seen.requests.is_empty(),
        "{seen:#?}"
    );
}

#[test]
fn findings_survive_the_folder() {
    let dir = folder_of("round-trip");
    let mut findings = synthetic::passing();
    folder::write(&dir, &findings).expect("the report is written");
    let mut read = json::read(&dir).expect("it is readable");
    // Text of a float gives it back to the last bit but one.
    for (read, written) in read.losses.iter_mut().zip(&findings.losses) {
        assert!((read.loss - written.loss).abs() <= f64::EPSILON * written.loss);
    }
    for findings in [&mut read, &mut findings] {
        findings.losses.clear();
        findings.baseline.clear();
        findings.utilisation.clear();
        findings
            .members
            .iter_mut()
            .for_each(|member| member.utilisation = 0.5);
    }
    assert_eq!(read, findings);
    // A second run into the same folder replaces every file, and leaves nothing beside them.
    folder::write(&dir, &synthetic::failing()).expect("the report is written");
    let read = json::read(&dir).expect("it is readable");
    assert!(
        read.losses[9].loss.is_nan(),
        "NaN survives, although JSON has none"
    );
    let mut names: Vec<String> = fs::read_dir(&dir)
        .expect("the folder is there")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort_unstable();
    let expected = [
        "faults.csv",
        "losses.csv",
        "members.csv",
        "report.html",
        "report.json",
        "rounds.csv",
        "utilisation.csv",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_is_no_report_is_refused() {
    let dir = folder_of("refused");
    let text = json::read(&dir).expect_err("nothing is there").to_string();
    assert!(
        text.contains("report.json") && text.contains("archipel-sim run"),
        "{text}"
    );
    fs::write(dir.join("report.json"), "{\"name\":3}").expect("written");
    assert!(matches!(json::read(&dir), Err(ReportError::Json { .. })));
    fs::write(dir.join("file"), "").expect("written");
    let blocked = folder::write(&dir.join("file"), &Findings::default());
    assert!(matches!(blocked, Err(ReportError::Write { .. })));
}

#[test]
fn a_summary_fits_a_terminal() {
    let all = [
        synthetic::passing(),
        synthetic::failing(),
        synthetic::interrupted(),
        synthetic::huge(),
    ];
    for findings in all {
        let text = summary::render(&findings);
        let wide = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None);
        assert!(
            text.lines().count() < 40 && text.contains(&findings.digest),
            "{text}"
        );
    }
    let text = summary::render(&synthetic::failing());
    assert!(
        text.starts_with("FAIL S1 split-brain seed=3 at 00:07:35.220 round 11"),
        "{text}"
    );
    assert!(text.contains("switched off  S6 R3"), "{text}");
    assert!(
        text.contains("cut (partition)") && text.contains("recovered after never"),
        "{text}"
    );
}

#[test]
fn a_trace_is_read_back_whole_or_up_to_where_it_ends() {
    let path = folder_of("trace").join("trace.jsonl.zst");
    let mut writer = trace::TraceWriter::create(&path).expect("created");
    for number in 0..5000u64 {
        writer.line(&(number, "event")).expect("written");
    }
    writer.flush().expect("flushed");
    let cut = fs::read(&path).expect("readable");
    writer.finish().expect("finished");
    let read = |path: &Path| {
        let mut reader = trace::TraceReader::<(u64, String)>::open(path).expect("opened");
        let lines: Result<Vec<_>, ReportError> = reader.by_ref().collect();
        (lines.map(|lines| lines.len()), reader.interrupted())
    };
    assert!(matches!(read(&path), (Ok(5000), false)));
    fs::write(&path, &cut).expect("written");
    assert!(
        matches!(read(&path), (Ok(5000), true)),
        "what was flushed is readable"
    );
    let mut damaged = cut.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    fs::write(&path, &damaged[..middle + 1]).expect("written");
    assert!(
        !matches!(read(&path), (Ok(5000), _)),
        "damage is not the whole trace"
    );
    fs::write(&path, "no trace").expect("written");
    assert!(matches!(read(&path), (Err(ReportError::Read { .. }), _)));
}

#[test]
fn a_line_without_an_end_takes_bounded_memory() {
    let path = folder_of("long-line").join("trace.jsonl.zst");
    let bomb = zstd::encode_all(std::io::repeat(b'x').take(1 << 26), 1).expect("compressed");
    fs::write(&path, bomb).expect("written");
    let mut reader = trace::TraceReader::<serde_json::Value>::open(&path).expect("opened");
    assert!(matches!(
        reader.next(),
        Some(Err(ReportError::LongLine { line: 1, .. }))
    ));
    assert!(reader.next().is_none(), "nothing follows an error");
}
