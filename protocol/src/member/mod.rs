//! One member of a federation: agreement, exchange, certification, catching up, composed into one
//! machine.
//!
//! Call [`Member::handle`], then drain [`Member::poll_output`], then ask [`Member::poll_timeout`]
//! when to call again. Nothing here reads a clock, a socket or a file. Heavy work leaves as an
//! output and comes back as an input.
//!
//! # Invariants
//! - What is signed is persisted first, and nothing is signed that contradicts what was persisted.
//! - A round is entered only from a certified state that this member holds.
//! - Memory is bounded: by the number of members, the views of one round, and fixed limits.

mod agree;
mod catch_up;
mod certifier;
mod certify;
mod collection;
mod contract;
mod durable;
mod gather;
mod judge;
mod justify;
mod logbook;
mod motions;
mod pace;
mod passing;
mod proofs;
mod propose;
mod recall;
mod receive;
mod resend;
mod settings;
mod training;
mod waiting;
mod work;

pub use contract::{
    Durable, Event, FetchFault, FetchTask, FoldInput, FoldTask, Folded, Input, Output, Request,
    ResidualRule, Start, StateTask, TrainTask, Trained,
};
pub use durable::retained;
pub use gather::HeaderError;
pub use logbook::Logbook;
pub use settings::Settings;
pub use waiting::{Need, Standing, Waiting};

use crate::{
    crypto::{Signer, Verifier},
    deadline::Deadline,
    ids::{MemberId, Root, Round, Timestamp},
    ledger::{EpochChain, MAX_MEMBERS},
    message::{FinalBlock, Message, StateCertificate},
    state::Manifest,
};
use catch_up::Sync;
use certifier::Certifier;
use durable::OwnLog;
use motions::Motions;
use pace::Pace;
use passing::Passing;
use proofs::Proofs;
use recall::{Memory, Recall};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use training::Training;
use work::Work;

/// Final blocks of past rounds that are kept for members one round behind.
const KEPT_FINALS: usize = 16;

/// What a member is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Asking the others what it may have forgotten.
    Recall,
    /// Waiting for the certificate of the first state.
    Founding,
    /// In a round.
    Round,
    /// Taking a certified state from the others.
    Sync,
    /// Without a vote: watching the chain.
    Follow,
    /// The run is over.
    Done,
}

/// A state that this member holds.
#[derive(Clone, Debug)]
struct Held {
    root: Root,
    manifest: Manifest,
}

/// The root this member signed for the next state.
#[derive(Clone, Debug)]
struct Signed {
    root: Root,
}

/// The machine. See the module's documentation for the order of calls.
pub struct Member {
    settings: Settings,
    me: MemberId,
    signer: Box<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    now: Timestamp,
    outputs: VecDeque<Output>,
    chain: EpochChain,
    phase: Phase,
    deadline: Deadline,
    pace: Pace,
    /// The state that the present round starts from, once certified and held.
    held: Option<Held>,
    /// Its certificate.
    certified: Option<StateCertificate>,
    /// The state this member would begin the run with.
    founding: Held,
    /// The next state, folded here and not certified yet.
    next: Option<(Held, Box<Folded>)>,
    signed: Option<Signed>,
    certifier: Option<Certifier>,
    work: Option<Work>,
    sync: Option<Sync>,
    recall: Option<Recall>,
    /// Nothing is signed up to and including this round.
    muted: Option<Round>,
    /// The highest verified state certificate, and who told.
    tip: Option<(StateCertificate, MemberId)>,
    /// A certificate of an epoch that the chain does not reach yet.
    unproven: Option<(StateCertificate, MemberId)>,
    own: OwnLog,
    finals: BTreeMap<Round, Arc<FinalBlock>>,
    ahead: VecDeque<(MemberId, Arc<Message>)>,
    memory: Memory,
    motions: Motions,
    proofs: Proofs,
    logbook: Logbook,
    /// What the driver is training.
    training: Option<Training>,
    /// The round before, to date its late arrivals.
    previous: Option<(Round, Timestamp)>,
    /// The certificate of a state that may have to be passed on.
    passing: Option<Passing>,
    told: BTreeMap<MemberId, Timestamp>,
    /// When members last started again, for all that was heard.
    returned: BTreeMap<MemberId, Timestamp>,
    resend_at: Timestamp,
    resends: u32,
}

impl Member {
    /// Starts a member from its write-ahead log and its records (empty at first) and the state
    /// that a run of this charter begins with. Drain [`Self::poll_output`] before the first
    /// [`Self::handle`].
    ///
    /// # Panics
    /// Where `founding` does not fit the layout: the driver made it from the charter.
    pub fn new(
        settings: Settings,
        signer: Box<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        founding: Manifest,
        (log, logbook): (Vec<Durable>, Logbook),
        now: Timestamp,
    ) -> Self {
        let root = founding.root(&settings.run_id, &settings.layout);
        let (floor, ceiling) = (settings.deadline_floor_us, settings.deadline_ceiling_us);
        let factor = settings.deadline_mad_milli;
        let mut member = Self {
            me: signer.member(),
            signer,
            verifier,
            now,
            outputs: VecDeque::new(),
            chain: EpochChain::new(settings.founding.clone()),
            phase: Phase::Recall,
            deadline: Deadline::new(floor, ceiling, factor, MAX_MEMBERS),
            held: None,
            certified: None,
            founding: Held {
                root,
                manifest: founding,
            },
            next: None,
            signed: None,
            certifier: None,
            work: None,
            sync: None,
            recall: None,
            muted: None,
            tip: None,
            unproven: None,
            own: OwnLog::default(),
            pace: Pace::default(),
            finals: BTreeMap::new(),
            ahead: VecDeque::new(),
            memory: Memory::default(),
            motions: Motions::default(),
            proofs: Proofs::default(),
            logbook,
            training: None,
            previous: None,
            passing: None,
            told: BTreeMap::new(),
            returned: BTreeMap::new(),
            resend_at: now,
            resends: 0,
            settings,
        };
        member.restore(log);
        member.begin_recall();
        member
    }

