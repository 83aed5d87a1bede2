//! Votes and the certificates that a quorum of them makes.

use super::shared::{RootSeals, Seals};
use crate::{
    crypto::{Role, Signature, Signer, Verifier},
    encoding::Canonical,
    ids::{Digest, Epoch, MemberId, Root, Round, RunId, View},
};
use serde::{Deserialize, Serialize};

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VoteKind {
    /// This block is valid, and the only one I vote for in this view.
    Notarize,
    /// I do not expect this view to bring a block.
    Nullify,
    /// I saw the notarization, and did not and will not nullify.
    Finalize,
}

impl VoteKind {
    /// The domain of its signature.
    pub fn role(self) -> Role {
        match self {
            Self::Notarize => Role::Notarize,
            Self::Nullify => Role::Nullify,
            Self::Finalize => Role::Finalize,
        }
    }
}

/// What a vote or a certificate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    /// What is said.
    pub kind: VoteKind,
    /// The epoch of the round.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
    /// The view.
    pub view: View,
    /// The block; all zero in a nullify.
    pub digest: Digest,
}

impl Ballot {
    /// The bytes that are signed.
    pub fn message(&self, run_id: &RunId) -> Vec<u8> {
        let mut out = Canonical::bare();
        out.raw(&run_id.0)
            .u32(self.epoch.0)
            .u64(self.round.0)
            .u32(self.view.0);
        out.raw(&self.digest.0);
        out.finish()
    }
}

/// One member's vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// What is voted.
    pub ballot: Ballot,
    /// Who votes.
    pub member: MemberId,
    /// Over the ballot and the run.
    pub signature: Signature,
}

impl Vote {
    /// Signs a ballot.
    pub fn signed(run_id: &RunId, ballot: Ballot, signer: &dyn Signer) -> Self {
        let signature = signer.sign(ballot.kind.role(), &ballot.message(run_id));
        Self {
            ballot,
            member: signer.member(),
            signature,
        }
    }

    /// True where the member signed this ballot.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        let message = self.ballot.message(run_id);
        verifier.verify(
            &self.member,
            self.ballot.kind.role(),
            &message,
            &self.signature,
        )
    }
}

/// One signature of a certificate, by the position of its voter in the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Position among the voters of the epoch.
    pub voter: u16,
    /// The signature.
    pub signature: Signature,
}

/// Signatures of a quorum under one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What is certified.
    pub ballot: Ballot,
    /// By whom, in ascending position.
    pub seals: Seals,
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Fewer signatures than a quorum, or more than voters.
    #[error("expected {quorum} to {voters} signatures, found {found}")]
    Count {
        /// Signatures needed.
        quorum: usize,
        /// Voters of the epoch.
        voters: usize,
        /// Signatures found.
        found: usize,
    },
    /// Positions are not ascending or lie beyond the last voter.
    #[error("signer positions must ascend and stay below {voters}, found {found}")]
    Position {
        /// Voters of the epoch.
        voters: usize,
        /// The position found.
        found: u16,
    },
    /// A signature is wrong.
    #[error("the signature of voter {voter} does not hold")]
    Signature {
        /// The voter's position.
        voter: u16,
    },
}

/// Checks number and order of signer positions, before any signature is looked at.
fn check_positions(
    positions: impl ExactSizeIterator<Item = u16>,
    voters: usize,
    quorum: usize,
) -> Result<(), CertificateError> {
    let found = positions.len();
    if found < quorum || found > voters {
        return Err(CertificateError::Count {
            quorum,
            voters,
            found,
        });
    }
    let mut least = 0u32;
    for position in positions {
        if u32::from(position) < least || usize::from(position) >= voters {
            return Err(CertificateError::Position {
                voters,
                found: position,
            });
        }
        least = u32::from(position) + 1;
    }
    Ok(())
}

