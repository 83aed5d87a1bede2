//! A seed turned into a scenario and its faults: swarm testing.
//!
//! Each seed draws which kinds of faults are on at all, how often each strikes and how hard (Groce
//! and others, "Swarm Testing", ISSTA 2012): a run with everything at once hides what needs one
//! kind alone. Everything else is drawn too: members, links, sizes, the plan.
//!
//! Faults stay within what the design promises, so that every violation is a defect:
//! - Members that may say or make something wrong are at most f of the smallest federation that
//!   there is at any time, liars, members whose disk forgets what it acknowledged (a lost fsync, a
//!   restored backup) and members whose memory or disk flips a bit counted together. Under the
//!   crash model, which tolerates no liar, there is none of them.
//! - Who joins late is one of those f as well: everybody else makes a quorum without it. At most
//!   one member is expelled or leaves, and f is that of the federation without it.
//! - One disk forgets once: two backups of one disk could be restored in the wrong order.
//! - Power cuts, pauses, cut links, clocks, full disks and versions may befall anybody, everybody
//!   at once too; each passes by itself, and nothing but lies outlasts the heal.
//! - Messages that the links lose by themselves are at most 1 %, for they go on after the heal.
//! - A lie that scales updates comes with the rule that withstands it: the mean promises nothing
//!   then (C3).
//! - `wait_all` is not drawn, nor are sizes that the deadline's ceiling has no room for.

mod groups;
mod plan;
mod windows;

use crate::{
    draws::Draws,
    scenario::{Heal, Scenario, Stop},
    schedule::{Schedule, When},
};
use archipel_protocol::charter::FaultModel;

/// Rounds of a drawn run.
pub const ROUNDS: u64 = 20;
/// Virtual time after which a drawn run ends in any case: long beyond the patience of L1.
const SIM_US: u64 = 4 * 3600 * 1_000_000;

/// The run of a seed.
pub fn draw(seed: u64) -> (Scenario, Schedule) {
    let mut draws = Draws::new(seed, "fuzz world", &[]);
    let count = members(&mut draws);
    let mut scenario = Scenario::plain(seed, count, ROUNDS);
    scenario.name = "fuzz".to_owned();
    scenario.claim = "No invariant is violated, whatever befalls whom.".to_owned();
    if count < 4 {
        scenario.fault_model = FaultModel::Crash;
    }
    scenario.stop = Stop {
        rounds: Some(ROUNDS),
        sim_us: Some(SIM_US),
        wall_us: None,
    };
    let heal = 10 + draws.below(5);
    scenario.heal = Some(Heal {
        at: When::Round(heal, draws.below(2_000_000)),
        within_rounds: 5 + draws.below(4),
    });
    groups::draw(seed, &mut scenario);
    plan::draw(seed, &mut scenario);
    let schedule = windows::draw(seed, &mut scenario, heal);
    (scenario, schedule)
}

/// Small federations are drawn more often: they are quicker, and one member weighs more in them.
fn members(draws: &mut Draws) -> u32 {
    let most = match draws.below(8) {
        0 => 3,
        1..=3 => 5,
        4..=6 => 9,
        _ => 16,
    };
    3 + draws.below(most - 2) as u32
}

/// A whole number between two, the ends included; small ones and large ones equally often.
fn between(draws: &mut Draws, low: u64, high: u64) -> u64 {
    let doublings = (high / low.max(1)).max(1).ilog2() + 1;
    let from = low.max(1) << draws.below(u64::from(doublings));
    (from + draws.below(from)).clamp(low, high)
}

/// One of a list.
fn one<T: Copy>(draws: &mut Draws, of: &[T]) -> T {
    of[draws.below(of.len() as u64) as usize]
}

#[cfg(test)]
mod tests;
