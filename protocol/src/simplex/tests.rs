//! The voting rules of one round: one table a rule, and safety under random schedules.

mod justification;
mod safety;

use super::*;
use crate::crypto::Signature;

const EPOCH: Epoch = Epoch(2);
const ROUND: Round = Round(7);
const A: Digest = Digest([0xa; 32]);
const B: Digest = Digest([0xb; 32]);

fn id(n: u8) -> MemberId {
    MemberId([n; 32])
}

fn voters() -> Vec<MemberId> {
    (0..4).map(id).collect()
}

fn machine() -> Simplex {
    Simplex::new(&RunId([0; 32]), (EPOCH, ROUND), voters(), 3, true)
}

fn ballot(kind: VoteKind, view: u32, digest: Digest) -> Ballot {
    Ballot {
        kind,
        epoch: EPOCH,
        round: ROUND,
        view: View(view),
        digest,
    }
}

fn notarize(view: u32, digest: Digest) -> Ballot {
    ballot(VoteKind::Notarize, view, digest)
}

fn nullify(view: u32) -> Ballot {
    ballot(VoteKind::Nullify, view, Digest::default())
}

fn finalize(view: u32, digest: Digest) -> Ballot {
    ballot(VoteKind::Finalize, view, digest)
}

fn vote(by: u8, ballot: Ballot) -> Vote {
    Vote {
        ballot,
        member: id(by),
        signature: Signature([by; 64]),
    }
}

/// Sealed by members 0, 1 and 2, as a machine that counts their votes would seal it.
fn certificate(ballot: Ballot) -> Certificate {
    let seal = |by: u8| Seal {
        voter: u16::from(by),
        signature: Signature([by; 64]),
    };
    Certificate {
        ballot,
        seals: (0..3).map(seal).collect(),
    }
}

fn drain(machine: &mut Simplex) -> Vec<Effect> {
    std::iter::from_fn(|| machine.poll_effect()).collect()
}

enum Step {
    Vote(u8, Ballot),
    Certificate(Ballot),
    Approve(u32, Digest),
    GiveUp,
    Restore(Ballot),
    Follow,
}

/// Applies the steps as member 0.
fn apply(machine: &mut Simplex, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Vote(by, ballot) => {
                machine.vote(vote(by, ballot));
            }
            Step::Certificate(ballot) => machine.certificate(certificate(ballot)),
            Step::Approve(view, digest) => machine.approve(View(view), digest),
            Step::GiveUp => machine.give_up(),
            Step::Restore(ballot) => machine.restore(vote(0, ballot)),
            Step::Follow => machine.allow_votes(false),
        }
    }
}

struct Case {
    why: &'static str,
    steps: Vec<Step>,
    effects: Vec<Effect>,
    view: u32,
}

fn check(cases: Vec<Case>) {
    for case in cases {
        let mut machine = machine();
        apply(&mut machine, case.steps);
        assert_eq!(drain(&mut machine), case.effects, "{}", case.why);
        assert_eq!(machine.view(), View(case.view), "{}", case.why);
    }
}

fn certified(ballot: Ballot) -> Effect {
    Effect::Certified(certificate(ballot))
}

fn entered(view: u32) -> Effect {
    Effect::Entered(View(view))
}

#[test]
fn a_view_is_notarized_once() {
    check(vec![
        Case {
            why: "a valid block gets a vote",
            steps: vec![Step::Approve(0, A)],
            effects: vec![Effect::Vote(notarize(0, A))],
            view: 0,
        },
        Case {
            why: "a second block in the view gets none",
            steps: vec![Step::Approve(0, A), Step::Approve(0, B)],
            effects: vec![Effect::Vote(notarize(0, A))],
            view: 0,
        },
        Case {
            why: "a block of a later view waits for that view",
            steps: vec![Step::Approve(1, A)],
            effects: vec![],
            view: 0,
        },
        Case {
            why: "a block of a view that is over gets no vote",
            steps: vec![Step::Certificate(nullify(0)), Step::Approve(0, A)],
            effects: vec![certified(nullify(0)), entered(1)],
            view: 1,
        },
        Case {
            why: "whoever gave a view up may still notarize it",
            steps: vec![Step::GiveUp, Step::Approve(0, A)],
            effects: vec![Effect::Vote(nullify(0)), Effect::Vote(notarize(0, A))],
            view: 0,
        },
        Case {
            why: "a follower never votes",
            steps: vec![
                Step::Follow,
                Step::Approve(0, A),
                Step::GiveUp,
                Step::Certificate(notarize(0, A)),
            ],
            effects: vec![certified(notarize(0, A)), entered(1)],
            view: 1,
        },
    ]);
}

