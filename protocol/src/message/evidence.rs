//! Proofs that a member broke a rule no honest member can break, each of two signed statements.

use super::{
    header::{MAX_NUMERICS_BYTES, SignedHeader},
    vote::{RootVote, Vote, VoteKind},
};
use crate::{
    crypto::Verifier,
    ids::{MemberId, Round, RunId},
};
use serde::{Deserialize, Serialize};

/// Two statements of one member that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// Two blocks notarized in one view.
    TwoNotarizations(Vote, Vote),
    /// One view both nullified and finalized.
    NullifiedAndFinalized(Vote, Vote),
    /// Two roots under one attempt number.
    TwoRoots(RootVote, RootVote),
    /// Two headers for one round.
    TwoHeaders(Box<SignedHeader>, Box<SignedHeader>),
}

/// Why two statements prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The statements do not exclude each other.
    #[error("the two statements do not exclude each other")]
    NoConflict,
    /// A header is larger than any that a member accepts.
    #[error("a header in it names a numerics class of more than {MAX_NUMERICS_BYTES} bytes")]
    Oversize,
    /// A signature is wrong.
    #[error("a statement is not signed by the accused")]
    Signature,
}

impl Evidence {
    /// Who is accused.
    pub fn accused(&self) -> MemberId {
        match self {
            Self::TwoNotarizations(a, _) | Self::NullifiedAndFinalized(a, _) => a.member,
            Self::TwoRoots(a, _) => a.member,
            Self::TwoHeaders(a, _) => a.header.member,
        }
    }

    /// The round in which the rule was broken.
    pub fn round(&self) -> Round {
        match self {
            Self::TwoNotarizations(a, _) | Self::NullifiedAndFinalized(a, _) => a.ballot.round,
            Self::TwoRoots(a, _) => a.round,
            Self::TwoHeaders(a, _) => a.header.round,
        }
    }

    /// Checks that the statements conflict and that the accused signed both.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> Result<(), EvidenceError> {
        if !self.conflicts(run_id) {
            return Err(EvidenceError::NoConflict);
        }
        if !self.is_bounded() {
            return Err(EvidenceError::Oversize);
        }
        let signed = match self {
            Self::TwoNotarizations(a, b) | Self::NullifiedAndFinalized(a, b) => {
                a.verify(run_id, verifier) && b.verify(run_id, verifier)
            }
            Self::TwoRoots(a, b) => a.verify(run_id, verifier) && b.verify(run_id, verifier),
            Self::TwoHeaders(a, b) => a.verify(run_id, verifier) && b.verify(run_id, verifier),
        };
        if signed {
            Ok(())
        } else {
            Err(EvidenceError::Signature)
        }
    }

    /// Evidence is kept in a record, which is bounded. Only headers have a part of any length.
    fn is_bounded(&self) -> bool {
        match self {
            Self::TwoHeaders(a, b) => {
                let mut headers = [a, b].into_iter();
                headers.all(|signed| signed.header.numerics.len() <= MAX_NUMERICS_BYTES)
            }
            _ => true,
        }
    }

    fn conflicts(&self, run_id: &RunId) -> bool {
        match self {
            Self::TwoNotarizations(a, b) => {
                let (x, y) = (&a.ballot, &b.ballot);
                a.member == b.member
                    && (x.kind, y.kind) == (VoteKind::Notarize, VoteKind::Notarize)
                    && (x.epoch, x.round, x.view) == (y.epoch, y.round, y.view)
                    && x.digest != y.digest
            }
            Self::NullifiedAndFinalized(a, b) => {
                let (x, y) = (&a.ballot, &b.ballot);
                a.member == b.member
                    && (x.kind, y.kind) == (VoteKind::Nullify, VoteKind::Finalize)
                    && (x.epoch, x.round, x.view) == (y.epoch, y.round, y.view)
            }
            Self::TwoRoots(a, b) => {
                a.member == b.member
                    && (a.epoch, a.round, a.attempt) == (b.epoch, b.round, b.attempt)
                    && a.root != b.root
            }
            Self::TwoHeaders(a, b) => {
                let (x, y) = (&a.header, &b.header);
                (x.member, x.round) == (y.member, y.round) && x.id(run_id) != y.id(run_id)
            }
        }
    }
}
