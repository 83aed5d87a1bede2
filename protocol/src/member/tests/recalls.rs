//! Nothing is signed before enough others were heard, and nothing at all after a rollback.

use super::*;

fn answer(edit: impl FnOnce(&mut Recalled)) -> Message {
    let mut recalled = Recalled {
        since: Round(0),
        headers: Vec::new(),
        votes: Vec::new(),
        roots: Vec::new(),
    };
    edit(&mut recalled);
    Message::Recalled(Box::new(recalled))
}

fn nullify(n: u8, round: u64) -> Vote {
    vote(n, ballot(VoteKind::Nullify, round, 0, Digest::default()))
}

fn signs(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| is_signed_by(output, id(1)))
}

/// Whatever a round could ask a signature for.
fn temptations() -> Vec<(u8, Message)> {
    let root = root_of(&founding());
    let mut all: Vec<(u8, Message)> = Vec::new();
    for n in 2..=4 {
        all.push((n, Message::Root(root_vote(n, 0, root))));
        all.push((n, Message::State(certified(0, root))));
        all.push((n, header_message(n)));
        all.push((n, Message::Vote(nullify(n, 0))));
    }
    all
}

/// Everyone else is asked at the start, and again as long as they are silent.
#[test]
fn the_others_are_asked_until_they_answer() {
    let mut member = member(1, Vec::new());
    let asked = |outputs: &[Output]| {
        let asks = outputs.iter().filter_map(|output| match output {
            Output::Send { to, message } => match &**message {
                Message::Ask(Ask::Recall(Round(0))) => Some(*to),
                _ => None,
            },
            _ => None,
        });
        asks.collect::<Vec<_>>()
    };
    let outputs = drain(&mut member);
    assert_eq!(asked(&outputs), [id(2), id(3), id(4)]);
    assert!(!signs(&outputs));
    tell(&mut member, 3, nothing_recalled(Round(0)));
    let (at, _) = member.poll_timeout().expect("it asks again");
    member.handle(at, Input::Timeout);
    assert_eq!(asked(&drain(&mut member)), [id(2), id(4)]);
}

#[test]
fn nothing_is_signed_before_enough_others_were_heard() {
    let mut member = member(1, Vec::new());
    drain(&mut member);
    let mut outputs = Vec::new();
    let answers = [
        ("the first", 2, nothing_recalled(Round(0))),
        ("the same member again", 2, nothing_recalled(Round(0))),
        ("a stranger", 9, nothing_recalled(Round(0))),
        (
            "an answer to another question",
            3,
            nothing_recalled(Round(5)),
        ),
    ];
    for (why, from, answer) in answers {
        outputs.extend(tell(&mut member, from, answer));
        assert_eq!(member.phase(), "recall", "{why}");
    }
    for (from, message) in temptations() {
        outputs.extend(tell(&mut member, from, message));
    }
    for _ in 0..5 {
        let (at, _) = member.poll_timeout().expect("it asks again");
        member.handle(at, Input::Timeout);
        outputs.extend(drain(&mut member));
    }
    assert!(!signs(&outputs), "{outputs:?}");
    let outputs = tell(&mut member, 4, nothing_recalled(Round(0)));
    assert!(signs(&outputs), "two others were heard");
    assert_eq!(
        member.round(),
        Some(Round(0)),
        "what came meanwhile is taken up"
    );
}

fn signing(outputs: &[Output]) -> Option<bool> {
    outputs.iter().find_map(|output| match output {
        Output::Event(Event::Signing { allowed, .. }) => Some(*allowed),
        _ => None,
    })
}

#[test]
fn an_unknown_message_of_its_own_is_a_rollback() {
    let root = Root([9; 32]);
    let mut forged = nullify(1, 3);
    forged.signature = Signature([1; 64]);
    let own_header = signed(
        Header {
            round: Round(2),
            ..header(1)
        },
        1,
    );
    let known = nullify(1, 0);
    let table: Vec<(&str, Message, Option<Round>)> = vec![
        ("nothing", answer(|_| {}), None),
        (
            "a vote",
            answer(|a| a.votes.push(nullify(1, 5))),
            Some(Round(5)),
        ),
        (
            "a header",
            answer(|a| a.headers.push(own_header)),
            Some(Round(2)),
        ),
        (
            "a root",
            answer(|a| a.roots.push(root_vote(1, 4, root))),
            Some(Round(4)),
        ),
        (
            "the highest of many",
            answer(|a| a.votes = vec![nullify(1, 1), nullify(1, 7), nullify(1, 3)]),
            Some(Round(7)),
        ),
        (
            "a vote in its log",
            answer(|a| a.votes.push(known.clone())),
            None,
        ),
        ("a forged vote", answer(|a| a.votes.push(forged)), None),
        (
            "another member's vote",
            answer(|a| a.votes.push(nullify(3, 5))),
            None,
        ),
    ];
    for (why, answer, muted) in table {
        let mut member = member(1, vec![Durable::Vote(known.clone())]);
        drain(&mut member);
        let mut outputs = tell(&mut member, 2, answer);
        outputs.extend(tell(&mut member, 3, nothing_recalled(Round(0))));
        assert_eq!(member.muted, muted, "{why}");
        assert_eq!(signing(&outputs), Some(muted.is_none()), "{why}");
        assert_eq!(signs(&outputs), muted.is_none(), "{why}");
        let logged = outputs.iter().any(|output| {
            matches!(output, Output::Persist(entry) if matches!(**entry, Durable::Muted(_)))
        });
        assert_eq!(logged, muted.is_some(), "{why}: a restart stays silent too");
    }
}

