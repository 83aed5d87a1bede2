//! Decides which chunk is asked of which holder next.
//!
//! Chunks go out in order, each to one holder. What a holder did not deliver returns and goes out
//! again. Where nothing is left to hand out, a holder without work may *steal*: it asks, too, for
//! the chunk that has been in flight the longest, so that one slow holder never decides when a
//! blob is complete. No clock here: the time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The chunks of one blob, and who is asked for which.
#[derive(Debug)]
pub(super) struct Schedule {
    done: Vec<bool>,
    left: u32,
    next: u32,
    returned: BTreeSet<u32>,
    flights: BTreeMap<u32, Flight>,
}

#[derive(Debug)]
struct Flight {
    since: Instant,
    holder: usize,
    thief: Option<usize>,
}

impl Schedule {
    /// A schedule of `chunks` chunks, none of them received.
    pub(super) fn new(chunks: u32) -> Self {
        Self {
            done: vec![false; chunks as usize],
            left: chunks,
            next: 0,
            returned: BTreeSet::new(),
            flights: BTreeMap::new(),
        }
    }

    /// Hands out the next chunk for `holder` to be asked for, if there is one.
    pub(super) fn take(
        &mut self,
        holder: usize,
        now: Instant,
        steal_after: Duration,
    ) -> Option<u32> {
        if let Some(chunk) = self.fresh() {
            self.flights.insert(
                chunk,
                Flight {
                    since: now,
                    holder,
                    thief: None,
                },
            );
            return Some(chunk);
        }
        let (&chunk, flight) = self
            .flights
            .iter_mut()
            .filter(|(_, flight)| flight.holder != holder && flight.thief.is_none())
            .min_by_key(|(_, flight)| flight.since)?;
        if now < flight.since + steal_after {
            return None;
        }
        flight.thief = Some(holder);
        Some(chunk)
    }

    fn fresh(&mut self) -> Option<u32> {
        while let Some(chunk) = self.returned.pop_first() {
            if !self.done[chunk as usize] {
                return Some(chunk);
            }
        }
        while (self.next as usize) < self.done.len() {
            self.next += 1;
            if !self.done[self.next as usize - 1] {
                return Some(self.next - 1);
            }
        }
        None
    }

    /// When `holder`, idle now, may steal something.
    pub(super) fn steal_at(&self, holder: usize, steal_after: Duration) -> Option<Instant> {
        let others = self.flights.values();
        let free = others.filter(|flight| flight.holder != holder && flight.thief.is_none());
        free.map(|flight| flight.since + steal_after).min()
    }

    /// Notes that a chunk is received; false where it was before.
    pub(super) fn finish(&mut self, chunk: u32) -> bool {
        self.flights.remove(&chunk);
        let slot = &mut self.done[chunk as usize];
        let first = !std::mem::replace(slot, true);
        self.left -= u32::from(first);
        first
    }

    /// Takes back what `holder` was asked for and did not deliver.
    pub(super) fn release(&mut self, holder: usize) {
        let returned = &mut self.returned;
        self.flights.retain(|&chunk, flight| {
            if flight.thief == Some(holder) {
                flight.thief = None;
            } else if flight.holder == holder {
                match flight.thief.take() {
                    Some(thief) => flight.holder = thief,
                    None => {
                        returned.insert(chunk);
                        return false;
                    }
                }
            }
            true
        });
    }

    /// Chunks not received yet.
    pub(super) fn left(&self) -> u32 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEAL: Duration = Duration::from_secs(3);

    #[test]
    fn what_a_holder_leaves_goes_to_another() {
        let now = Instant::now();
        let mut schedule = Schedule::new(3);
        assert_eq!(schedule.take(0, now, STEAL), Some(0));
        assert_eq!(schedule.take(1, now, STEAL), Some(1));
        assert_eq!(schedule.take(0, now, STEAL), Some(2));
        assert!(schedule.finish(0));
        schedule.release(0);
        assert_eq!(schedule.take(1, now, STEAL), Some(2));
        assert_eq!(
            schedule.take(1, now, STEAL),
            None,
            "nobody steals from itself"
        );
        assert!(schedule.finish(1) && schedule.finish(2));
        assert_eq!(schedule.left(), 0);
        assert!(!schedule.finish(2), "the second copy is late");
    }

    #[test]
    fn an_idle_holder_steals_the_oldest_once_it_is_old_enough() {
        let now = Instant::now();
        let mut schedule = Schedule::new(2);
        schedule.take(0, now, STEAL);
        schedule.take(0, now + STEAL, STEAL);
        assert_eq!(schedule.take(1, now, STEAL), None);
        assert_eq!(schedule.steal_at(1, STEAL), Some(now + STEAL));
        assert_eq!(schedule.take(1, now + STEAL, STEAL), Some(0));
        assert_eq!(
            schedule.take(2, now + STEAL, STEAL),
            None,
            "two askers are enough"
        );
        schedule.release(0);
        assert!(schedule.finish(0), "the thief still brings it");
        assert_eq!(schedule.take(2, now + STEAL, STEAL), Some(1));
    }

    proptest! {
        #[test]
        fn every_chunk_arrives_however_holders_fail(
            chunks in 0u32..40,
            moves in prop::collection::vec((0usize..3, 0u8..4), 0..400),
        ) {
            let mut now = Instant::now();
            let mut schedule = Schedule::new(chunks);
            let mut asked: [BTreeSet<u32>; 3] = Default::default();
            let mut received = BTreeSet::new();
            for (holder, action) in moves {
                now += Duration::from_secs(1);
                match action {
                    0 => {
                        asked[holder].clear();
                        schedule.release(holder);
                    }
                    1 => if let Some(chunk) = asked[holder].pop_first() {
                        prop_assert_eq!(schedule.finish(chunk), received.insert(chunk));
                    },
                    _ => if let Some(chunk) = schedule.take(holder, now, STEAL) {
                        prop_assert!(!received.contains(&chunk));
                        prop_assert!(asked[holder].insert(chunk));
                    },
                }
                prop_assert_eq!(schedule.left() as usize, chunks as usize - received.len());
            }
            for holder in 0..3 {
                schedule.release(holder);
            }
            while let Some(chunk) = schedule.take(0, now, STEAL) {
                prop_assert!(schedule.finish(chunk));
            }
            prop_assert_eq!(schedule.left(), 0);
        }
    }
}
