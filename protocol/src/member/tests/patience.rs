//! What waits a little, so that less has to be said: batches of holds, repeated blocks, and
//! everything that is sent again.

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

/// Messages for everybody among the outputs.
fn broadcasts(outputs: &[Output]) -> usize {
    let sent = outputs
        .iter()
        .filter(|output| matches!(output, Output::Broadcast(_)));
    sent.count()
}

/// Member 1 with all updates and a quorum of holds, and nobody that votes with it.
fn without_a_quorum() -> Member {
    let mut member = in_round_0();
    for n in [2, 3, 4] {
        payload_comes(&mut member, n, 0);
    }
    let ids = (2..=4).map(|n| header(n).id(&RUN));
    let mut ids: Vec<Digest> = ids.collect();
    ids.sort();
    for n in [2, 3, 4] {
        let holds = Holds::signed(&RUN, EPOCH, Round(0), ids.clone(), &signer(n));
        tell(&mut member, n, Message::Holds(holds));
    }
    member
}

/// Lets timers fire until `until`, and gives all that was sent meanwhile.
fn until(member: &mut Member, until: Timestamp) -> Vec<Output> {
    let mut outputs = Vec::new();
    while let Some((at, _)) = member.poll_timeout().filter(|(at, _)| *at <= until) {
        member.handle(at, Input::Timeout);
        outputs.extend(drain(member));
    }
    outputs
}

#[test]
fn what_is_sent_again_is_bounded_however_long_there_is_no_quorum() {
    let mut member = without_a_quorum();
    let outputs = until(&mut member, Timestamp(3600 * SECOND));
    let of = |n: u8| {
        let holds = outputs.iter().filter(|output| {
            matches!(output, Output::Broadcast(m)
                if matches!(&**m, Message::Holds(holds) if holds.member == id(n)))
        });
        holds.count()
    };
    let longest = settings().longest_pause_us();
    let resends = (3600 * SECOND / longest) as usize + 5;
    let most = [of(2), of(3), of(4)].into_iter().max();
    assert!(most <= Some(resends), "{most:?} times in {resends} resends");
    let sent = broadcasts(&outputs);
    assert!(
        sent <= 9 * resends + 8,
        "{sent} messages in {resends} resends"
    );
}

#[test]
fn a_member_that_starts_again_is_sent_everything_soon_but_not_for_ever() {
    let mut member = without_a_quorum();
    until(&mut member, Timestamp(600 * SECOND));
    let soon = member.now.after(settings().resend_us);
    assert_eq!(broadcasts(&until(&mut member, soon)), 0, "in a long pause");
    tell(&mut member, 2, Message::Ask(Ask::Recall(Round(0))));
    let soon = member.now.after(settings().resend_us);
    let outputs = until(&mut member, soon);
    assert!(broadcasts(&outputs) > 0, "{outputs:?}");

    let resends = |member: &mut Member, asking: bool| {
        let begun = member.now;
        let mut sent = 0;
        for step in 0..600 {
            if asking {
                tell(member, 2, Message::Ask(Ask::Recall(Round(0))));
            }
            let outputs = until(member, begun.after(step * SECOND / 10));
            sent += broadcasts(&outputs);
        }
        sent
    };
    let (quiet, asked) = (resends(&mut member, false), resends(&mut member, true));
    assert!(
        asked <= 6 * quiet,
        "{asked} messages, {quiet} when not asked"
    );
}

#[test]
fn pauses_double_up_to_16_intervals_or_a_64th_of_a_long_deadline() {
    let long = Settings {
        deadline_ceiling_us: 6400 * SECOND,
        ..settings()
    };
    for (why, settings, resends, expected) in [
        ("the first", settings(), 0, SECOND / 2),
        ("the third", settings(), 2, 2 * SECOND),
        ("the longest", settings(), 4, 8 * SECOND),
        ("and ever after", settings(), u32::MAX, 8 * SECOND),
        ("rounds of hours", long.clone(), 4, 8 * SECOND),
        ("their longest", long, 40, 100 * SECOND),
    ] {
        assert_eq!(settings.pause_us(resends), expected, "{why}");
    }
}

/// News keep pushing the moment away at which everything is said again. A motion that was lost must
/// not wait for rounds to stand still.
#[test]
fn motions_are_said_again_in_every_round_until_they_are_in_force() {
    let mut member = in_round_0();
    let act = crate::ledger::Act::Remove { id: id(4) };
    member.handle(member.now, Input::Operator(Request::Propose(act)));
    let said = |outputs: Vec<Output>| {
        let motions = outputs.into_iter().filter(
            |output| matches!(output, Output::Broadcast(m) if matches!(**m, Message::Motion(_))),
        );
        motions.count()
    };
    assert_eq!(said(drain(&mut member)), 2, "the proposal, and its consent");
    for round in 1..4 {
        member.certified = Some(certified(round, root_of(&founding())));
        member.enter_round();
        assert_eq!(said(drain(&mut member)), 2, "round {round}");
    }
}
