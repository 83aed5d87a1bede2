//! What a member says it waits for, of whom, and until when.

use super::*;

/// What is waited for, the positions of whom, how many are here of how many, and until when.
fn told(member: &Member) -> (Need, Vec<u8>, (usize, usize), Option<Timestamp>) {
    let waiting = member.waiting(true);
    let number = |id_of: &MemberId| (1..=4).find(|n| id(*n) == *id_of).expect("one of the four");
    let members = waiting.members.iter().map(number).collect();
    (
        waiting.need,
        members,
        (waiting.here, waiting.needed),
        waiting.until,
    )
}

fn payload_comes(member: &mut Member, n: u8) {
    tell(member, n, header_message(n));
    let input = Input::Fetched {
        payload: BlobHash([n; 32]),
        outcome: Ok(()),
    };
    member.handle(member.now, input);
    drain(member);
}

/// Member 1 is done with its update.
fn trained(member: &mut Member) {
    let ready = Trained {
        round: Round(0),
        base: root_of(&founding()),
        payload: BlobHash([1; 32]),
        payload_bytes: 100,
        steps: 10,
        tokens: 640,
        loss_micro: 1_000_000,
        flop: 1,
        work_root: Digest([1; 32]),
        residual: (BlobHash([2; 32]), BlobHash([3; 32])),
        optimizer: (BlobHash([4; 32]), BlobHash([5; 32])),
    };
    member.handle(member.now, Input::Trained(Box::new(ready)));
    drain(member);
}

#[test]
fn a_start_waits_for_answers_then_for_signatures() {
    let mut member = member(1, Vec::new());
    drain(&mut member);
    let sorted = |mut list: Vec<u8>| {
        list.sort_unstable();
        list
    };
    let (need, silent, numbers, until) = told(&member);
    assert_eq!((need, numbers, until), (Need::Recall, (0, 2), None));
    assert_eq!(sorted(silent), [2, 3, 4]);
    tell(&mut member, 3, nothing_recalled(Round(0)));
    let (need, silent, numbers, _) = told(&member);
    assert_eq!((need, numbers), (Need::Recall, (1, 2)));
    assert_eq!(sorted(silent), [2, 4]);
    tell(&mut member, 2, nothing_recalled(Round(0)));
    let (need, silent, numbers, _) = told(&member);
    assert_eq!((need, numbers), (Need::Roots, (1, 3)));
    assert_eq!(sorted(silent), [2, 3, 4]);
    let vote = root_vote(4, 0, root_of(&founding()));
    tell(&mut member, 4, Message::Root(vote));
    let (need, silent, numbers, _) = told(&member);
    assert_eq!((need, numbers), (Need::Roots, (2, 3)));
    assert_eq!(sorted(silent), [2, 3]);
}

#[test]
fn a_round_waits_for_the_updates_that_are_not_here_until_the_deadline() {
    let mut member = in_round_0();
    let deadline = Timestamp(settings().deadline_ceiling_us);
    let (need, silent, _, until) = told(&member);
    assert_eq!((need, until), (Need::Training, Some(deadline)));
    assert!(silent.is_empty());
    // A driver that trains nothing waits for the others, and for itself in their eyes.
    assert_eq!(member.waiting(false).need, Need::Updates);
    trained(&mut member);
    payload_comes(&mut member, 2);
    tell(&mut member, 3, header_message(3));
    let (need, mut silent, numbers, until) = told(&member);
    silent.sort_unstable();
    assert_eq!((need, numbers), (Need::Updates, (2, 4)));
    assert_eq!((silent, until), (vec![3, 4], Some(deadline)));
    let standings = member.standings();
    let standing = |n: u8| standings.iter().find(|(who, _)| *who == id(n)).unwrap().1;
    assert_eq!(
        [1, 2, 3, 4].map(standing),
        [
            Standing::Held,
            Standing::Held,
            Standing::Announced,
            Standing::Silent
        ]
    );
}

#[test]
fn with_all_updates_a_round_waits_for_a_proposal_then_for_votes() {
    let mut member = in_round_0();
    trained(&mut member);
    for n in [2, 3, 4] {
        payload_comes(&mut member, n);
    }
    // Member 1 proposed in view 0; the others give that view up, so that member 2 is to propose.
    let none = ballot(VoteKind::Nullify, 0, 0, Digest::default());
    for n in [2, 3, 4] {
        tell(&mut member, n, Message::Vote(vote(n, none)));
    }
    let waiting = member.waiting(true);
    assert_eq!(
        (waiting.need, waiting.view),
        (Need::Proposal, Some(View(1)))
    );
    assert_eq!(waiting.members, [id(2)]);
    assert!(waiting.until.is_some(), "a view ends");
    let later = ballot(VoteKind::Nullify, 0, 1, Digest::default());
    tell(&mut member, 3, Message::Vote(vote(3, later)));
    let waiting = member.waiting(true);
    assert_eq!(
        (waiting.need, waiting.here, waiting.needed),
        (Need::Votes, 1, 3)
    );
    assert!(!waiting.members.contains(&id(3)) && waiting.members.contains(&id(2)));
}

#[test]
fn who_missed_the_cut_is_told_with_how_far_it_was() {
    let mut member = in_round_0();
    for n in [2, 3] {
        payload_comes(&mut member, n);
    }
    assert!(member.missed().is_empty(), "nothing is decided");
    let block = lies::empty_block();
    let finalize = lies::certificate(ballot(VoteKind::Finalize, 0, 3, block.digest(&RUN)));
    let ready = FinalBlock {
        block,
        certificate: finalize,
    };
    tell(&mut member, 2, Message::Final(Box::new(ready)));
    let missed = member.missed();
    let standing = |n: u8| missed.iter().find(|(who, _)| *who == id(n)).map(|m| m.1);
    assert_eq!(standing(2), Some(Standing::Held), "here, and left out");
    assert_eq!(standing(4), Some(Standing::Silent));
    // An empty cut has no payload to wait for.
    assert_eq!(member.waiting(false).need, Need::Fold);
}
