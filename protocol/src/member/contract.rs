//! What goes into a member and what comes out of it.

use crate::{
    ids::{BlobHash, Digest, Epoch, MemberId, Root, Round, View},
    ledger::{Act, Activity, Membership},
    message::{
        Block, FinalBlock, Message, Proposal, RootVote, SignedHeader, StateCertificate, Vote,
    },
    record::Log,
    state::Manifest,
    suspicion::Sight,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A timer named by `poll_timeout` is due. Early or late ones do no harm.
    Timeout,
    /// Bytes came from a peer whose key the transport has checked.
    Bytes {
        /// The peer: the author where messages are forwarded.
        from: MemberId,
        /// As received.
        bytes: Vec<u8>,
    },
    /// A message came that is decoded already (the simulator does this once for all receivers).
    Message {
        /// The peer.
        from: MemberId,
        /// The message.
        message: Arc<Message>,
    },
    /// A fetch ended. `Ok` means: fetched, checked and durable.
    Fetched {
        /// Which.
        payload: BlobHash,
        /// How it ended.
        outcome: Result<(), FetchFault>,
    },
    /// Training and encoding of a round ended; payload, residual and optimizer state are durable.
    Trained(Box<Trained>),
    /// A fold ended; the new state is durable.
    Folded(Box<Folded>),
    /// A state fetch ended. True means: complete, hashes checked, durable.
    StateFetched {
        /// Which.
        root: Root,
        /// How it ended.
        complete: bool,
    },
    /// The operator wants something.
    Operator(Request),
}

/// Why a payload could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// Nobody gave it; try again.
    Unavailable,
    /// Its bytes match the hash and are no valid payload: it can never be held.
    Invalid(String),
}

/// A wish of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Propose an amendment, and consent to it.
    Propose(Act),
    /// Consent to an amendment.
    Consent(Digest),
    /// Leave the federation.
    Leave,
    /// Return to it.
    Return,
}

/// What to do next, in this order. [`Output::Persist`] is durable before anything behind it is
/// done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Append to the write-ahead log.
    Persist(Box<Durable>),
    /// Append to a log of records.
    Record {
        /// Which log.
        log: Log,
        /// The round it is about.
        round: Round,
        /// The record's canonical bytes.
        bytes: Vec<u8>,
    },
    /// Send to all members.
    Broadcast(Arc<Message>),
    /// Send to one member.
    Send {
        /// To whom.
        to: MemberId,
        /// What.
        message: Arc<Message>,
    },
    /// Fetch a payload, check it, make it durable.
    Fetch(FetchTask),
    /// Train and encode.
    Train(TrainTask),
    /// Stop training: the state it started from is no longer the right one.
    StopTraining,
    /// Fold the cut into the next state and make that durable.
    Fold(Box<FoldTask>),
    /// Fetch the tensors of a state, check them, make them durable.
    FetchState(Box<StateTask>),
    /// For people and for the driver's own book-keeping.
    Event(Event),
}

/// One payload to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTask {
    /// The round it belongs to.
    pub round: Round,
    /// Whose update.
    pub member: MemberId,
    /// BLAKE3 of the payload.
    pub payload: BlobHash,
    /// Its length.
    pub bytes: u64,
    /// Who is known to have it, its author first.
    pub holders: Vec<MemberId>,
}

/// Whose parameters a round's training starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Those of the base.
    Base,
    /// This member's own at the end of the round before. The first `ahead` steps need no base;
    /// after them the base is blended in ([`crate::fragments::Fragments::blend`]).
    Own {
        /// Steps before the base is blended in.
        ahead: u64,
    },
}

impl Start {
    /// Steps that need no base.
    pub fn ahead(self) -> u64 {
        match self {
            Self::Base => 0,
            Self::Own { ahead } => ahead,
        }
    }
}

/// How the residual of the next update comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResidualRule {
    /// Zero: there is none, or it is not known whether the last update was counted.
    Zero,
    /// What the encoder left over in that round: its update was counted.
    After(Round),
    /// That, plus the update itself, which was not counted.
    AfterPlusUpdate(Round),
}

/// A round to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainTask {
    /// The round.
    pub round: Round,
    /// The state to train from.
    pub base: Root,
    /// Whose parameters the first step starts from.
    pub start: Start,
    /// The inner step, over the whole run, with which it begins.
    pub schedule: u64,
    /// Inner steps to do, those ahead of the base included.
    pub steps: u64,
    /// The residual to begin with.
    pub residual: ResidualRule,
}

