//! Random crashes, cuts and lossy links for a while, then peace: nothing is violated, everyone
//! converges. `ARCHIPEL_SEEDS` sets how many seeds are tried.

use archipel_protocol::{charter::FaultModel, ids::Round, random::Stream};
use archipel_simulator::{old_network::LinkModel, old_world::World, toy};

const SECOND: u64 = 1_000_000;

/// One world: faults for the first rounds, then none.
fn survive(seed: u64) -> Result<(), String> {
    let mut draws = Stream::new(archipel_protocol::random::derive_key(
        "archipel/simulator/churn/v1",
        &[&seed.to_be_bytes()],
    ));
    let members = [3, 4, 4, 5, 7][draws.below(5) as usize];
    let model = if members == 3 {
        FaultModel::Crash
    } else {
        FaultModel::Byzantine
    };
    let links = if draws.below(2) == 0 {
        LinkModel::LOSSLESS
    } else {
        LinkModel::LOSSY
    };
    let rounds = 12;
    let charter = toy::charter(seed, members, model, toy::plan(rounds));
    let mut world = World::new(seed, charter, members, links);
    for site in 0..members {
        world.pace[site].train_us = 200_000 + draws.below(1_500_000);
        world.start_after(site, draws.below(3 * SECOND));
    }
    world.run_until(3 * SECOND, |_| false);
    for _ in 0..12 {
        disturb(&mut world, &mut draws, members);
        world.run_until(draws.below(3 * SECOND), |_| false);
    }
    heal(&mut world, members);
    let all = |w: &World| w.sites.iter().all(|s| s.machine.is_some()) && w.all_reached(rounds);
    if !world.run_until(600 * SECOND, all) {
        let rounds: Vec<_> = world
            .sites
            .iter()
            .map(|s| s.machine.as_ref().map(|m| (m.round(), m.phase())))
            .collect();
        return Err(format!("L1 seed {seed}: after healing {rounds:?}"));
    }
    let root = world.checks.root(Round(rounds));
    let equal = (0..members).all(|site| world.root(site) == root);
    match (equal, world.checks.violations.as_slice()) {
        (true, []) => Ok(()),
        (_, violations) => Err(format!("seed {seed}: {violations:?}")),
    }
}

fn disturb(world: &mut World, draws: &mut Stream, members: usize) {
    let site = draws.below(members as u64) as usize;
    match draws.below(4) {
        0 => world.crash(site),
        1 if world.sites[site].machine.is_none() => world.start(site),
        1 => world.crash_after = Some((site, world.sites[site].outputs + draws.below(30))),
        2 => {
            let other = draws.below(members as u64) as usize;
            world.network.set_cut(site, other, draws.below(3) > 0);
        }
        _ => world.sites[site].corrupt_next_fold = draws.below(4) == 0,
    }
}

fn heal(world: &mut World, members: usize) {
    world.crash_after = None;
    for a in 0..members {
        (0..members).for_each(|b| world.network.set_cut(a, b, false));
        world.sites[a].corrupt_next_fold = false;
        if world.sites[a].machine.is_none() {
            world.start(a);
        }
    }
}

#[test]
fn after_any_churn_everyone_converges() {
    let seeds = std::env::var("ARCHIPEL_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let failures: Vec<String> = (0..seeds.unwrap_or(60))
        .filter_map(|seed| survive(seed).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
