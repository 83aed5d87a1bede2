//! The identity of a header, worked out a second time from the protocol's specification.

use archipel_protocol::{
    ids::{Digest, RunId},
    message::Header,
};
use sha2::{Digest as _, Sha256};

/// SHA-256 over domain, run and all fields, numbers big-endian, the text after its length.
pub(super) fn header_id(run_id: &RunId, header: &Header) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"archipel/header/v1\0");
    hash.update(run_id.0);
    hash.update(header.epoch.0.to_be_bytes());
    hash.update(header.round.0.to_be_bytes());
    hash.update(header.member.0);
    hash.update(header.base.0);
    hash.update(header.payload.0);
    hash.update(header.payload_bytes.to_be_bytes());
    hash.update([header.codec]);
    hash.update(header.steps.to_be_bytes());
    hash.update(header.tokens.to_be_bytes());
    hash.update(header.loss_micro.to_be_bytes());
    hash.update(header.work_root.0);
    hash.update(header.residual_before.0);
    hash.update(header.residual_after.0);
    hash.update(header.optimizer_before.0);
    hash.update(header.optimizer_after.0);
    hash.update(header.carried.to_be_bytes());
    hash.update((header.numerics.len() as u32).to_be_bytes());
    hash.update(header.numerics.as_bytes());
    hash.update(header.nonce_commitment.0);
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::ids::{BlobHash, Epoch, MemberId, Root, Round};

    #[test]
    fn the_protocol_gives_a_header_the_same_identity() {
        let header = Header {
            epoch: Epoch(1),
            round: Round(2),
            member: MemberId([3; 32]),
            base: Root([4; 32]),
            payload: BlobHash([5; 32]),
            payload_bytes: 6,
            codec: 7,
            steps: 8,
            tokens: 9,
            loss_micro: -10,
            work_root: Digest([11; 32]),
            residual_before: BlobHash([12; 32]),
            residual_after: BlobHash([13; 32]),
            optimizer_before: BlobHash([14; 32]),
            optimizer_after: BlobHash([15; 32]),
            carried: 16,
            numerics: "cpu-17".to_owned(),
            nonce_commitment: Digest([18; 32]),
        };
        let run_id = RunId([19; 32]);
        assert_eq!(header_id(&run_id, &header), header.id(&run_id));
    }
}
