//! Sets of members of one federation, by their place in its list.

/// The most members of one federation that are told apart.
pub(super) const MAX_SLOTS: usize = 256;

/// A set of members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots([u64; MAX_SLOTS / 64]);

impl Slots {
    /// Adds a member. Places beyond [`MAX_SLOTS`] are not kept.
    pub fn insert(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
        }
    }

    /// True where a member is in it.
    pub fn contains(&self, slot: usize) -> bool {
        self.0
            .get(slot / 64)
            .is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Those that are in both.
    pub fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        for (word, other) in both.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        both
    }

    /// Those of this set that are not in the other.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = *self;
        for (word, other) in rest.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
        rest
    }

    /// Their places, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * index + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_a_set_once() {
        let mut some = Slots::default();
        for slot in [3, 0, 64, 255, 255, 300] {
            some.insert(slot);
        }
        assert_eq!(some.iter().collect::<Vec<_>>(), vec![0, 3, 64, 255]);
        assert!(some.contains(64) && !some.contains(65) && !some.contains(300));
        let mut other = Slots::default();
        other.insert(3);
        assert_eq!(
            (some.len(), some.and(&other), some.without(&other).len()),
            (4, other, 3)
        );
    }
}
