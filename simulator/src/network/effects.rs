//! Fault windows on links, while they are open.

use super::Dice;
use crate::schedule::{Effect, Links};
use archipel_protocol::ids::Timestamp;
use std::collections::HashSet;

/// What the open windows make of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub latency_us: u64,
    pub jitter_us: u64,
    pub loss: f64,
    pub duplicate: f64,
    pub corrupted: bool,
    pub cut: bool,
    pub through: Option<u32>,
}

impl Change {
    pub fn of(latency_us: u64, loss: f64, duplicate: f64) -> Self {
        Self {
            latency_us,
            jitter_us: 0,
            loss,
            duplicate,
            corrupted: false,
            cut: false,
            through: None,
        }
    }
}

/// An open window.
pub(super) struct Active {
    pub window: usize,
    pub effect: Effect,
    pub since: Timestamp,
    from: Vec<bool>,
    to: Vec<bool>,
    both: bool,
    /// Links in the bad state of a burst.
    bad: HashSet<(u32, u32)>,
}

impl Active {
    pub fn new(window: usize, effect: Effect, links: &Links, size: usize, now: Timestamp) -> Self {
        let set = |members: &[u32]| {
            let mut set = vec![false; size];
            members.iter().for_each(|i| set[*i as usize] = true);
            set
        };
        Self {
            window,
            from: set(&links.from),
            to: set(&links.to),
            both: links.both,
            effect,
            since: now,
            bad: HashSet::new(),
        }
    }

    /// Members that have a link of the window.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.from.len()).filter(|i| self.from[*i] || self.to[*i])
    }

    pub fn concerns(&self, from: u32, to: u32) -> bool {
        let (from, to) = (from as usize, to as usize);
        (self.from[from] && self.to[to]) || (self.both && self.from[to] && self.to[from])
    }

    pub fn cuts(&self, from: u32, to: u32) -> bool {
        matches!(self.effect, Effect::Cut { .. }) && self.concerns(from, to)
    }

    /// Whether a message that left at `sent` does not arrive while the window is open.
    pub fn loses(&self, from: u32, to: u32, sent: Timestamp) -> bool {
        let reset = matches!(self.effect, Effect::Reset { .. }) && sent < self.since;
        (reset || matches!(self.effect, Effect::Cut { .. })) && self.concerns(from, to)
    }

    /// Notes what the window makes of a message on a link that it concerns.
    pub fn change(&mut self, from: u32, to: u32, dice: &Dice, change: &mut Change) {
        let window = self.window;
        let chance = |draw, probability| dice.window_unit(window, draw) < probability;
        match &self.effect {
            Effect::Latency { add_us, .. } => change.latency_us += add_us,
            Effect::Jitter { up_to_us, .. } => {
                change.jitter_us += dice.window_below(window, 0, up_to_us + 1);
            }
            Effect::Loss { probability, .. } => change.cut |= chance(1, *probability),
            Effect::BurstLoss {
                enter,
                leave,
                probability,
                ..
            } => {
                let bad = self.bad.contains(&(from, to));
                let turns = chance(2, if bad { *leave } else { *enter });
                match bad != turns {
                    true => self.bad.insert((from, to)),
                    false => self.bad.remove(&(from, to)),
                };
                change.cut |= bad != turns && chance(3, *probability);
            }
            Effect::Duplicate { probability, .. } => change.duplicate += probability,
            Effect::Reorder {
                probability, by_us, ..
            } if chance(4, *probability) => change.jitter_us += by_us,
            Effect::Corrupt { probability, .. } => change.corrupted |= chance(5, *probability),
            Effect::Cut { .. } => change.cut = true,
            _ => {}
        }
    }
}
