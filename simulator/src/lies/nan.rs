//! Sends a payload in the plan's codec that decodes to something that is no number.
//!
//! The first numbers of the payload's body, values or a scale or entries of a table, are NaN. The
//! hash is right and the header fine; honest members refuse the `payload` after fetching it, hold
//! nothing, and decide without it.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::member::TrainTask;

/// Bytes before the body.
const HEADER_BYTES: usize = 16;
/// Bytes of the body of `topk-2bit` or `demo` before its first table.
const SETTINGS_BYTES: usize = 8;
/// Bytes that cover such a table.
const TABLE_BYTES: usize = 9;

/// Writes a NaN over the first number.
pub struct Nan;

impl Deviation for Nan {
    fn payload(&mut self, site: &mut Seat<'_>, _: &TrainTask, mut payload: Vec<u8>) -> Vec<u8> {
        let at = match site.plan.exchange.codec.keeps_a_share() {
            false => HEADER_BYTES,
            true => HEADER_BYTES + SETTINGS_BYTES,
        };
        let end = payload.len().min(at + TABLE_BYTES);
        if let Some(numbers) = payload.get_mut(at..end) {
            // All bits set is NaN, in 16 bits as in 32; a table has all of its entries then.
            numbers.fill(0xff);
        }
        payload
    }
}
