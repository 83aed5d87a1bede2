use super::*;
use crate::{
    fuzzing::kind::{KINDS, Kind},
    schedule::{Effect, Window},
};
use std::collections::{BTreeMap, BTreeSet};

fn impaired(window: &Window) -> Option<u32> {
    match window.effect {
        Effect::Byzantine { member, .. }
        | Effect::Rollback { member, .. }
        | Effect::LostFsync { member }
        | Effect::Bitrot { member }
        | Effect::BitFlip { member }
        | Effect::Join { member } => Some(member),
        _ => None,
    }
}

#[test]
fn faults_stay_within_what_is_promised() {
    for seed in 0..2_000 {
        let (scenario, schedule) = draw(seed);
        let windows = &schedule.windows;
        let away = windows.iter().filter(|window| {
            let effect = &window.effect;
            matches!(effect, Effect::Expel { .. } | Effect::Leave { .. })
        });
        let away = away.count();
        assert!(away <= 1, "seed {seed}");
        let left = scenario.members.len() - away;
        let faulty: BTreeSet<u32> = windows.iter().filter_map(impaired).collect();
        let f = match scenario.fault_model {
            FaultModel::Byzantine => (left - 1) / 3,
            FaultModel::Crash => 0,
        };
        assert!(faulty.len() <= f, "seed {seed}: {faulty:?} of {left}");
        for window in windows {
            let lasting = matches!(
                window.effect,
                Effect::Byzantine { .. } | Effect::Join { .. } | Effect::Rollback { .. }
            );
            assert!(
                lasting || window.for_us.is_some(),
                "seed {seed}: {window:?}"
            );
        }
    }
}

#[test]
fn plans_are_valid_and_runs_differ() {
    let mut digests = BTreeMap::new();
    for seed in 0..500 {
        let (scenario, schedule) = draw(seed);
        let members = scenario.members.len();
        let quorum = match scenario.fault_model {
            FaultModel::Byzantine => members - (members - 1) / 3,
            FaultModel::Crash => members / 2 + 1,
        };
        let checked = scenario.plan.validate(members, quorum);
        assert_eq!(checked, Ok(()), "seed {seed}");
        assert!((3..=16).contains(&members));
        assert_eq!(draw(seed), (scenario, schedule.clone()), "seed {seed}");
        *digests.entry(schedule.windows.len()).or_insert(0) += 1;
    }
    assert!(digests.len() > 10, "{digests:?}");
}

#[test]
fn every_kind_of_effect_is_drawn() {
    let drawn = (0..1_000).flat_map(|seed| draw(seed).1.windows);
    let kinds: BTreeSet<&str> = drawn
        .map(|window| Kind::of(&window.effect).name())
        .collect();
    assert_eq!(kinds.len(), KINDS.len(), "{kinds:?}");
}
