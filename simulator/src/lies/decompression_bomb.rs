//! Sends a small payload that claims to decode to 2⁶³ parameters.
//!
//! The hash is right and the header fine. Honest members compare the claim with the plan's layout
//! before they make room for anything, refuse the `payload`, and decide without it. R1 watches that
//! nobody's memory grows.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::member::TrainTask;
use std::ops::Range;

/// Where a payload says how many parameters it has.
const PARAMETERS: Range<usize> = 8..16;

/// Promises a large model.
pub struct DecompressionBomb;

impl Deviation for DecompressionBomb {
    fn payload(&mut self, _: &mut Seat<'_>, _: &TrainTask, mut payload: Vec<u8>) -> Vec<u8> {
        if let Some(claim) = payload.get_mut(PARAMETERS) {
            claim.copy_from_slice(&(1u64 << 63).to_le_bytes());
        }
        payload
    }
}
