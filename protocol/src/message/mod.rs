//! The messages of the control plane and their registry of kinds.
//!
//! On the wire a message is `version u8 · kind u8 · body`, the body in strict postcard. An unknown
//! version or kind is refused, never guessed. See `SPEC.md`.

mod block;
mod evidence;
mod header;
mod shared;
mod vote;

pub use block::{
    Block, FinalBlock, MAX_BLOCK_BYTES, MAX_CHANGES, MAX_EVIDENCE, MAX_JUSTIFICATION, Present,
    Proposal,
};
pub use evidence::{Evidence, EvidenceError};
pub use header::{Header, Holds, MAX_HOLDS, MAX_NUMERICS_BYTES, SignedHeader, nonce_commitment};
pub use shared::{Cut, HeaderIds, RootSeals, Seals, Shared};
pub use vote::{
    Ballot, Certificate, CertificateError, RootSeal, RootVote, Seal, StateCertificate, Vote,
    VoteKind,
};

use crate::{
    encoding::{self, DecodeError, MAX_MESSAGE_BYTES},
    ids::{Digest, Epoch, Root, Round, View},
    ledger::{Amendment, Change, Consent},
    state::Manifest,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of the wire format.
pub const WIRE_VERSION: u8 = 1;

/// A question to one member. Every answer proves itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// The highest state certificate you know.
    Tip,
    /// The block that closed this epoch.
    Link(Epoch),
    /// The final block of this round.
    Final(Round),
    /// The block under a notarization of this round.
    Block(Round, Digest),
    /// The manifest of the state under this root.
    Manifest(Root),
    /// What I signed in this round or later, and you saw.
    Recall(Round),
    /// The certificates of this view of this round, and of the views below it.
    Views(Round, View),
}

/// An answer to [`Ask::Recall`]: messages signed by the asker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recalled {
    /// The asked round, so that an answer to an older question is told apart.
    pub since: Round,
    /// Headers.
    pub headers: Vec<SignedHeader>,
    /// Votes.
    pub votes: Vec<Vote>,
    /// Root votes.
    pub roots: Vec<RootVote>,
}

/// A change of membership on its way into a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Motion {
    /// A proposed amendment.
    Propose(Amendment),
    /// Consent to one.
    Consent(Consent),
    /// A change that is complete by itself: leaving or returning.
    Own(Change),
}

/// Everything that travels on the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An update is announced.
    Header(Box<SignedHeader>),
    /// Updates are held.
    Holds(Holds),
    /// A block is proposed.
    Proposal(Box<Proposal>),
    /// A vote.
    Vote(Vote),
    /// A quorum of votes.
    Certificate(Certificate),
    /// A signature under a state.
    Root(RootVote),
    /// A quorum of signatures under a state.
    State(StateCertificate),
    /// A member is back.
    Present(Present),
    /// A change of membership is proposed or supported.
    Motion(Box<Motion>),
    /// A proof of misbehaviour.
    Evidence(Box<Evidence>),
    /// A question.
    Ask(Ask),
    /// A final block, in answer.
    Final(Box<FinalBlock>),
    /// A block, in answer.
    Block(Box<Block>),
    /// A manifest, in answer.
    Manifest(Box<Manifest>),
    /// Recalled messages, in answer.
    Recalled(Box<Recalled>),
}

/// Why bytes are not a message of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer than the two bytes of version and kind.
    #[error("a message has at least 2 bytes, found {found}")]
    Short {
        /// Bytes found.
        found: usize,
    },
    /// Another version of the wire format.
    #[error("wire version {found}, this node speaks {WIRE_VERSION}: upgrade the older side")]
    Version {
        /// The version found.
        found: u8,
    },
    /// A kind that is not in the registry.
    #[error("unknown message kind {found}")]
    Kind {
        /// The kind found.
        found: u8,
    },
    /// The body is wrong.
    #[error("message kind {kind}: {error}")]
    Body {
        /// The kind.
        kind: u8,
        /// What is wrong.
        error: DecodeError,
    },
}

impl Message {
    /// The number of this kind in the registry.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Header(_) => 1,
            Self::Holds(_) => 2,
            Self::Proposal(_) => 3,
            Self::Vote(_) => 4,
            Self::Certificate(_) => 5,
            Self::Root(_) => 6,
            Self::State(_) => 7,
            Self::Present(_) => 8,
            Self::Motion(_) => 9,
            Self::Evidence(_) => 10,
            Self::Ask(_) => 11,
            Self::Final(_) => 12,
            Self::Block(_) => 13,
            Self::Manifest(_) => 14,
            Self::Recalled(_) => 15,
        }
    }

    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = match self {
            Self::Header(x) => encoding::encode(x),
            Self::Holds(x) => encoding::encode(x),
            Self::Proposal(x) => encoding::encode(x),
            Self::Vote(x) => encoding::encode(x),
            Self::Certificate(x) => encoding::encode(x),
            Self::Root(x) => encoding::encode(x),
            Self::State(x) => encoding::encode(x),
            Self::Present(x) => encoding::encode(x),
            Self::Motion(x) => encoding::encode(x),
            Self::Evidence(x) => encoding::encode(x),
            Self::Ask(x) => encoding::encode(x),
            Self::Final(x) => encoding::encode(x),
            Self::Block(x) => encoding::encode(x),
            Self::Manifest(x) => encoding::encode(x),
            Self::Recalled(x) => encoding::encode(x),
        };
        let mut bytes = Vec::with_capacity(2 + body.len());
        bytes.extend([WIRE_VERSION, self.kind()]);
        bytes.extend(body);
        bytes
    }

    /// Reads a message, accepting only the bytes that [`Self::to_bytes`] makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let [version, kind, body @ ..] = bytes else {
            return Err(WireError::Short { found: bytes.len() });
        };
        if *version != WIRE_VERSION {
            return Err(WireError::Version { found: *version });
        }
        Ok(match *kind {
            1 => Self::Header(body_of(*kind, body)?),
            2 => Self::Holds(body_of(*kind, body)?),
            3 => Self::Proposal(body_of(*kind, body)?),
            4 => Self::Vote(body_of(*kind, body)?),
            5 => Self::Certificate(body_of(*kind, body)?),
            6 => Self::Root(body_of(*kind, body)?),
            7 => Self::State(body_of(*kind, body)?),
            8 => Self::Present(body_of(*kind, body)?),
            9 => Self::Motion(body_of(*kind, body)?),
            10 => Self::Evidence(body_of(*kind, body)?),
            11 => Self::Ask(body_of(*kind, body)?),
            12 => Self::Final(body_of(*kind, body)?),
            13 => Self::Block(body_of(*kind, body)?),
            14 => Self::Manifest(body_of(*kind, body)?),
            15 => Self::Recalled(body_of(*kind, body)?),
            found => return Err(WireError::Kind { found }),
        })
    }
}

fn body_of<T: Serialize + DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, WireError> {
    encoding::decode(body, MAX_MESSAGE_BYTES).map_err(|error| WireError::Body { kind, error })
}

#[cfg(test)]
mod tests;
