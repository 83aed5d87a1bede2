//! Where an event takes place: the federation, the member, and what is established there so far.

use super::{facts::Facts, slots::Slots};
use crate::seen::{Federation, Moment};
use archipel_protocol::ids::MemberId;

/// A federation as the checker was told of it.
#[derive(Debug)]
pub(super) struct House {
    /// As given.
    pub given: Federation,
    /// Places of those who do not lie.
    pub honest: Slots,
    /// Keys and their places, by key.
    by_key: Vec<(MemberId, usize)>,
    /// Positions in the world and their places, by position.
    by_position: Vec<(u32, usize)>,
}

impl House {
    /// Sorts the members for look-ups.
    pub fn new(given: Federation) -> Self {
        let mut honest = Slots::default();
        for (slot, position) in given.members.iter().enumerate() {
            if !given.liars.contains(position) {
                honest.insert(slot);
            }
        }
        let keys = given.keys.iter().enumerate();
        let mut by_key: Vec<_> = keys.map(|(slot, key)| (*key, slot)).collect();
        by_key.sort();
        let positions = given.members.iter().enumerate();
        let mut by_position: Vec<_> = positions.map(|(slot, at)| (*at, slot)).collect();
        by_position.sort();
        Self {
            given,
            honest,
            by_key,
            by_position,
        }
    }

    /// The place of a key.
    pub fn slot_of(&self, key: &MemberId) -> Option<usize> {
        let at = self.by_key.binary_search_by(|(other, _)| other.cmp(key));
        at.ok().map(|at| self.by_key[at].1)
    }

    /// The place of a position in the world.
    pub fn slot_at(&self, position: u32) -> Option<usize> {
        // Positions of one federation follow each other, so the first guess is nearly always right.
        let first = self.by_position.first()?.0;
        let guess = position.checked_sub(first)? as usize;
        match self.by_position.get(guess) {
            Some((found, slot)) if *found == position => Some(*slot),
            _ => {
                let at = self.by_position.binary_search_by(|(p, _)| p.cmp(&position));
                at.ok().map(|at| self.by_position[at].1)
            }
        }
    }

    /// True where the member with this key is known and does not lie.
    pub fn is_honest(&self, key: &MemberId) -> bool {
        self.slot_of(key)
            .is_some_and(|slot| self.honest.contains(slot))
    }

    /// How a member is named in a violation.
    pub fn label(&self, slot: usize) -> String {
        let position = self.given.members.get(slot).copied().unwrap_or_default();
        format!("member {position}")
    }
}

/// One event's surroundings.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// When and to whom.
    pub moment: Moment,
    /// The federation.
    pub house: &'a House,
    /// What is established in it, this event not yet counted.
    pub facts: &'a Facts,
    /// The member's place in the federation.
    pub slot: usize,
    /// Whether it is honest.
    pub honest: bool,
}

impl Scene<'_> {
    /// The member's key.
    pub fn key(&self) -> MemberId {
        self.house
            .given
            .keys
            .get(self.slot)
            .copied()
            .unwrap_or_default()
    }
}
