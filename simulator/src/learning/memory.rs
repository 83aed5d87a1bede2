//! What a member keeps of its own past rounds in order to train the next.
//!
//! As in the node's workbook: the state of the inner optimizer after each of the last rounds, so
//! that a round that is trained again begins with what it began with the first time.

use archipel_protocol::ids::{BlobHash, Round};
use std::sync::Arc;

/// Rounds kept, as many as the node keeps.
const KEPT_ROUNDS: usize = 4;

/// An encoded state of the inner optimizer, and its hash.
#[derive(Clone, Debug)]
pub(super) struct Optimizer {
    pub hash: BlobHash,
    pub bytes: Arc<Vec<u8>>,
}

impl Optimizer {
    /// A state that has seen nothing.
    pub fn fresh() -> Self {
        Self {
            hash: BlobHash(*blake3::hash(b"").as_bytes()),
            bytes: Arc::default(),
        }
    }
}

/// What one member keeps of its past rounds. Cloning it copies no state.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Oldest first.
    rounds: Vec<(Round, Optimizer)>,
}

impl Memory {
    /// The optimizer state with which a round begins: what the latest round before it left.
    pub(super) fn before(&self, round: Round) -> Optimizer {
        let earlier = self.rounds.iter().rev().find(|(of, _)| *of < round);
        earlier.map_or_else(Optimizer::fresh, |(_, optimizer)| optimizer.clone())
    }

    /// Notes what a round left, in place of what was noted of it before.
    pub(super) fn note(&mut self, round: Round, after: Optimizer) {
        self.rounds.retain(|(of, _)| *of != round);
        self.rounds.push((round, after));
        self.rounds.sort_by_key(|(of, _)| *of);
        let surplus = self.rounds.len().saturating_sub(KEPT_ROUNDS);
        self.rounds.drain(..surplus);
    }

    /// Drops what was noted after a round, or everything.
    pub(super) fn forget(&mut self, keep_through: Option<Round>) {
        let kept = |round: Round| keep_through.is_some_and(|last| round <= last);
        self.rounds.retain(|(round, _)| kept(*round));
    }

    /// Bytes of the states kept.
    pub fn bytes(&self) -> u64 {
        let states = self.rounds.iter();
        states.map(|(_, state)| state.bytes.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(byte: u8) -> Optimizer {
        Optimizer {
            hash: BlobHash([byte; 32]),
            bytes: Arc::new(vec![byte; 10]),
        }
    }

    fn filled() -> Memory {
        let mut memory = Memory::default();
        (1..=6).for_each(|round| memory.note(Round(round), state(round as u8)));
        memory
    }

    #[test]
    fn a_round_begins_with_what_the_latest_before_it_left() {
        let mut memory = filled();
        let before = |memory: &Memory, round| memory.before(Round(round)).hash;
        assert_eq!(before(&memory, 7), BlobHash([6; 32]));
        assert_eq!(before(&memory, 6), BlobHash([5; 32]), "trained again");
        assert_eq!(before(&memory, 99), BlobHash([6; 32]), "rounds were missed");
        assert_eq!(memory.bytes(), 40, "four rounds are kept");
        memory.note(Round(6), state(66));
        assert_eq!(before(&memory, 7), BlobHash([66; 32]));
        assert_eq!(memory.bytes(), 40);
    }

    #[test]
    fn what_was_not_durable_is_forgotten() {
        let mut memory = filled();
        memory.forget(Some(Round(5)));
        assert_eq!(memory.before(Round(9)).hash, BlobHash([5; 32]));
        memory.forget(None);
        assert_eq!(memory.before(Round(9)).hash, Optimizer::fresh().hash);
        assert_eq!(memory.bytes(), 0);
    }
}
