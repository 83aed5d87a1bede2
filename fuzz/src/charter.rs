//! Charters: what reads and is valid can be written, read again the same, and used.

use crate::ceiling;
use archipel_protocol::{charter::SignedCharter, crypto::Ed25519Verifier};

const SLACK: usize = 4 << 20;
const PER_BYTE: usize = 512;

/// Plays one charter file.
///
/// # Panics
/// Where a valid charter does not survive being written and read.
pub fn play(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let allowed = SLACK + PER_BYTE * data.len();
    let Ok(signed) = ceiling::within(allowed, || SignedCharter::from_toml(text)) else {
        return;
    };
    let run_id = signed.run_id();
    let _ = signed.verify(&Ed25519Verifier);
    if signed.charter.validate().is_err() {
        return;
    }
    let written = signed.to_toml().expect("a valid charter can be written");
    let again = SignedCharter::from_toml(&written).expect("what is written can be read");
    assert_eq!(again, signed);
    assert_eq!(again.run_id(), run_id);
    let plan = &signed.charter.plan;
    let _ = (plan.codec(), plan.limits(), plan.feedback(), plan.caps());
    let _ = (plan.aggregation(), plan.outer_step());
}
