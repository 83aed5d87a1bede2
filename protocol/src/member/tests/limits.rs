//! However much one peer sends, what is kept stays bounded.

use super::*;
use crate::message::Evidence;
use crate::message::{Holds, Present};

/// Entries kept because of messages, as far as they are not votes of members: those are bounded
/// by the view window of the voting machine.
fn kept(member: &Member) -> usize {
    let work = member.work.as_ref().expect("in a round");
    let holds = work.collection.all_holds().map(|holds| holds.headers.len());
    work.collection.entries().count()
        + holds.sum::<usize>()
        + work.proposals.len()
        + work.blocks.len()
        + work.presents.len()
        + member.ahead.len()
        + member.proofs.pending().len()
        + member.motions.own_messages().len()
        + member.amendments().len()
        + member.told.len()
        + member.outputs.len()
}

fn digest(n: u32) -> Digest {
    let mut digest = Digest([0xaa; 32]);
    digest.0[..4].copy_from_slice(&n.to_be_bytes());
    digest
}

/// Validly signed junk of member 4, a different piece for every number.
fn junk(n: u32) -> Vec<Message> {
    let me = signer(4);
    let next = ballot(VoteKind::Notarize, 1, n, digest(n));
    let far = ballot(VoteKind::Notarize, 2 + u64::from(n), n, digest(n));
    let with_loss = Header {
        loss_micro: i64::from(n),
        ..header(4)
    };
    let ahead = Header {
        round: Round(1),
        ..with_loss.clone()
    };
    let act = crate::ledger::Act::Remove {
        id: id(1 + (n % 3) as u8),
    };
    let name = crate::ledger::Act::Admit {
        id: MemberId(digest(n).0),
        name: format!("friend-{n}"),
    };
    let motion = |act| {
        let amendment = crate::ledger::Amendment::signed(&RUN, EPOCH, act, &me);
        Message::Motion(Box::new(crate::message::Motion::Propose(amendment)))
    };
    let two = |digest| vote(4, ballot(VoteKind::Notarize, 0, 5, digest));
    let proof = Evidence::TwoNotarizations(two(digest(n)), two(digest(n + 1)));
    let headers = vec![digest(3 * n), digest(3 * n + 1), digest(3 * n + 2)];
    vec![
        Message::Header(Box::new(signed(with_loss, 4))),
        Message::Header(Box::new(signed(ahead, 4))),
        Message::Holds(Holds::signed(&RUN, EPOCH, Round(0), headers, &me)),
        Message::Present(Present::signed(&RUN, EPOCH, Round(0), &me)),
        Message::Present(Present::signed(&RUN, EPOCH, Round(1), &me)),
        Message::Vote(Vote::signed(&RUN, next, &me)),
        Message::Vote(Vote::signed(&RUN, far, &me)),
        Message::Root(root_vote(4, 2, Root(digest(n).0))),
        Message::Evidence(Box::new(proof)),
        motion(act),
        motion(name),
        Message::Ask(Ask::Final(Round(n.into()))),
        Message::Ask(Ask::Block(Round(0), digest(n))),
    ]
}

#[test]
fn a_flood_of_one_peer_leaves_little_behind() {
    let mut member = in_round_0();
    let flood = |member: &mut Member, numbers: std::ops::Range<u32>| {
        for message in numbers.flat_map(junk) {
            tell(member, 4, message);
        }
        kept(member)
    };
    let after_a_little = flood(&mut member, 0..60);
    let after_much = flood(&mut member, 60..300);
    assert!(after_a_little > 0, "something of it is worth keeping");
    assert!(
        after_much <= after_a_little + 1,
        "{after_a_little} → {after_much}"
    );
    assert!(after_much < 64, "{after_much}");
    let outputs = tell(&mut member, 2, header_message(2));
    let fetched = outputs
        .iter()
        .any(|output| matches!(output, Output::Fetch(_)));
    assert!(fetched, "the others are served as before");
}

/// Said again in ever larger lists, or in lists that overlap, what a member holds counts once.
#[test]
fn holds_are_bounded_by_what_they_name_and_not_by_how_often() {
    let mut member = in_round_0();
    let mut says = |numbers: &[u32]| {
        let mut ids: Vec<Digest> = numbers.iter().copied().map(digest).collect();
        ids.sort();
        let holds = Holds::signed(&RUN, EPOCH, Round(0), ids, &signer(2));
        tell(&mut member, 2, Message::Holds(holds));
        let work = member.work.as_ref().expect("in a round");
        let kept = work.collection.signed_holds(&id(2)).iter();
        let holder = |n: &u32| work.collection.holders(&digest(*n)).any(|by| *by == id(2));
        (kept.count(), numbers.iter().all(holder))
    };
    // Four voters may announce two updates each: eight may be named.
    assert_eq!(says(&[0]), (1, true));
    assert_eq!(says(&[1, 2]), (2, true));
    assert_eq!(says(&[2, 3]), (3, true), "overlapping");
    assert_eq!(says(&[0, 1, 2, 3]), (1, true), "all of them in one");
    assert_eq!(says(&[0, 1, 2, 3, 4, 5, 6]), (1, true), "and more");
    assert_eq!(says(&[0, 7]), (2, true), "the eighth");
    assert_eq!(says(&[8]), (2, false), "a ninth is too many");
}

#[test]
fn messages_ahead_are_bounded_for_each_author() {
    let mut member = in_round_0();
    let ahead = |n: u8, view: u32| {
        let next = ballot(VoteKind::Nullify, 1, view, Digest::default());
        Message::Vote(vote(n, next))
    };
    tell(&mut member, 2, ahead(2, 0));
    for view in 0..100 {
        tell(&mut member, 3, ahead(3, view));
        tell(&mut member, 9, ahead(9, view));
    }
    let of = |n: u8| {
        member
            .ahead
            .iter()
            .filter(move |(author, _)| *author == id(n))
    };
    assert_eq!(of(3).count(), 8);
    assert_eq!(of(2).count(), 1, "one author pushes out no other");
    assert_eq!(of(9).count(), 0, "nothing is kept of strangers");
    let views = of(3).map(|(_, message)| match &**message {
        Message::Vote(vote) => vote.ballot.view.0,
        other => panic!("{other:?}"),
    });
    assert!(views.eq(92..100), "the oldest gave way");
}

#[test]
fn a_message_ahead_is_kept_once() {
    let mut member = in_round_0();
    let next = ballot(VoteKind::Nullify, 1, 0, Digest::default());
    for _ in 0..5 {
        tell(&mut member, 3, Message::Vote(vote(3, next)));
    }
    assert_eq!(member.ahead.len(), 1);
}

#[test]
fn attempts_at_a_root_are_bounded() {
    let mut member = in_round_0();
    for attempt in 0..50 {
        let root = Root(digest(attempt).0);
        let vote = RootVote::signed(&RUN, (EPOCH, Round(1)), attempt, root, None, &signer(4));
        tell(&mut member, 4, Message::Root(vote));
    }
    let certifier = member.certifier.as_ref().expect("in a round");
    let last = certifier.latest_of(&id(4)).map(|vote| vote.attempt);
    assert_eq!(last, Some(3));
}
