//! What a run leaves can be edited and run again: the scenario of a file, of a drawn run, of a
//! shrunk one.

use archipel_simulator::{
    fuzzing::{Play, draw::draw, play},
    scenario::{Scenario, load, packs, parse, with_seed},
    schedule::{Effect, Links, Schedule, Window, expand},
    session::folder,
};
use std::{fs, path::Path, process::Command, sync::Arc};

const BINARY: &str = env!("CARGO_BIN_EXE_archipel-sim");

/// What a scenario is without the names that reports sort by and the words of its faults.
fn kernel(scenario: &Scenario) -> Scenario {
    let mut kernel = scenario.clone();
    kernel.faults.clear();
    for member in &mut kernel.members {
        (member.group, member.region, member.joins_later) = (String::new(), String::new(), false);
    }
    kernel
}

/// What a window does. What happens at once has no length, and a change of no rate is none.
fn deed(window: &Window) -> Option<(String, Option<u64>)> {
    let momentary = matches!(
        window.effect,
        Effect::Join { .. }
            | Effect::Reset { .. }
            | Effect::Bitrot { .. }
            | Effect::BitFlip { .. }
            | Effect::ClockStepBack { .. }
            | Effect::Rollback { .. }
    );
    let unchanged = matches!(
        window.effect,
        Effect::Bandwidth {
            up: None,
            down: None,
            ..
        }
    );
    let length = window.for_us.filter(|_| !momentary);
    let mut effect = window.effect.clone();
    if let Some(links) = links(&mut effect) {
        links.from.sort_unstable();
        links.to.sort_unstable();
        // Of all links, both ways are one.
        links.both &= links.from != links.to;
    }
    let effect = format!("{:?} {effect:?}", window.at);
    (!unchanged).then_some((effect, length))
}

fn links(effect: &mut Effect) -> Option<&mut Links> {
    match effect {
        Effect::Latency { links, .. }
        | Effect::Jitter { links, .. }
        | Effect::Loss { links, .. }
        | Effect::BurstLoss { links, .. }
        | Effect::Duplicate { links, .. }
        | Effect::Reorder { links, .. }
        | Effect::Corrupt { links, .. }
        | Effect::Relay { links, .. }
        | Effect::Cut { links }
        | Effect::Reset { links } => Some(links),
        _ => None,
    }
}

fn written(scenario: &Scenario, schedule: &Schedule) -> (Scenario, Schedule) {
    let text = scenario.to_text(schedule);
    let again = parse(&text, "written");
    let again = again.unwrap_or_else(|error| panic!("seed {}: {error}\n{text}", scenario.seed));
    let schedule = expand(&again, again.seed);
    (again, schedule)
}

