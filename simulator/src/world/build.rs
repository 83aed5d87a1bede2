//! Putting a world together: charters, keys, what is trained, and who begins when.

use super::{Agenda, Digest, World};
use crate::{
    deviation::Deviation,
    extension::Extension,
    invariants::Invariants,
    learning::{Learning, LearningError, Problem},
    network::Network,
    recorder::Recorder,
    scenario::Scenario,
    schedule::{Effect, Schedule},
    seen::Federation,
    site::{Decoded, FoldMemory, Keys, Site, state_bytes},
};
use archipel_protocol::{
    charter::{Charter, CharterMember, MemberRole},
    fragments::Fragments,
    ids::{MemberId, Timestamp},
    layout::Layout,
    random::derive_key,
    state::Tensors,
};
use std::{collections::BTreeSet, sync::Arc};

/// Why a world cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What is trained cannot be.
    #[error(transparent)]
    Learning(#[from] LearningError),
}

/// A deviation that every member has, made anew for each.
pub type Everybody<'a> = &'a dyn Fn() -> Option<Box<dyn Deviation>>;

impl World {
    /// A world of a scenario with its faults. Everybody who does not join later starts at once.
    /// A language model trains on `threads` threads.
    ///
    /// # Errors
    /// A problem that cannot be trained.
    pub fn new(
        scenario: &Arc<Scenario>,
        schedule: &Arc<Schedule>,
        threads: usize,
    ) -> Result<Self, BuildError> {
        let mut world = Self::still(scenario, schedule, threads, &|| None)?;
        world.start_all();
        Ok(world)
    }

    /// What the first federation learns, of a world that is not played.
    pub fn into_learning(mut self) -> Learning {
        self.learning.swap_remove(0)
    }

    /// Starts everybody who does not join later.
    pub fn start_all(&mut self) {
        for site in 0..self.sites.len() {
            if !self.sites[site].absent {
                self.start_after(site, 0);
            }
        }
    }

    /// A world with a codec, a rule or lies of one's own, in which nobody has started yet.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn extended(
        scenario: &Arc<Scenario>,
        schedule: &Arc<Schedule>,
        threads: usize,
        extension: Extension,
    ) -> Result<Self, BuildError> {
        let mut world = Self::still(scenario, schedule, threads, &|| None)?;
        let decoded = world.federations.iter();
        world.decoded = decoded.map(|_| Decoded::new(extension.clone())).collect();
        world.extension = extension;
        Ok(world)
    }

    /// A world in which nobody has started yet, and everybody deviates alike.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn still(
        scenario: &Arc<Scenario>,
        schedule: &Arc<Schedule>,
        threads: usize,
        everybody: Everybody<'_>,
    ) -> Result<Self, BuildError> {
        let sites = disposed(scenario, schedule, everybody);
        let mut federations = Vec::new();
        let mut learning = Vec::new();
        for number in 0..scenario.federations {
            let own: Vec<&Site> = sites.iter().filter(|s| s.federation == number).collect();
            let charter = charter(scenario, number, &own);
            let keys: Vec<MemberId> = own.iter().map(|site| site.id).collect();
            let problem = Problem::of(scenario.mode, &scenario.learning);
            let seed = scenario.seed ^ u64::from(number) << 48;
            let mut trained = Learning::new(&problem, &charter, &keys, seed, threads)?;
            let honest = own.iter().map(|site| if site.liar { 0.0 } else { 1.0 });
            trained.weigh(&honest.collect::<Vec<f64>>());
            federations.push(federation(charter, &own, keys, trained.shape()));
            learning.push(trained);
        }
        let founding: Vec<Arc<Tensors>> = learning.iter().map(|l| Arc::new(l.founding())).collect();
        let network = Network::new(scenario, scenario.seed);
        for (federation, founding) in federations.iter_mut().zip(&founding) {
            let bytes = scenario.network.state_bytes;
            let bytes = bytes.unwrap_or_else(|| state_bytes(founding));
            federation.state_us = network.slowest_us(&federation.members, bytes);
        }
        let places = federations.iter().map(places).collect();
        let mut world = Self {
            network,
            invariants: Invariants::new(federations.clone(), &scenario.check),
            recorder: Recorder::new(scenario, &federations[0]),
            scenario: scenario.clone(),
            schedule: schedule.clone(),
            sites,
            decoded: federations.iter().map(|_| Decoded::default()).collect(),
            folds: federations.iter().map(|_| FoldMemory::default()).collect(),
            federations,
            events: Vec::new(),
            keep_events: false,
            messages: 0,
            witness: None,
            learning,
            founding,
            now: Timestamp(0),
            agenda: Agenda::default(),
            digest: Digest::default(),
            transfers: Vec::new(),
            open: Vec::new(),
            begun: Vec::new(),
            pending: Vec::new(),
            healed: false,
            healing: false,
            wishes: Default::default(),
            consents: Vec::new(),
            trainings: 0,
            events_since_sample: 0,
            backups: Vec::new(),
            decided: None,
            measuring: None,
            spare: Vec::new(),
            places,
            extension: Extension::default(),
        };
        world.plan_schedule();
        Ok(world)
    }
}

