//! Random crashes, cuts and lossy links for a while, then peace: nothing is violated, everyone
//! converges. `ARCHIPEL_SEEDS` sets how many seeds are tried.

use archipel_protocol::{charter::FaultModel, ids::Round, random::Stream};
use archipel_simulator::world::World;
use invented::{
    Cuts,
    Quality::{Lossless, Lossy},
    SECOND, flip_next_fold,
};

mod invented;

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
    let links = if draws.below(2) == 0 { Lossless } else { Lossy };
    let rounds = 12;
    let mut scenario = invented::scenario(seed, members, rounds, links);
    scenario.fault_model = model;
    for member in &mut scenario.members {
        let train_us = 200_000 + draws.below(1_500_000);
        member.compute.step_us = train_us / scenario.plan.inner.steps;
    }
    let mut world = invented::still(scenario);
    for site in 0..members {
        world.start_after(site, draws.below(3 * SECOND));
    }
    world.run_until(3 * SECOND, |_| false);
    let mut cuts = Cuts::default();
    for _ in 0..12 {
        disturb(&mut world, &mut cuts, &mut draws, members);
        world.run_until(draws.below(3 * SECOND), |_| false);
    }
    heal(&mut world, &mut cuts, members);
    let all = |w: &World| w.sites.iter().all(|s| s.machine.is_some()) && w.all_reached(rounds);
    if !world.run_until(600 * SECOND, all) {
        let rounds: Vec<_> = world
            .sites
            .iter()
            .map(|s| s.machine.as_ref().map(|m| (m.round(), m.phase())))
            .collect();
        return Err(format!("L1 seed {seed}: after healing {rounds:?}"));
    }
    let root = world.invariants.root(0, Round(rounds));
    let equal = (0..members).all(|site| world.root(site) == root);
    match (equal, world.invariants.violations()) {
        (true, []) => Ok(()),
        (_, violations) => Err(format!("seed {seed}: {violations:?}")),
    }
}

fn disturb(world: &mut World, cuts: &mut Cuts, draws: &mut Stream, members: usize) {
    let site = draws.below(members as u64) as usize;
    match draws.below(4) {
        0 => world.crash(site),
        1 if world.sites[site].machine.is_none() => world.start(site),
        1 => world.sites[site].crash_after = Some(world.sites[site].outputs + draws.below(30)),
        2 => {
            let other = draws.below(members as u64) as usize;
            cuts.set(world, site, other, draws.below(3) > 0);
        }
        _ if draws.below(4) == 0 => flip_next_fold(world, site),
        _ => {}
    }
}

fn heal(world: &mut World, cuts: &mut Cuts, members: usize) {
    for a in 0..members {
        (0..members).for_each(|b| cuts.set(world, a, b, false));
        world.sites[a].crash_after = None;
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
