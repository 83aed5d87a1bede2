//! Decides whom to dial when, and at which addresses.
//!
//! Every member dials every other one it is not connected to, for ever. A failed attempt doubles
//! the wait, from [`FIRST_WAIT`] to [`LAST_WAIT`]; so does a connection that did not live for
//! [`STEADY`]. Where the other side shuts the door after the handshake, time alone helps: the wait
//! goes from [`FIRST_SHUT`] to [`LAST_SHUT`], and ends early once another member lets this one in,
//! because a member is admitted everywhere at about the same time. A wait is lengthened by up to
//! a half, by an amount that follows from the two keys and the attempt, and the member with the
//! higher key starts later: two members that start in the same instant mostly end with one
//! connection, and a crowd does not dial in step.

use super::{Link, answer::Answer};
use archipel_protocol::{
    ids::MemberId,
    random::{Stream, derive_key},
};
use libp2p::Multiaddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

mod addresses;
#[cfg(test)]
mod tests;

use addresses::Addresses;

/// Wait after the first failure.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait, before it is lengthened.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(30);
/// Wait after the other side has shut the door once.
pub(super) const FIRST_SHUT: Duration = Duration::from_secs(1);
/// Longest wait where the other side shuts the door.
pub(super) const LAST_SHUT: Duration = Duration::from_secs(60);
/// A connection that lived this long clears the count of failures.
pub(super) const STEADY: Duration = Duration::from_secs(10);
/// Head start of the member with the lower key.
const HEAD_START: Duration = Duration::from_millis(150);

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Dial a member at these addresses.
    Dial(MemberId, Vec<Multiaddr>),
    /// No address of this member is known: ask others for one.
    Find(MemberId),
}

/// Whom to dial when. Call [`Self::due`] whenever [`Self::next_wake`] has passed.
pub(super) struct Dialer {
    me: MemberId,
    pinned: BTreeMap<MemberId, Vec<Multiaddr>>,
    entries: BTreeMap<MemberId, Entry>,
}

struct Entry {
    addresses: Addresses,
    phase: Phase,
    failures: u32,
    /// How often in a row the other side shut the door after the handshake.
    shut: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting { until: Instant },
    Dialing,
    Connected { since: Instant },
}

impl Dialer {
    /// A dialer for `me` that knows the charter's addresses, and dials nobody yet.
    pub(super) fn new(me: MemberId, pinned: Vec<(MemberId, Vec<Multiaddr>)>) -> Self {
        Self {
            me,
            pinned: pinned.into_iter().collect(),
            entries: BTreeMap::new(),
        }
    }

    /// Replaces the set of members to stay connected to.
    pub(super) fn allow(&mut self, members: &BTreeSet<MemberId>, now: Instant) {
        self.entries.retain(|member, _| members.contains(member));
        for &member in members.iter().filter(|member| **member != self.me) {
            let start = if self.me < member {
                Duration::ZERO
            } else {
                HEAD_START
            };
            let until = now + start + jitter(self.me, member, 0, FIRST_WAIT);
            let pinned = self.pinned.get(&member);
            self.entries.entry(member).or_insert_with(|| Entry {
                addresses: Addresses::new(pinned.cloned().unwrap_or_default()),
                phase: Phase::Waiting { until },
                failures: 0,
                shut: 0,
            });
        }
    }

