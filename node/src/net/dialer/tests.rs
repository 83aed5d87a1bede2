//! When members are dialed, and what is kept of their addresses.

use super::{addresses::LEARNED, *};

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

#[test]
fn a_shut_door_is_tried_ever_more_rarely_until_another_member_opens() {
    let mut now = Instant::now();
    let members = BTreeSet::from([member(2), member(3)]);
    let pinned = [2, 3].map(|byte| (member(byte), vec![address(byte.into())]));
    let mut dialer = Dialer::new(member(1), pinned.to_vec());
    dialer.allow(&members, now);
    let mut expected = FIRST_SHUT;
    for times in 1..=10 {
        now = dialer.next_wake().expect("it goes on for ever");
        for attempt in dialer.due(now) {
            let Attempt::Dial(who, _) = attempt else {
                panic!("both have an address")
            };
            assert!(dialer.shut_out(who, now) >= 1);
        }
        let wait = dialer.next_wake().expect("it goes on for ever") - now;
        if times > 1 {
            assert!(wait <= expected * 3 / 2, "{wait:?} for {expected:?}");
        }
        expected = (expected * 2).min(LAST_SHUT);
    }
    dialer.connected(member(3), now);
    dialer.let_in(member(3), now);
    let wake = dialer.next_wake().expect("the other is still out");
    assert!(wake <= now + FIRST_SHUT, "{:?}", wake - now);
    assert_eq!(dialer.shut_out(member(3), now), 0, "it is connected");
}

#[test]
fn an_address_where_another_key_answers_rests_every_second_time() {
    let now = Instant::now();
    let pinned = vec![(member(2), vec![address(2), address(3)])];
    let mut dialer = Dialer::new(member(1), pinned);
    dialer.allow(&BTreeSet::from([member(2)]), now);
    let answer = Answer::OtherKey { found: None };
    dialer.answered((member(2), &address(2)), answer.clone(), now);
    let mut dialed = Vec::new();
    for _ in 0..4 {
        let now = dialer.next_wake().expect("it goes on for ever");
        for attempt in dialer.due(now) {
            let Attempt::Dial(who, addresses) = attempt else {
                panic!("it has addresses")
            };
            dialed.push(addresses.len());
            dialer.failed(who, now);
        }
    }
    assert_eq!(dialed, [1, 2, 1, 2]);
    let links = dialer.links(&member(2));
    assert_eq!(links[0].answer, answer);
    assert_eq!((&links[1].answer, links[1].at), (&Answer::Waiting, None));
    assert!(links[1].next.is_some());
}