impl Certificate {
    /// Checks the certificate against the voters of its epoch.
    pub fn verify(
        &self,
        run_id: &RunId,
        voters: &[MemberId],
        quorum: usize,
        verifier: &dyn Verifier,
    ) -> Result<(), CertificateError> {
        check_positions(self.seals.iter().map(|s| s.voter), voters.len(), quorum)?;
        let message = self.ballot.message(run_id);
        let role = self.ballot.kind.role();
        for seal in &self.seals {
            let member = &voters[usize::from(seal.voter)];
            if !verifier.verify(member, role, &message, &seal.signature) {
                return Err(CertificateError::Signature { voter: seal.voter });
            }
        }
        Ok(())
    }
}

/// One member's signature under the root of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootVote {
    /// The epoch that certifies: the one of the round that led to the state.
    pub epoch: Epoch,
    /// The round that starts from the state.
    pub round: Round,
    /// 0 at first, one more after each repair.
    pub attempt: u32,
    /// The root.
    pub root: Root,
    /// Who signs.
    pub member: MemberId,
    /// The nonce committed in the member's header of the round before.
    pub nonce: Option<[u8; 32]>,
    /// Over all but the nonce, which its commitment checks.
    pub signature: Signature,
}

fn root_message(run_id: &RunId, epoch: Epoch, round: Round, attempt: u32, root: &Root) -> Vec<u8> {
    let mut out = Canonical::bare();
    out.raw(&run_id.0)
        .u32(epoch.0)
        .u64(round.0)
        .u32(attempt)
        .raw(&root.0);
    out.finish()
}

impl RootVote {
    /// Signs a root.
    pub fn signed(
        run_id: &RunId,
        (epoch, round): (Epoch, Round),
        attempt: u32,
        root: Root,
        nonce: Option<[u8; 32]>,
        signer: &dyn Signer,
    ) -> Self {
        let message = root_message(run_id, epoch, round, attempt, &root);
        let signature = signer.sign(Role::Root, &message);
        Self {
            epoch,
            round,
            attempt,
            root,
            member: signer.member(),
            nonce,
            signature,
        }
    }

    /// True where the member signed this root.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        let message = root_message(run_id, self.epoch, self.round, self.attempt, &self.root);
        verifier.verify(&self.member, Role::Root, &message, &self.signature)
    }
}

/// One signature of a state certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSeal {
    /// Position among the voters of the epoch.
    pub voter: u16,
    /// The attempt under which the voter signed.
    pub attempt: u32,
    /// The signature.
    pub signature: Signature,
}

/// Signatures of a quorum under the root of one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCertificate {
    /// The epoch that certifies.
    pub epoch: Epoch,
    /// The round that starts from the state.
    pub round: Round,
    /// The root.
    pub root: Root,
    /// By whom, in ascending position.
    pub seals: RootSeals,
}

impl StateCertificate {
    /// Checks the certificate against the voters of its epoch.
    pub fn verify(
        &self,
        run_id: &RunId,
        voters: &[MemberId],
        quorum: usize,
        verifier: &dyn Verifier,
    ) -> Result<(), CertificateError> {
        self.verify_beyond(&[], run_id, voters, quorum, verifier)
    }

    /// The same, where these seals were checked before, for the same state and voters.
    pub(crate) fn verify_beyond(
        &self,
        checked: &[RootSeal],
        run_id: &RunId,
        voters: &[MemberId],
        quorum: usize,
        verifier: &dyn Verifier,
    ) -> Result<(), CertificateError> {
        check_positions(self.seals.iter().map(|s| s.voter), voters.len(), quorum)?;
        for seal in self.seals.iter().filter(|seal| !checked.contains(seal)) {
            let message = root_message(run_id, self.epoch, self.round, seal.attempt, &self.root);
            let member = &voters[usize::from(seal.voter)];
            if !verifier.verify(member, Role::Root, &message, &seal.signature) {
                return Err(CertificateError::Signature { voter: seal.voter });
            }
        }
        Ok(())
    }
}
