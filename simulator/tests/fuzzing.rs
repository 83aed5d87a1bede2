//! Drawn runs: none violates anything, what was planted is found, what fails is made small, and
//! what failed once stays mended.

use archipel_simulator::{
    fuzzing::{
        Play,
        campaign::campaign,
        play,
        selftest::{drawn, selftest},
        shrink::shrink,
    },
    planted::PLANTED,
    session::folder,
};
use std::{fs, path::Path, sync::Arc};

#[test]
fn drawn_runs_violate_nothing_and_threads_change_nothing() {
    let mut failures = Vec::new();
    let one = campaign(0..24, 1, &mut |seed, outcome| {
        failures.extend(outcome.fault().map(|fault| (seed, fault.clone())));
        true
    });
    assert!(failures.is_empty(), "{failures:?}");
    let two = campaign(0..24, 2, &mut |_, _| true);
    assert_eq!((one.seeds, one.digest), (24, two.digest));
    assert_eq!(one.faults, two.faults);
}

#[test]
fn planted_bugs_are_found_by_the_invariants_named_for_them() {
    for found in selftest(400, 2, &|_| ()) {
        let name = PLANTED[found.bug].name;
        assert!(
            found.by.is_some(),
            "{name}: others fell: {:?}",
            found.others
        );
    }
}

#[test]
fn a_failure_is_made_small_and_still_fails_alike() {
    let bug = PLANTED
        .iter()
        .find(|bug| bug.name == "certified-not-logged");
    let make = bug.map(|bug| bug.make);
    let (scenario, schedule) = drawn(0);
    let what = Play {
        scenario: &scenario,
        schedule: &schedule,
        bug: make,
    };
    let before = play(&what).violations[0].invariant.clone();
    let shrunk = shrink(&scenario, &schedule, make, 200).expect("it fails");
    assert_eq!(shrunk.outcome.violations[0].invariant, before);
    assert!(shrunk.schedule.windows.len() <= 3, "{:?}", shrunk.schedule);
    assert!(shrunk.scenario.members.len() <= scenario.members.len());
}

#[test]
fn what_failed_once_passes() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut played = 0;
    for entry in fs::read_dir(scenarios).expect("the folder is in the repository") {
        let dir = entry.expect("it can be listed").path();
        let (scenario, schedule) = folder::read(&dir).expect("what a run plays");
        let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
        let outcome = play(&Play {
            scenario: &scenario,
            schedule: &schedule,
            bug: None,
        });
        assert!(
            outcome.violations.is_empty(),
            "{}: {:?}",
            dir.display(),
            outcome.violations
        );
        played += 1;
    }
    assert!(played > 0);
}
