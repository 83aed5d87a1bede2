//! The signed header of an update, and the signed statement that updates are held.

use super::shared::HeaderIds;
use crate::{
    crypto::{Role, Signature, Signer, Verifier},
    encoding::Canonical,
    ids::{BlobHash, Digest, Epoch, MemberId, Root, Round, RunId},
};
use serde::{Deserialize, Serialize};

/// The most bytes the name of a numerics class may have.
pub const MAX_NUMERICS_BYTES: usize = 64;
/// The most headers one hold message may name.
pub const MAX_HOLDS: usize = 256;

/// What a member says of its update. Everything an auditor needs to replay the work is named here
/// by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The epoch the round belongs to.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
    /// Who trained.
    pub member: MemberId,
    /// The root of the state it trained from.
    pub base: Root,
    /// BLAKE3 of the payload.
    pub payload: BlobHash,
    /// Length of the payload in bytes.
    pub payload_bytes: u64,
    /// Identifier of the codec.
    pub codec: u8,
    /// Inner steps done.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Mean training loss in micro-nats a token.
    pub loss_micro: i64,
    /// Merkle root over the segment leaves.
    pub work_root: Digest,
    /// Error-feedback memory before the round.
    pub residual_before: BlobHash,
    /// Error-feedback memory after it.
    pub residual_after: BlobHash,
    /// Inner-optimizer state before the round.
    pub optimizer_before: BlobHash,
    /// Inner-optimizer state after it.
    pub optimizer_after: BlobHash,
    /// Rounds missed in a row whose update the residual carries.
    pub carried: u32,
    /// The numerics class the member trained in.
    pub numerics: String,
    /// Hash of the nonce that the member reveals with its root signature.
    pub nonce_commitment: Digest,
}

impl Header {
    /// The identity of this header: the hash of all its fields and the run.
    pub fn id(&self, run_id: &RunId) -> Digest {
        let mut out = Canonical::new("archipel/header/v1");
        out.raw(&run_id.0)
            .u32(self.epoch.0)
            .u64(self.round.0)
            .raw(&self.member.0);
        out.raw(&self.base.0)
            .raw(&self.payload.0)
            .u64(self.payload_bytes)
            .u8(self.codec);
        out.u64(self.steps)
            .u64(self.tokens)
            .i64(self.loss_micro)
            .raw(&self.work_root.0);
        out.raw(&self.residual_before.0).raw(&self.residual_after.0);
        out.raw(&self.optimizer_before.0)
            .raw(&self.optimizer_after.0);
        out.u32(self.carried)
            .text(&self.numerics)
            .raw(&self.nonce_commitment.0);
        out.digest()
    }

    /// Signs the header.
    pub fn signed(self, run_id: &RunId, signer: &dyn Signer) -> SignedHeader {
        let signature = signer.sign(Role::Header, &self.id(run_id).0);
        SignedHeader {
            header: self,
            signature,
        }
    }
}

/// A header and its member's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeader {
    /// What is said.
    pub header: Header,
    /// By whom: `header.member`.
    pub signature: Signature,
}

impl SignedHeader {
    /// True where the member named in the header signed it.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        self.verify_as(&self.header.id(run_id), verifier)
    }

    /// The same, where the header's identity is known.
    pub(crate) fn verify_as(&self, id: &Digest, verifier: &dyn Verifier) -> bool {
        verifier.verify(&self.header.member, Role::Header, &id.0, &self.signature)
    }
}

/// The commitment to a nonce.
pub fn nonce_commitment(nonce: &[u8; 32]) -> Digest {
    let mut out = Canonical::new("archipel/nonce/v1");
    out.raw(nonce);
    out.digest()
}

/// "I have fetched, checked and fsynced the payloads of these headers", batched and signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// The epoch of the round.
    pub epoch: Epoch,
    /// The round.
    pub round: Round,
    /// Who holds.
    pub member: MemberId,
    /// Header identities, ascending, each once.
    pub headers: HeaderIds,
    /// Over all of the above and the run.
    pub signature: Signature,
}

impl Holds {
    /// Signs a batch. `headers` is sorted here.
    pub fn signed(
        run_id: &RunId,
        epoch: Epoch,
        round: Round,
        mut headers: Vec<Digest>,
        signer: &dyn Signer,
    ) -> Self {
        headers.sort();
        headers.dedup();
        let member = signer.member();
        let headers = HeaderIds::from(headers);
        let message = Self::message(run_id, epoch, round, &headers);
        let signature = signer.sign(Role::Holds, &message.0);
        Self {
            epoch,
            round,
            member,
            headers,
            signature,
        }
    }

    /// What is signed, worked out once for all copies of the list.
    fn message(run_id: &RunId, epoch: Epoch, round: Round, headers: &HeaderIds) -> Digest {
        let id = (*run_id, epoch, round);
        match headers.follows(|| (id, Self::work_out(id, headers))) {
            (of, message) if *of == id => *message,
            _ => Self::work_out(id, headers),
        }
    }

    fn work_out((run_id, epoch, round): (RunId, Epoch, Round), headers: &[Digest]) -> Digest {
        let mut out = Canonical::sized("archipel/holds/v1", 48 + 32 * headers.len());
        out.raw(&run_id.0)
            .u32(epoch.0)
            .u64(round.0)
            .u32(headers.len() as u32);
        for id in headers {
            out.raw(&id.0);
        }
        out.digest()
    }

    /// True where the list is in its one form and the member signed it.
    pub fn verify(&self, run_id: &RunId, verifier: &dyn Verifier) -> bool {
        let formed = !self.headers.is_empty()
            && self.headers.len() <= MAX_HOLDS
            && self.headers.windows(2).all(|pair| pair[0] < pair[1]);
        let message = Self::message(run_id, self.epoch, self.round, &self.headers);
        formed && verifier.verify(&self.member, Role::Holds, &message.0, &self.signature)
    }
}
