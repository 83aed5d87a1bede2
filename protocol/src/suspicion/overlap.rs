//! How many positions any two sparse updates have in common, in one pass over all of them.
//!
//! A window has one mask a position, with a bit for each of 16 members that was read and lists it.
//! What a member shares with each of them is the sum of the masks at its own positions, bit by bit.
//! Bits are summed eight at a time, in the bytes of one number.

use super::reading::{Reading, WINDOW};
use crate::rule::BILLION;

/// Members of one mask.
const BLOCK: usize = 16;
/// Sums that a byte holds.
const FULL: usize = u8::MAX as usize;

/// The bits of a byte, each in a byte of its own.
const SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte >> bit & 1) as u64) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// Common positions of every two members.
pub(super) struct Overlaps {
    members: usize,
    /// A row a member, in each the positions it shares with members before it.
    shared: Vec<u64>,
    /// Empty where no two updates are sparse.
    masks: Vec<u16>,
}

impl Overlaps {
    pub(super) fn new(readings: &[Reading<'_>]) -> Self {
        let sparse = readings.iter().filter(|r| r.length().is_some()).count();
        let members = readings.len();
        let width = if sparse < 2 { 0 } else { WINDOW };
        Self {
            members,
            shared: vec![0; members * members],
            masks: vec![0; width],
        }
    }

    /// Counts what the present window has, which begins at position `start`.
    pub(super) fn count(&mut self, readings: &[Reading<'_>], start: usize) {
        if self.masks.is_empty() {
            return;
        }
        for first in (0..self.members).step_by(BLOCK) {
            self.masks.fill(0);
            for (member, reading) in readings.iter().enumerate().skip(first) {
                let bit = 1u16.checked_shl((member - first) as u32).unwrap_or(0);
                let sums = pass(&mut self.masks, reading.listed(), start, bit);
                let row = &mut self.shared[member * self.members + first..];
                for (sum, more) in row.iter_mut().zip(sums) {
                    *sum += more;
                }
            }
        }
    }

    /// The largest share that each update has in common with another one, of the fewer positions
    /// of the two, in billionths.
    pub(super) fn largest(&self, readings: &[Reading<'_>]) -> Vec<Option<u64>> {
        let lengths: Vec<Option<u64>> = readings.iter().map(Reading::length).collect();
        let share = |one: usize, other: usize| {
            let fewer = lengths[one]?.min(lengths[other]?);
            let (later, earlier) = (one.max(other), one.min(other));
            let shared = self.shared[later * self.members + earlier];
            Some(shared * BILLION / fewer.max(1))
        };
        let largest = |one: usize| {
            let others = (0..self.members).filter(|other| *other != one);
            others.filter_map(|other| share(one, other)).max()
        };
        (0..self.members).map(largest).collect()
    }
}

/// Sums the masks at these positions, bit by bit, and sets `bit` in each of them.
fn pass(masks: &mut [u16], indices: &[u32], start: usize, bit: u16) -> [u64; BLOCK] {
    let mut sums = [0; BLOCK];
    for some in indices.chunks(FULL) {
        let mut packed = [0u64; 2];
        for index in some {
            let mask = &mut masks[*index as usize - start];
            let [low, high] = mask.to_le_bytes();
            packed[0] += SPREAD[usize::from(low)];
            packed[1] += SPREAD[usize::from(high)];
            *mask |= bit;
        }
        let bytes = packed.map(u64::to_le_bytes);
        for (sum, more) in sums.iter_mut().zip(bytes.as_flattened()) {
            *sum += u64::from(*more);
        }
    }
    sums
}
