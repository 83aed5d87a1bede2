//! The addresses of one member, and what each answered last.

use crate::net::{
    Link,
    answer::{Answer, bare},
};
use libp2p::Multiaddr;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Addresses kept for a member beside the charter's; the newest stay.
pub(super) const LEARNED: usize = 8;

/// Where a member may be reached.
pub(super) struct Addresses {
    pinned: Vec<Multiaddr>,
    learned: VecDeque<Multiaddr>,
    answers: BTreeMap<Multiaddr, (Answer, Instant)>,
    /// Whether addresses at which another key answered are left out of the next attempt.
    resting: bool,
}

impl Addresses {
    /// Those that the charter gives.
    pub(super) fn new(pinned: Vec<Multiaddr>) -> Self {
        Self {
            pinned,
            learned: VecDeque::new(),
            answers: BTreeMap::new(),
            resting: false,
        }
    }

    /// Notes an address; true where it is new.
    pub(super) fn learn(&mut self, address: Multiaddr) -> bool {
        if self.all().any(|known| bare(known) == bare(&address)) {
            return false;
        }
        self.learned.push_front(address);
        self.learned.truncate(LEARNED);
        let known: Vec<Multiaddr> = self.all().map(bare).collect();
        self.answers.retain(|address, _| known.contains(address));
        true
    }

    /// Those of the next attempt.
    ///
    /// A dial ends with whoever answers first. An address at which another key answers would hide
    /// all others for ever, so it is left out of every second attempt while there are others.
    pub(super) fn next_attempt(&mut self) -> Vec<Multiaddr> {
        let misled = |address: &&Multiaddr| {
            let answer = self.answers.get(&bare(address));
            let other = |(answer, _): &(Answer, Instant)| {
                matches!(answer, Answer::OtherKey { .. } | Answer::OwnKey)
            };
            answer.is_some_and(other)
        };
        let right: Vec<Multiaddr> = self.all().filter(|a| !misled(a)).cloned().collect();
        let all: Vec<Multiaddr> = self.all().cloned().collect();
        self.resting = !self.resting && !right.is_empty() && right.len() < all.len();
        if self.resting { right } else { all }
    }

    /// Notes what an address answered; one that is not known is not noted.
    pub(super) fn answered(&mut self, address: &Multiaddr, answer: Answer, now: Instant) {
        let address = bare(address);
        if self.all().any(|known| bare(known) == address) {
            self.answers.insert(address, (answer, now));
        }
    }

    /// What each answered last.
    pub(super) fn links(&self, next: Option<Instant>) -> Vec<Link> {
        let link = |address: &Multiaddr| {
            let address = bare(address);
            let answered = self.answers.get(&address);
            let (answer, at) = match answered.cloned() {
                Some((answer, at)) => (answer, Some(at)),
                None => (Answer::Waiting, None),
            };
            Link {
                address,
                answer,
                at,
                next,
            }
        };
        self.all().map(link).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Multiaddr> {
        self.pinned.iter().chain(&self.learned)
    }
}