#[test]
fn votes_add_up_to_one_ballot_at_a_time() {
    let three = |ballot: Ballot| (0..3).map(move |by| Step::Vote(by, ballot));
    check(vec![
        Case {
            why: "two of four are no quorum",
            steps: three(notarize(0, A)).take(2).collect(),
            effects: vec![],
            view: 0,
        },
        Case {
            why: "votes for two blocks do not add up",
            steps: vec![
                Step::Vote(0, notarize(0, A)),
                Step::Vote(1, notarize(0, A)),
                Step::Vote(2, notarize(0, B)),
            ],
            effects: vec![],
            view: 0,
        },
        Case {
            why: "a vote counts once however often it comes",
            steps: (0..3).map(|_| Step::Vote(1, notarize(0, A))).collect(),
            effects: vec![],
            view: 0,
        },
        Case {
            why: "a stranger's vote does not count",
            steps: vec![
                Step::Vote(0, notarize(0, A)),
                Step::Vote(1, notarize(0, A)),
                Step::Vote(9, notarize(0, A)),
            ],
            effects: vec![],
            view: 0,
        },
    ]);
}

#[test]
fn a_notarization_is_followed_by_a_finalize_vote() {
    let three = |ballot: Ballot| (0..3).map(move |by| Step::Vote(by, ballot));
    check(vec![
        Case {
            why: "where the view was not given up",
            steps: three(notarize(0, A)).collect(),
            effects: vec![
                certified(notarize(0, A)),
                Effect::Vote(finalize(0, A)),
                entered(1),
            ],
            view: 1,
        },
        Case {
            why: "not where the view was given up",
            steps: std::iter::once(Step::GiveUp)
                .chain(three(notarize(0, A)))
                .collect(),
            effects: vec![
                Effect::Vote(nullify(0)),
                certified(notarize(0, A)),
                entered(1),
            ],
            view: 1,
        },
        Case {
            why: "a quorum gives the view up",
            steps: three(nullify(0)).collect(),
            effects: vec![certified(nullify(0)), entered(1)],
            view: 1,
        },
        Case {
            why: "a quorum finalizes",
            steps: three(finalize(0, A)).collect(),
            effects: vec![
                certified(finalize(0, A)),
                Effect::Final(certificate(finalize(0, A))),
            ],
            view: 0,
        },
        Case {
            why: "nothing is voted in a round that is decided",
            steps: three(finalize(0, A))
                .chain([Step::Approve(0, A), Step::GiveUp])
                .collect(),
            effects: vec![
                certified(finalize(0, A)),
                Effect::Final(certificate(finalize(0, A))),
            ],
            view: 0,
        },
    ]);
}

#[test]
fn one_view_is_never_both_nullified_and_finalized() {
    check(vec![
        Case {
            why: "a finalized view is not given up, even after a restart",
            steps: vec![Step::Restore(finalize(0, A)), Step::GiveUp],
            effects: vec![],
            view: 0,
        },
        Case {
            why: "a view given up before a restart is not finalized",
            steps: vec![Step::Restore(nullify(0)), Step::Certificate(notarize(0, A))],
            effects: vec![certified(notarize(0, A)), entered(1)],
            view: 1,
        },
        Case {
            why: "a view is given up once",
            steps: vec![Step::GiveUp, Step::GiveUp],
            effects: vec![Effect::Vote(nullify(0))],
            view: 0,
        },
        Case {
            why: "what is given up is the present view, not the finalized one below it",
            steps: vec![Step::Certificate(notarize(0, A)), Step::GiveUp],
            effects: vec![
                certified(notarize(0, A)),
                Effect::Vote(finalize(0, A)),
                entered(1),
                Effect::Vote(nullify(1)),
            ],
            view: 1,
        },
        Case {
            why: "others gave the view up, this member did not: it may finalize it",
            steps: vec![
                Step::Certificate(nullify(0)),
                Step::Certificate(notarize(0, A)),
            ],
            effects: vec![
                certified(nullify(0)),
                entered(1),
                certified(notarize(0, A)),
                Effect::Vote(finalize(0, A)),
            ],
            view: 1,
        },
    ]);
}

