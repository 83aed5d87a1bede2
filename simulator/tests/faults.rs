//! Crashes at every moment, lost quorums, simultaneous starts: the run goes on, and no invariant is
//! violated.

use archipel_protocol::{
    charter::FaultModel,
    ids::{Round, Timestamp},
    member::Event,
};
use invented::{
    Cuts,
    Quality::{Lossless, Lossy},
    SECOND, down, model_world, no_violation, start_all, world,
};

mod invented;

use archipel_simulator::world::World;

/// When a site certified a round.
fn certified_at(world: &World, site: usize, wanted: u64) -> Option<Timestamp> {
    world
        .events
        .iter()
        .find_map(|(at, who, event)| match event {
            Event::Certified { round, .. } if *who == site && *round == Round(wanted) => Some(*at),
            _ => None,
        })
}

/// Outputs that one member carries out in four undisturbed rounds.
fn outputs_of_a_quiet_run(victim: usize) -> u64 {
    let mut world = world(3, 4, 4, Lossless);
    start_all(&mut world);
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(4)));
    world.sites[victim].outputs
}

fn crash_after_every_output(victim: usize) {
    let outputs = outputs_of_a_quiet_run(victim);
    assert!(
        outputs > 100,
        "the run is long enough to be interrupted: {outputs}"
    );
    (0..outputs).for_each(|moment| crash_at(victim, moment));
}

#[test]
fn member_1_crashes_after_any_output_and_loses_at_most_its_update() {
    crash_after_every_output(0);
}

#[test]
fn member_2_crashes_after_any_output_and_loses_at_most_its_update() {
    crash_after_every_output(1);
}

#[test]
fn member_3_crashes_after_any_output_and_loses_at_most_its_update() {
    crash_after_every_output(2);
}

#[test]
fn member_4_crashes_after_any_output_and_loses_at_most_its_update() {
    crash_after_every_output(3);
}

/// Crashes `victim` when it has carried out `moment` outputs, and restarts it three seconds later.
fn crash_at(victim: usize, moment: u64) {
    let why = format!("member {victim} crashed after output {moment}");
    let mut world = world(3, 4, 7, Lossless);
    world.sites[victim].crash_after = Some(moment);
    start_all(&mut world);
    let crashed = world.run_until(600 * SECOND, |w| w.sites[victim].machine.is_none());
    assert!(crashed, "{why}: it was to crash");
    world.start_after(victim, 3 * SECOND);
    let done = world.run_until(600 * SECOND, |w| {
        w.sites[victim].machine.is_some() && w.all_reached(7)
    });
    assert!(done, "{why}: the run ends");
    no_violation(&world, &why);
    let id = world.sites[victim].id;
    let missed: Vec<u64> = (0..7)
        .filter(|r| {
            !world
                .invariants
                .cut(0, Round(*r))
                .is_some_and(|c| c.contains(&id))
        })
        .collect();
    // Three seconds are longer than a round: the round of the crash, and the one it slept through.
    assert!(missed.len() <= 3, "{why}: it missed rounds {missed:?}");
    let others = (0..4).filter(|site| *site != victim);
    for other in others {
        let id = world.sites[other].id;
        for round in 0..7 {
            let cut = world
                .invariants
                .cut(0, Round(round))
                .expect("every round is decided");
            assert!(
                cut.contains(&id),
                "{why}: member {other} is missing in round {round}"
            );
        }
    }
}

#[test]
fn a_crash_costs_the_others_a_deadline_and_a_view_at_most() {
    for victim in 0..4 {
        let mut world = world(5, 4, 6, Lossless);
        start_all(&mut world);
        assert!(world.run_until(600 * SECOND, |w| w.all_reached(3)));
        world.crash(victim);
        let observer = (victim + 1) % 4;
        assert!(world.run_until(600 * SECOND, |w| w.all_reached(4)));
        let start = certified_at(&world, observer, 3).expect("round 3 began");
        // What is told waits for the disk.
        world.run_until(1_000, |_| false);
        let end = certified_at(&world, observer, 4).expect("round 3 ended");
        let timing = &world.federations[0].plan.timing;
        // The deadline learnt from one-second arrivals is the floor; the view timer 3Δ + fetch.
        let deadline = timing.deadline_floor_ms * 1000;
        let view = (3 * timing.delta_ms + timing.fetch_ms) * 1000;
        let messages = 10 * timing.delta_ms * 1000;
        let took = end.since(start);
        assert!(
            took <= deadline + view + messages,
            "victim {victim}: {took} µs"
        );
    }
}