/// Members' keys with their positions in the world, by key.
fn places(federation: &Federation) -> Vec<(MemberId, u32)> {
    let keys = federation.keys.iter().copied();
    let mut places: Vec<_> = keys.zip(federation.members.iter().copied()).collect();
    places.sort();
    places
}

/// All sites, each with what the schedule and the caller make of it.
fn disposed(scenario: &Scenario, schedule: &Schedule, everybody: Everybody<'_>) -> Vec<Site> {
    let mut sites = sites(scenario);
    let liars = liars(schedule);
    let joiners = joiners(schedule);
    for site in &mut sites {
        site.liar = liars.contains(&site.index);
        site.absent |= joiners.contains(&site.index);
        site.deviations.extend(everybody());
    }
    sites
}

fn federation(
    charter: Charter,
    own: &[&Site],
    keys: Vec<MemberId>,
    (layout, fragments): (&Layout, &Arc<Fragments>),
) -> Federation {
    Federation {
        fragments: fragments.clone(),
        run_id: charter.run_id(),
        plan: Arc::new(charter.plan.clone()),
        charter: Arc::new(charter),
        layout: Arc::new(layout.clone()),
        members: own.iter().map(|site| site.index).collect(),
        keys,
        liars: own.iter().filter(|s| s.liar).map(|s| s.index).collect(),
        state_us: 0,
    }
}

fn sites(scenario: &Scenario) -> Vec<Site> {
    let size = scenario.members.len() as u32;
    let (seed, crypto) = (scenario.seed, scenario.crypto);
    let verifier = Keys::shared_verifier(seed, size * scenario.federations, crypto);
    let site = |index: u32| {
        let spec = scenario.members[(index % size) as usize].clone();
        let keys = Keys::new(seed, index, crypto, verifier.clone());
        Site::new((index, index % size, index / size), seed, spec, keys)
    };
    (0..size * scenario.federations).map(site).collect()
}

fn charter(scenario: &Scenario, number: u32, sites: &[&Site]) -> Charter {
    let parts = [scenario.seed, u64::from(number)].map(u64::to_be_bytes);
    let members = sites.iter().map(|site| CharterMember {
        id: site.id,
        name: site.spec.name.clone(),
        role: MemberRole::Member,
        addresses: Vec::new(),
    });
    Charter {
        name: "simulated".to_owned(),
        founding_nonce: derive_key("archipel/simulator/nonce/v1", &[&parts[0], &parts[1]]),
        fault_model: scenario.fault_model,
        threshold: None,
        plan: scenario.plan.clone(),
        members: members.collect(),
    }
}

/// Members that lie at some time.
fn liars(schedule: &Schedule) -> BTreeSet<u32> {
    let windows = schedule.windows.iter();
    let lie = windows.filter_map(|window| match window.effect {
        Effect::Byzantine { member, .. } => Some(member),
        _ => None,
    });
    lie.collect()
}

/// Members that a join starts.
fn joiners(schedule: &Schedule) -> BTreeSet<u32> {
    let windows = schedule.windows.iter();
    let join = windows.filter_map(|window| match window.effect {
        Effect::Join { member } => Some(member),
        _ => None,
    });
    join.collect()
}
