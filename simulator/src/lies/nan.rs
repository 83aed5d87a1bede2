//! Sends a payload in the plan's codec that decodes to something that is no number.
//!
//! The first number of the payload's body, a value or a scale or an entry of a table, is NaN. The
//! hash is right and the header fine; honest members refuse the `payload` after fetching it, hold
//! nothing, and decide without it.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::{codec::Codec, member::TrainTask};

/// Bytes before the body.
const HEADER_BYTES: usize = 16;
/// Bytes of a `topk-2bit` body before its first table.
const SETTINGS_BYTES: usize = 8;

/// Writes a NaN over the first number.
pub struct Nan;

impl Deviation for Nan {
    fn payload(&mut self, site: &mut Seat<'_>, _: &TrainTask, mut payload: Vec<u8>) -> Vec<u8> {
        let at = match site.plan.codec() {
            Codec::F32 | Codec::Int8 => HEADER_BYTES,
            Codec::TopK2Bit { .. } => HEADER_BYTES + SETTINGS_BYTES,
        };
        if let Some(number) = payload.get_mut(at..at + 4) {
            number.copy_from_slice(&f32::NAN.to_le_bytes());
        }
        payload
    }
}
