//! Who was refused at the gate, counted by key, and how often that is told.

use crate::net::{Multiaddr, RefusedKey};
use archipel_protocol::ids::MemberId;
use std::time::{Duration, Instant};

/// Keys that are counted apart; of more, the one that was refused the longest ago is forgotten.
const KEYS: usize = 32;
/// Least time between two tellings of one key.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Messages that were dropped because a queue was full.
#[derive(Default)]
pub(super) struct Slow {
    lost: u64,
    told: Option<Instant>,
}

impl Slow {
    /// Counts lost messages; returns their number where it is time to tell it.
    pub(super) fn lose(&mut self, lost: u64, now: Instant) -> Option<u64> {
        self.lost += lost;
        let age = self.told.map(|told| now.duration_since(told));
        if age.is_some_and(|age| age < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(self.lost)
    }
}

/// The refused keys.
#[derive(Default)]
pub(super) struct Refusals {
    keys: Vec<Counted>,
    told: Option<Instant>,
}

struct Counted {
    refused: RefusedKey,
    told: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal; returns it where it is time to tell of this key.
    ///
    /// A new key is told of at once, at most one a second: keys cost nothing to make.
    pub(super) fn count(
        &mut self,
        member: Option<MemberId>,
        address: Multiaddr,
        now: Instant,
    ) -> Option<RefusedKey> {
        let place = self
            .keys
            .iter()
            .position(|known| known.refused.member == member);
        let place = place.unwrap_or_else(|| self.make_room(member, &address, now));
        let known = &mut self.keys[place];
        known.refused.times += 1;
        known.refused.address = address;
        known.refused.last = now;
        let since = |told: Option<Instant>| told.map(|told| now.duration_since(told));
        let again = since(known.told).is_none_or(|age| age >= TOLD_EVERY);
        let calm = since(self.told).is_none_or(|age| age >= Duration::from_secs(1));
        if !again || !calm {
            return None;
        }
        known.told = Some(now);
        self.told = Some(now);
        Some(known.refused.clone())
    }

    /// All of them, in the order in which they first came.
    pub(super) fn all(&self) -> Vec<RefusedKey> {
        self.keys
            .iter()
            .map(|known| known.refused.clone())
            .collect()
    }

    fn make_room(&mut self, member: Option<MemberId>, address: &Multiaddr, now: Instant) -> usize {
        if self.keys.len() >= KEYS {
            let oldest = (0..self.keys.len()).min_by_key(|&at| self.keys[at].refused.last);
            self.keys.remove(oldest.expect("there are some"));
        }
        self.keys.push(Counted {
            refused: RefusedKey {
                member,
                address: address.clone(),
                times: 0,
                last: now,
            },
            told: None,
        });
        self.keys.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/10.1.2.3/udp/4001/quic-v1"
            .parse()
            .expect("an address")
    }

    #[test]
    fn a_key_is_told_at_once_and_then_once_a_minute_with_its_count() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..=120 {
            let now = start + Duration::from_secs(second);
            for _ in 0..8 {
                let refused = refusals.count(Some(MemberId([3; 32])), address(), now);
                told.extend(refused.map(|refused| (second, refused.times)));
            }
        }
        assert_eq!(told, [(0, 1), (60, 8 * 60 + 1), (120, 8 * 120 + 1)]);
    }

    #[test]
    fn keys_that_are_made_by_the_thousand_fill_neither_memory_nor_the_log() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let told = (0..10_000u64).filter_map(|key| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&key.to_be_bytes());
            let now = now + Duration::from_millis(key);
            refusals.count(Some(MemberId(bytes)), address(), now)
        });
        assert_eq!(told.count(), 10);
        assert_eq!(refusals.all().len(), KEYS);
    }

    #[test]
    fn lost_messages_are_told_once_a_minute() {
        let (mut slow, start) = (Slow::default(), Instant::now());
        let tellings = (0..100).filter_map(|s| slow.lose(5, start + Duration::from_secs(s)));
        assert_eq!(tellings.collect::<Vec<_>>(), [5, 305]);
    }
}
