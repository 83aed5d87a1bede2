//! What waits a little, so that less has to be said: batches of holds, and repeated blocks.

use super::*;

/// Lets timers fire until the member sends holds, and says how long after its present time.
fn until_holds(member: &mut Member) -> u64 {
    let began = member.now;
    loop {
        let (at, _) = member.poll_timeout().expect("a round has timers");
        member.handle(at, Input::Timeout);
        let sent = drain(member).into_iter().any(
            |output| matches!(output, Output::Broadcast(m) if matches!(*m, Message::Holds(_))),
        );
        if sent {
            return at.since(began);
        }
    }
}

/// A payload of member `n` comes at `at`.
fn payload_comes(member: &mut Member, n: u8, at: u64) {
    member.handle(Timestamp(at), Input::Timeout);
    drain(member);
    tell(member, n, header_message(n));
    let input = Input::Fetched {
        payload: BlobHash([n; 32]),
        outcome: Ok(()),
    };
    member.handle(member.now, input);
}

#[test]
fn each_batch_of_holds_is_gathered_longer_but_not_into_the_deadline() {
    let (least, delta) = (settings().hold_batch_us, settings().delta_us);
    let deadline = settings().deadline_ceiling_us;
    for (why, third_at, expected) in [
        ("early in the round", SECOND, 16 * least),
        (
            "near 2Δ before the deadline",
            deadline - 5 * delta / 2,
            delta / 2,
        ),
        ("after that", deadline - delta, least),
    ] {
        let mut member = in_round_0();
        payload_comes(&mut member, 2, 0);
        assert_eq!(until_holds(&mut member), least, "{why}");
        payload_comes(&mut member, 3, SECOND / 5);
        assert_eq!(until_holds(&mut member), 4 * least, "{why}");
        payload_comes(&mut member, 4, third_at);
        assert_eq!(until_holds(&mut member), expected.min(16 * least), "{why}");
    }
}

fn proposals(outputs: &[Output]) -> usize {
    let sent = outputs.iter().filter(
        |output| matches!(output, Output::Broadcast(m) if matches!(**m, Message::Proposal(_))),
    );
    sent.count()
}

/// Member 1 in view 4, its own, after a block was notarized in view 3; what it sent with that.
fn before_repetition() -> (Member, Vec<Output>) {
    let mut member = in_round_0();
    let null = |view| lies::certificate(ballot(VoteKind::Nullify, 0, view, Digest::default()));
    lies::propose(&mut member, 4, 3, vec![null(2), null(1), null(0)]);
    let notarize = ballot(VoteKind::Notarize, 0, 3, lies::empty_block().digest(&RUN));
    let mut outputs = Vec::new();
    for n in 2..=4 {
        outputs.extend(tell(&mut member, n, Message::Vote(vote(n, notarize))));
    }
    let view = member.work.as_ref().map(|work| work.simplex.view());
    assert_eq!(view, Some(View(4)));
    (member, outputs)
}

#[test]
fn a_notarized_block_is_repeated_only_where_it_is_not_final_after_delta() {
    let (mut member, outputs) = before_repetition();
    assert_eq!(proposals(&outputs), 0, "not at once");
    let delta = Timestamp(settings().delta_us);
    member.handle(delta, Input::Timeout);
    assert_eq!(
        proposals(&drain(&mut member)),
        1,
        "finalize votes are missing"
    );

    let (mut member, _) = before_repetition();
    let finalize = ballot(VoteKind::Finalize, 0, 3, lies::empty_block().digest(&RUN));
    for n in 2..=4 {
        tell(&mut member, n, Message::Vote(vote(n, finalize)));
    }
    member.handle(delta, Input::Timeout);
    assert_eq!(proposals(&drain(&mut member)), 0, "the block is final");
}
