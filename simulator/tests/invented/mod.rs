//! Small worlds for tests: equal members, a second of training a round, events kept.

#![allow(dead_code, reason = "each test file uses its own part")]

use archipel_protocol::{
    charter::FaultModel,
    ids::{BlobHash, Round},
    member::Durable,
};
use archipel_simulator::{
    scenario::Scenario,
    schedule::{Effect, Links, Schedule, When, Window},
    world::World,
};
use std::{collections::BTreeMap, sync::Arc};

/// Microseconds in a second.
pub const SECOND: u64 = 1_000_000;

/// How all links behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Nothing is lost; 20 to 30 ms.
    Lossless,
    /// 5 % lost, 2 % twice, 1 % damaged; 20 to 120 ms.
    Lossy,
}

/// A scenario of `members` members; signatures are real.
pub fn scenario(seed: u64, members: usize, rounds: u64, quality: Quality) -> Scenario {
    let mut scenario = Scenario::plain(seed, members as u32, rounds);
    scenario.crypto = archipel_simulator::scenario::Crypto::Real;
    if quality == Quality::Lossy {
        scenario.network.loss = 0.05;
        scenario.network.duplicate = 0.02;
        scenario.network.jitter_us = 100_000;
    }
    scenario
}

/// The world of a scenario, in which nobody runs yet.
pub fn still(scenario: Scenario) -> World {
    let lossy = scenario.network.loss > 0.0;
    let mut schedule = Schedule::default();
    if lossy {
        let everybody: Vec<u32> = (0..scenario.members.len() as u32).collect();
        let links = Links {
            from: everybody.clone(),
            to: everybody,
            both: false,
        };
        schedule.windows.push(Window {
            fault: "damage".to_owned(),
            at: When::At(0),
            for_us: None,
            effect: Effect::Corrupt {
                links,
                probability: 0.01,
            },
        });
    }
    with_schedule(scenario, schedule)
}

/// The world of a scenario with a schedule, in which nobody runs yet.
pub fn with_schedule(scenario: Scenario, schedule: Schedule) -> World {
    let (scenario, schedule) = (Arc::new(scenario), Arc::new(schedule));
    let world = World::still(&scenario, &schedule, 1, &|| None);
    let mut world = world.expect("a small quadratic can be trained");
    world.keep_events = true;
    world
}

/// A world of members that trust nobody.
pub fn world(seed: u64, members: usize, rounds: u64, quality: Quality) -> World {
    still(scenario(seed, members, rounds, quality))
}

/// A world of members of another fault model.
pub fn model_world(seed: u64, members: usize, rounds: u64, model: FaultModel) -> World {
    let mut scenario = scenario(seed, members, rounds, Quality::Lossless);
    scenario.fault_model = model;
    still(scenario)
}

/// Starts everybody now.
pub fn start_all(world: &mut World) {
    (0..world.sites.len()).for_each(|site| world.start(site));
}

/// Links cut by hand.
#[derive(Default)]
pub struct Cuts(BTreeMap<(usize, usize), usize>);

impl Cuts {
    /// Cuts or restores the links between two members, both ways.
    pub fn set(&mut self, world: &mut World, a: usize, b: usize, cut: bool) {
        let pair = (a.min(b), a.max(b));
        if let Some(window) = self.0.remove(&pair) {
            world.relent(window);
        }
        if cut && a != b {
            let links = Links {
                from: vec![a as u32],
                to: vec![b as u32],
                both: true,
            };
            self.0.insert(pair, world.disturb(Effect::Cut { links }));
        }
    }
}

/// Takes power from a member, until the window is closed.
pub fn down(world: &mut World, site: usize) -> usize {
    let member = site as u32;
    world.disturb(Effect::Down { member })
}

/// Flips a bit of the next state that a member folds.
pub fn flip_next_fold(world: &mut World, site: usize) {
    let member = site as u32;
    world.disturb(Effect::BitFlip { member });
}

/// Fails where anything was violated.
pub fn no_violation(world: &World, why: &str) {
    let violations = world.invariants.violations();
    assert!(violations.is_empty(), "{why}: {violations:?}");
}

/// The certified round that a member is in.
pub fn round_of(world: &World, site: usize) -> u64 {
    world.sites[site].round().expect("in a round").0
}

/// The hash of a payload that a member announced in a round.
pub fn announced(world: &World, site: usize, round: Round) -> Option<BlobHash> {
    let wal = world.sites[site].disk.wal.iter();
    let mut headers = wal.filter_map(|entry| match entry {
        Durable::Header { header, .. } => Some(&header.header),
        _ => None,
    });
    let header = headers.find(|header| header.round == round);
    header.map(|header| header.payload)
}
