//! Rounds of many views: justifications longer than a proposal has room for.

use super::{
    lies::{certificate, empty_block, notarizes, propose},
    *,
};

fn nullification(view: u32) -> Certificate {
    certificate(ballot(VoteKind::Nullify, 0, view, Digest::default()))
}

fn asked_views(outputs: &[Output]) -> Vec<(MemberId, View)> {
    let asks = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message } => match &**message {
            Message::Ask(Ask::Views(Round(0), view)) => Some((*to, *view)),
            _ => None,
        },
        _ => None,
    });
    asks.collect()
}

/// A proposal may have no room for all the certificates that allow it. Who misses one asks its
/// proposer, later others, and votes when it has come and not before.
#[test]
fn what_a_justification_leaves_out_is_asked_for() {
    let mut member = in_round_0();
    let digest = empty_block().digest(&RUN);
    let outputs = propose(&mut member, 4, 3, vec![nullification(2)]);
    assert_eq!(refusals(&outputs), []);
    assert_eq!(asked_views(&outputs), [(id(4), View(1))], "its proposer");
    let outputs = tell(&mut member, 4, Message::Certificate(nullification(1)));
    assert_eq!(asked_views(&outputs), [(id(4), View(0))], "the next one");
    let mut asked = Vec::new();
    while asked.len() < 3 {
        let (at, _) = member.poll_timeout().expect("messages are sent again");
        member.handle(at, Input::Timeout);
        let outputs = drain(&mut member);
        assert_eq!(notarizes(&outputs), []);
        asked.extend(asked_views(&outputs));
    }
    let expected = [2, 3, 4].map(|n| (id(n), View(0)));
    assert!(expected.iter().all(|ask| asked.contains(ask)), "{asked:?}");
    let notarization = certificate(ballot(VoteKind::Notarize, 0, 0, digest));
    let outputs = tell(&mut member, 2, Message::Certificate(notarization));
    assert_eq!(notarizes(&outputs), [digest]);
}

#[test]
fn certificates_of_lower_views_are_told() {
    let mut member = in_round_0();
    for view in 0..40 {
        tell(&mut member, 2, Message::Certificate(nullification(view)));
    }
    let told = |member: &mut Member, round, view| {
        let outputs = tell(
            member,
            3,
            Message::Ask(Ask::Views(Round(round), View(view))),
        );
        let certificates = outputs.iter().filter_map(|output| match output {
            Output::Send { to, message } if *to == id(3) => match &**message {
                Message::Certificate(certificate) => Some(certificate.ballot.view.0),
                _ => None,
            },
            _ => None,
        });
        certificates.collect::<Vec<_>>()
    };
    assert_eq!(told(&mut member, 0, 35), (4..=35).rev().collect::<Vec<_>>());
    assert_eq!(told(&mut member, 0, 1), [1, 0]);
    assert!(told(&mut member, 1, 1).is_empty(), "of another round");
}

/// However many views a round has taken, its next proposer finds room for its proposal.
#[test]
fn a_long_round_still_gets_proposals() {
    let mut member = in_round_0();
    let second = settings().deadline_ceiling_us * 2;
    member.handle(Timestamp(second), Input::Timeout);
    drain(&mut member);
    let mut carried = Vec::new();
    for view in 0..300 {
        let outputs = tell(&mut member, 2, Message::Certificate(nullification(view)));
        let proposals = outputs.iter().filter_map(|output| match output {
            Output::Broadcast(message) => match &**message {
                Message::Proposal(proposal) => Some((message.to_bytes().len(), proposal)),
                _ => None,
            },
            _ => None,
        });
        carried.extend(proposals.map(|(bytes, proposal)| {
            assert!(bytes <= crate::encoding::MAX_MESSAGE_BYTES);
            (proposal.view.0, proposal.justification.len())
        }));
    }
    let expected = (1..=75)
        .map(|turn| turn * 4)
        .map(|view| (view, (view as usize).min(32)));
    assert_eq!(carried, expected.collect::<Vec<_>>());
}