#[test]
fn two_of_four_down_is_a_pause_and_no_error() {
    let mut world = world(7, 4, 8, Lossless);
    start_all(&mut world);
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(3)));
    down(&mut world, 1);
    let second = down(&mut world, 2);
    let stood = world.invariants.highest(0);
    assert!(!world.run_until(300 * SECOND, |w| w.invariants.highest(0)
        > stood.map(|r| r.next())));
    world.relent(second);
    assert!(
        world.run_until(300 * SECOND, |w| w.all_reached(8)),
        "it goes on by itself"
    );
    no_violation(&world, "two of four down");
}

#[test]
fn all_down_at_once_is_a_pause_as_well() {
    let mut world = world(8, 4, 6, Lossless);
    start_all(&mut world);
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(2)));
    world.run_until(SECOND / 3, |_| false);
    (0..4).for_each(|site| world.crash(site));
    (0..4).for_each(|site| world.start(site));
    assert!(world.run_until(300 * SECOND, |w| w.all_reached(6)));
    no_violation(&world, "all restarted");
}

#[test]
fn three_sites_that_trust_each_other_survive_any_one_kill() {
    for victim in 0..3 {
        let mut world = model_world(9, 3, 6, FaultModel::Crash);
        start_all(&mut world);
        assert!(world.run_until(600 * SECOND, |w| w.all_reached(2)));
        world.crash(victim);
        assert!(
            world.run_until(300 * SECOND, |w| w.all_reached(4)),
            "victim {victim}"
        );
        world.start(victim);
        assert!(
            world.run_until(300 * SECOND, |w| w.all_reached(6)),
            "victim {victim} returns"
        );
        no_violation(&world, "crash fault model");
    }
}

#[test]
fn fifty_simultaneous_starts_are_fifty_federations() {
    for seed in 0..50 {
        let links = if seed % 2 == 0 { Lossless } else { Lossy };
        let mut world = world(100 + seed, 4, 2, links);
        start_all(&mut world);
        assert!(
            world.run_until(300 * SECOND, |w| w.all_reached(2)),
            "seed {seed}"
        );
        no_violation(&world, &format!("seed {seed}"));
        let root = world.invariants.root(0, Round(2)).expect("certified");
        assert!(
            (0..4).all(|site| world.root(site) == Some(root)),
            "seed {seed}"
        );
    }
}

#[test]
fn crashes_on_lossy_links_never_contradict() {
    for seed in 0..40u64 {
        let mut world = world(200 + seed, 4, 6, Lossy);
        start_all(&mut world);
        let victim = (seed % 4) as usize;
        world.sites[victim].crash_after = Some(20 + 17 * seed);
        world.run_until(600 * SECOND, |w| {
            w.sites[victim].machine.is_none() || w.all_reached(6)
        });
        if world.sites[victim].machine.is_none() {
            world.start_after(victim, SECOND);
        }
        let all = |w: &World| w.sites.iter().all(|s| s.machine.is_some()) && w.all_reached(6);
        assert!(world.run_until(900 * SECOND, all), "seed {seed}");
        no_violation(&world, &format!("seed {seed}"));
    }
}

#[test]
fn a_cut_off_minority_stands_still_and_catches_up() {
    let mut world = world(11, 4, 8, Lossless);
    start_all(&mut world);
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(2)));
    let mut cuts = Cuts::default();
    (1..4).for_each(|site| cuts.set(&mut world, 0, site, true));
    let three = |w: &World, round| (1..4).all(|s| w.sites[s].round() >= Some(Round(round)));
    assert!(
        world.run_until(600 * SECOND, |w| three(w, 6)),
        "the majority goes on"
    );
    let alone = world.sites[0].round();
    assert!(
        alone <= Some(Round(3)),
        "a minority never certifies: {alone:?}"
    );
    (1..4).for_each(|site| cuts.set(&mut world, 0, site, false));
    assert!(world.run_until(600 * SECOND, |w| w.all_reached(8)));
    no_violation(&world, "partition");
}

#[test]
fn one_seed_is_one_history() {
    let run = |seed| {
        let mut world = world(seed, 4, 4, Lossy);
        start_all(&mut world);
        assert!(world.run_until(600 * SECOND, |w| w.all_reached(4)));
        world.digest()
    };
    assert_eq!(run(13), run(13));
    assert_ne!(run(13), run(14));
}