    /// Notes an address of a member; a new one is tried without waiting longer.
    pub(super) fn learn(&mut self, member: MemberId, address: Multiaddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&member) else {
            return;
        };
        if entry.addresses.learn(address)
            && entry.shut == 0
            && let Phase::Waiting { until } = &mut entry.phase
        {
            *until = (*until).min(now + FIRST_WAIT);
        }
    }

    /// Returns the attempts that are due and counts them as begun.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for (&member, entry) in &mut self.entries {
            if !matches!(entry.phase, Phase::Waiting { until } if until <= now) {
                continue;
            }
            let addresses = entry.addresses.next_attempt();
            if addresses.is_empty() {
                entry.fail(self.me, member, now);
                attempts.push(Attempt::Find(member));
            } else {
                entry.phase = Phase::Dialing;
                attempts.push(Attempt::Dial(member, addresses));
            }
        }
        attempts
    }

    /// When [`Self::due`] has something next; `None` where all are connected or being dialed.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let waits = self.entries.values().filter_map(|entry| match entry.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing | Phase::Connected { .. } => None,
        });
        waits.min()
    }

    /// Notes what an address of a member answered.
    pub(super) fn answered(
        &mut self,
        (member, address): (MemberId, &Multiaddr),
        answer: Answer,
        now: Instant,
    ) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.addresses.answered(address, answer, now);
        }
    }

    /// What the addresses of a member answered last, and when they are tried next.
    pub(super) fn links(&self, member: &MemberId) -> Vec<Link> {
        let Some(entry) = self.entries.get(member) else {
            return Vec::new();
        };
        let next = match entry.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing | Phase::Connected { .. } => None,
        };
        entry.addresses.links(next)
    }

    /// Notes that an attempt failed. A member that has connected meanwhile stays connected.
    pub(super) fn failed(&mut self, member: MemberId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&member)
            && entry.phase == Phase::Dialing
        {
            entry.fail(self.me, member, now);
        }
    }

    /// Notes that a member is connected, whoever dialed.
    pub(super) fn connected(&mut self, member: MemberId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&member)
            && !matches!(entry.phase, Phase::Connected { .. })
        {
            entry.phase = Phase::Connected { since: now };
        }
    }

    /// Notes that the last connection to a member is gone.
    pub(super) fn disconnected(&mut self, member: MemberId, now: Instant) {
        let Some(entry) = self.entries.get_mut(&member) else {
            return;
        };
        if let Phase::Connected { since } = entry.phase {
            if now.duration_since(since) >= STEADY {
                entry.failures = 0;
            }
            entry.fail(self.me, member, now);
        }
    }

    /// Notes that a member let this one in: others who did not are asked again soon.
    pub(super) fn let_in(&mut self, member: MemberId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.shut = 0;
        }
        for entry in self.entries.values_mut().filter(|entry| entry.shut > 0) {
            if let Phase::Waiting { until } = &mut entry.phase {
                *until = (*until).min(now + FIRST_SHUT);
            }
        }
    }

    /// Notes that a member shut the door after a good handshake; returns how often in a row. One
    /// that is connected otherwise has only closed one connection of several.
    pub(super) fn shut_out(&mut self, member: MemberId, now: Instant) -> u32 {
        let entry = self.entries.get_mut(&member);
        let away = |entry: &&mut Entry| !matches!(entry.phase, Phase::Connected { .. });
        let Some(entry) = entry.filter(away) else {
            return 0;
        };
        entry.shut = entry.shut.saturating_add(1);
        entry.wait(
            now,
            doubled(FIRST_SHUT, entry.shut - 1, LAST_SHUT),
            (self.me, member),
        );
        entry.shut
    }
}

impl Entry {
    fn fail(&mut self, me: MemberId, member: MemberId, now: Instant) {
        let wait = doubled(FIRST_WAIT, self.failures, LAST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.wait(now, wait, (me, member));
    }

    fn wait(&mut self, now: Instant, wait: Duration, (me, member): (MemberId, MemberId)) {
        let attempt = self.failures.saturating_add(self.shut);
        let until = now + wait + jitter(me, member, attempt, wait / 2);
        self.phase = Phase::Waiting { until };
    }
}

fn doubled(first: Duration, times: u32, last: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(last)
}

/// A duration below `span` that follows from the pair and the attempt.
fn jitter(me: MemberId, member: MemberId, attempt: u32, span: Duration) -> Duration {
    let parts: [&[u8]; 3] = [&me.0, &member.0, &attempt.to_be_bytes()];
    let mut stream = Stream::new(derive_key("archipel/dial/1", &parts));
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(stream.below(micros.max(1)))
}
