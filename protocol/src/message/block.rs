//! What a round agrees on: the block, and the proposal that carries it in a view.

use super::{
    evidence::Evidence,
    shared::Cut,
    vote::{Certificate, StateCertificate},
};
use crate::{
    crypto::{Role, Signature, Signer, Verifier},
    encoding::Canonical,
    ids::{Digest, Epoch, MemberId, Round, RunId, View},
    ledger::Change,
};
use serde::{Deserialize, Serialize};

/// The most bytes an encoded block may have: it has to fit a message and a record, each with a
/// certificate beside it.
pub const MAX_BLOCK_BYTES: usize = 52 * 1024;
/// The most changes of membership in one block.
pub const MAX_CHANGES: usize = 16;
/// The most pieces of evidence in one block.
pub const MAX_EVIDENCE: usize = 16;
/// The most certificates that one proposal carries of its justification, or one answer to
/// [`Ask::Views`](super::Ask::Views) has.
pub const MAX_JUSTIFICATION: usize = 32;

/// "I am here, wait for me": a member whom the ledger no longer counts as active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// The epoch.
    pub epoch: Epoch,
    /// The round in which it was signed.
    pub round: Round,
    /// Who is here.
    pub member: MemberId,
    /// Over the above and the run.
    pub signature: Signature,
}

impl Present {
    /// Signs a presence.
    pub fn signed(run_id: &RunId, epoch: Epoch, round: Round, signer: &dyn Signer) -> Self {
        let signature = signer.sign(Role::Present, &Self::message(run_id, epoch, round));
        Self {
            epoch,
            round,
            member: signer.member(),
            signature,
        }
    }

    fn message(run_id: &RunId, epoch: Epoch, round: Round) -> Vec<u8> {
        let mut out = Canonical::bare();
        out.raw(&run_id.0).u32(epoch.0).u64(round.0);
        out.finish()
    }

    /// True where the member signed it.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        let message = Self::message(run_id, self.epoch, self.round);
        verifier.verify(&self.member, Role::Present, &message, &self.signature)
    }
}

/// The content a round agrees on. It is the same in whichever view it is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The epoch.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
    /// The cut: headers in ascending voter position, at most one a member.
    pub cut: Cut,
    /// Members to be counted as active from the next round, ascending.
    pub presents: Vec<Present>,
    /// Changes of membership, taking effect with the next round.
    pub changes: Vec<Change>,
    /// Proofs of misbehaviour.
    pub evidence: Vec<Evidence>,
    /// The certificate of the state that the round starts from.
    pub certificate: StateCertificate,
}

impl Block {
    /// The identity of the block: the hash of everything in it.
    ///
    /// The strict wire encoding is canonical, so its bytes serve inside the hash.
    pub fn digest(&self, run_id: &RunId) -> Digest {
        self.measured(run_id).0
    }

    /// The identity of the block, and the length of its encoding in bytes.
    pub(crate) fn measured(&self, run_id: &RunId) -> (Digest, usize) {
        let bytes = crate::encoding::encode(self);
        let mut out = Canonical::sized("archipel/block/v1", 36 + bytes.len());
        out.raw(&run_id.0).bytes(&bytes);
        (out.digest(), bytes.len())
    }

    /// The identities of the cut's headers, in the order of the cut.
    pub(crate) fn cut_ids(&self, run_id: &RunId) -> Vec<Digest> {
        let all = || self.cut.iter().map(|h| h.header.id(run_id)).collect();
        match self.cut.follows(|| (*run_id, all())) {
            (of, ids) if of == run_id => ids.clone(),
            _ => all(),
        }
    }

    /// The identity of the cut: the sorted header identities.
    pub fn cut_digest(&self, run_id: &RunId) -> Digest {
        let mut ids = self.cut_ids(run_id);
        ids.sort();
        self.cut_digest_of(run_id, &ids)
    }

    /// The identity of the cut, from the sorted identities of its headers.
    pub(crate) fn cut_digest_of(&self, run_id: &RunId, ids: &[Digest]) -> Digest {
        let mut out = Canonical::new("archipel/cut/v1");
        out.raw(&run_id.0)
            .u32(self.epoch.0)
            .u64(self.round.0)
            .u32(ids.len() as u32);
        for id in ids {
            out.raw(&id.0);
        }
        out.digest()
    }
}

/// A block put forward by the proposer of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The view.
    pub view: View,
    /// The block.
    pub block: Block,
    /// Why this block may be proposed in this view: all of it, or as much as there is room for.
    pub justification: Vec<Certificate>,
    /// The proposer.
    pub member: MemberId,
    /// Over run, epoch, round, view and the block's digest.
    pub signature: Signature,
}

impl Proposal {
    /// Signs a proposal.
    pub fn signed(
        run_id: &RunId,
        view: View,
        block: Block,
        justification: Vec<Certificate>,
        signer: &dyn Signer,
    ) -> Self {
        let message = Self::message(run_id, view, &block, &block.digest(run_id));
        let signature = signer.sign(Role::Proposal, &message);
        Self {
            view,
            block,
            justification,
            member: signer.member(),
            signature,
        }
    }

    fn message(run_id: &RunId, view: View, block: &Block, digest: &Digest) -> Vec<u8> {
        let mut out = Canonical::bare();
        out.raw(&run_id.0)
            .u32(block.epoch.0)
            .u64(block.round.0)
            .u32(view.0);
        out.raw(&digest.0);
        out.finish()
    }

    /// True where the proposer signed it.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        self.verify_as(run_id, &self.block.digest(run_id), verifier)
    }

    /// The same, where the digest of its block is known.
    pub(crate) fn verify_as(
        &self,
        run_id: &RunId,
        digest: &Digest,
        verifier: &dyn Verifier,
    ) -> bool {
        let message = Self::message(run_id, self.view, &self.block, digest);
        verifier.verify(&self.member, Role::Proposal, &message, &self.signature)
    }
}

/// A block and the quorum that finalized it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalBlock {
    /// The block.
    pub block: Block,
    /// Finalize votes of a quorum of its epoch.
    pub certificate: Certificate,
}
