//! Real processes of the real node: found, train, kill, join, repeat, damage.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One federation at a time: each takes all cores.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn archipel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_archipel"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Text that every checkout has: the sources of the protocol.
fn text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/src")
}

/// Runs a demo to its end and gives its JSON lines.
fn demo(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let (dir, text) = (dir.display().to_string(), text().display().to_string());
    let mut all = vec!["demo", "--json", "--dir", &dir, "--data", &text];
    all.extend(arguments);
    let output = archipel(&all);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect()
}

/// The last line, after checking that all members ended on one root.
fn finished(lines: &[Value], members: usize, rounds: u64) -> Value {
    let last = lines.last().expect("a demo says how it ended").clone();
    assert_eq!(last["event"], "finished");
    assert_eq!(last["rounds"], rounds);
    let ended = last["members"].as_array().expect("a list of members");
    assert_eq!(ended.len(), members);
    for member in ended {
        assert_eq!(member["round"], rounds, "{member}");
        assert_eq!(member["root"], ended[0]["root"], "{member}");
    }
    last
}

/// The root of every round.
fn roots(lines: &[Value]) -> Vec<(u64, String)> {
    let rounds = lines.iter().filter(|line| line["event"] == "round");
    rounds
        .map(|line| {
            let root = line["root"].as_str().expect("a root is text").to_owned();
            (line["round"].as_u64().expect("a round is a number"), root)
        })
        .collect()
}

fn in_cut(lines: &[Value], round: u64) -> u64 {
    let mut rounds = lines.iter().filter(|line| line["event"] == "round");
    let line = rounds
        .find(|line| line["round"] == round)
        .expect("every round is told");
    line["members_in_cut"].as_u64().expect("a number")
}

#[test]
fn four_processes_train_one_model() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let lines = demo(&dir.path().join("d"), &["--rounds", "3"]);
    let last = finished(&lines, 4, 3);
    let figure = |name: &str| last[name].as_f64().expect("a figure");
    assert!(
        figure("first_bits_per_byte") > 7.5,
        "an untrained model knows nothing"
    );
    assert!(figure("last_bits_per_byte") < figure("first_bits_per_byte") - 1.0);
    assert!(figure("order1_entropy") > 1.0);
    assert!(figure("bytes_sent") * 10.0 < figure("bytes_f32_allreduce"));
}

#[test]
fn a_killed_process_comes_back_to_the_common_root() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let options = ["--rounds", "6", "--kill", "member-2@round:2"];
    let lines = demo(&dir.path().join("d"), &options);
    finished(&lines, 4, 6);
    // State r + 1 comes from the cut of round r: that of the kill lacks one, the last lacks nobody.
    assert_eq!(in_cut(&lines, 3), 3);
    assert_eq!(in_cut(&lines, 6), 4);
}

#[test]
fn an_admitted_process_ends_on_the_common_root() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let lines = demo(&dir.path().join("d"), &["--rounds", "6", "--join", "2"]);
    finished(&lines, 5, 6);
    assert_eq!(in_cut(&lines, 6), 5);
}

/// The demo's plan with other outer settings, in a file.
fn plan(dir: &Path, outer: &str) -> PathBuf {
    let (plan, charter) = (dir.join("plan.toml"), dir.join("charter.toml"));
    let out = charter.display().to_string();
    let made = archipel(&[
        "charter", "new", "--out", &out, "--name", "islands", "--preset", "demo",
    ]);
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&charter).expect("written");
    let charter: toml::Table = text.parse().expect("a charter is TOML");
    let mut tree = charter["charter"]["plan"]
        .as_table()
        .expect("a plan")
        .clone();
    let changes: toml::Table = outer.parse().expect("TOML");
    let section = tree["outer"].as_table_mut().expect("a section");
    section.extend(changes);
    fs::write(&plan, tree.to_string()).expect("our folder");
    plan
}

#[test]
fn processes_that_train_on_meanwhile_end_on_the_common_root() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let outer = "delay = 10\nalpha = \"0.5\"\nfragments = 3";
    let plan = plan(dir.path(), outer).display().to_string();
    let options = [
        "--rounds",
        "8",
        "--plan",
        &plan,
        "--kill",
        "member-2@round:2",
        "--join",
        "4",
    ];
    let lines = demo(&dir.path().join("d"), &options);
    let last = finished(&lines, 5, 8);
    let figure = |name: &str| last[name].as_f64().expect("a figure");
    assert!(figure("last_bits_per_byte") < figure("first_bits_per_byte") - 1.0);
    // Of three fragments, each round sends one.
    assert!(
        figure("bytes_sent") * 25.0 < figure("bytes_f32_allreduce"),
        "{last}"
    );
}

#[test]
fn one_seed_gives_one_root_in_every_round() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let run = |name: &str| {
        let options = ["--rounds", "3", "--wait-all", "--seed", "7"];
        roots(&demo(&dir.path().join(name), &options))
    };
    let first = run("one");
    assert_eq!(first.len(), 4, "the founding state and three rounds");
    assert_eq!(first, run("two"));
}

/// A member's folder after a short run.
fn folder(dir: &Path) -> PathBuf {
    demo(&dir.join("d"), &["--rounds", "2"]);
    dir.join("d/member-1")
}

/// Starts the node on a folder, tells it at once to stop, and gives what it said.
fn start_and_stop(folder: &Path) -> (bool, String) {
    let folder = folder.display().to_string();
    let output = archipel(&["run", "--dir", &folder, "--until-stdin-closes"]);
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_torn_tail_is_cut_and_said_and_other_damage_refuses_to_start() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a folder");
    let folder = folder(dir.path());
    let wal = folder.join("wal/current.log");
    let whole = fs::read(&wal).expect("a log");

    fs::write(&wal, &whole[..whole.len() - 3]).expect("written");
    let (started, told) = start_and_stop(&folder);
    assert!(started, "{told}");
    assert!(told.contains("current.log"), "it says what it cut: {told}");

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    fs::write(&wal, &flipped).expect("written");
    let (started, told) = start_and_stop(&folder);
    assert!(!started, "damage in the middle refuses to start");
    for part in ["current.log", "expected", "found"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(
        fs::read(&wal).expect("still there"),
        flipped,
        "nothing was changed"
    );
}