#[test]
fn a_restored_vote_is_not_contradicted() {
    check(vec![
        Case {
            why: "a notarized view takes no other block",
            steps: vec![Step::Restore(notarize(0, A)), Step::Approve(0, B)],
            effects: vec![],
            view: 0,
        },
        Case {
            why: "the same block is not voted for twice either",
            steps: vec![Step::Restore(notarize(0, A)), Step::Approve(0, A)],
            effects: vec![],
            view: 0,
        },
        Case {
            why: "a finalize vote is not cast twice",
            steps: vec![
                Step::Restore(finalize(0, A)),
                Step::Certificate(notarize(0, A)),
            ],
            effects: vec![certified(notarize(0, A)), entered(1)],
            view: 1,
        },
        Case {
            why: "a restored vote counts towards the quorum",
            steps: vec![
                Step::Restore(nullify(0)),
                Step::Vote(1, nullify(0)),
                Step::Vote(2, nullify(0)),
            ],
            effects: vec![certified(nullify(0)), entered(1)],
            view: 1,
        },
    ]);
}

#[test]
fn certificates_lead_into_views_in_any_order() {
    check(vec![
        Case {
            why: "a certificate of a later view leads there at once",
            steps: vec![Step::Certificate(nullify(5))],
            effects: vec![certified(nullify(5)), entered(6)],
            view: 6,
        },
        Case {
            why: "one of a lower view leads nowhere, and is passed on all the same",
            steps: vec![
                Step::Certificate(notarize(3, A)),
                Step::Certificate(nullify(1)),
            ],
            effects: vec![
                certified(notarize(3, A)),
                Effect::Vote(finalize(3, A)),
                entered(4),
                certified(nullify(1)),
            ],
            view: 4,
        },
        Case {
            why: "a certificate is news once",
            steps: vec![Step::Certificate(nullify(0)), Step::Certificate(nullify(0))],
            effects: vec![certified(nullify(0)), entered(1)],
            view: 1,
        },
        Case {
            why: "both certificates of one view are kept, one leads on",
            steps: vec![
                Step::Certificate(notarize(0, A)),
                Step::Certificate(nullify(0)),
            ],
            effects: vec![
                certified(notarize(0, A)),
                Effect::Vote(finalize(0, A)),
                entered(1),
                certified(nullify(0)),
            ],
            view: 1,
        },
        Case {
            why: "a decided round enters no further view",
            steps: vec![
                Step::Certificate(finalize(2, A)),
                Step::Certificate(nullify(3)),
            ],
            effects: vec![
                certified(finalize(2, A)),
                Effect::Final(certificate(finalize(2, A))),
                certified(nullify(3)),
            ],
            view: 0,
        },
    ]);
}

#[test]
fn contradictions_become_evidence() {
    let two = |a, b| Evidence::TwoNotarizations(vote(3, a), vote(3, b));
    let both = |a, b| Evidence::NullifiedAndFinalized(vote(3, a), vote(3, b));
    let table = [
        (
            "two blocks in one view",
            [notarize(0, A), notarize(0, B)],
            Some(two(notarize(0, A), notarize(0, B))),
            Counted::Conflict,
        ),
        (
            "finalize after nullify",
            [nullify(0), finalize(0, A)],
            Some(both(nullify(0), finalize(0, A))),
            Counted::Yes,
        ),
        (
            "nullify after finalize, told in one order",
            [finalize(0, A), nullify(0)],
            Some(both(nullify(0), finalize(0, A))),
            Counted::Yes,
        ),
        (
            "two views",
            [notarize(0, A), notarize(1, B)],
            None,
            Counted::Yes,
        ),
        (
            "notarize and nullify",
            [notarize(0, A), nullify(0)],
            None,
            Counted::Yes,
        ),
        (
            "nullify and finalize of two views",
            [nullify(1), finalize(0, A)],
            None,
            Counted::Yes,
        ),
        (
            "the same vote again",
            [notarize(0, A), notarize(0, A)],
            None,
            Counted::Yes,
        ),
    ];
    for (why, [first, second], evidence, counted) in table {
        let mut machine = machine();
        assert_eq!(machine.vote(vote(3, first)), Counted::Yes, "{why}");
        if evidence.is_some() {
            assert!(machine.wants(&vote(3, second)), "{why}: worth checking");
        }
        assert_eq!(machine.vote(vote(3, second)), counted, "{why}");
        let expected: Vec<_> = evidence.into_iter().map(Effect::Evidence).collect();
        assert_eq!(drain(&mut machine), expected, "{why}");
    }
}

