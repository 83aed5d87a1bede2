//! A seed turned into a schedule: every draw that a fault needs, made once.
//!
//! Each draw comes from a stream keyed by (seed, fault, member, purpose), so that dropping a fault
//! moves no draw of another one. Exponential times are von Neumann's ("Various techniques used in
//! connection with random digits", 1951): comparisons only, exact on every machine.

mod churn;
mod time;

use super::{Effect, Links, Schedule, When, Window};
use crate::scenario::{FaultDetail, FaultSpec, Scenario};
use archipel_protocol::random::{Stream, derive_key};

/// The schedule of a scenario under a seed.
pub fn expand(scenario: &Scenario, seed: u64) -> Schedule {
    let windows = scenario
        .faults
        .iter()
        .flat_map(|fault| Draw::new(scenario, fault, seed).windows());
    Schedule {
        windows: windows.collect(),
    }
}

/// How many windows churn is expected to become; none for other faults.
pub(crate) fn expected_windows(scenario: &Scenario, fault: &FaultSpec) -> Option<u64> {
    let FaultDetail::Churn { up, down, .. } = &fault.detail else {
        return None;
    };
    let cycle = time::mean_us(*up)
        .saturating_add(time::mean_us(*down))
        .max(1);
    let each = churn::lasts_us(scenario, fault) / cycle;
    Some(each.saturating_mul(fault.targets.len() as u64))
}

/// Every two different members of one federation that a link joins, each once, in order.
pub(crate) fn pairs(links: &Links, size: u32, federation: u32) -> Vec<(u32, u32)> {
    let near = |at: &&u32| **at / size == federation;
    let mut pairs = Vec::new();
    for from in links.from.iter().filter(near) {
        let to = links.to.iter().filter(near).filter(|to| *to != from);
        pairs.extend(to.map(|to| (*from.min(to), *from.max(to))));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// A fault whose draws are made.
struct Draw<'a> {
    scenario: &'a Scenario,
    fault: &'a FaultSpec,
    seed: u64,
}

impl<'a> Draw<'a> {
    fn new(scenario: &'a Scenario, fault: &'a FaultSpec, seed: u64) -> Self {
        Self {
            scenario,
            fault,
            seed,
        }
    }

    fn windows(&self) -> Vec<Window> {
        match &self.fault.detail {
            FaultDetail::Direct(effects) => {
                let window = |effect: &Effect| self.window(0, self.fault.for_us, effect.clone());
                effects.iter().map(window).collect()
            }
            FaultDetail::Churn { .. } => self.churn(),
            FaultDetail::Swizzle { links, every_us } => self.swizzle(links, *every_us),
            FaultDetail::CrashLoop {
                times,
                up_us,
                down_us,
            } => self.crash_loop(*times, *up_us, *down_us),
            FaultDetail::LeaveAllBut { keep } => self.leave_all_but(*keep),
            FaultDetail::RollingUpgrade { every_us, down_us } => {
                let upgrade = |(index, member): (usize, &u32)| {
                    let after = (index as u64).saturating_mul(*every_us);
                    self.window(after, Some(*down_us), Effect::Upgrade { member: *member })
                };
                self.in_turn().map(upgrade).collect()
            }
        }
    }

    /// Targets with their place in their federation's turn.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &u32)> {
        let size = self.scenario.members.len() as u32;
        let each = self
            .fault
            .targets
            .chunk_by(move |a, b| a / size == b / size);
        each.flat_map(|federation| federation.iter().enumerate())
    }

    fn crash_loop(&self, times: u32, up_us: u64, down_us: u64) -> Vec<Window> {
        let of_member = |member: &u32| {
            let member = *member;
            (0..u64::from(times)).map(move |crash| {
                let after = crash.saturating_mul(up_us.saturating_add(down_us));
                self.window(after, Some(down_us), Effect::Down { member })
            })
        };
        self.fault.targets.iter().flat_map(of_member).collect()
    }

    fn leave_all_but(&self, keep: u32) -> Vec<Window> {
        let size = self.scenario.members.len() as u32;
        let mut windows = Vec::new();
        let federations = self.fault.targets.chunk_by(|a, b| a / size == b / size);
        for (federation, members) in federations.enumerate() {
            let mut members = members.to_vec();
            shuffle(
                &mut members,
                &mut self.stream(federation as u32, "who stays"),
            );
            let mut leaving = members.split_off((keep as usize).min(members.len()));
            leaving.sort_unstable();
            let leave = |member| self.window(0, self.fault.for_us, Effect::Leave { member });
            windows.extend(leaving.into_iter().map(leave));
        }
        windows
    }

    /// Cuts every link in a drawn order and restores them in another, `every_us` apart; the last
    /// is restored at the fault's end.
    fn swizzle(&self, links: &Links, every_us: u64) -> Vec<Window> {
        let lasts = self.fault.for_us.unwrap_or(u64::MAX >> 1);
        let size = self.scenario.members.len() as u32;
        let mut windows = Vec::new();
        for federation in 0..self.scenario.federations {
            let mut pairs = pairs(links, size, federation);
            let mut restored: Vec<usize> = (0..pairs.len()).collect();
            shuffle(&mut pairs, &mut self.stream(federation, "cut"));
            shuffle(&mut restored, &mut self.stream(federation, "restore"));
            for (index, ((from, to), back)) in pairs.into_iter().zip(restored).enumerate() {
                let cut = every_us.saturating_mul(index as u64);
                let until = lasts.saturating_sub(every_us.saturating_mul(back as u64));
                let (from, to) = (vec![from], vec![to]);
                let both = true;
                let links = Links { from, to, both };
                let lasts = until.saturating_sub(cut).max(1);
                windows.push(self.window(cut, Some(lasts), Effect::Cut { links }));
            }
        }
        windows
    }

    /// A window that begins so many microseconds after the fault.
    fn window(&self, after_us: u64, for_us: Option<u64>, effect: Effect) -> Window {
        Window {
            fault: self.fault.id.clone(),
            at: match self.fault.at {
                When::At(us) => When::At(us.saturating_add(after_us)),
                When::Round(round, us) => When::Round(round, us.saturating_add(after_us)),
            },
            for_us,
            effect,
        }
    }

    /// The stream of one purpose and member.
    fn stream(&self, member: u32, purpose: &str) -> Stream {
        Stream::new(derive_key(
            "archipel/simulator/schedule/v1",
            &[
                &self.seed.to_be_bytes(),
                self.fault.id.as_bytes(),
                &member.to_be_bytes(),
                purpose.as_bytes(),
            ],
        ))
    }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    for last in (1..items.len()).rev() {
        let other = stream.below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests;
