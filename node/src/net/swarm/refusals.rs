//! Who was refused at the gate, counted by key, and how often that is told.

use crate::net::{Multiaddr, RefusedKey};
use archipel_protocol::ids::MemberId;
use std::time::{Duration, Instant};

/// Keys that are counted apart; of more, the one that was refused the longest ago is forgotten.
const KEYS: usize = 32;
/// Least time between two tellings of one key.
const TOLD_EVERY: Duration = Duration::from_secs(60);

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