fn rolled_back() -> Member {
    let mut member = member(1, Vec::new());
    drain(&mut member);
    tell(&mut member, 2, answer(|a| a.votes.push(nullify(1, 0))));
    tell(&mut member, 3, nothing_recalled(Round(0)));
    member
}

#[test]
fn a_rolled_back_member_signs_nothing_it_might_have_signed() {
    let mut member = rolled_back();
    let mut outputs = Vec::new();
    for (from, message) in temptations() {
        outputs.extend(tell(&mut member, from, message));
    }
    assert_eq!(member.round(), Some(Round(0)), "it follows all the same");
    for _ in 0..40 {
        let (at, _) = member.poll_timeout().expect("a round has timers");
        member.handle(at, Input::Timeout);
        outputs.extend(drain(&mut member));
    }
    assert!(!signs(&outputs), "{outputs:?}");
    let trains = |output: &Output| matches!(output, Output::Train(_));
    assert!(
        !outputs.iter().any(trains),
        "what cannot be announced is not trained"
    );
}

#[test]
fn a_certified_round_above_ends_the_silence() {
    let mut member = rolled_back();
    let manifest = Manifest {
        round: Round(1),
        schedule: 10,
        ..founding()
    };
    let root = root_of(&manifest);
    tell(&mut member, 2, Message::State(certified(1, root)));
    tell(&mut member, 2, Message::Manifest(Box::new(manifest)));
    let complete = true;
    member.handle(member.now, Input::StateFetched { root, complete });
    let outputs = drain(&mut member);
    assert_eq!((member.round(), member.phase()), (Some(Round(1)), "train"));
    let trains = outputs
        .iter()
        .any(|output| matches!(output, Output::Train(_)));
    assert!(trains, "{outputs:?}");
}

/// What member 1 answers member 4 about its own statements since round 0.
fn recalled_for_4(member: &mut Member) -> Recalled {
    let outputs = tell(member, 4, Message::Ask(Ask::Recall(Round(0))));
    let answer = outputs.into_iter().find_map(|output| match output {
        Output::Send { to, message } if to == id(4) => match &*message {
            Message::Recalled(answer) => Some((**answer).clone()),
            _ => None,
        },
        _ => None,
    });
    answer.expect("a question is answered")
}

/// Member 1 in a round whose block is final, and which it cannot fold yet.
fn decided() -> Member {
    let mut member = in_round_0();
    let finalize = ballot(VoteKind::Finalize, 0, 0, Digest([7; 32]));
    for n in 2..=4 {
        tell(&mut member, n, Message::Vote(vote(n, finalize)));
    }
    let work = member.work.as_ref().expect("in a round");
    assert!(work.simplex.decided().is_some());
    member
}

#[test]
fn a_header_that_comes_after_the_decision_is_remembered_for_its_author() {
    let mut member = decided();
    let mut forged = signed(header(4), 3);
    forged.header.payload_bytes = 99;
    tell(&mut member, 4, Message::Header(Box::new(forged)));
    assert_eq!(recalled_for_4(&mut member).headers, []);
    tell(&mut member, 4, header_message(4));
    let known = recalled_for_4(&mut member);
    assert_eq!(known.headers, [signed(header(4), 4)]);
}

#[test]
fn statements_of_rounds_that_are_over_are_remembered_for_a_while() {
    let mut member = decided();
    let late = [
        header_message(4),
        Message::Vote(nullify(4, 0)),
        Message::Root(root_vote(4, 1, Root([3; 32]))),
    ];
    for (round, remembered) in [(1, 3), (3, 3), (5, 0)] {
        let manifest = Manifest {
            round: Round(round),
            schedule: 10 * round,
            ..founding()
        };
        let root = root_of(&manifest);
        tell(&mut member, 2, Message::State(certified(round, root)));
        member.start_sync(Some(certified(round, root)));
        tell(&mut member, 2, Message::Manifest(Box::new(manifest)));
        let complete = true;
        member.handle(member.now, Input::StateFetched { root, complete });
        drain(&mut member);
        assert_eq!(member.round(), Some(Round(round)));
        for message in late.clone() {
            tell(&mut member, 4, message);
        }
        let known = recalled_for_4(&mut member);
        let votes = known
            .votes
            .iter()
            .filter(|v| v.ballot == nullify(4, 0).ballot);
        let of_round_0 = known.headers.len() + votes.count() + known.roots.len();
        assert_eq!(of_round_0, remembered, "in round {round}");
    }
}
