//! Sends what one honest member learnt, always the same one (mimic, arXiv 2006.09365).
//!
//! As in the paper it knows what all honest members learn in its round, and all that tell the lie
//! copy the same one. The paper's attacker looks for the member that tells most about a direction
//! in which honest updates differ; this one takes the first in the order of the federation, and the
//! next that trains in rounds in which that one does not.
//!
//! Nobody can tell it from an honest update, and it is counted: the copied member has several
//! votes, which matters where members learn from different data. Unlike `copy-cat` it waits for no
//! header, so its update comes in time, with a work root of its own; where payloads of the same
//! values are the same bytes, both members announce one payload.

use super::crowd::updates;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{member::TrainTask, state::Tensors};

/// Gives another member more weight.
pub struct Mimic;

impl Deviation for Mimic {
    fn sees_all(&self) -> bool {
        true
    }

    fn gradient(
        &mut self,
        site: &mut Seat<'_>,
        _task: &TrainTask,
        _base: &Tensors,
        delta: &mut Vec<f32>,
    ) {
        let copy = updates(site, delta)[0].to_vec();
        *delta = copy;
    }
}
