//! Membership, consents, the epoch chain and activity, one table a rule.

mod chain;
mod changes;

use super::*;
use crate::{
    crypto::{Ed25519Signer, Ed25519Verifier, Signature, Signer},
    ids::{Root, Round, RunId},
    message::{Header, Present, SignedHeader, StateCertificate},
};

const RUN: RunId = RunId([7; 32]);

/// Members 1 to 4 found the federation; 5 and above stand outside.
fn signer(n: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[n; 32])
}

fn id(n: u8) -> MemberId {
    signer(n).member()
}

fn seat(n: u8, status: Status) -> Seat {
    Seat {
        id: id(n),
        name: format!("member-{n}"),
        status,
    }
}

fn founders(n: u8, fault_model: FaultModel) -> Membership {
    Membership {
        epoch: Epoch(0),
        seats: (1..=n).map(|n| seat(n, Status::Voting)).collect(),
        fault_model,
        threshold: None,
    }
}

fn four() -> Membership {
    founders(4, FaultModel::Byzantine)
}

fn header(n: u8) -> SignedHeader {
    let header = Header {
        epoch: Epoch(0),
        round: Round(0),
        member: id(n),
        base: Root([1; 32]),
        payload: Default::default(),
        payload_bytes: 1,
        codec: 1,
        steps: 1,
        tokens: 1,
        loss_micro: 0,
        work_root: Default::default(),
        residual_before: Default::default(),
        residual_after: Default::default(),
        optimizer_before: Default::default(),
        optimizer_after: Default::default(),
        carried: 0,
        numerics: "cpu".to_owned(),
        nonce_commitment: Default::default(),
    };
    header.signed(&RUN, &signer(n))
}

fn block(epoch: Epoch, cut: &[u8], changes: Vec<Change>) -> Block {
    Block {
        epoch,
        round: Round(0),
        cut: cut.iter().map(|n| header(*n)).collect(),
        presents: Vec::new(),
        changes,
        evidence: Vec::new(),
        certificate: StateCertificate {
            epoch,
            round: Round(0),
            root: Root([1; 32]),
            seals: Default::default(),
        },
    }
}

fn amend(epoch: Epoch, act: Act, consenting: &[u8]) -> Change {
    let amendment = Amendment::signed(&RUN, epoch, act, &signer(1));
    let digest = amendment.digest(&RUN);
    let consents = consenting
        .iter()
        .map(|n| Consent::signed(digest, &signer(*n)));
    let mut consents: Vec<Consent> = consents.collect();
    consents.sort_by_key(|consent| consent.member);
    Change::Amend {
        amendment,
        consents,
    }
}

fn admit(n: u8, name: &str) -> Act {
    Act::Admit {
        id: id(n),
        name: name.to_owned(),
    }
}

#[test]
fn quorums_of_one_to_seven_voters() {
    struct Case {
        voters: u8,
        model: FaultModel,
        quorum: usize,
        faults: usize,
        recall: usize,
    }
    let case = |model, (voters, quorum, faults, recall)| Case {
        voters,
        model,
        quorum,
        faults,
        recall,
    };
    let byzantine = [
        (1, 1, 0, 0),
        (2, 2, 0, 1),
        (3, 3, 0, 1),
        (4, 3, 1, 2),
        (5, 4, 1, 2),
        (6, 5, 1, 2),
        (7, 5, 2, 3),
    ];
    let crash = [
        (1, 1, 0, 0),
        (2, 2, 0, 1),
        (3, 2, 1, 1),
        (4, 3, 1, 2),
        (5, 3, 2, 2),
        (6, 4, 2, 3),
        (7, 4, 3, 3),
    ];
    let byzantine = byzantine.map(|row| case(FaultModel::Byzantine, row));
    let crash = crash.map(|row| case(FaultModel::Crash, row));
    for case in byzantine.into_iter().chain(crash) {
        let membership = founders(case.voters, case.model);
        let why = format!("{:?} of {}", case.model, case.voters);
        assert_eq!(membership.quorum(), case.quorum, "{why}: quorum");
        assert_eq!(membership.faults(), case.faults, "{why}: faults");
        assert_eq!(membership.recall_quorum(), case.recall, "{why}: recall");
        assert_eq!(membership.threshold(), case.quorum, "{why}: threshold");
    }
}

#[test]
fn only_voting_seats_count() {
    let mut membership = founders(7, FaultModel::Byzantine);
    assert_eq!(membership.quorum(), 5);
    membership.seats[1].status = Status::Suspended;
    membership.seats[2].status = Status::Left;
    membership.seats[3].status = Status::Removed;
    assert_eq!(membership.voters(), [id(1), id(5), id(6), id(7)]);
    assert_eq!((membership.quorum(), membership.faults()), (3, 1));
}

#[test]
fn the_threshold_stays_between_quorum_and_all() {
    for (wanted, threshold) in [(None, 3), (Some(1), 3), (Some(4), 4), (Some(9), 4)] {
        let membership = Membership {
            threshold: wanted,
            ..four()
        };
        assert_eq!(membership.threshold(), threshold, "{wanted:?}");
    }
}

