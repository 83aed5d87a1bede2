use super::*;
use crate::{scenario::Scenario, schedule::Links};

fn network() -> Network {
    Network::new(&Scenario::plain(1, 4, 1), 1)
}

fn links(from: &[u32], to: &[u32], both: bool) -> Links {
    let (from, to) = (from.to_vec(), to.to_vec());
    Links { from, to, both }
}

fn arrivals(network: &mut Network, from: u32, to: u32, messages: u64) -> Vec<Option<Arrival>> {
    let send = |n| network.send(from, to, 100, Timestamp(n * 1_000_000))[0];
    (0..messages).map(send).collect()
}

#[test]
fn a_message_takes_latency_jitter_and_its_length_over_both_rates() {
    let all = arrivals(&mut network(), 0, 1, 200);
    for (n, arrival) in all.iter().enumerate() {
        let took = arrival.expect("nothing is lost").at.0 - n as u64 * 1_000_000;
        // 100 bytes at 125 MB/s are one microsecond, rounded up, each way.
        assert!((20_002..=30_002).contains(&took), "{took}");
    }
}

#[test]
fn a_fault_moves_no_draw_of_another_link_or_message() {
    let quiet = arrivals(&mut network(), 0, 1, 300);
    let mut disturbed = network();
    let loss = Effect::Loss {
        links: links(&[0], &[1], false),
        probability: 0.3,
    };
    disturbed.begin(0, &loss, Timestamp(0));
    let lossy = arrivals(&mut disturbed, 0, 1, 300);
    let lost = lossy.iter().filter(|a| a.is_none()).count();
    assert!((60..120).contains(&lost), "{lost} of 300 at 0.3");
    let same = |(a, b): (&Option<Arrival>, &Option<Arrival>)| b.is_none() || a == b;
    assert!(quiet.iter().zip(&lossy).all(same));
}

#[test]
fn a_one_way_cut_cuts_one_way_and_what_is_under_way() {
    let mut network = network();
    let cut = Effect::Cut {
        links: links(&[0], &[1, 2], false),
    };
    network.begin(3, &cut, Timestamp(5));
    assert!(network.is_cut(0, 1) && network.is_cut(0, 2));
    assert!(!network.is_cut(1, 0) && !network.is_cut(0, 3) && !network.is_cut(1, 2));
    assert!(network.loses(0, 1, Timestamp(1)));
    assert_eq!(network.send(0, 1, 10, Timestamp(9)), [None; 2]);
    network.end(3, &cut, Timestamp(9));
    assert!(network.send(0, 1, 10, Timestamp(9))[0].is_some());
}

#[test]
fn a_reset_loses_what_left_before_it_alone() {
    let mut network = network();
    let reset = Effect::Reset {
        links: links(&[0], &[1], true),
    };
    network.begin(0, &reset, Timestamp(50));
    assert!(network.loses(1, 0, Timestamp(49)));
    assert!(!network.loses(1, 0, Timestamp(50)));
}

#[test]
fn messages_wait_for_the_receivers_link_as_they_arrive_and_not_as_they_left() {
    let mut scenario = Scenario::plain(1, 4, 1);
    scenario.members[2].down = 1_000_000;
    scenario.network.jitter_us = 0;
    scenario.network.latency_us[0][2] = 200_000;
    let mut network = Network::new(&scenario, 1);
    let mut arrives = |from, sent| network.send(from, 2, 1000, Timestamp(sent))[0];
    let (far, near) = (arrives(0, 0), arrives(1, 1));
    let (far, near) = (far.expect("sent").at, near.expect("sent").at);
    assert!(near.0 + 150_000 < far.0, "{near:?} {far:?}");
    assert_eq!(network.enter(2, 1000, near), Entry::Passed);
    let behind = network.enter(2, 1000, near.after(400));
    assert_eq!(
        behind,
        Entry::Waits(near.after(1000)),
        "the second passes after the first"
    );
    assert_eq!(network.enter(2, 1000, far), Entry::Passed, "long over");
    network.pass(1, 2, 1 << 30, Timestamp(0));
    assert_eq!(
        network.enter(2, 1000, far.after(1000)),
        Entry::Passed,
        "no bulk in the way"
    );
}

#[test]
fn what_waits_for_a_slow_receiver_is_bounded_and_passes_faster_once_it_is_fast() {
    let mut scenario = Scenario::plain(1, 4, 1);
    scenario.members[2].queue = 5_000;
    let mut network = Network::new(&scenario, 1);
    let slow = Effect::Bandwidth {
        member: 2,
        up: None,
        down: Some(1_000),
    };
    network.begin(0, &slow, Timestamp(0));
    let now = Timestamp(1_000_000);
    assert_eq!(network.enter(2, 1000, now), Entry::Passed);
    for n in 1..=5 {
        let then = Entry::Waits(now.after(n * 1_000_000));
        assert_eq!(network.enter(2, 1000, now), then);
    }
    assert_eq!(
        network.enter(2, 1000, now),
        Entry::Dropped,
        "5,000 bytes wait"
    );
    network.end(0, &slow, now);
    let soon = now.after(30);
    let Entry::Waits(then) = network.enter(2, 1000, soon) else {
        panic!("others are before it");
    };
    assert!(then < now.after(100), "{then:?}");
}

#[test]
fn a_full_queue_drops_and_a_relay_takes_the_way_round() {
    let mut scenario = Scenario::plain(1, 4, 1);
    scenario.members[0].up = 1_000;
    scenario.members[0].queue = 2_000;
    let mut network = Network::new(&scenario, 1);
    let sent = (0..10).filter(|_| network.send(0, 1, 500, Timestamp(0))[0].is_some());
    assert_eq!(sent.count(), 5, "500 bytes in service, 2,000 waiting");

    let relay = Effect::Relay {
        links: links(&[1], &[2], true),
        through: 3,
    };
    network.begin(0, &relay, Timestamp(0));
    assert_eq!(network.latency_us(1, 2), 40_000);
    let arrival = network.send(1, 2, 1, Timestamp(0))[0].expect("relayed");
    assert!(arrival.at.0 >= 40_000);
}
