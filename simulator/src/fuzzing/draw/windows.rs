//! The faults of a drawn run.

use super::{between, one};
use crate::{
    draws::Draws,
    fuzzing::kind::{KINDS, Kind},
    lies,
    scenario::Scenario,
    schedule::{Effect, Links, Schedule, When, Window},
};
use archipel_protocol::charter::{FaultModel, plan::AggregationRule};
use std::collections::BTreeMap;

/// Lies that only a rule with a defence withstands.
const OVERSIZED_LIES: [&str; 2] = ["scale", "sign-flip"];
/// Shortest and longest fault.
const SHORTEST_US: u64 = 100_000;
const LONGEST_US: u64 = 25_000_000;

/// What may still go wrong with whom.
struct Budget {
    /// Members that may be faulty in what they say or make, and what each is picked for.
    impaired: BTreeMap<u32, Kind>,
    most: usize,
    members: u32,
}

impl Budget {
    /// A member for a kind of fault that makes it one of the f; each is faulty in one way.
    fn impair(&mut self, draws: &mut Draws, kind: Kind) -> Option<u32> {
        if self.impaired.len() >= self.most {
            return None;
        }
        let member = draws.below(u64::from(self.members)) as u32;
        if self.impaired.contains_key(&member) {
            return None;
        }
        self.impaired.insert(member, kind);
        Some(member)
    }
}

/// Draws which kinds of faults there are, and every one of them.
pub(super) fn draw(seed: u64, scenario: &mut Scenario, heal: u64) -> Schedule {
    let mut draws = Draws::new(seed, "fuzz faults", &[]);
    let share = one(&mut draws, &[0.0, 0.06, 0.12, 0.25, 0.5]);
    let on: Vec<Kind> = KINDS.into_iter().filter(|_| draws.chance(share)).collect();
    let members = scenario.members.len() as u32;
    let away = on.iter().filter(|kind| kind.is_away()).count().min(1);
    let most = match scenario.fault_model {
        FaultModel::Byzantine => (members as usize - away - 1) / 3,
        FaultModel::Crash => 0,
    };
    let mut budget = Budget {
        impaired: BTreeMap::new(),
        most,
        members,
    };
    let mut schedule = Schedule::default();
    let mut gone = false;
    for kind in on {
        let mut draws = Draws::new(seed, "fuzz fault", &[kind as u64]);
        if kind.is_away() && std::mem::replace(&mut gone, true) {
            continue;
        }
        let times = match kind.is_away() {
            true => 1,
            false => between(&mut draws, 1, 4),
        };
        for number in 1..=times {
            let fault = format!("{}-{number}", kind.name());
            let Some(effect) = effect(&mut draws, kind, &mut budget) else {
                continue;
            };
            if let Effect::Byzantine { behaviour, .. } = &effect
                && OVERSIZED_LIES.contains(&behaviour.as_str())
            {
                scenario.plan.exchange.rule = AggregationRule::CenteredClip;
            }
            let (at, for_us) = when(&mut draws, &effect, heal);
            schedule.windows.push(Window {
                fault,
                at,
                for_us,
                effect,
            });
        }
    }
    schedule
}

/// When a fault begins, and how long it lasts.
fn when(draws: &mut Draws, effect: &Effect, heal: u64) -> (When, Option<u64>) {
    let early = draws.chance(0.15) || matches!(effect, Effect::Join { .. });
    let at = match early {
        true => When::At(draws.below(8_000_000)),
        false => When::Round(draws.below(heal), draws.below(2_500_000)),
    };
    let length = between(draws, SHORTEST_US, LONGEST_US);
    let for_us = match effect {
        Effect::Byzantine { .. } => draws.chance(0.3).then_some(length),
        Effect::Join { .. } | Effect::Rollback { .. } => None,
        _ => Some(length),
    };
    (at, for_us)
}

fn effect(draws: &mut Draws, kind: Kind, budget: &mut Budget) -> Option<Effect> {
    let members = budget.members;
    if let Some(effect) = link_effect(draws, kind, members) {
        return Some(effect);
    }
    let member = match kind.impairs() {
        true => budget.impair(draws, kind)?,
        false => draws.below(u64::from(members)) as u32,
    };
    Some(member_effect(draws, kind, member))
}

