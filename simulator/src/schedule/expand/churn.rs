//! Members that go and come back at random, those of one failure domain often together.
//!
//! Each member goes by a clock of its own; a loss takes each other member of the domain along with
//! the scenario's probability. So that `up` stays the mean that is seen, a member's own clock is
//! slower by the losses that the others bring: for k members of a domain and probability p by
//! 1 + (k − 1)p. A loss that was brought brings no further ones.

use super::{Draw, time};
use crate::{
    scenario::{Duration, FaultDetail, FaultSpec, Scenario},
    schedule::{Effect, When, Window},
};
use archipel_protocol::random::Stream;
use std::collections::BTreeMap;

/// Random bits that a probability is compared with.
const UNIT_BITS: u32 = 53;

/// How long churn goes on, in microseconds after its beginning: to the heal or the end where those
/// are times, else for as many rounds of the longest length as the run has.
pub(super) fn lasts_us(scenario: &Scenario, fault: &FaultSpec) -> u64 {
    let timing = &scenario.plan.timing;
    let round_ms = timing.deadline_ceiling_ms + 6 * timing.delta_ms + 2 * timing.fetch_ms;
    let rounds = match (scenario.stop.rounds, scenario.heal.map(|heal| heal.at)) {
        (_, Some(When::Round(round, _))) => round,
        (Some(rounds), _) => rounds,
        (None, _) => u64::MAX,
    };
    let by_rounds = rounds.saturating_mul(round_ms).saturating_mul(1_000);
    let begins = match fault.at {
        When::At(us) => us,
        When::Round(..) => 0,
    };
    let healed = match scenario.heal.map(|heal| heal.at) {
        Some(When::At(us)) => us,
        _ => u64::MAX,
    };
    let end = scenario.stop.sim_us.unwrap_or(u64::MAX).min(healed);
    let lasts = end.min(by_rounds).saturating_sub(begins);
    fault.for_us.unwrap_or(u64::MAX).min(lasts)
}

/// A member's clock.
struct Clock {
    member: u32,
    /// When it goes next by itself.
    next_us: u64,
    /// Until when it is down, or about to be.
    busy_us: u64,
    draws: Stream,
}

/// What one fault's clocks have in common.
struct Rule {
    up: Duration,
    down: Duration,
    correlated: f64,
    within_us: u64,
    lasts_us: u64,
}

impl Draw<'_> {
    /// The windows in which members are down, in order of member and time.
    pub(super) fn churn(&self) -> Vec<Window> {
        let FaultDetail::Churn {
            up,
            down,
            correlated,
            within_us,
        } = self.fault.detail
        else {
            return Vec::new();
        };
        let rule = Rule {
            up,
            down,
            correlated,
            within_us,
            lasts_us: lasts_us(self.scenario, self.fault),
        };
        let mut losses: Vec<(u32, u64, u64)> = Vec::new();
        for domain in self.domains() {
            self.play(&domain, &rule, &mut losses);
        }
        losses.sort_unstable();
        let window = |(member, from, until): (u32, u64, u64)| {
            self.window(from, Some(until - from), Effect::Down { member })
        };
        losses.into_iter().map(window).collect()
    }

    /// Targets that fail together: those of one domain and federation; each by itself without one.
    fn domains(&self) -> Vec<Vec<u32>> {
        let size = self.scenario.members.len() as u32;
        let mut domains: BTreeMap<(u32, &str), Vec<u32>> = BTreeMap::new();
        let mut alone = Vec::new();
        for position in &self.fault.targets {
            let spec = &self.scenario.members[(position % size) as usize];
            match &spec.failure_domain {
                None => alone.push(vec![*position]),
                Some(name) => {
                    let key = (position / size, name.as_str());
                    domains.entry(key).or_default().push(*position);
                }
            }
        }
        alone.into_iter().chain(domains.into_values()).collect()
    }

    fn play(&self, domain: &[u32], rule: &Rule, losses: &mut Vec<(u32, u64, u64)>) {
        let others = domain.len().saturating_sub(1) as f64;
        let own = time::stretched(rule.up, 1.0 + others * rule.correlated);
        let clock = |member: &u32| {
            let mut draws = self.stream(*member, "up and down");
            Clock {
                member: *member,
                next_us: time::draw_us(own, &mut draws),
                busy_us: 0,
                draws,
            }
        };
        let mut clocks: Vec<Clock> = domain.iter().map(clock).collect();
        loop {
            let first = clocks.iter().enumerate();
            let first = first.min_by_key(|(index, clock)| (clock.next_us, *index));
            let Some((leader, now)) = first.map(|(index, clock)| (index, clock.next_us)) else {
                return;
            };
            if now >= rule.lasts_us {
                return;
            }
            losses.push(clocks[leader].lose(now, own, rule));
            for (index, follower) in clocks.iter_mut().enumerate() {
                if index == leader || follower.busy_us > now {
                    continue;
                }
                let unit = follower.draws.next_u64() >> (64 - UNIT_BITS);
                let after = follower.draws.below(rule.within_us.max(1));
                let taken = (unit as f64) < rule.correlated * (1u64 << UNIT_BITS) as f64;
                let at = now.saturating_add(after);
                if taken && at < rule.lasts_us {
                    losses.push(follower.lose(at, own, rule));
                }
            }
        }
    }
}

impl Clock {
    /// Goes at a time and comes back; never later than the fault ends.
    fn lose(&mut self, at: u64, own: Duration, rule: &Rule) -> (u32, u64, u64) {
        let until = at.saturating_add(time::draw_us(rule.down, &mut self.draws));
        self.busy_us = until;
        self.next_us = until.saturating_add(time::draw_us(own, &mut self.draws));
        (self.member, at, until.min(rule.lasts_us))
    }
}
