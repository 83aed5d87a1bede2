//! Members and links of a drawn run.

use super::{between, one};
use crate::{
    draws::Draws,
    scenario::{BandwidthModel, Crypto, Scenario},
};

/// Draws who the members are, how they are equipped, and what lies between them.
pub(super) fn draw(seed: u64, scenario: &mut Scenario) {
    let mut draws = Draws::new(seed, "fuzz members", &[]);
    let groups = 1 + draws.below(3) as usize;
    let group_of: Vec<usize> = scenario
        .members
        .iter()
        .map(|_| draws.below(groups as u64) as usize)
        .collect();
    equip(&mut draws, scenario, &group_of, groups);
    link(&mut draws, scenario, &group_of, groups);
    scenario.crypto = Crypto::Cost {
        verify_us: one(&mut draws, &[0, 0, 20, 100]),
        sign_us: one(&mut draws, &[0, 0, 20, 40]),
    };
    scenario.learning.parameters = one(&mut draws, &[16, 64, 64, 100, 256]);
    scenario.learning.heterogeneity = one(&mut draws, &[0.0, 0.5, 1.0]);
    scenario.learning.noise = one(&mut draws, &[0.0, 0.01, 0.1]);
    scenario.learning.evaluate_every = 2;
}

fn equip(draws: &mut Draws, scenario: &mut Scenario, group_of: &[usize], groups: usize) {
    let equal = draws.chance(0.4);
    let round_us = between(draws, 300_000, 2_000_000);
    let spread = one(draws, &[0.0, 0.1, 0.3]);
    let rates: Vec<u64> = (0..groups)
        .map(|_| between(draws, 500_000, 125_000_000))
        .collect();
    let disk = between(draws, 20_000_000, 500_000_000);
    let fsync_us = one(draws, &[0, 100, 1_000, 8_000]);
    let slow = one(draws, &[0.0, 0.0, 0.1]);
    let queue = between(draws, 512 << 10, 8 << 20);
    for (member, group) in scenario.members.iter_mut().zip(group_of) {
        member.group = format!("group-{}", group + 1);
        member.failure_domain = Some(member.group.clone());
        let pace = match equal {
            true => 1000,
            false => 700 + draws.below(900),
        };
        member.compute.step_us = round_us / 30 * pace / 1000;
        member.compute.spread = spread;
        member.compute.slow_probability = slow;
        member.compute.slow_factor = 3.0;
        (member.up, member.down) = (rates[*group], rates[*group]);
        if draws.chance(0.1) {
            member.up = (member.up / 4).max(250_000);
        }
        (member.disk_write, member.fsync_us) = (disk, fsync_us);
        member.queue = queue;
    }
}

fn link(draws: &mut Draws, scenario: &mut Scenario, group_of: &[usize], groups: usize) {
    let near = between(draws, 200, 10_000);
    let far: Vec<u64> = (0..groups * groups)
        .map(|_| between(draws, 2_000, 200_000))
        .collect();
    for (from, row) in scenario.network.latency_us.iter_mut().enumerate() {
        for (to, latency) in row.iter_mut().enumerate() {
            let (a, b) = (group_of[from], group_of[to]);
            *latency = match a == b {
                true => near,
                false => far[a.min(b) * groups + a.max(b)],
            };
        }
    }
    let network = &mut scenario.network;
    network.jitter_us = one(draws, &[0, 1_000, 10_000, 30_000]);
    network.loss = one(draws, &[0.0, 0.0, 0.001, 0.01]);
    network.duplicate = one(draws, &[0.0, 0.0, 0.02]);
    network.tcp = draws.chance(0.3);
    network.bandwidth_model = match draws.chance(0.3) {
        true => BandwidthModel::Fifo,
        false => BandwidthModel::Maxmin,
    };
    let least = scenario.members.iter().map(|member| member.up).min();
    let room = least.unwrap_or(1) / 2;
    let size = |draws: &mut Draws| {
        draws
            .chance(0.4)
            .then(|| between(draws, 1_000, room.max(2_000)))
    };
    network.payload_bytes = size(draws);
    network.state_bytes = size(draws);
}
