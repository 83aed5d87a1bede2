//! One simulated member: the real machine, clocks, a processor, and a disk that survives crashes.

mod clock;
mod computing;
mod disk;
mod keys;

pub use clock::Clock;
pub(crate) use computing::flip;
pub use computing::{Decoded, FoldMemory};
pub use disk::{Disk, Entry, Stored, Tape, state_bytes};
pub use keys::{Keys, Metered};

use crate::{
    deviation::{Deviation, Learnt, Seat},
    draws::Draws,
    learning::Job,
    scenario::MemberSpec,
    seen::{Federation, Payload},
    world::Happening,
};
use archipel_protocol::{
    crypto::Signer,
    ids::{BlobHash, MemberId, Root, Round, RunId, Timestamp},
    member::{Logbook, Member, Output, Settings},
    state::{Manifest, Tensors},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

/// One member of a world.
pub struct Site {
    /// Position in the world.
    pub index: u32,
    /// Place in its federation.
    pub place: u32,
    /// Its federation.
    pub federation: u32,
    /// Its key.
    pub id: MemberId,
    /// How it is equipped.
    pub spec: MemberSpec,
    /// The machine; none while it is down.
    pub machine: Option<Member>,
    /// What survives.
    pub disk: Disk,
    /// How often it was started: results of an earlier life are dropped.
    pub life: u32,
    /// Outputs carried out in this life.
    pub outputs: u64,
    /// Crashes when it has carried out so many.
    pub crash_after: Option<u64>,
    /// Loses power in its next durable write, which is torn.
    pub torn: bool,
    /// Flips a bit of the next state it folds.
    pub corrupt_next_fold: bool,
    /// Its clocks.
    pub clock: Clock,
    /// How it differs from the protocol, outermost last.
    pub deviations: Vec<Box<dyn Deviation>>,
    /// Measure of its deviation.
    pub strength: Option<f64>,
    /// True where it is meant to lie.
    pub liar: bool,
    /// Not started before a join.
    pub absent: bool,
    pub(crate) keys: Keys,
    pub(crate) draws: Draws,
    pub(crate) pace: Draws,
    /// When the processor is free.
    pub(crate) free_at: Timestamp,
    /// When the machine's timer fires, as far as an event is planned for it.
    pub(crate) timer_at: Option<Timestamp>,
    /// Batches of outputs that wait for processor or disk.
    pub(crate) waiting: u32,
    /// What happened to it while it was frozen.
    pub(crate) frozen: Option<Vec<Happening>>,
    pub(crate) slow: f64,
    pub(crate) timer_scale: f64,
    pub(crate) version: u32,
    /// Tasks of this life that are still wanted: the latest training.
    pub(crate) training: Option<u64>,
    pub(crate) job: Option<(u64, Job)>,
    /// Until when it trains ahead of the base of a round.
    pub(crate) ahead: Option<(Round, Timestamp)>,
    /// Payloads being fetched, with their rounds: what is asked for again meanwhile is one fetch.
    pub(crate) fetching: BTreeMap<BlobHash, Round>,
    /// States being fetched.
    pub(crate) fetching_state: BTreeSet<Root>,
    /// Signatures checked when the processor was charged last.
    pub(crate) charged: u64,
    /// What it learnt last, where somebody sees all: round, base, pseudo-gradient.
    pub(crate) learnt: Option<(Round, Root, Vec<f32>)>,
    /// What its deviations are shown of honest members, while they change a pseudo-gradient.
    pub(crate) honest: Vec<Learnt>,
    /// What deviations say of their own accord, not yet carried out.
    pub(crate) said: Vec<Output>,
}

impl Site {
    /// A site with an empty disk, not started.
    pub fn new(
        (index, place, federation): (u32, u32, u32),
        seed: u64,
        spec: MemberSpec,
        keys: Keys,
    ) -> Self {
        let entity = [u64::from(index)];
        Self {
            index,
            place,
            federation,
            id: keys.member(),
            absent: spec.joins_later,
            spec,
            machine: None,
            disk: Disk::default(),
            life: 0,
            outputs: 0,
            crash_after: None,
            torn: false,
            corrupt_next_fold: false,
            clock: Clock::default(),
            deviations: Vec::new(),
            strength: None,
            liar: false,
            keys,
            draws: Draws::new(seed, "deviation", &entity),
            pace: Draws::new(seed, "pace", &entity),
            free_at: Timestamp(0),
            timer_at: None,
            waiting: 0,
            frozen: None,
            slow: 1.0,
            timer_scale: 1.0,
            version: 1,
            training: None,
            job: None,
            ahead: None,
            learnt: None,
            honest: Vec::new(),
            fetching: BTreeMap::new(),
            fetching_state: BTreeSet::new(),
            charged: 0,
            said: Vec::new(),
        }
    }

    /// Starts the machine from what the disk holds.
    pub(crate) fn start(&mut self, world: &Federation, founding: &Arc<Tensors>, now: Timestamp) {
        let wall = self.clock.unix_ms_at_zero(now);
        let layout = (*world.layout).clone();
        let mut settings = Settings::from_charter(&world.charter, layout, wall);
        let manifest = Manifest::founding(&world.layout, founding, &settings.founding);
        let root = manifest.root(&world.run_id, &world.layout);
        if !self.disk.states.contains_key(&root) && self.disk.wal.is_empty() {
            self.disk
                .keep_state(root, Round(0), founding.clone(), false);
        }
        settings.software.0[0] = self.version as u8;
        settings.resend_us = (settings.resend_us as f64 * self.timer_scale) as u64;
        settings.hold_batch_us = (settings.hold_batch_us as f64 * self.timer_scale) as u64;
        let mut log = archipel_protocol::member::retained(self.disk.wal.clone());
        for deviation in &mut self.deviations {
            deviation.settings(&mut settings);
            deviation.restore(&mut log);
        }
        let careless = self.deviations.iter().any(|d| !d.checks_signatures());
        let verifier = self.keys.verifier(careless);
        let book = self.logbook(&world.run_id);
        let local = self.clock.local(now);
        let signer = self.keys.signer();
        let machine = Member::new(settings, signer, verifier, manifest, (log, book), local);
        self.machine = Some(machine);
        self.life += 1;
        self.outputs = 0;
        self.timer_at = None;
        self.waiting = 0;
        self.training = None;
        self.ahead = None;
        self.job = None;
        self.fetching.clear();
        self.fetching_state.clear();
        self.free_at = now;
        self.absent = false;
    }

    /// Stops it as a power cut would.
    pub(crate) fn crash(&mut self) {
        self.machine = None;
        self.ahead = None;
        self.job = None;
        self.training = None;
        self.timer_at = None;
        self.frozen = None;
        self.said.clear();
    }

    fn logbook(&self, run_id: &RunId) -> Logbook {
        let ids = (run_id, &self.id);
        Logbook {
            main: self.disk.main.chain(ids),
            side: self.disk.side.chain(ids),
        }
    }

    /// True where it runs.
    pub fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// The certified round it is in.
    pub fn round(&self) -> Option<Round> {
        self.machine.as_ref().and_then(Member::round)
    }

    /// How far it is: the round it is in, or, where it only follows, the newest it knows to be
    /// certified.
    pub fn reached(&self) -> Option<Round> {
        let machine = self.machine.as_ref()?;
        match machine.phase() {
            "follow" => machine.known_round(),
            _ => machine.round(),
        }
    }

    /// The round it has begun, from a certified state that it holds.
    pub fn begun(&self) -> Option<Round> {
        let machine = self.machine.as_ref()?;
        (machine.phase() != "follow").then(|| machine.round())?
    }

    /// The certified root it holds.
    pub fn root(&self) -> Option<Root> {
        self.machine.as_ref().and_then(Member::root)
    }

    /// Signatures checked and made so far.
    pub(crate) fn signatures(&self) -> (u64, u64) {
        let (checked, made) = self.keys.counts();
        (
            checked.load(Ordering::Relaxed),
            made.load(Ordering::Relaxed),
        )
    }

    /// Lets the deviations see or change something, with this member's keys and numbers.
    pub(crate) fn deviate<T>(
        &mut self,
        world: &Federation,
        now: Timestamp,
        act: impl FnOnce(&mut [Box<dyn Deviation>], &mut Seat<'_>) -> T,
    ) -> T {
        let signer: Box<dyn Signer> = self.keys.plain_signer();
        let mut store: Vec<Arc<Payload>> = Vec::new();
        let mut said = std::mem::take(&mut self.said);
        let round = self.round().unwrap_or_default();
        let mut seat = Seat {
            index: self.index,
            me: self.id,
            signer: &*signer,
            run_id: world.run_id,
            members: &world.keys,
            round,
            now: self.clock.local(now),
            plan: &world.plan,
            layout: &world.fragments.of(round).layout,
            draws: &mut self.draws,
            strength: self.strength,
            honest: &self.honest,
            store: &mut store,
            say: &mut said,
        };
        let result = act(&mut self.deviations, &mut seat);
        self.said = said;
        for payload in store {
            self.disk.keep_payload(round, payload);
        }
        result
    }
}
