//! The real `archipel-sim`: exit codes, folders, replays, and what it says.

use archipel_protocol::member::{Input, Output};
use archipel_simulator::{
    deviation::{Deviation, Seat},
    scenario::{Expect, Pack, Scenario, pack_named, packs},
    schedule::Schedule,
    session::{Go, Options, Verdict, exit_of, play},
    world::World,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output as Ended, Stdio},
    thread,
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_archipel-sim");

/// A folder in which the binary runs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sim(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(BINARY);
        command.current_dir(self.path()).args(arguments);
        command.output().expect("the binary runs")
    }

    /// The exit code and the last line of `run --json`.
    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let all = [&["run"], arguments, &["--json"]].concat();
        let ended = self.sim(&all);
        let said = text(&ended.stdout);
        let last = said.lines().last().unwrap_or_default();
        let line = serde_json::from_str(last);
        let line = line.unwrap_or_else(|_| panic!("{said}\n{}", text(&ended.stderr)));
        (code(&ended), line)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path().join(name), content).expect("a file");
        name.to_owned()
    }

    fn folder(&self, line: &Value) -> PathBuf {
        self.path().join(line["out"].as_str().expect("a path"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(ended: &Ended) -> i32 {
    ended.status.code().expect("it was not killed")
}

/// A few rounds of four members, and what is put behind.
fn small(rounds: u64, more: &str) -> String {
    format!(
        "schema = \"archipel-scenario/1\"\nname = \"small\"\n# Claim: it runs.\n\
         [stop]\nrounds = {rounds}\n{more}\n\
         [[group]]\nname = \"m\"\ncount = 4\ncompute = {{ step = \"50ms\" }}\n\
         [network]\nlatency = \"10ms\"\n"
    )
}

fn negatives() -> impl Iterator<Item = (&'static Pack, String)> {
    let negative = packs().iter().filter(|pack| pack.negative);
    negative.map(|pack| match pack.scenario().check.expect {
        Expect::Fail(name) => (pack, name),
        Expect::Pass => panic!("{} is not negative", pack.name),
    })
}

#[test]
fn negative_packs_pass_where_their_invariant_falls_and_fail_with_its_code_unexpected() {
    let place = Place::new();
    for (pack, name) in negatives() {
        let (exit, line) = place.run(&[pack.name]);
        assert_eq!(exit, 0, "{}: {line}", pack.name);
        assert_eq!(line["violations"][0]["invariant"], name.as_str());
        let expects = format!("expect = \"fail:{name}\"");
        assert!(pack.text.contains(&expects), "{}", pack.name);
        let unexpected = pack.text.replace(&expects, "expect = \"pass\"");
        let file = place.file(&format!("{}.toml", pack.name), &unexpected);
        let ended = place.sim(&["run", &file, "--quiet"]);
        assert_eq!(code(&ended), i32::from(exit_of(&name)), "{}", pack.name);
        let said = text(&ended.stdout);
        let begins = format!("FAIL {name} seed=");
        assert!(said.starts_with(&begins), "{said}");
        assert!(said.contains("replay: archipel-sim replay out"), "{said}");
    }
    let kinds: Vec<char> = negatives()
        .filter_map(|(_, name)| name.chars().next())
        .collect();
    for kind in ['S', 'L', 'C', 'R'] {
        assert!(kinds.contains(&kind), "no negative pack of {kind}");
    }
}

#[test]
fn a_negative_scenario_in_which_nothing_falls_is_an_error_of_the_checker() {
    let place = Place::new();
    let file = place.file(
        "a.toml",
        &(small(3, "") + "[check]\nexpect = \"fail:S1\"\n"),
    );
    let (exit, line) = place.run(&[&file]);
    assert_eq!((exit, &line["verdict"]), (1, &Value::from("fail")));
    let said = text(&place.sim(&["run", &file]).stdout);
    assert!(said.contains("expected S1 to fall, nothing did"), "{said}");
}

#[test]
fn the_last_line_is_an_object_and_the_folder_is_whole() {
    let place = Place::new();
    let file = place.file("a.toml", &small(4, ""));
    let (exit, line) = place.run(&[&file, "--seed", "7"]);
    assert_eq!(exit, 0, "{line}");
    assert_eq!(line["verdict"], "pass");
    assert_eq!(
        (line["seed"].as_u64(), line["rounds"].as_u64()),
        (Some(7), Some(4))
    );
    assert!(
        line["messages"]
            .as_u64()
            .is_some_and(|messages| messages > 50)
    );
    assert_eq!(line["digest"].as_str().map(str::len), Some(32));
    let folder = place.folder(&line);
    for name in [
        "scenario.toml",
        "schedule.toml",
        "versions.json",
        "report.html",
        "report.json",
        "rounds.csv",
    ] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}

#[test]
fn processes_and_threads_do_not_change_the_digest() {
    let place = Place::new();
    let digest = |more: &[&str]| place.run(&[&["flaky-wifi"], more].concat()).1["digest"].clone();
    let first = digest(&["--threads", "1"]);
    assert_eq!(first, digest(&["--threads", "2"]));
    assert_eq!(first, digest(&["--paranoid"]));
    assert_ne!(first, digest(&["--seed", "99"]));
}

#[test]
fn a_replay_is_equal_and_a_tampered_digest_is_nondeterminism() {
    let place = Place::new();
    let (_, line) = place.run(&["split-brain", "--out", "kept"]);
    let folder = place.folder(&line);
    let folder = folder.to_str().expect("a path of ours");
    let ended = place.sim(&["replay", folder]);
    assert_eq!(code(&ended), 0, "{}", text(&ended.stdout));
    assert!(text(&ended.stdout).starts_with("equal: digest "));

    let path = Path::new(folder).join("report.json");
    let report = fs::read_to_string(&path).expect("a report");
    let digest = line["digest"].as_str().expect("a digest");
    let other = report.replace(digest, &"0".repeat(32));
    fs::write(&path, other).expect("a file");
    let ended = place.sim(&["replay", folder]);
    assert_eq!(code(&ended), 14);
    assert!(text(&ended.stdout).starts_with("FAIL D1 "));
}

#[test]
fn bad_scenarios_are_told_with_file_and_line() {
    let place = Place::new();
    let file = place.file("bad.toml", &small(3, "sim_tme = \"1h\""));
    let ended = place.sim(&["run", &file]);
    assert_eq!(code(&ended), 2);
    let said = text(&ended.stderr);
    assert!(said.starts_with("archipel-sim: bad.toml:6: "), "{said}");
    assert!(said.contains("did you mean \"sim_time\"?"), "{said}");
    assert_eq!(code(&place.sim(&["run", "absent.toml"])), 2);
    assert_eq!(code(&place.sim(&["run"])), 2);
}

#[test]
fn a_spent_budget_is_never_a_pass() {
    let place = Place::new();
    let file = place.file("long.toml", &small(100_000, "wall_time = \"100ms\""));
    let (exit, line) = place.run(&[&file]);
    assert_eq!((exit, &line["verdict"]), (9, &Value::from("out of budget")));
}

#[test]
fn an_interrupted_run_leaves_its_report() {
    let place = Place::new();
    let file = place.file("long.toml", &small(100_000, ""));
    let mut command = Command::new(BINARY);
    command
        .current_dir(place.path())
        .args(["run", &file, "--json"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let folder = place.path().join("out/small-1");
    // What is written before the run is there only once interrupts are caught.
    while !folder.join("versions.json").is_file() {
        thread::yield_now();
    }
    let id = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status();
    assert!(kill.expect("kill is part of every system").success());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(code(&ended), 9);
    assert!(text(&ended.stdout).contains("\"verdict\":\"interrupted\""));
    let html = fs::read_to_string(folder.join("report.html")).expect("a report");
    assert!(html.to_lowercase().contains("interrupted") && html.contains("</html>"));
}

#[test]
fn a_failure_can_be_explained_and_runs_compared() {
    let place = Place::new();
    let (_, negative) = place.run(&["negative-bytes"]);
    let (_, other) = place.run(&["swizzle"]);
    let folders = [&negative, &other].map(|line| place.folder(line));
    let [negative, other] = folders
        .each_ref()
        .map(|path| path.to_str().expect("a path of ours"));
    let said = text(&place.sim(&["explain", negative]).stdout);
    assert!(said.starts_with("R4 seed=1 at 00:00:00."), "{said}");
    assert!(said.contains("delivered  from m-"), "{said}");
    assert!(folders[0].join("trace.jsonl.zst").is_file());
    let said = text(&place.sim(&["explain", other]).stdout);
    assert!(said.contains("nothing to explain"), "{said}");
    let ended = place.sim(&["compare", negative, other, "--out", "both"]);
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains("swizzle-1"));
    for name in ["compare.txt", "compare.csv", "compare.svg"] {
        assert!(place.path().join("both").join(name).is_file(), "{name}");
    }
}

#[test]
fn packs_are_listed_and_printed() {
    let place = Place::new();
    let said = text(&place.sim(&["packs"]).stdout);
    assert!(packs().iter().all(|pack| said.contains(pack.name)));
    let said = text(&place.sim(&["packs", "lan8"]).stdout);
    assert_eq!(
        Some(said.as_str()),
        pack_named("lan8").map(|pack| pack.text)
    );
    assert_eq!(code(&place.sim(&["packs", "lan9"])), 1);
}

/// Fails when a member has handled some inputs.
struct Fails(u32);

impl Deviation for Fails {
    fn input(&mut self, _seat: &mut Seat<'_>, input: Input, pass: &mut Vec<Input>) {
        self.0 += 1;
        assert!(self.0 < 100, "the hundredth input fails");
        pass.push(input);
    }

    fn output(&mut self, _seat: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        pass.push(output);
    }
}

#[test]
fn a_panic_becomes_the_verdict_and_what_was_found_is_kept() {
    let scenario = Scenario::plain(1, 4, 50);
    let mut go_on = |_: &World| Go::On;
    let options = Options {
        everybody: &|| Some(Box::new(Fails(0))),
        ..Options::new(&mut go_on)
    };
    let played = play(&scenario, &Schedule::default(), options).expect("a world");
    assert_eq!(played.verdict.exit(), 15);
    let Verdict::Panicked(said) = &played.verdict else {
        panic!("{:?}", played.verdict);
    };
    assert!(said.contains("the hundredth input fails"), "{said}");
    assert_eq!(played.findings.verdict, "panic");
    assert!(played.findings.messages > 10);
}

#[test]
fn faults_leave_what_was_seen_of_them_and_how_soon_all_was_well() {
    let place = Place::new();
    let (exit, line) = place.run(&["split-brain"]);
    assert_eq!(exit, 0, "{line}");
    let report = fs::read(place.folder(&line).join("report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let faults = report["faults"].as_array().expect("a list");
    let cut = faults.iter().find(|fault| fault["kind"] == "partition");
    let cut = cut.unwrap_or_else(|| panic!("{faults:?}"));
    assert_ne!(cut["effect"], "", "{cut}");
    assert!(
        cut["recovery_rounds"]
            .as_u64()
            .is_some_and(|rounds| rounds <= 3),
        "{cut}"
    );
}
