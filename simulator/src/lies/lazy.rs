//! Works every second round, and sends the old update again in between.
//!
//! The old payload goes under a new header with the new base, so it is an update of the new round,
//! and is counted. Nobody notices during the run; whoever replays the work convicts it.

use crate::deviation::{Deviation, Seat};
use archipel_protocol::member::TrainTask;

/// Sends old work as new.
#[derive(Default)]
pub struct Lazy {
    last: Option<Vec<u8>>,
}

impl Deviation for Lazy {
    fn payload(&mut self, _site: &mut Seat<'_>, task: &TrainTask, payload: Vec<u8>) -> Vec<u8> {
        match self.last.take() {
            Some(old) if task.round.0 % 2 == 1 => old,
            _ => {
                self.last = Some(payload.clone());
                payload
            }
        }
    }
}
