//! Messages: what decodes has one encoding, and judging it panics for nobody's bytes.

use crate::ceiling;
use archipel_protocol::{
    crypto::{Ed25519Verifier, Role, Signature, Verifier},
    encoding::MAX_MESSAGE_BYTES,
    ids::{MemberId, RunId},
    message::Message,
};

/// A list declared longer than its message takes up to a mebibyte before it is found out.
const SLACK: usize = 4 << 20;
const PER_BYTE: usize = 64;
const RUN: RunId = RunId([7; 32]);

/// Takes every signature, so that what lies behind one is reached.
struct Gullible;

impl Verifier for Gullible {
    fn verify(&self, _: &MemberId, _: Role, _: &[u8], _: &Signature) -> bool {
        true
    }
}

/// Plays one message.
///
/// # Panics
/// Where it decodes from bytes that are not its encoding, or judging it panics.
pub fn play(data: &[u8]) {
    let allowed = SLACK + PER_BYTE * data.len();
    let Ok(message) = ceiling::within(allowed, || Message::from_bytes(data)) else {
        return;
    };
    assert!(data.len() <= MAX_MESSAGE_BYTES + 2);
    assert_eq!(message.to_bytes(), data, "one encoding a message");
    let gullible = judge(&message, &Gullible);
    let strict = judge(&message, &Ed25519Verifier);
    assert!(gullible || !strict, "who takes every signature takes more");
}

/// Whether the message holds by itself.
fn judge(message: &Message, verifier: &dyn Verifier) -> bool {
    let voters: Vec<MemberId> = (1..=4).map(|n| MemberId([n; 32])).collect();
    let quorum = 3;
    match message {
        Message::Header(x) => x.verify(&RUN, verifier),
        Message::Holds(x) => x.verify(&RUN, verifier),
        Message::Proposal(x) => x.verify(&RUN, verifier),
        Message::Vote(x) => x.verify(&RUN, verifier),
        Message::Certificate(x) => x.verify(&RUN, &voters, quorum, verifier).is_ok(),
        Message::Root(x) => x.verify(&RUN, verifier),
        Message::State(x) => x.verify(&RUN, &voters, quorum, verifier).is_ok(),
        Message::Present(x) => x.verify(&RUN, verifier),
        Message::Evidence(x) => {
            let _ = (x.accused(), x.round());
            x.verify(&RUN, verifier).is_ok()
        }
        Message::Block(x) => x.digest(&RUN) != x.cut_digest(&RUN),
        Message::Final(x) => x.certificate.ballot.digest == x.block.digest(&RUN),
        Message::Motion(_) | Message::Ask(_) | Message::Manifest(_) | Message::Recalled(_) => true,
    }
}
