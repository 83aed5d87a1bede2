//! Reports on folders that are right and folders that are not.

use super::*;
mod refusals;

use crate::cli::{self, Cli};
use clap::Parser;
use std::path::Path;

fn archipel(args: &[&str]) {
    let cli = Cli::try_parse_from([&["archipel"], args].concat()).expect("arguments");
    cli::run(cli).expect("the commands are right");
}

fn report(dir: Option<&Path>) -> Report {
    let dir = dir.map(Path::to_owned);
    look(&DoctorArgs {
        dir,
        peers: false,
        observe: false,
        json: false,
    })
}

fn finding<'a>(report: &'a Report, what: &str) -> &'a Finding {
    let mut all = report.groups.iter().flat_map(|group| &group.findings);
    all.find(|finding| finding.what == what)
        .unwrap_or_else(|| panic!("nothing said of {what}: {report:?}"))
}

/// A member's folder that can be run: charter signed, a port of this machine alone.
fn member(folder: &Path) -> PathBuf {
    let dir = folder.join("alpha");
    let (text, charter) = (dir.display().to_string(), dir.join("charter.toml"));
    let charter = charter.display().to_string();
    archipel(&[
        "init",
        "--dir",
        &text,
        "--name",
        "alpha",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
    ]);
    archipel(&[
        "charter", "new", "--name", "isle", "--preset", "demo", "--out", &charter,
    ]);
    let config = crate::config::NodeConfig::load(&dir).expect("init wrote it");
    let key = crate::config::SecretKey::load(&config.key_path(&dir)).expect("a key");
    let key = key.member().to_string();
    let address = "/dns4/alpha.example/udp/4001/quic-v1";
    archipel(&["charter", "add-member", &charter, "alpha", &key, address]);
    archipel(&["charter", "sign", &charter, "--dir", &text]);
    let texts = folder.join("texts.txt");
    std::fs::write(&texts, "some text that goes on and on\n".repeat(100)).expect("ours");
    let (texts, data) = (texts.display().to_string(), dir.join("data"));
    archipel(&[
        "data",
        "prepare",
        &texts,
        "--out",
        &data.display().to_string(),
    ]);
    add_to_config(&dir, "data = \"data\"");
    dir
}

fn add_to_config(dir: &Path, line: &str) {
    let path = dir.join("node.toml");
    let text = std::fs::read_to_string(&path).expect("init wrote it");
    std::fs::write(&path, format!("{text}{line}\n")).expect("ours");
}

#[test]
fn a_machine_alone_can_run_a_node_and_says_what_it_has() {
    let report = report(None);
    let titles: Vec<&str> = report.groups.iter().map(|group| group.title).collect();
    assert_eq!(titles, ["this machine", "cards"]);
    for what in ["processor", "threads", "memory", "disk", "clock"] {
        assert!(!finding(&report, what).found.is_empty());
    }
}

#[test]
fn a_members_folder_is_looked_at_file_by_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = member(folder.path());
    let whole = report(Some(&dir));
    assert!(whole.can_run, "{whole:?}");
    assert_eq!(finding(&whole, "charter").verdict, Verdict::Good);
    assert_eq!(finding(&whole, "data").verdict, Verdict::Good);
    assert_eq!(finding(&whole, "privacy").verdict, Verdict::Good);
    assert_eq!(finding(&whole, "members").found, "alpha");
    assert!(
        finding(&whole, "memory")
            .found
            .contains("this charter needs about")
    );

    let charter = dir.join("charter.toml");
    let text = std::fs::read_to_string(&charter).expect("ours");
    std::fs::write(&charter, text.replace("rounds = ", "rounds = 1")).expect("ours");
    let changed = report(Some(&dir));
    assert!(!changed.can_run);
    assert_eq!(finding(&changed, "charter").verdict, Verdict::Bad);

    std::fs::remove_file(&charter).expect("ours");
    let absent = report(Some(&dir));
    let advice = finding(&absent, "charter").advice.as_deref();
    assert!(advice.expect("advice").contains("signed charter"));

    std::fs::write(dir.join("node.toml"), "nam = 3\n").expect("ours");
    let broken = report(Some(&dir));
    assert_eq!(finding(&broken, "node.toml").verdict, Verdict::Bad);
    assert_eq!(finding(&broken, "listen").verdict, Verdict::Note);
}

#[test]
fn a_folder_that_is_not_there_is_named_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("no");
    let report = report(Some(&dir));
    assert!(!report.can_run);
    let config = finding(&report, "node.toml");
    assert!(
        config
            .advice
            .as_deref()
            .expect("advice")
            .contains("archipel init")
    );
    assert!(!dir.exists());
}

#[test]
fn the_page_marks_every_finding_and_fits_its_width() {
    let finding = |verdict, advice: Option<&str>| Finding {
        what: "thing",
        verdict,
        found: "as it was found, in many words that no narrow terminal has on one line".into(),
        advice: advice.map(str::to_owned),
    };
    let report = Report::of(vec![Group {
        title: "things",
        findings: vec![
            finding(Verdict::Good, None),
            finding(
                Verdict::Note,
                Some("do this and that, and then something else as well"),
            ),
            finding(Verdict::Bad, Some("do it")),
        ],
    }]);
    for width in [1, 60, 100] {
        let page = console::strip_ansi_codes(&page::page_of(&report, width)).into_owned();
        for mark in ["✓ thing", "! thing", "✗ thing", "→ do this", "→ do it"] {
            assert!(page.contains(mark), "{page}");
        }
        let widest = page.lines().map(|line| line.chars().count()).max();
        assert!(widest.expect("lines") <= width.max(60), "{page}");
        let ending = "one thing stands in a node's way (thing); one thing could be better (thing)";
        let words: Vec<&str> = page.split_whitespace().collect();
        assert!(words.join(" ").ends_with(ending), "{page}");
    }
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!(json["can_run"], false);
    assert_eq!(json["groups"][0]["findings"][1]["verdict"], "note");
}
