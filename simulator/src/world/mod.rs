//! The kernel: one heap of (time, sequence, event), and members driven as the node drives them.
//!
//! One thread pops events in order; each is handed to a member's machine, whose outputs become
//! further events. Training may be computed on other threads meanwhile; its result is waited for
//! when virtual time says that it is done. The digest covers every event.

mod build;
mod carry;
mod drive;
mod event;
mod measure;
mod run;
mod script;
mod transfer;
mod wishes;
mod work;

pub use build::BuildError;
pub use event::{Agenda, Digest, Happening, Work};
pub use run::Ending;
pub use script::touched;

use crate::{
    extension::Extension,
    invariants::Invariants,
    learning::Learning,
    network::Network,
    recorder::Recorder,
    scenario::Scenario,
    schedule::Schedule,
    seen::{Federation, Moment, Seen},
    site::{Decoded, FoldMemory, Site},
};
use archipel_protocol::{
    ids::{MemberId, Root, Round, Timestamp},
    member::{Event, Input, Output, Request},
    state::Tensors,
};
use std::sync::Arc;
use transfer::Transfer;
use wishes::Wishes;

/// Somebody else who is shown everything that happens.
pub type Witness = Box<dyn FnMut(Moment, &Seen<'_>) + Send>;

/// A world of members on one clock.
pub struct World {
    /// What is played.
    pub scenario: Arc<Scenario>,
    /// What goes wrong.
    pub schedule: Arc<Schedule>,
    /// The federations.
    pub federations: Vec<Federation>,
    /// The members of all of them.
    pub sites: Vec<Site>,
    /// The links.
    pub network: Network,
    /// What must hold.
    pub invariants: Invariants,
    /// What is kept for a report.
    pub recorder: Recorder,
    /// Everything members told, in order, where [`Self::keep_events`] is set.
    pub events: Vec<(Timestamp, usize, Event)>,
    /// Whether to keep what members tell.
    pub keep_events: bool,
    /// Messages handed to machines so far.
    pub messages: u64,
    /// Is shown everything that happens, after the invariants.
    pub witness: Option<Witness>,
    learning: Vec<Learning>,
    founding: Vec<Arc<Tensors>>,
    decoded: Vec<Decoded>,
    folds: Vec<FoldMemory>,
    now: Timestamp,
    agenda: Agenda,
    digest: Digest,
    transfers: Vec<Transfer>,
    open: Vec<usize>,
    begun: Vec<usize>,
    pending: Vec<usize>,
    healed: bool,
    healing: bool,
    /// What operators want of the membership.
    wishes: Wishes,
    /// When what is carried out was asked for, while it is.
    decided: Option<Timestamp>,
    /// Inputs of operators, to be handed over when the present event is done.
    consents: Vec<(u32, Input)>,
    trainings: u64,
    events_since_sample: u32,
    backups: Vec<script::Backup>,
    extension: Extension,
    measuring: Option<measure::Pending>,
    /// Empty lists of outputs, to be filled again.
    spare: Vec<Vec<Output>>,
    /// Members' positions in the world by federation and key, by key.
    places: Vec<Vec<(MemberId, u32)>>,
}

impl World {
    /// Virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The running hash over every event of this world: 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.text()
    }

    /// Takes the next event. False where none is left.
    pub fn step(&mut self) -> bool {
        let Some((time, happening)) = self.agenda.pop() else {
            return false;
        };
        self.now = time;
        self.happen(happening);
        true
    }

    /// Runs until `done`, or until `limit_us` of virtual time have passed. True where done.
    pub fn run_until(&mut self, limit_us: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(limit_us);
        while !done(self) {
            if self.agenda.next().is_none_or(|at| at > end) {
                self.now = end;
                return false;
            }
            self.step();
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(delivery) => self.deliver(delivery),
            Happening::Batch(batch) => self.batch(batch),
            Happening::Result { site, life, work } => self.result(site, life, work),
            Happening::Timer { site, life } => self.timer(site, life),
            Happening::Flows {
                federation,
                version,
            } => self.flows(federation, version),
            Happening::Window { window, begins } => self.window(window, begins),
            Happening::Heal => self.heal(),
            Happening::Start { site } => self.start(site as usize),
        }
        while let Some((site, input)) = self.consents.pop() {
            self.handle(site, input);
        }
    }

    /// Starts a site after a while.
    pub fn start_after(&mut self, site: usize, delay_us: u64) {
        let site = site as u32;
        self.agenda
            .plan(self.now.after(delay_us), Happening::Start { site });
    }

    /// Starts a site now, unless it runs.
    pub fn start(&mut self, site: usize) {
        if self.sites[site].is_up() {
            return;
        }
        let (now, index) = (self.now, site as u32);
        self.digest.add(now, 1, index, 0);
        let federation = self.sites[site].federation as usize;
        let founding = self.founding[federation].clone();
        self.sites[site].start(&self.federations[federation], &founding, now);
        let place = self.sites[site].place;
        // What was noted of a round whose update is not on disk is lost with the crash.
        let kept = self.sites[site].disk.entries.keys().next_back().copied();
        self.learning[federation].forget(place, kept);
        let disk = &self.sites[site].disk;
        let (main, side) = (disk.main.len(), disk.side.len());
        self.see(index, &Seen::Started { main, side });
        self.drain(index);
    }

    /// Stops a site as a power cut would.
    pub fn crash(&mut self, site: usize) {
        if !self.sites[site].is_up() {
            return;
        }
        self.digest.add(self.now, 2, site as u32, 0);
        self.sites[site].crash();
        self.end_transfers_of(site as u32);
        self.see(site as u32, &Seen::Crashed);
    }

    /// Gives a site's operator a wish.
    pub fn request(&mut self, site: usize, request: Request) {
        self.feed(site, Input::Operator(request));
    }

    /// Hands an input to a site's machine and carries out what follows.
    pub fn feed(&mut self, site: usize, input: Input) {
        self.handle(site as u32, input);
    }

    /// True where every running honest site holds the certified state of `round`.
    pub fn all_reached(&self, round: u64) -> bool {
        let mut running = self.sites.iter().filter(|s| s.is_up() && !s.liar);
        running.all(|site| site.reached().is_some_and(|r| r >= Round(round)))
    }

    /// Rounds whose states every running honest site holds certified, or a later one.
    pub fn finished_rounds(&self) -> u64 {
        let running = self.sites.iter().filter(|s| s.is_up() && !s.liar);
        let rounds = running.map(|site| site.reached().map_or(0, |round| round.0));
        rounds.min().unwrap_or(0)
    }

    /// The certified root of the state that a running site holds.
    pub fn root(&self, site: usize) -> Option<Root> {
        self.sites[site].root()
    }

    /// The vectors of a site's certified state.
    pub fn state(&self, site: usize) -> Option<Arc<Tensors>> {
        let root = self.root(site)?;
        let stored = self.sites[site].disk.states.get(&root)?;
        Some(stored.tensors.clone())
    }

    /// How good a site's state is: distance to the optimum, or bits a byte.
    pub fn loss(&self, site: usize) -> Option<f64> {
        let state = self.state(site)?;
        let federation = self.sites[site].federation as usize;
        let evaluation = self.learning[federation].evaluate(&state).ok()?;
        Some(evaluation.value)
    }

    /// What the members of a federation train.
    pub fn learning(&self, federation: usize) -> &Learning {
        &self.learning[federation]
    }

    /// Events that are planned.
    pub fn planned(&self) -> usize {
        self.agenda.len()
    }

    /// True once faults have ended.
    pub fn is_healed(&self) -> bool {
        self.healed
    }

    /// The fault windows that have begun, in that order.
    pub fn begun(&self) -> &[usize] {
        &self.begun
    }

    /// True where a fault window is open.
    pub fn is_disturbed(&self) -> bool {
        !self.open.is_empty()
    }

    fn see(&mut self, site: u32, seen: &Seen<'_>) {
        let moment = self.moment(site);
        self.invariants.see(moment, seen);
        self.recorder.see(moment, seen);
        if let Some(witness) = &mut self.witness {
            witness(moment, seen);
        }
    }

    fn moment(&self, site: u32) -> Moment {
        Moment {
            now: self.now,
            decided: self.decided.unwrap_or(self.now),
            member: site,
            federation: self.sites[site as usize].federation,
        }
    }

    fn federation(&self, site: u32) -> &Federation {
        &self.federations[self.sites[site as usize].federation as usize]
    }

    fn position(&self, federation: u32, id: &MemberId) -> Option<u32> {
        let places = &self.places[federation as usize];
        let at = places.binary_search_by(|(key, _)| key.cmp(id));
        at.ok().map(|at| places[at].1)
    }
}