fn link_effect(draws: &mut Draws, kind: Kind, members: u32) -> Option<Effect> {
    let any = |draws: &mut Draws| links(draws, members);
    Some(match kind {
        Kind::Latency => Effect::Latency {
            links: any(draws),
            add_us: between(draws, 5_000, 1_000_000),
        },
        Kind::Jitter => Effect::Jitter {
            links: any(draws),
            up_to_us: between(draws, 5_000, 500_000),
        },
        Kind::Loss => Effect::Loss {
            links: any(draws),
            probability: one(draws, &[0.05, 0.2, 0.5, 0.9]),
        },
        Kind::BurstLoss => Effect::BurstLoss {
            links: any(draws),
            enter: 0.02,
            leave: 0.2,
            probability: one(draws, &[0.5, 1.0]),
        },
        Kind::Duplicate => Effect::Duplicate {
            links: any(draws),
            probability: one(draws, &[0.1, 0.5]),
        },
        Kind::Reorder => Effect::Reorder {
            links: any(draws),
            probability: one(draws, &[0.1, 0.5]),
            by_us: between(draws, 5_000, 2_000_000),
        },
        Kind::Corrupt => Effect::Corrupt {
            links: any(draws),
            probability: one(draws, &[0.02, 0.2]),
        },
        Kind::Cut => Effect::Cut { links: any(draws) },
        Kind::Partition => Effect::Cut {
            links: sides(draws, members),
        },
        Kind::Reset => Effect::Reset { links: any(draws) },
        Kind::Relay => {
            let through = draws.below(u64::from(members)) as u32;
            let mut links = any(draws);
            links.from.retain(|end| *end != through);
            links.to.retain(|end| *end != through);
            Effect::Relay { links, through }
        }
        _ => return None,
    })
}

fn member_effect(draws: &mut Draws, kind: Kind, member: u32) -> Effect {
    match kind {
        Kind::Bandwidth => Effect::Bandwidth {
            member,
            up: draws
                .chance(0.7)
                .then(|| between(draws, 100_000, 2_000_000)),
            down: draws
                .chance(0.7)
                .then(|| between(draws, 100_000, 2_000_000)),
        },
        Kind::Crash => Effect::Down { member },
        Kind::Pause => Effect::Pause { member },
        Kind::Slow => {
            let factor = one(draws, &[2.0, 5.0, 20.0]);
            Effect::Slow { member, factor }
        }
        Kind::Join => Effect::Join { member },
        Kind::Expel => Effect::Expel { member },
        Kind::Leave => Effect::Leave { member },
        Kind::Skew => Effect::ClockSkew {
            member,
            by_us: one(
                draws,
                &[-86_400_000_000, -5_000_000, 5_000_000, 86_400_000_000],
            ),
        },
        Kind::Drift => Effect::ClockDrift {
            member,
            ppm: one(draws, &[-200_000, -1_000, 1_000, 200_000]),
        },
        Kind::StepBack => Effect::ClockStepBack {
            member,
            by_us: between(draws, 1_000_000, 3_600_000_000),
        },
        Kind::TornWrite => Effect::TornWrite { member },
        Kind::LostFsync => Effect::LostFsync { member },
        Kind::Bitrot => Effect::Bitrot { member },
        Kind::Full => Effect::DiskFull { member },
        Kind::Rollback => Effect::Rollback {
            member,
            by_us: between(draws, SHORTEST_US, LONGEST_US),
        },
        Kind::BitFlip => Effect::BitFlip { member },
        Kind::Upgrade => Effect::Upgrade { member },
        Kind::MixedConfig => {
            let factor = one(draws, &[0.25, 0.5, 2.0, 4.0]);
            Effect::MixedConfig { member, factor }
        }
        _ => Effect::Byzantine {
            member,
            behaviour: one(draws, lies::NAMES).to_owned(),
            strength: None,
        },
    }
}

/// Links of one member, of all, or between two draws of members.
fn links(draws: &mut Draws, members: u32) -> Links {
    let all: Vec<u32> = (0..members).collect();
    match draws.below(4) {
        0 => Links {
            from: all.clone(),
            to: all,
            both: true,
        },
        1 => {
            let member = draws.below(u64::from(members)) as u32;
            Links {
                from: vec![member],
                to: all.into_iter().filter(|other| *other != member).collect(),
                both: draws.chance(0.7),
            }
        }
        2 => {
            let from = draws.below(u64::from(members)) as u32;
            let to = (from + 1 + draws.below(u64::from(members) - 1) as u32) % members;
            Links {
                from: vec![from],
                to: vec![to],
                both: draws.chance(0.5),
            }
        }
        _ => sides(draws, members),
    }
}

/// Two sides that are both somebody.
fn sides(draws: &mut Draws, members: u32) -> Links {
    let size = 1 + draws.below(u64::from(members) - 1) as usize;
    let mut order: Vec<u32> = (0..members).collect();
    for at in 0..order.len() {
        let other = at + draws.below((order.len() - at) as u64) as usize;
        order.swap(at, other);
    }
    let (from, to) = order.split_at(size);
    Links {
        from: from.to_vec(),
        to: to.to_vec(),
        both: draws.chance(0.8),
    }
}