    /// Applies one input at `now`. Drain [`Self::poll_output`] before the next one.
    ///
    /// # Panics
    /// Where `now` lies before an earlier call's.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        assert!(now >= self.now, "the driver's clock never runs backwards");
        let due = self.poll_timeout().is_some_and(|(at, _)| at <= now);
        self.now = now;
        if due && !matches!(input, Input::Timeout) {
            // Another input came first: a timer that is due is not lost to it.
            self.on_timeout();
        }
        match input {
            Input::Timeout => self.on_timeout(),
            Input::Bytes { from, bytes } => match Message::from_bytes(&bytes) {
                Ok(message) => self.receive(from, Arc::new(message)),
                Err(error) => self.refuse(from, error.to_string()),
            },
            Input::Message { from, message } => self.receive(from, message),
            Input::Fetched { payload, outcome } => self.on_fetched(payload, outcome),
            Input::Trained(trained) => self.on_trained(*trained),
            Input::Folded(folded) => self.on_folded(folded),
            Input::StateFetched { root, complete } => self.on_state_fetched(root, complete),
            Input::Operator(request) => self.on_request(request),
        }
        self.settle();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        let mut next = Some((self.resend_at, "resend")).filter(|(at, _)| *at > self.now);
        let mut consider = |timer: Option<(Timestamp, &'static str)>| {
            let timer = timer.filter(|(at, _)| *at > self.now);
            let sooner = timer.filter(|timer| next.is_none_or(|next| *timer < next));
            next = sooner.or(next);
        };
        let pass = self.passing.as_ref().and_then(Passing::due);
        consider(pass.map(|at| (at, "pass on")));
        if let Some(work) = self.work.as_ref().filter(|_| self.phase == Phase::Round) {
            work.timers(&self.settings).into_iter().for_each(consider);
        }
        next
    }

    /// The round this member is in: that of the last certified state it holds.
    pub fn round(&self) -> Option<Round> {
        self.certified.as_ref().map(|certificate| certificate.round)
    }

    /// The highest round whose certificate it has checked, whether it holds the state or not: how
    /// far the federation is for a member that only follows.
    pub fn known_round(&self) -> Option<Round> {
        let tip = self.tip.as_ref().map(|(tip, _)| tip.round);
        tip.max(self.round())
    }

    /// The root of the last certified state it holds.
    pub fn root(&self) -> Option<Root> {
        self.certified.as_ref().map(|certificate| certificate.root)
    }

    /// The certificate of that state.
    pub fn certificate(&self) -> Option<&StateCertificate> {
        self.certified.as_ref()
    }

    /// The present epoch and its members.
    pub fn membership(&self) -> &crate::ledger::Membership {
        self.chain.current()
    }

    /// The name of what it is doing now.
    pub fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Recall => "recall",
            Phase::Founding => "certify",
            Phase::Sync => "sync",
            Phase::Follow => "follow",
            Phase::Done => "done",
            Phase::Round => self.work.as_ref().map_or("certify", Work::phase),
        }
    }

    /// True where the member may sign: it knows its own past, and holds a vote.
    fn may_sign(&self) -> bool {
        let round = self.round().unwrap_or_default();
        let muted = self.muted.is_some_and(|through| round <= through);
        self.phase != Phase::Recall && !muted && self.is_voter()
    }

    fn is_voter(&self) -> bool {
        self.chain.current().is_voter(&self.me)
    }

    /// Milliseconds since 1970, for dating records alone.
    fn unix_ms(&self) -> u64 {
        self.settings
            .unix_ms_at_zero
            .saturating_add(self.now.0 / 1000)
    }

    fn broadcast(&mut self, message: Message) {
        self.outputs.push_back(Output::Broadcast(Arc::new(message)));
    }

    fn send(&mut self, to: MemberId, message: Message) {
        if to != self.me {
            self.outputs.push_back(Output::Send {
                to,
                message: Arc::new(message),
            });
        }
    }

    fn persist(&mut self, durable: Durable) {
        self.outputs.push_back(Output::Persist(Box::new(durable)));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn tell_phase(&mut self, phase: &'static str) {
        let round = self.round().unwrap_or_default();
        self.event(Event::Phase { round, phase });
    }

    fn refuse(&mut self, from: MemberId, reason: String) {
        self.event(Event::Refused { from, reason });
    }

    /// Carries on until nothing more follows from what is known.
    fn settle(&mut self) {
        if self.phase == Phase::Round {
            self.settle_agreement();
        }
        self.settle_certification();
    }
}

#[cfg(test)]
mod tests;
