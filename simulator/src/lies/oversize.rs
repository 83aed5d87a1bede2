//! Announces payloads larger than the plan allows, or other than they are.
//!
//! In even rounds its header claims one byte more than the plan's limit; honest members refuse the
//! `header` before they fetch anything. In odd rounds it sends twice the bytes that it announced:
//! what is fetched is checked against hash and length, so nobody ever holds it. Its updates are in
//! no cut.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::member::{TrainTask, Trained};

/// Sends too much.
pub struct Oversize;

impl Deviation for Oversize {
    fn payload(&mut self, _site: &mut Seat<'_>, task: &TrainTask, payload: Vec<u8>) -> Vec<u8> {
        match task.round.0.is_multiple_of(2) {
            true => payload,
            false => payload.repeat(2),
        }
    }

    fn trained(&mut self, site: &mut Seat<'_>, trained: &mut Trained) {
        trained.payload_bytes = match trained.round.0.is_multiple_of(2) {
            true => site.plan.limits().max_payload_bytes + 1,
            false => trained.payload_bytes / 2,
        };
    }
}
