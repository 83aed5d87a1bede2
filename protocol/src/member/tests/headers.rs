//! Headers and payloads that are refused: each with its own words, and without any effect.

use super::*;
use crate::member::collection::Payload;

type Case = (&'static str, u8, fn(&mut Header), HeaderError);

/// Headers of another place: by whom, in which epoch, from which state, in which form.
fn misplaced() -> Vec<Case> {
    let stranger = HeaderError::Stranger { member: id(9) };
    let epoch = HeaderError::Epoch {
        expected: EPOCH,
        found: Epoch(1),
    };
    let base = HeaderError::WrongBase {
        round: Round(0),
        expected: root_of(&founding()),
        found: Root([9; 32]),
    };
    let codec = HeaderError::Codec {
        expected: 2,
        found: 1,
    };
    let numerics = |found: &str| HeaderError::Numerics {
        expected: "cpu-fma-1".to_owned(),
        found: found.to_owned(),
    };
    vec![
        ("no member", 9, |_| {}, stranger),
        ("another epoch", 2, |h| h.epoch = Epoch(1), epoch),
        ("another base", 2, |h| h.base = Root([9; 32]), base),
        ("another codec", 2, |h| h.codec = 1, codec),
        (
            "another class",
            2,
            |h| h.numerics = "gpu".into(),
            numerics("gpu"),
        ),
        (
            "a class without end",
            2,
            |h| h.numerics = "ü".repeat(20_000),
            numerics(&"ü".repeat(32)),
        ),
    ]
}

/// Headers whose numbers are not those of the plan.
fn miscounted() -> Vec<Case> {
    let limit = 1000;
    let size = |found| HeaderError::PayloadSize { limit, found };
    let steps = |found, tokens| HeaderError::Steps {
        least: 10,
        expected: 10,
        each: 64,
        found,
        tokens,
    };
    let most = u64::MAX;
    vec![
        ("no payload", 2, |h| h.payload_bytes = 0, size(0)),
        ("too large", 2, |h| h.payload_bytes = 1001, size(1001)),
        ("without end", 2, |h| h.payload_bytes = u64::MAX, size(most)),
        ("too few steps", 2, |h| h.steps = 9, steps(9, 640)),
        ("too many", 2, |h| h.steps = u64::MAX, steps(most, 640)),
        ("too many tokens", 2, |h| h.tokens = 641, steps(10, 641)),
        ("no tokens", 2, |h| h.tokens = 0, steps(10, 0)),
    ]
}

#[test]
fn a_header_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut member = in_round_0();
    for (why, n, edit, error) in misplaced().into_iter().chain(miscounted()) {
        let mut wrong = header(n);
        edit(&mut wrong);
        let message = Message::Header(Box::new(signed(wrong, n)));
        let outputs = tell(&mut member, n, message);
        let expected = format!("header: {error}");
        assert_eq!(refusals(&outputs), [(id(n), expected.as_str())], "{why}");
        assert_eq!(outputs.len(), 1, "{why}: {outputs:?}");
    }
    let collection = &member.work.as_ref().expect("in a round").collection;
    assert_eq!(collection.entries().count(), 0);
    let outputs = tell(&mut member, 2, header_message(2));
    assert!(
        refusals(&outputs).is_empty(),
        "the right one is still taken"
    );
    let fetched = outputs
        .iter()
        .any(|output| matches!(output, Output::Fetch(task) if task.payload == BlobHash([2; 32])));
    assert!(fetched, "{outputs:?}");
}

#[test]
fn a_header_is_signed_by_the_member_it_names() {
    let mut member = in_round_0();
    let by_another = signed(header(2), 3);
    let mut changed = signed(header(2), 2);
    changed.header.loss_micro = 1;
    for forged in [by_another, changed] {
        let outputs = tell(&mut member, 3, Message::Header(Box::new(forged)));
        let expected = format!("header: {}", HeaderError::Signature);
        assert_eq!(refusals(&outputs), [(id(2), expected.as_str())]);
        assert_eq!(outputs.len(), 1);
    }
}

