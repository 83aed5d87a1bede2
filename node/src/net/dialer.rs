//! Decides whom to dial when, and at which addresses.
//!
//! Every member dials every other one it is not connected to, for ever. A failed attempt doubles
//! the wait, from [`FIRST_WAIT`] to [`LAST_WAIT`]; so does a connection that did not live for
//! [`STEADY`] (a gate that closes it again must not be dialed ten times a second). The wait is
//! lengthened by up to a half, by an amount that follows from the two keys and the attempt, and
//! the member with the higher key starts later: two members that start in the same instant mostly
//! end with one connection, and a crowd does not dial in step.

use archipel_protocol::{
    ids::MemberId,
    random::{Stream, derive_key},
};
use libp2p::Multiaddr;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// Wait after the first failure.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait, before it is lengthened.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lived this long clears the count of failures.
pub(super) const STEADY: Duration = Duration::from_secs(10);
/// Head start of the member with the lower key.
const HEAD_START: Duration = Duration::from_millis(150);
/// Addresses kept for a member beside the charter's; the newest stay.
const LEARNED: usize = 8;

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
    learned: VecDeque<Multiaddr>,
    phase: Phase,
    failures: u32,
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
            self.entries.entry(member).or_insert_with(|| Entry {
                learned: VecDeque::new(),
                phase: Phase::Waiting { until },
                failures: 0,
            });
        }
    }

    /// Notes an address of a member; a new one is tried without waiting longer.
    pub(super) fn learn(&mut self, member: MemberId, address: Multiaddr, now: Instant) {
        let pinned = self
            .pinned
            .get(&member)
            .is_some_and(|known| known.contains(&address));
        let Some(entry) = self.entries.get_mut(&member) else {
            return;
        };
        if pinned || entry.learned.contains(&address) {
            return;
        }
        entry.learned.push_front(address);
        entry.learned.truncate(LEARNED);
        if let Phase::Waiting { until } = &mut entry.phase {
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
            let mut addresses = self.pinned.get(&member).cloned().unwrap_or_default();
            addresses.extend(entry.learned.iter().cloned());
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
}

impl Entry {
    fn fail(&mut self, me: MemberId, member: MemberId, now: Instant) {
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_WAIT);
        self.failures = self.failures.saturating_add(1);
        let until = now + wait + jitter(me, member, self.failures, wait / 2);
        self.phase = Phase::Waiting { until };
    }
}

/// A duration below `span` that follows from the pair and the attempt.
fn jitter(me: MemberId, member: MemberId, attempt: u32, span: Duration) -> Duration {
    let parts: [&[u8]; 3] = [&me.0, &member.0, &attempt.to_be_bytes()];
    let mut stream = Stream::new(derive_key("archipel/dial/1", &parts));
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(stream.below(micros.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(byte: u8) -> MemberId {
        MemberId([byte; 32])
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}")
            .parse()
            .expect("a valid address")
    }

    fn dialer(now: Instant) -> Dialer {
        let pinned = vec![(member(2), vec![address(2)])];
        let mut dialer = Dialer::new(member(1), pinned);
        dialer.allow(&BTreeSet::from([member(1), member(2)]), now);
        dialer
    }

    #[test]
    fn waits_double_up_to_the_longest_and_never_end() {
        let mut now = Instant::now();
        let mut dialer = dialer(now);
        let mut expected = FIRST_WAIT;
        for attempt in 0..40 {
            now = dialer.next_wake().expect("it goes on for ever");
            let dial = Attempt::Dial(member(2), vec![address(2)]);
            assert_eq!(dialer.due(now), vec![dial], "attempt {attempt}");
            assert_eq!(dialer.next_wake(), None, "an attempt is under way");
            dialer.failed(member(2), now);
            let wait = dialer.next_wake().expect("it goes on for ever") - now;
            assert!(
                wait >= expected && wait <= expected * 3 / 2,
                "{wait:?} for {expected:?}"
            );
            expected = (expected * 2).min(LAST_WAIT);
        }
    }

    #[test]
    fn a_steady_connection_clears_the_failures_and_a_brief_one_does_not() {
        for (lived, steady) in [(STEADY, true), (STEADY - Duration::from_millis(1), false)] {
            let mut now = Instant::now();
            let mut dialer = dialer(now);
            for _ in 0..6 {
                now = dialer.next_wake().expect("not connected");
                dialer.due(now);
                dialer.failed(member(2), now);
            }
            dialer.connected(member(2), now);
            assert_eq!(dialer.next_wake(), None);
            now += lived;
            dialer.disconnected(member(2), now);
            let wait = dialer.next_wake().expect("not connected") - now;
            assert_eq!(
                wait <= FIRST_WAIT * 3 / 2,
                steady,
                "{wait:?} after {lived:?}"
            );
        }
    }

    #[test]
    fn a_late_failure_does_not_undo_a_connection() {
        let now = Instant::now();
        let mut dialer = dialer(now);
        dialer.due(dialer.next_wake().expect("not connected"));
        dialer.connected(member(2), now);
        dialer.failed(member(2), now);
        assert_eq!(dialer.next_wake(), None);
    }

    #[test]
    fn a_member_without_address_is_looked_for_and_a_new_address_tried_at_once() {
        let mut now = Instant::now();
        let mut dialer = Dialer::new(member(1), Vec::new());
        dialer.allow(&BTreeSet::from([member(3)]), now);
        for _ in 0..10 {
            now = dialer.next_wake().expect("not connected");
            assert_eq!(dialer.due(now), vec![Attempt::Find(member(3))]);
        }
        dialer.learn(member(3), address(9), now);
        let wake = dialer.next_wake().expect("not connected");
        assert!(wake <= now + FIRST_WAIT);
        assert_eq!(
            dialer.due(wake),
            vec![Attempt::Dial(member(3), vec![address(9)])]
        );
    }

    #[test]
    fn learned_addresses_are_bounded_and_strangers_are_not_noted() {
        let now = Instant::now();
        let mut dialer = dialer(now);
        for port in 0..1000 {
            dialer.learn(member(2), address(port), now);
            dialer.learn(member(7), address(port), now);
        }
        let wake = dialer.next_wake().expect("not connected");
        let attempts = dialer.due(wake);
        let [Attempt::Dial(_, addresses)] = attempts.as_slice() else {
            panic!("one dial expected, found {attempts:?}")
        };
        assert_eq!(addresses.len(), 1 + LEARNED);
        assert_eq!(addresses[1], address(999));
        dialer.allow(&BTreeSet::new(), now);
        assert_eq!(dialer.next_wake(), None);
    }
}
