//! Announces updates that were made from the state before.
//!
//! Its headers name the base of the round before, properly signed, and so do those in the cuts that
//! it proposes. Honest members refuse `header: stale base`, and a `proposal` with such a cut; its
//! updates are in no cut.

use super::retold;
use crate::deviation::{Deviation, Seat};
use archipel_protocol::{
    ids::{Root, Round},
    member::{Output, TrainTask},
    state::Tensors,
};

/// Names old bases.
#[derive(Default)]
pub struct StaleBase {
    /// The last two rounds that it trained, and their bases.
    bases: [Option<(Round, Root)>; 2],
}

impl Deviation for StaleBase {
    fn gradient(
        &mut self,
        _site: &mut Seat<'_>,
        task: &TrainTask,
        _base: &Tensors,
        _delta: &mut Vec<f32>,
    ) {
        let [_, last] = self.bases;
        if last.is_none_or(|(round, _)| round < task.round) {
            self.bases = [last, Some((task.round, task.base))];
        }
    }

    fn output(&mut self, site: &mut Seat<'_>, output: Output, pass: &mut Vec<Output>) {
        let bases = self.bases;
        pass.push(retold::own_header(site, output, |own| {
            let mut older = bases.into_iter().flatten();
            match older.find(|(round, _)| *round < own.header.round) {
                Some((_, base)) => retold::signed(site, own, |header| header.base = base),
                None => own.clone(),
            }
        }));
    }
}
