//! Plans in which members train on from their own parameters: they agree as in any other, whoever
//! joins or crashes at whatever point ends on the common root, and training hides the exchange.

use archipel_protocol::{
    charter::plan::{CodecKind, OuterRule},
    ids::Round,
    member::Durable,
};
use archipel_simulator::{scenario::Scenario, world::World};
use invented::{
    Quality::{Lossless, Lossy},
    SECOND, no_violation, start_all,
};

mod invented;

const ROUNDS: u64 = 12;

/// Five members, ten steps a round of a tenth of a second each.
fn scenario(seed: u64, delay: u64, fragments: u32, alpha: &str) -> Scenario {
    let mut scenario = invented::scenario(seed, 5, ROUNDS, Lossless);
    let plan = &mut scenario.plan;
    (plan.inner.steps, plan.inner.segment_steps) = (10, 10);
    plan.outer.rule = OuterRule::Nesterov;
    plan.outer.momentum = "0.5".parse().expect("a decimal");
    plan.outer.alpha = alpha.parse().expect("a decimal");
    (plan.outer.delay, plan.outer.fragments) = (delay, fragments);
    plan.exchange.codec = CodecKind::TopK2Bit;
    (plan.exchange.chunk, plan.exchange.keep) = (16, 8);
    plan.exchange.error_feedback = Some("0.95".parse().expect("a decimal"));
    for member in &mut scenario.members {
        member.compute.step_us = SECOND / 10;
    }
    scenario
}

/// Timing for links and members that take seconds.
fn be_patient(scenario: &mut Scenario) {
    let timing = &mut scenario.plan.timing;
    (timing.delta_ms, timing.fetch_ms, timing.resend_ms) = (1_500, 3_000, 3_000);
    (timing.deadline_floor_ms, timing.deadline_ceiling_ms) = (10_000, 60_000);
}

fn ends_on_one_root(world: &mut World, why: &str) {
    let all = |w: &World| w.sites.iter().all(|s| s.machine.is_some()) && w.all_reached(ROUNDS);
    let done = world.run_until(600 * SECOND, all);
    let rounds: Vec<_> = world
        .sites
        .iter()
        .map(|s| s.machine.as_ref().and_then(|m| m.round()))
        .collect();
    assert!(done, "{why}: {rounds:?}");
    let root = world.invariants.root(0, Round(ROUNDS));
    assert!(root.is_some(), "{why}");
    assert!(
        (0..world.sites.len()).all(|site| world.root(site) == root),
        "{why}"
    );
    no_violation(world, why);
}

/// Steps of the updates that a member announced, by round.
fn steps(world: &World, site: usize) -> Vec<(u64, u64)> {
    let entries = world.sites[site].disk.wal.iter();
    let headers = entries.filter_map(|entry| match entry {
        Durable::Header { header, .. } => Some((header.header.round.0, header.header.steps)),
        _ => None,
    });
    headers.collect()
}

const MODES: [(u64, u32, &str); 5] = [
    (4, 1, "0.5"),
    (9, 1, "0"),
    (0, 2, "0.5"),
    (3, 2, "0.25"),
    (0, 1, "1"),
];

#[test]
fn whoever_joins_at_any_round_ends_on_the_common_root() {
    for (delay, fragments, alpha) in MODES {
        for joins in 0..8 {
            let why = format!("delay {delay}, {fragments} fragments, α {alpha}, after {joins}");
            let mut world = invented::still(scenario(joins, delay, fragments, alpha));
            (0..4).for_each(|site| world.start(site));
            let there = |w: &World| {
                (0..4).all(|site| {
                    let round = w.sites[site].machine.as_ref().and_then(|m| m.round());
                    round.is_some_and(|round| round.0 >= joins)
                })
            };
            assert!(world.run_until(600 * SECOND, there), "{why}");
            world.start(4);
            ends_on_one_root(&mut world, &why);
            // Without own parameters it begins with those of the state, without steps ahead.
            let taken = steps(&world, 4);
            assert_eq!(
                taken.first().map(|(_, steps)| *steps),
                Some(10 - delay),
                "{why}"
            );
            let later = taken.windows(2).filter(|two| two[1].0 == two[0].0 + 1);
            assert!(
                later.into_iter().all(|two| two[1].1 == 10),
                "{why}: {taken:?}"
            );
        }
    }
}

