//! L1 to L4, R1 to R5, C1 to C3.

use super::{
    fires,
    history::{History, spec},
    is_silent, proof_against,
};
use archipel_protocol::{
    ids::{Digest, Round, Timestamp},
    member::Event,
    message::{Message, VoteKind},
};
use archipel_simulator::{
    invariants::{BandError, band},
    report::LossPoint,
    schedule::{Effect, Links},
    seen::Seen,
};

/// Rounds that all but member 3 certify.
fn go_on_without_the_last(history: &mut History, rounds: u64, us: u64) {
    for _ in 0..rounds {
        history.wait(us);
        let (next, root) = (history.round.next(), history.root);
        (0..3).for_each(|member| history.sign_root(member, next, root));
        (0..3).for_each(|member| history.certify(member, next, root));
        history.round = next;
    }
}

#[test]
fn l1_a_member_stays_behind_after_the_heal() {
    let mut off = spec();
    off.off.push("L2".to_owned());
    for (rounds, us, found) in [
        (8, 60_000_000, true),
        (8, 1_000, false),
        (4, 60_000_000, false),
    ] {
        let mut history = History::with(&[], &off);
        history.see(0, Seen::Healed);
        go_on_without_the_last(&mut history, rounds, us);
        history.checks.end(Timestamp(history.now), true, Some(5));
        match found {
            true => fires(&history, "L1"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l1_nothing_moves_after_the_heal() {
    for (us, found) in [(10_000_000_000, true), (1_000_000, false)] {
        let mut history = History::new();
        history.play();
        history.see(0, Seen::Healed);
        history.wait(us);
        history.checks.end(Timestamp(history.now), false, Some(5));
        match found {
            true => fires(&history, "L1"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l1_the_heal_is_never_reached() {
    for (us, within, found) in [
        (10_000_000_000, Some(5), true),
        (10_000_000_000, None, false),
        (1_000_000, Some(5), false),
    ] {
        let mut history = History::new();
        history.play();
        history.fault(3, &Effect::Down { member: 3 }, true);
        history.wait(us);
        history.checks.end(Timestamp(history.now), false, within);
        match found {
            true => fires(&history, "L1"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l2_a_member_that_came_back_never_catches_up() {
    for (catches_up, cut_off) in [(false, false), (true, false), (false, true)] {
        let mut history = History::new();
        history.see(3, Seen::Crashed);
        go_on_without_the_last(&mut history, 5, 1_000_000);
        history.see(3, Seen::Started { main: 0, side: 0 });
        if cut_off {
            let (from, to, both) = (vec![3], vec![0, 1, 2], true);
            let links = Links { from, to, both };
            history.fault(3, &Effect::Cut { links }, true);
        }
        go_on_without_the_last(&mut history, 2, 1_000_000);
        if catches_up {
            history.certify(3, history.round, history.root);
        }
        go_on_without_the_last(&mut history, 4, 1_000_000);
        is_silent(&history);
        if catches_up {
            history.certify(3, history.round, history.root);
        }
        go_on_without_the_last(&mut history, 1, 400_000_000);
        match !catches_up && !cut_off {
            true => fires(&history, "L2"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l3_a_round_waits_longer_than_a_straggler_may_cost() {
    for (us, disturbed, found) in [
        (400_000_000, false, true),
        (100_000_000, false, false),
        (400_000_000, true, false),
    ] {
        let mut history = History::new();
        history.play_rounds(6);
        if disturbed {
            let (from, to, both) = (vec![1], vec![2], false);
            let links = Links { from, to, both };
            history.fault(1, &Effect::Reset { links }, true);
        }
        (0..4).for_each(|member| history.announce(member));
        history.wait(us);
        let block = history.block(&[]);
        history.agree(&block);
        match found {
            true => fires(&history, "L3"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l4_a_liar_stays_unknown_to_a_member() {
    for (told, found) in [(&[1, 2][..], true), (&[1, 2, 0][..], false)] {
        let mut history = History::with(&[3], &spec());
        history.play();
        let proof = proof_against(&history, 3);
        history.send(2, Message::Evidence(Box::new(proof)), told);
        history.play_rounds(6);
        is_silent(&history);
        history.play_rounds(1);
        match found {
            true => fires(&history, "L4"),
            false => is_silent(&history),
        }
    }
}

#[test]
fn l4_a_member_keeps_two_headers_to_itself() {
    for tells in [false, true] {
        let mut history = History::with(&[3], &spec());
        history.exchange();
        let (round, member) = (history.round, history.keys[3]);
        history.tell(1, Event::Announced { round, member });
        if tells {
            let proof = Box::new(proof_against(&history, 3));
            history.send(1, Message::Evidence(proof), &[0, 2]);
        }
        let block = history.block(&[0, 1, 2, 3]);
        history.agree(&block);
        history.close(&block);
        match tells {
            false => fires(&history, "L4"),
            true => is_silent(&history),
        }
    }
}

#[test]
fn resources_are_limited() {
    let mut limited = spec();
    limited.limits.disk_bytes_round = 1000;
    let uses = |queue, memory, written| Seen::Resources {
        queue,
        memory,
        written,
    };
    for (seen, name) in [
        (uses(0, (1 << 30) + 1, 0), Some("R1")),
        (uses(1001, 0, 0), Some("R2")),
        (uses(0, 0, 1001), Some("R3")),
        (uses(1000, 1 << 30, 1000), None),
    ] {
        let mut history = History::with(&[], &limited);
        history.see(2, seen);
        match name {
            Some(name) => fires(&history, name),
            None => is_silent(&history),
        }
    }
}

#[test]
fn r3_a_long_round_may_write_more() {
    let mut limited = spec();
    limited.limits.disk_bytes_round = 1000;
    let mut history = History::with(&[], &limited);
    history.wait(60_000_000);
    let (queue, memory, written) = (0, 0, 1500);
    let uses = Seen::Resources {
        queue,
        memory,
        written,
    };
    history.see(2, uses);
    is_silent(&history);
}

#[test]
fn r4_r5_messages_are_limited() {
    for (bytes, messages, times, name) in [
        (3_000, 1000, 12, Some("R4")),
        (1 << 20, 30, 12, Some("R5")),
        (3_000, 30, 8, None),
    ] {
        let mut limited = spec();
        limited.limits.bytes_round = bytes;
        limited.limits.messages_second = messages;
        let mut history = History::with(&[], &limited);
        // One vote is 100 bytes to each of three.
        for _ in 0..times {
            history.vote(1, VoteKind::Notarize, Digest([1; 32]));
        }
        match name {
            Some(name) => fires(&history, name),
            None => is_silent(&history),
        }
    }
}

fn curve(losses: &[f64]) -> Vec<LossPoint> {
    let point = |(round, loss): (usize, &f64)| LossPoint {
        round: round as u64,
        sim_us: 0,
        tokens: 0,
        bytes: 0,
        loss: *loss,
    };
    losses.iter().enumerate().map(point).collect()
}

#[test]
fn c1_the_mean_of_the_last_losses_lies_in_the_band() {
    let baseline = [curve(&[4.0, 1.0]), curve(&[4.0, 1.02])];
    let within = band(&[curve(&[4.0, 1.03])], &baseline, 0.02);
    let found = within.map(|band| (band.found, band.expected));
    assert_eq!(found, Ok((1.03, 1.01)));
    assert!(band(&[curve(&[4.0, 0.1])], &baseline, 0.02).is_ok());
    let outside = band(&[curve(&[4.0, 1.05])], &baseline, 0.02);
    assert!(matches!(outside, Err(BandError::Outside(_))), "{outside:?}");
    let nan = band(&[curve(&[4.0, f64::NAN])], &baseline, 0.02);
    assert!(
        matches!(nan, Err(BandError::NotFinite { run: 0, .. })),
        "{nan:?}"
    );
    let empty = band(&[], &baseline, 0.02);
    assert!(matches!(empty, Err(BandError::Empty { .. })), "{empty:?}");
}

#[test]
fn c2_c3_losses_stay_finite_and_near() {
    for (second, name) in [
        (f64::NAN, Some("C2")),
        (f64::INFINITY, Some("C2")),
        (10.1, Some("C3")),
        (9.9, None),
    ] {
        let mut history = History::new();
        for (round, loss) in [(Round(0), 1.0), (Round(1), second)] {
            history.see(0, Seen::Loss { round, loss });
        }
        match name {
            Some(name) => fires(&history, name),
            None => is_silent(&history),
        }
    }
}
