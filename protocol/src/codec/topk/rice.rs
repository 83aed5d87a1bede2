//! The parameter of the Rice code that writes a list of numbers in the fewest bits.

/// The largest parameter there is.
pub(super) const MAX_PARAMETER: u32 = 16;

/// Sums of quotients by every power of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    numbers: u64,
    quotients: [u64; MAX_PARAMETER as usize + 1],
}

impl Cost {
    /// Counts a number that is to be written.
    #[inline]
    pub(super) fn add(&mut self, number: u32) {
        self.numbers += 1;
        for (k, quotients) in self.quotients.iter_mut().enumerate() {
            *quotients += u64::from(number >> k);
        }
    }

    /// Bits of all numbers with parameter `k`.
    fn bits(&self, k: u32) -> u64 {
        self.quotients[k as usize] + self.numbers * u64::from(k + 1)
    }

    /// The parameter with the fewest bits, the lowest of several.
    pub(super) fn best(&self) -> u32 {
        (0..=MAX_PARAMETER)
            .min_by_key(|k| self.bits(*k))
            .expect("there is a parameter")
    }
}

/// The most bits that `count` gaps between positions below `length` can take with the parameter
/// that is best for them.
pub(super) fn most_bits(count: u64, length: u64) -> u64 {
    let worst = |k: u32| count * u64::from(k + 1) + (length >> k);
    (0..=MAX_PARAMETER)
        .map(worst)
        .min()
        .expect("there is a parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_parameter_has_the_fewest_bits() {
        let mut cost = Cost::default();
        [0, 3, 100, 17, 64, 31]
            .into_iter()
            .for_each(|n| cost.add(n));
        let bits = |k: u32| -> u64 {
            [0u64, 3, 100, 17, 64, 31]
                .iter()
                .map(|n| (n >> k) + 1 + u64::from(k))
                .sum()
        };
        let best = (0..=16).min_by_key(|k| bits(*k));
        assert_eq!(Some(cost.best()), best);
        assert_eq!(cost.bits(4), bits(4));
    }

    #[test]
    fn no_gaps_take_more_bits_than_the_bound() {
        // All positions at the end: one long gap and then none.
        let mut cost = Cost::default();
        cost.add(4096 - 64);
        (0..63).for_each(|_| cost.add(0));
        assert!(cost.bits(cost.best()) <= most_bits(64, 4096));
    }
}