#[test]
fn crashes_and_lost_messages_leave_one_root() {
    for (seed, (delay, fragments, alpha)) in MODES.into_iter().enumerate() {
        let mut scenario = scenario(seed as u64, delay, fragments, alpha);
        let lossy = invented::scenario(seed as u64, 5, ROUNDS, Lossy);
        scenario.network = lossy.network;
        let mut world = invented::still(scenario);
        start_all(&mut world);
        for turn in 0..6 {
            world.run_until(SECOND + seed as u64 * SECOND / 7, |_| false);
            world.crash(turn % 5);
            world.run_until(SECOND / 3, |_| false);
            world.start(turn % 5);
        }
        ends_on_one_root(
            &mut world,
            &format!("delay {delay}, {fragments} fragments, α {alpha}"),
        );
    }
}

#[test]
fn training_goes_on_while_the_exchange_is_in_flight() {
    // Half a second one way: an exchange takes longer than half of the second that steps take.
    let took = |delay: u64| {
        let mut scenario = scenario(3, delay, 1, "0.5");
        scenario
            .network
            .latency_us
            .iter_mut()
            .for_each(|row| row.fill(SECOND / 2));
        be_patient(&mut scenario);
        let mut world = invented::still(scenario);
        start_all(&mut world);
        ends_on_one_root(&mut world, "slow links");
        world.now().0
    };
    let (waiting, hidden) = (took(0), took(9));
    // Nine of ten tenths of a second in eleven rounds.
    let saved = waiting - hidden;
    let expected = (ROUNDS - 1) * 9 * SECOND / 10;
    assert!(
        saved.abs_diff(expected) < 2 * SECOND,
        "{saved} of {expected}"
    );
}

#[test]
fn nobody_misses_a_cut_for_training_ahead() {
    for (delay, fragments, alpha) in MODES {
        let mut world = invented::still(scenario(8, delay, fragments, alpha));
        start_all(&mut world);
        ends_on_one_root(&mut world, "no faults");
        let finals = world.sites[0].disk.wal.iter();
        let cuts: Vec<usize> = finals
            .filter_map(|entry| match entry {
                Durable::Final(block) => Some(block.block.cut.len()),
                _ => None,
            })
            .collect();
        assert_eq!(cuts, [5; ROUNDS as usize], "delay {delay}");
    }
}

#[test]
fn who_is_slow_takes_fewer_steps() {
    let mut scenario = invented::scenario(5, 5, ROUNDS, Lossless);
    let plan = &mut scenario.plan;
    (plan.inner.steps, plan.inner.segment_steps) = (20, 20);
    plan.inner.steps_by_speed = true;
    plan.outer.rule = OuterRule::DelayedNesterov;
    (plan.outer.period, plan.outer.momentum) = (2, "0.5".parse().expect("a decimal"));
    for member in &mut scenario.members {
        member.compute.step_us = SECOND / 10;
    }
    scenario.members[3].compute.step_us = SECOND / 4;
    be_patient(&mut scenario);
    let mut world = invented::still(scenario);
    start_all(&mut world);
    ends_on_one_root(&mut world, "one slow");
    let (fast, slow) = (steps(&world, 0), steps(&world, 3));
    assert!(fast.iter().all(|(_, steps)| *steps == 20), "{fast:?}");
    let later = slow.iter().filter(|(round, _)| *round >= 2);
    assert!(later.clone().count() > 5);
    // 20 steps of a tenth are eight of a quarter; latency lets others look a little slower.
    assert!(
        later.into_iter().all(|(_, steps)| (8..=10).contains(steps)),
        "{slow:?}"
    );
}
