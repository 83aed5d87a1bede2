//! What a lying proposer or a forger might try against one honest member.

use super::*;

const D: Digest = Digest([0xd; 32]);

pub(super) fn empty_block() -> Block {
    Block {
        epoch: EPOCH,
        round: Round(0),
        cut: Default::default(),
        presents: Vec::new(),
        changes: Vec::new(),
        evidence: Vec::new(),
        certificate: certified(0, root_of(&founding())),
    }
}

pub(super) fn certificate(ballot: Ballot) -> Certificate {
    let seal = |n: u8| Seal {
        voter: u16::from(n) - 1,
        signature: vote(n, ballot).signature,
    };
    Certificate {
        ballot,
        seals: (2..=4).map(seal).collect(),
    }
}

fn forged(ballot: Ballot) -> Certificate {
    let mut certificate = certificate(ballot);
    for seal in certificate.seals.iter_mut() {
        seal.signature = Signature([1; 64]);
    }
    certificate
}

pub(super) fn notarizes(outputs: &[Output]) -> Vec<Digest> {
    let votes = outputs.iter().filter_map(|output| match output {
        Output::Broadcast(message) => match &**message {
            Message::Vote(vote) if vote.member == id(1) => Some(vote.ballot),
            _ => None,
        },
        _ => None,
    });
    let notarizations = votes.filter(|ballot| ballot.kind == VoteKind::Notarize);
    notarizations.map(|ballot| ballot.digest).collect()
}

pub(super) fn propose(
    member: &mut Member,
    by: u8,
    view: u32,
    justification: Vec<Certificate>,
) -> Vec<Output> {
    let proposal = Proposal::signed(&RUN, View(view), empty_block(), justification, &signer(by));
    tell(member, by, Message::Proposal(Box::new(proposal)))
}

/// Member 1 in view 1, after a quorum notarized block D in view 0.
fn after_notarization() -> Member {
    let mut member = in_round_0();
    let notarize = ballot(VoteKind::Notarize, 0, 0, D);
    for n in 2..=4 {
        tell(&mut member, n, Message::Vote(vote(n, notarize)));
    }
    let view = member.work.as_ref().map(|work| work.simplex.view());
    assert_eq!(view, Some(View(1)));
    member
}

/// A block that a quorum notarized is valid without being judged: so what proves the notarization
/// must be proof, even where another certificate of that view is known already.
#[test]
fn a_forged_notarization_forces_no_vote() {
    let mut member = after_notarization();
    let wanted = ballot(VoteKind::Notarize, 0, 0, empty_block().digest(&RUN));
    let outputs = propose(&mut member, 2, 1, vec![forged(wanted)]);
    assert_eq!(
        notarizes(&outputs),
        [],
        "no vote for a block that was never notarized"
    );
    let expected = "proposal: justification: the signature of voter 1 does not hold";
    assert_eq!(refusals(&outputs), [(id(2), expected)]);
}

#[test]
fn a_notarized_block_must_be_repeated() {
    let mut member = after_notarization();
    let known = certificate(ballot(VoteKind::Notarize, 0, 0, D));
    let outputs = propose(&mut member, 2, 1, vec![known]);
    assert_eq!(notarizes(&outputs), []);
    let expected = "proposal: it does not repeat the notarized block";
    assert_eq!(refusals(&outputs), [(id(2), expected)]);
}

#[test]
fn a_real_notarization_forces_its_block() {
    let mut member = in_round_0();
    let digest = empty_block().digest(&RUN);
    let real = certificate(ballot(VoteKind::Notarize, 0, 0, digest));
    let outputs = propose(&mut member, 2, 1, vec![real]);
    assert_eq!(refusals(&outputs), []);
    assert_eq!(notarizes(&outputs), [digest], "valid without being judged");
}

#[test]
fn a_proposal_has_its_proposer_signature_and_justification() {
    let null = |view| certificate(ballot(VoteKind::Nullify, 0, view, Digest::default()));
    let forged_null = forged(ballot(VoteKind::Nullify, 0, 0, Digest::default()));
    let not_its_view = format!("proposal: view 1 is {}'s, this one is {}'s", id(2), id(3));
    let unjustified = "proposal: its certificates do not justify the view";
    let unsigned = "proposal: justification: the signature of voter 1 does not hold";
    let table = [
        ("another's view", 3, 1, vec![null(0)], not_its_view.as_str()),
        ("nothing for view 1", 2, 1, vec![], unjustified),
        ("a gap", 3, 2, vec![null(0)], unjustified),
        ("a forged nullification", 2, 1, vec![forged_null], unsigned),
    ];
    for (why, by, view, justification, expected) in table {
        let mut member = in_round_0();
        let outputs = propose(&mut member, by, view, justification);
        assert_eq!(refusals(&outputs), [(id(by), expected)], "{why}");
        assert_eq!(outputs.len(), 1, "{why}: {outputs:?}");
    }
    let mut member = in_round_0();
    let mut proposal = Proposal::signed(&RUN, View(1), empty_block(), vec![null(0)], &signer(2));
    proposal.signature = Signature([1; 64]);
    let outputs = tell(&mut member, 2, Message::Proposal(Box::new(proposal)));
    let expected = "proposal: the signature does not hold";
    assert_eq!(refusals(&outputs), [(id(2), expected)]);
}

/// What the member would answer to a member that asks what it forgot.
fn recalled_for(member: &mut Member, from: MemberId) -> Recalled {
    let message = Arc::new(Message::Ask(Ask::Recall(Round(0))));
    member.handle(member.now, Input::Message { from, message });
    let answers = drain(member).into_iter().filter_map(|output| match output {
        Output::Send { to, message } if to == from => match &*message {
            Message::Recalled(answer) => Some((**answer).clone()),
            _ => None,
        },
        _ => None,
    });
    answers.last().expect("a question is answered")
}

/// Memory for others is bounded by what they signed themselves: nobody else can fill it, or
/// push out of it what an honest member may one day need.
#[test]
fn only_votes_that_were_signed_are_remembered() {
    let mut member = in_round_0();
    let real = vote(3, ballot(VoteKind::Notarize, 0, 0, D));
    tell(&mut member, 3, Message::Vote(real.clone()));
    for view in 0..200 {
        let far = ballot(VoteKind::Nullify, 0, 1000 + view, Digest::default());
        let mut stranger = vote(4, far);
        stranger.member.0[..4].copy_from_slice(&view.to_be_bytes());
        let mut forged = vote(4, far);
        forged.member = id(3);
        for lie in [stranger, forged] {
            let author = lie.member;
            tell(&mut member, 4, Message::Vote(lie));
            if author != id(3) {
                let answer = recalled_for(&mut member, author);
                assert_eq!(answer.votes, [], "a stranger's vote was kept");
            }
        }
    }
    assert_eq!(recalled_for(&mut member, id(3)).votes, [real]);
}

/// A vote that comes too late to count may be the one that its author forgets.
#[test]
fn late_votes_are_remembered_for_their_author() {
    let mut member = after_notarization();
    let late = vote(1, ballot(VoteKind::Notarize, 0, 0, D));
    tell(&mut member, 1, Message::Vote(late.clone()));
    assert_eq!(member.memory.recalled(&id(1), Round(0)).votes, [late]);
}