#[test]
fn every_drawn_run_is_a_scenario_that_does_the_same() {
    for seed in 0..400 {
        let (scenario, schedule) = draw(seed);
        let (again, windows) = written(&scenario, &schedule);
        assert_eq!(kernel(&again), kernel(&scenario), "seed {seed}");
        assert_eq!(windows.windows.len(), schedule.windows.len(), "seed {seed}");
        for (was, is) in schedule.windows.iter().zip(&windows.windows) {
            if let Some(deed_was) = deed(was) {
                assert_eq!(deed(is), Some(deed_was), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_drawn_run_that_is_written_down_goes_the_same_way() {
    let mut compared = 0;
    for seed in 0..60 {
        let (scenario, schedule) = draw(seed);
        // What happens at once ends at once when it is written down, and that is an event less.
        if schedule
            .windows
            .iter()
            .any(|window| deed(window).is_none_or(|(_, us)| us != window.for_us))
        {
            continue;
        }
        let (again, windows) = written(&scenario, &schedule);
        let digest = |scenario: Scenario, schedule: Schedule| {
            let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
            let what = Play {
                scenario: &scenario,
                schedule: &schedule,
                bug: None,
            };
            play(&what).digest
        };
        assert_eq!(
            digest(again, windows),
            digest(scenario, schedule),
            "seed {seed}"
        );
        compared += 1;
        if compared == 4 {
            break;
        }
    }
    assert!(compared == 4, "{compared}");
}

#[test]
fn every_pack_survives_with_all_defaults_written_out() {
    for pack in packs() {
        let scenario = pack.scenario();
        let schedule = expand(&scenario, scenario.seed);
        let (again, windows) = written(&scenario, &schedule);
        assert_eq!(kernel(&again), kernel(&scenario), "{}", pack.name);
        if schedule.windows.len() <= 1_000 {
            assert_eq!(
                windows.windows.len(),
                schedule.windows.len(),
                "{}",
                pack.name
            );
        }
        let seeded = with_seed(pack.text, 77);
        let seeded = parse(&seeded, pack.name).expect(pack.name);
        assert_eq!(seeded.seed, 77, "{}", pack.name);
    }
}

#[test]
fn what_was_kept_of_failures_can_be_edited() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for entry in fs::read_dir(scenarios).expect("the folder is in the repository") {
        let dir = entry.expect("it can be listed").path();
        let (scenario, schedule) = folder::read(&dir).expect("what a run plays");
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            let text = scenario.to_text(&schedule);
            fs::write(dir.join("scenario.toml"), text).expect("the folder can be written");
        }
        let again = load(&dir.join("scenario.toml"));
        let again = again.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(kernel(&again), kernel(&scenario), "{}", dir.display());
    }
}

/// The program in a folder: its exit code and what it said.
fn sim(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let ended = Command::new(BINARY)
        .current_dir(dir)
        .args(arguments)
        .output();
    let ended = ended.expect("the binary runs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (ended.status.code().expect("it was not killed"), said)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("a scenario");
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    fs::write(path, text.replacen(from, to, 1)).expect("it can be written");
}

#[test]
fn the_folder_of_a_run_keeps_the_words_of_its_scenario_and_its_seed() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "schema = \"archipel-scenario/1\"\nname = \"mine\" # of my own\n# Claim: it runs.\n\
                [stop]\nrounds = 3      # a few\n[[group]]\nname = \"m\"\ncount = 4\n";
    fs::write(dir.path().join("mine.toml"), text).expect("a file");
    let (code, said) = sim(dir.path(), &["run", "mine.toml", "--seed", "5"]);
    assert_eq!(code, 0, "{said}");
    let kept = dir.path().join("out/mine-5/scenario.toml");
    let kept_text = fs::read_to_string(&kept).expect("a scenario");
    let wanted = text.replace("\"mine\" #", "\"mine\"\nseed = 5 #");
    assert_eq!(kept_text, wanted);
    edit(&kept, "rounds = 3 ", "rounds = 4 ");
    let (code, said) = sim(dir.path(), &["run", "out/mine-5/scenario.toml"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("4 certified"), "{said}");
    let (code, said) = sim(dir.path(), &["replay", "out/mine-5"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_shrinking_leaves_fails_alike_and_can_be_edited() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = archipel_simulator::scenario::pack_named("negative-crash-model")
        .expect("a pack")
        .text;
    let expects = text
        .lines()
        .find(|line| line.starts_with("expect"))
        .expect("it expects");
    let text = text.replace(expects, "expect = \"pass\"");
    fs::write(dir.path().join("liar.toml"), text).expect("a file");
    let (code, said) = sim(dir.path(), &["run", "liar.toml", "--quiet"]);
    assert_eq!(code, 10, "{said}");
    let (code, said) = sim(
        dir.path(),
        &["shrink", "out/negative-crash-model-1", "--runs", "20"],
    );
    assert_eq!(code, 10, "{said}");
    let small = "out/negative-crash-model-1-small/scenario.toml";
    let (code, said) = sim(dir.path(), &["run", small, "--quiet", "--out", "again"]);
    assert_eq!(code, 10, "{said}");
    edit(
        &dir.path().join(small),
        "jitter = ",
        "jitter = \"1ms\" # was ",
    );
    let (code, said) = sim(dir.path(), &["run", small, "--quiet", "--out", "again"]);
    assert!([0, 10].contains(&code), "{said}");
}