#[test]
fn only_votes_that_matter_are_worth_checking() {
    let mut machine = machine();
    assert!(machine.wants(&vote(1, notarize(0, A))));
    assert!(!machine.wants(&vote(9, notarize(0, A))), "a stranger");
    machine.vote(vote(3, notarize(0, A)));
    machine.certificate(certificate(notarize(0, A)));
    assert!(
        !machine.wants(&vote(1, notarize(0, A))),
        "the view is notarized"
    );
    assert!(
        machine.wants(&vote(3, notarize(0, B))),
        "it contradicts a vote"
    );
    assert!(
        machine.wants(&vote(1, nullify(0))),
        "the view is not nullified"
    );
    assert!(
        machine.wants(&vote(1, finalize(0, A))),
        "the round is not decided"
    );
    machine.certificate(certificate(finalize(0, A)));
    assert!(
        !machine.wants(&vote(1, finalize(0, A))),
        "the round is decided"
    );
}

#[test]
fn votes_far_ahead_are_not_kept() {
    let mut machine = machine();
    let far = vote(1, notarize(VIEW_WINDOW + 1, A));
    assert!(!machine.wants(&far));
    assert_eq!(machine.vote(far.clone()), Counted::Late);
    assert_eq!(machine.vote(vote(1, nullify(u32::MAX))), Counted::Late);
    assert!(machine.views.is_empty());
    assert_eq!(
        machine.vote(vote(1, notarize(VIEW_WINDOW, A))),
        Counted::Yes
    );
    machine.certificate(certificate(nullify(0)));
    assert_eq!(machine.vote(far), Counted::Yes, "the window moves on");
    assert!(machine.views.len() as u32 <= VIEW_WINDOW + 2);
}

#[test]
fn proposers_take_turns_by_view_and_round() {
    let proposers = |run: u64, round: u64| -> Vec<u8> {
        let mut run_id = RunId([0; 32]);
        run_id.0[..8].copy_from_slice(&run.to_be_bytes());
        let machine = Simplex::new(&run_id, (EPOCH, Round(round)), voters(), 3, true);
        let turns = (0..5).map(|view| machine.proposer(View(view)).0[0]);
        turns.collect()
    };
    assert_eq!(proposers(0, 0), [0, 1, 2, 3, 0]);
    assert_eq!(proposers(0, 1), [1, 2, 3, 0, 1]);
    assert_eq!(proposers(2, 1), [3, 0, 1, 2, 3]);
    assert_eq!(
        proposers(u64::MAX, u64::MAX),
        [2, 3, 0, 1, 2],
        "no overflow"
    );
    let late = machine().proposer(View(u32::MAX));
    assert_eq!(late, id(((7 + u64::from(u32::MAX)) % 4) as u8));
}

#[test]
fn what_is_resent_is_what_a_laggard_needs() {
    let mut machine = machine();
    assert!(machine.standing().is_empty());
    machine.approve(View(0), A);
    machine.vote(vote(0, notarize(0, A)));
    machine.certificate(certificate(notarize(0, A)));
    machine.certificate(certificate(nullify(0)));
    let below = vec![certificate(notarize(0, A)), certificate(nullify(0))];
    assert_eq!(machine.standing(), below);
    assert_eq!(machine.own_votes(&id(0)), [vote(0, notarize(0, A))]);
    assert_eq!(machine.own_votes(&id(9)), []);
    assert_eq!(machine.nullified_views(), 1);
    machine.certificate(certificate(nullify(2)));
    assert_eq!(
        machine.own_votes(&id(0)),
        [],
        "views long over are forgotten"
    );
    machine.certificate(certificate(finalize(0, A)));
    assert_eq!(machine.standing(), [certificate(finalize(0, A))]);
}

/// Two blocks of one view are two claims: the proof of one is none of the other.
#[test]
fn a_certificate_proves_its_own_ballot_only() {
    let mut machine = machine();
    for known in [notarize(0, A), nullify(1), finalize(2, A)] {
        assert!(!machine.proves(&known));
        machine.certificate(certificate(known));
        assert!(machine.proves(&known));
    }
    let unproven = [
        notarize(0, B),
        nullify(0),
        notarize(1, A),
        finalize(2, B),
        finalize(0, A),
        Ballot {
            round: Round(8),
            ..notarize(0, A)
        },
    ];
    for ballot in unproven {
        assert!(!machine.proves(&ballot), "{ballot:?}");
    }
}
