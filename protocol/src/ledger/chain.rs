//! The epoch chain: each epoch's members, certified by the epoch before, from the charter on.

use super::{ChangeError, Membership};
use crate::{
    crypto::Verifier,
    ids::{Epoch, RunId},
    message::{CertificateError, FinalBlock, VoteKind},
};

/// Memberships of all epochs so far and the blocks that lead from each to the next.
#[derive(Clone, Debug)]
pub struct EpochChain {
    memberships: Vec<Membership>,
    links: Vec<FinalBlock>,
}

/// Why a block does not continue the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It belongs to another epoch.
    #[error("expected the block that closes epoch {expected}, found one of epoch {found}")]
    Epoch {
        /// The epoch at the end of the chain.
        expected: Epoch,
        /// The epoch of the block.
        found: Epoch,
    },
    /// It changes nothing.
    #[error("the block carries no change of membership")]
    NoChange,
    /// Its certificate is about something else.
    #[error("the certificate does not finalize this block")]
    Ballot,
    /// Its certificate does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A change in it is not valid.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl EpochChain {
    /// A chain of the founding epoch alone.
    pub fn new(founding: Membership) -> Self {
        Self {
            memberships: vec![founding],
            links: Vec::new(),
        }
    }

    /// The latest membership.
    pub fn current(&self) -> &Membership {
        self.memberships
            .last()
            .expect("the chain begins with the founding epoch")
    }

    /// The membership of an epoch, if the chain reaches that far.
    pub fn membership(&self, epoch: Epoch) -> Option<&Membership> {
        self.memberships.get(epoch.0 as usize)
    }

    /// The block that closed an epoch.
    pub fn link(&self, epoch: Epoch) -> Option<&FinalBlock> {
        self.links.get(epoch.0 as usize)
    }

    /// Checks a final block against the epoch it belongs to: the certificate, and what it is about.
    pub fn verify_final(
        &self,
        run_id: &RunId,
        block: &FinalBlock,
        verifier: &dyn Verifier,
    ) -> Result<(), LinkError> {
        let found = block.block.epoch;
        let expected = self.current().epoch();
        let membership = self
            .membership(found)
            .ok_or(LinkError::Epoch { expected, found })?;
        let ballot = &block.certificate.ballot;
        let about = (ballot.kind, ballot.epoch, ballot.round, ballot.digest);
        let digest = block.block.digest(run_id);
        if about != (VoteKind::Finalize, found, block.block.round, digest) {
            return Err(LinkError::Ballot);
        }
        let voters = membership.voters();
        block
            .certificate
            .verify(run_id, &voters, membership.quorum(), verifier)?;
        Ok(())
    }

    /// Appends the epoch that a verified final block opens.
    pub fn extend(&mut self, block: FinalBlock) -> Result<(), LinkError> {
        let (expected, found) = (self.current().epoch(), block.block.epoch);
        if expected != found {
            return Err(LinkError::Epoch { expected, found });
        }
        if block.block.changes.is_empty() {
            return Err(LinkError::NoChange);
        }
        let next = self.current().changed(&block.block)?;
        self.memberships.push(next);
        self.links.push(block);
        Ok(())
    }
}