#[test]
fn two_headers_of_one_member_are_evidence_and_a_third_is_nothing() {
    let mut member = in_round_0();
    let with_loss = |loss_micro| {
        let header = Header {
            loss_micro,
            ..header(2)
        };
        Message::Header(Box::new(signed(header, 2)))
    };
    let proofs = |outputs: &[Output]| {
        let sent = outputs.iter().filter_map(|output| match output {
            Output::Broadcast(message) => Some(&**message),
            _ => None,
        });
        sent.filter(|message| matches!(message, Message::Evidence(_)))
            .count()
    };
    let first = tell(&mut member, 2, with_loss(1));
    assert_eq!(proofs(&first), 0);
    let again = tell(&mut member, 2, with_loss(1));
    assert!(
        again.is_empty(),
        "a repeated header is nothing new: {again:?}"
    );
    let second = tell(&mut member, 2, with_loss(2));
    assert_eq!(proofs(&second), 1);
    let third = tell(&mut member, 2, with_loss(3));
    assert!(third.is_empty(), "{third:?}");
}

#[test]
fn an_invalid_payload_is_refused_and_never_held() {
    let mut member = in_round_0();
    tell(&mut member, 2, header_message(2));
    let reason = "value 3 of tensor weight is not finite".to_owned();
    let fetched = |n: u8, outcome| Input::Fetched {
        payload: BlobHash([n; 32]),
        outcome,
    };
    let fault = FetchFault::Invalid(reason.clone());
    member.handle(member.now, fetched(2, Err(fault)));
    let outputs = drain(&mut member);
    let expected = format!("payload: {reason}");
    assert_eq!(refusals(&outputs), [(id(2), expected.as_str())]);
    assert_eq!(outputs.len(), 1, "{outputs:?}");

    tell(&mut member, 3, header_message(3));
    member.handle(member.now, fetched(3, Ok(())));
    let mut held = Vec::new();
    for _ in 0..8 {
        let (at, _) = member.poll_timeout().expect("a round has timers");
        member.handle(at, Input::Timeout);
        for output in drain(&mut member) {
            match output {
                Output::Broadcast(message) => {
                    if let Message::Holds(holds) = &*message {
                        held.extend(holds.headers.iter().copied());
                    }
                }
                Output::Fetch(task) => panic!("asked for again: {task:?}"),
                _ => {}
            }
        }
    }
    held.dedup();
    assert_eq!(held, [signed(header(3), 3).header.id(&RUN)]);
    let work = member.work.as_ref().expect("in a round");
    let of_2 = id(2);
    let invalid = work.collection.of(&of_2).map(|entry| entry.payload);
    assert_eq!(invalid.collect::<Vec<_>>(), [Payload::Invalid]);
}

#[test]
fn a_payload_that_nobody_gave_is_asked_for_again_later() {
    let mut member = in_round_0();
    tell(&mut member, 2, header_message(2));
    let input = Input::Fetched {
        payload: BlobHash([2; 32]),
        outcome: Err(FetchFault::Unavailable),
    };
    member.handle(member.now, input);
    assert!(drain(&mut member).is_empty(), "not at once");
    let outputs = loop {
        let (at, why) = member.poll_timeout().expect("a round has timers");
        member.handle(at, Input::Timeout);
        let outputs = drain(&mut member);
        if why == "resend" {
            break outputs;
        }
        let asked = |output: &Output| matches!(output, Output::Fetch(_));
        assert!(!outputs.iter().any(asked), "{why}: before its time");
    };
    let asked = outputs.iter().filter_map(|output| match output {
        Output::Fetch(task) => Some(task.payload),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), [BlobHash([2; 32])]);
}

#[test]
fn bytes_that_are_no_message_are_refused_in_their_own_words() {
    let mut member = in_round_0();
    for (bytes, reason) in [
        (vec![], "a message has at least 2 bytes, found 0"),
        (
            vec![9, 1],
            "wire version 9, this node speaks 1: upgrade the older side",
        ),
        (vec![1, 99], "unknown message kind 99"),
        (
            vec![1, 11, 0, 0],
            "message kind 11: 1 bytes are left over after the value",
        ),
    ] {
        let from = id(3);
        member.handle(member.now, Input::Bytes { from, bytes });
        let outputs = drain(&mut member);
        assert_eq!(refusals(&outputs), [(from, reason)]);
        assert_eq!(outputs.len(), 1);
    }
}