/// The result of training and encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trained {
    /// The round.
    pub round: Round,
    /// The state it was trained from.
    pub base: Root,
    /// BLAKE3 of the payload.
    pub payload: BlobHash,
    /// Its length.
    pub payload_bytes: u64,
    /// Inner steps done.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Mean loss in micro-nats a token.
    pub loss_micro: i64,
    /// Floating-point operations.
    pub flop: u128,
    /// Root over the segment leaves.
    pub work_root: Digest,
    /// Residual before and after.
    pub residual: (BlobHash, BlobHash),
    /// Inner-optimizer state before and after.
    pub optimizer: (BlobHash, BlobHash),
}

/// One update of a fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldInput {
    /// Whose.
    pub member: MemberId,
    /// The payload.
    pub payload: BlobHash,
    /// Its length.
    pub bytes: u64,
    /// Tokens, from which its weight follows.
    pub tokens: u64,
}

/// A cut to fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldTask {
    /// The round that is folded.
    pub round: Round,
    /// 0 at first, one more when it is done again after a difference.
    pub attempt: u32,
    /// The state to fold into.
    pub base: Root,
    /// The updates, in member order.
    pub updates: Vec<FoldInput>,
    /// Position in the schedule of the next state.
    pub schedule: u64,
    /// The members of the next round.
    pub membership: Membership,
    /// Who is waited for in it.
    pub activity: Activity,
}

/// The result of a fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The round that was folded.
    pub round: Round,
    /// Which attempt.
    pub attempt: u32,
    /// The next state.
    pub manifest: Manifest,
    /// The weight of every update, in member order; 0 where nothing was folded.
    pub weights: Vec<u64>,
    /// How each update looks beside the others, in member order.
    pub sights: Vec<Sight>,
    /// Hash of the aggregate.
    pub aggregate: BlobHash,
    /// True where the cut was treated as empty because the result was not finite.
    pub voided: bool,
}

/// A state to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTask {
    /// Its root, certified.
    pub root: Root,
    /// Its tensors.
    pub manifest: Manifest,
    /// Who is known to have it.
    pub donors: Vec<MemberId>,
}

/// An entry of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durable {
    /// This member's header, with what its records need besides.
    Header {
        /// The header.
        header: SignedHeader,
        /// Floating-point operations done.
        flop: u128,
    },
    /// A proposal of this member.
    Proposal(Proposal),
    /// A block that this member is about to notarize.
    Block(Block),
    /// A vote of this member.
    Vote(Vote),
    /// A root vote of this member.
    Root(RootVote),
    /// A final block.
    Final(FinalBlock),
    /// A state that this member holds, with its root.
    State {
        /// Its root.
        root: Root,
        /// Its manifest.
        manifest: Manifest,
    },
    /// A certified state that this member holds.
    Certified(StateCertificate),
    /// The disk was rolled back: nothing is signed up to and including this round.
    Muted(Round),
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A phase begins.
    Phase {
        /// The round.
        round: Round,
        /// Its name: recall, sync, train, hold, agree, fold, certify, follow or done.
        phase: &'static str,
    },
    /// An update was announced and accepted.
    Announced {
        /// The round.
        round: Round,
        /// Whose.
        member: MemberId,
    },
    /// Updates held now.
    Holding {
        /// The round.
        round: Round,
        /// How many.
        held: usize,
        /// How many are waited for.
        active: usize,
    },
    /// The round is decided.
    Agreed {
        /// The round.
        round: Round,
        /// The view that decided it.
        view: View,
        /// Members of the cut.
        included: Vec<MemberId>,
        /// Who proposed it first in that view.
        proposer: MemberId,
    },
    /// A state is certified and held here.
    Certified {
        /// The round that starts from it.
        round: Round,
        /// Its root.
        root: Root,
        /// Members in the cut that led to it.
        included: Vec<MemberId>,
    },
    /// The membership of the next round is another.
    Membership {
        /// The epoch.
        epoch: Epoch,
        /// Who may connect.
        allowed: Vec<MemberId>,
    },
    /// An amendment is open for consent.
    Amendment {
        /// Its identity.
        digest: Digest,
        /// What it does.
        act: Act,
        /// Consents so far.
        consents: usize,
        /// Consents needed.
        needed: usize,
    },
    /// A message or payload was refused.
    Refused {
        /// Who sent or made it.
        from: MemberId,
        /// Why.
        reason: String,
    },
    /// Something an operator should know; it is in the side log too.
    Incident {
        /// Its kind.
        kind: &'static str,
        /// What happened.
        text: String,
    },
    /// This member may sign again, or may not for a reason.
    Signing {
        /// True where it may.
        allowed: bool,
        /// Why (not).
        why: String,
    },
    /// The run ended.
    Finished {
        /// After this many rounds.
        round: Round,
        /// The last root.
        root: Root,
    },
}