/// One block after the other; who is active after each.
#[test]
fn activity_follows_the_last_three_cuts() {
    struct Case {
        why: &'static str,
        cuts: Vec<&'static [u8]>,
        active: &'static [u8],
    }
    let all: &[u8] = &[1, 2, 3, 4];
    let cases = [
        Case {
            why: "everyone at the start",
            cuts: vec![],
            active: all,
        },
        Case {
            why: "two misses are forgiven",
            cuts: vec![&[1, 2, 3], &[1, 2, 3]],
            active: all,
        },
        Case {
            why: "the third is not",
            cuts: vec![&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]],
            active: &[1, 2, 3],
        },
        Case {
            why: "rounds with an empty cut do not count",
            cuts: vec![&[1, 2, 3], &[], &[], &[], &[], &[1, 2, 3]],
            active: all,
        },
        Case {
            why: "nobody is forgotten by empty cuts alone",
            cuts: vec![&[], &[], &[], &[], &[]],
            active: all,
        },
        Case {
            why: "one inclusion starts the count anew",
            cuts: vec![&[1, 2, 3], &[1, 2, 3], all, &[1, 2], &[1, 2]],
            active: all,
        },
        Case {
            why: "an inclusion brings a member back",
            cuts: vec![&[1, 2], &[1, 2], &[1, 2], &[1, 2, 4]],
            active: &[1, 2, 4],
        },
    ];
    let membership = four();
    for case in cases {
        let mut activity = Activity::founding(&membership);
        for cut in case.cuts {
            let block = block(Epoch(0), cut, Vec::new());
            activity = activity.after(&block, &membership, &membership);
            assert!(activity.fits(&membership));
        }
        let expected: Vec<_> = case.active.iter().map(|n| id(*n)).collect();
        assert_eq!(activity.active(&membership), expected, "{}", case.why);
    }
}

fn after_absence(absent: u8) -> Activity {
    let membership = four();
    let others: Vec<u8> = (1..=4).filter(|n| *n != absent).collect();
    let block = block(Epoch(0), &others, Vec::new());
    let founding = Activity::founding(&membership);
    (0..3).fold(founding, |a, _| a.after(&block, &membership, &membership))
}

#[test]
fn a_presence_brings_a_member_back() {
    let membership = four();
    let away = after_absence(4);
    assert_eq!(away.active(&membership), [id(1), id(2), id(3)]);
    let mut block = block(Epoch(0), &[], Vec::new());
    let present = Present::signed(&RUN, Epoch(0), Round(0), &signer(4));
    block.presents.push(present);
    let back = away.after(&block, &membership, &membership);
    assert_eq!(back.active(&membership), membership.voters());
}

#[test]
fn whoever_gets_a_vote_is_waited_for_at_once() {
    let before = four();
    let away = after_absence(4);
    let admission = amend(Epoch(0), admit(5, "member-5"), &[1, 2, 3]);
    let block_of = |changes| block(Epoch(0), &[1, 2, 3], changes);
    let admitting = block_of(vec![admission]);
    let after = before.changed(&admitting).expect("a valid admission");
    let activity = away.after(&admitting, &before, &after);
    assert!(activity.fits(&after));
    assert!(
        !activity.fits(&before),
        "the record has a place for the new seat"
    );
    assert_eq!(activity.active(&after), [id(1), id(2), id(3), id(5)]);

    let leave = block_of(vec![Change::leave(&RUN, Epoch(0), &signer(4))]);
    let without = before.changed(&leave).expect("a voter may leave");
    let left = away.after(&leave, &before, &without);
    assert_eq!(left.active(&without), [id(1), id(2), id(3)]);
    let back = block(
        Epoch(1),
        &[1],
        vec![Change::back(&RUN, Epoch(1), &signer(4))],
    );
    let again = without.changed(&back).expect("who left may return");
    let returned = left.after(&back, &without, &again);
    assert_eq!(returned.active(&again), again.voters());
}

#[test]
fn a_suspended_member_is_not_waited_for() {
    let before = four();
    let block = block(
        Epoch(0),
        &[1, 2, 3, 4],
        vec![amend(Epoch(0), Act::Suspend { id: id(4) }, &[1, 2, 3])],
    );
    let after = before.changed(&block).expect("a voter may be suspended");
    let activity = Activity::founding(&before).after(&block, &before, &after);
    assert_eq!(activity.active(&after), [id(1), id(2), id(3)]);
}

#[test]
fn activity_that_does_not_fit_is_told() {
    let table = [
        ("one place a seat", 3, vec![0, 1, 2, 3], true),
        ("a place is missing", 3, vec![0, 1, 2], false),
        ("a place too many", 3, vec![0; 5], false),
        ("seen in a cut to come", 3, vec![0, 1, 2, 4], false),
    ];
    for (why, cuts, last, fits) in table {
        assert_eq!(Activity { cuts, last }.fits(&four()), fits, "{why}");
    }
}
