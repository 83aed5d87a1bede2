//! What each change does to a seat, and why it is refused.

use super::*;

fn with(n: u8, status: Status) -> Membership {
    let mut membership = founders(4, FaultModel::Byzantine);
    membership.seats[usize::from(n) - 1].status = status;
    membership
}

fn change(what: &str, n: u8) -> Change {
    let epoch = Epoch(0);
    match what {
        "admit" => amend(epoch, admit(n, &format!("member-{n}")), &[1, 2, 3]),
        "remove" => amend(epoch, Act::Remove { id: id(n) }, &[1, 2, 3]),
        "suspend" => amend(epoch, Act::Suspend { id: id(n) }, &[1, 2, 3]),
        "leave" => Change::leave(&RUN, epoch, &signer(n)),
        "return" => Change::back(&RUN, epoch, &signer(n)),
        _ => unreachable!("the tables name these five"),
    }
}

#[test]
fn a_change_takes_a_seat_from_one_status_to_the_next() {
    use Status::*;
    let table = [
        ("admit", Voting, None),
        ("admit", Suspended, Some(Voting)),
        ("admit", Left, Some(Voting)),
        ("admit", Removed, Some(Voting)),
        ("remove", Voting, Some(Removed)),
        ("remove", Suspended, Some(Removed)),
        ("remove", Left, Some(Removed)),
        ("remove", Removed, None),
        ("suspend", Voting, Some(Suspended)),
        ("suspend", Suspended, None),
        ("suspend", Left, None),
        ("suspend", Removed, None),
        ("leave", Voting, Some(Left)),
        ("leave", Suspended, None),
        ("leave", Left, None),
        ("leave", Removed, None),
        ("return", Voting, None),
        ("return", Suspended, None),
        ("return", Left, Some(Voting)),
        ("return", Removed, None),
    ];
    for (what, from, to) in table {
        let why = format!("{what} a member that is {from:?}");
        let before = with(4, from);
        let change = change(what, 4);
        assert_eq!(change.subject(), id(4), "{why}");
        let result = before.changed(&block(Epoch(0), &[], vec![change]));
        match to {
            Some(to) => {
                let after = result.expect(&why);
                assert_eq!(after.seat(&id(4)).map(|s| s.status), Some(to), "{why}");
                assert_eq!(after.epoch(), Epoch(1), "{why}: a new epoch");
                assert_eq!(after.seats().len(), 4, "{why}: no other seat");
            }
            None => {
                let expected = ChangeError::Status {
                    member: id(4),
                    found: from,
                };
                assert_eq!(result, Err(expected), "{why}");
            }
        }
    }
}

#[test]
fn a_new_member_gets_the_last_seat() {
    let after = four().changed(&block(Epoch(0), &[], vec![change("admit", 5)]));
    let after = after.expect("a stranger may be admitted");
    assert_eq!(after.seats().last(), Some(&seat(5, Status::Voting)));
    assert_eq!((after.voters().len(), after.quorum()), (5, 4));
}

#[test]
fn strangers_have_no_seat_to_change() {
    for what in ["remove", "suspend", "leave", "return"] {
        let result = four().changed(&block(Epoch(0), &[], vec![change(what, 9)]));
        let expected = ChangeError::Unknown { member: id(9) };
        assert_eq!(result, Err(expected), "{what}");
    }
}

#[test]
fn changes_of_one_block_apply_in_order() {
    let table: [(&str, Vec<Change>, bool); 4] = [
        (
            "two that do not touch",
            vec![change("admit", 5), change("leave", 1)],
            true,
        ),
        (
            "removed and admitted again",
            vec![change("remove", 4), change("admit", 4)],
            true,
        ),
        (
            "left twice",
            vec![change("leave", 4), change("leave", 4)],
            false,
        ),
        (
            "suspended, then leaving",
            vec![change("suspend", 4), change("leave", 4)],
            false,
        ),
    ];
    for (why, changes, valid) in table {
        let result = four().changed(&block(Epoch(0), &[], changes));
        assert_eq!(result.is_ok(), valid, "{why}");
        if let Ok(after) = result {
            assert_eq!(after.epoch(), Epoch(1), "{why}: one epoch further");
        }
    }
    let unchanged = four().changed(&block(Epoch(0), &[1, 2, 3], Vec::new()));
    assert_eq!(unchanged, Ok(four()), "no change, no new epoch");
}

#[test]
fn a_federation_keeps_a_voter_and_a_limit() {
    let alone = founders(1, FaultModel::Byzantine);
    let result = alone.changed(&block(Epoch(0), &[], vec![change("leave", 1)]));
    assert_eq!(result, Err(ChangeError::NobodyLeft));

    let mut full = four();
    while full.seats.len() < MAX_MEMBERS {
        let n = full.seats.len() as u16;
        let mut key = MemberId([0xee; 32]);
        key.0[..2].copy_from_slice(&n.to_be_bytes());
        full.seats.push(Seat {
            id: key,
            name: format!("guest-{n}"),
            status: Status::Left,
        });
    }
    let result = full.changed(&block(Epoch(0), &[], vec![change("admit", 5)]));
    assert_eq!(result, Err(ChangeError::Full { limit: MAX_MEMBERS }));
    let back = full.changed(&block(Epoch(0), &[], vec![change("remove", 4)]));
    assert!(back.is_ok(), "seats that exist may still change");
}

#[test]
fn names_are_unlike_and_plain() {
    let admitted = |name: &str| {
        let change = amend(Epoch(0), admit(5, name), &[1, 2, 3]);
        four().changed(&block(Epoch(0), &[], vec![change]))
    };
    let taken = ChangeError::NameTaken {
        name: "member-1".to_owned(),
    };
    assert_eq!(admitted("member-1"), Err(taken));
    assert!(admitted(&"a".repeat(MAX_NAME_BYTES)).is_ok());
    let long = "a".repeat(MAX_NAME_BYTES + 1);
    for name in ["", "Upper", "with space", "ümlaut", "under_score", &long] {
        let change = amend(Epoch(0), admit(5, name), &[1, 2, 3]);
        let verified = change.verify(&RUN, &four(), &Ed25519Verifier);
        assert_eq!(verified, Err(ChangeError::NameForm), "{name:?}");
        // A proposer tries changes out before it asks for signatures: it must see the same.
        assert_eq!(admitted(name), Err(ChangeError::NameForm), "{name:?}");
    }
}

/// A change whose consents were tampered with.
fn tampered(consenting: &[u8], tamper: impl FnOnce(&mut Amendment, &mut Vec<Consent>)) -> Change {
    let change = amend(Epoch(0), admit(5, "member-5"), consenting);
    let Change::Amend {
        mut amendment,
        mut consents,
    } = change
    else {
        unreachable!("amend makes an amendment")
    };
    tamper(&mut amendment, &mut consents);
    Change::Amend {
        amendment,
        consents,
    }
}

/// The founders in the order of their keys, as consents are listed.
fn by_key() -> Vec<u8> {
    let mut all = vec![1, 2, 3, 4];
    all.sort_by_key(|n| id(*n));
    all
}

fn check_consents(table: Vec<(&str, Change, Result<(), ChangeError>)>) {
    for (why, change, expected) in table {
        let found = change.verify(&RUN, &four(), &Ed25519Verifier);
        assert_eq!(found, expected, "{why}");
    }
}

fn unsigned(n: u8) -> Result<(), ChangeError> {
    Err(ChangeError::Signature { member: id(n) })
}

#[test]
fn consents_are_counted_once_and_in_order() {
    let too_few = |found| Err(ChangeError::Consents { needed: 3, found });
    check_consents(vec![
        ("a quorum", tampered(&[1, 2, 3], |_, _| {}), Ok(())),
        ("everyone", tampered(&[1, 2, 3, 4], |_, _| {}), Ok(())),
        (
            "without the proposer's",
            tampered(&[2, 3, 4], |_, _| {}),
            Ok(()),
        ),
        ("none", tampered(&[], |_, _| {}), too_few(0)),
        ("two of four", tampered(&[1, 2], |_, _| {}), too_few(2)),
        (
            "not in order",
            tampered(&[1, 2, 3], |_, c| c.swap(0, 1)),
            too_few(3),
        ),
        (
            "one twice",
            tampered(&[1, 2, 3], |_, c| c[1] = c[0].clone()),
            too_few(3),
        ),
        (
            "more than voters",
            tampered(&[1, 2, 3, 4, 5], |_, _| {}),
            too_few(5),
        ),
        (
            "a stranger's among them",
            tampered(&[1, 2, 9], |_, _| {}),
            unsigned(9),
        ),
    ]);
}

#[test]
fn consents_are_to_one_amendment_of_one_epoch() {
    let other = Amendment::signed(&RUN, Epoch(0), Act::Remove { id: id(4) }, &signer(1));
    let other = other.digest(&RUN);
    let first = by_key()[0];
    let for_another = |_: &mut Amendment, consents: &mut Vec<Consent>| {
        consents[0] = Consent::signed(other, &signer(first));
    };
    let forged = Signature([1; 64]);
    let epoch = ChangeError::Epoch {
        expected: Epoch(0),
        found: Epoch(1),
    };
    let all = &[1, 2, 3, 4];
    check_consents(vec![
        (
            "for another amendment",
            tampered(all, for_another),
            unsigned(first),
        ),
        (
            "forged",
            tampered(all, |_, c| c[0].signature = forged),
            unsigned(first),
        ),
        (
            "forged by the proposer",
            tampered(all, |a, _| a.signature = forged),
            unsigned(1),
        ),
        (
            "the act was exchanged",
            tampered(all, |a, _| a.act = Act::Remove { id: id(4) }),
            unsigned(1),
        ),
        (
            "another epoch",
            amend(Epoch(1), admit(5, "member-5"), &[1, 2, 3]),
            Err(epoch),
        ),
    ]);
}

#[test]
fn only_voters_propose() {
    let amendment = Amendment::signed(&RUN, Epoch(0), admit(5, "member-5"), &signer(9));
    let digest = amendment.digest(&RUN);
    let consents = by_key()
        .into_iter()
        .map(|n| Consent::signed(digest, &signer(n)));
    let change = Change::Amend {
        amendment,
        consents: consents.collect(),
    };
    let expected = ChangeError::Signature { member: id(9) };
    assert_eq!(
        change.verify(&RUN, &four(), &Ed25519Verifier),
        Err(expected)
    );
}

#[test]
fn a_higher_threshold_asks_for_more_consents() {
    let strict = Membership {
        threshold: Some(4),
        ..four()
    };
    let verify = |consenting: &[u8]| {
        let change = amend(Epoch(0), admit(5, "member-5"), consenting);
        change.verify(&RUN, &strict, &Ed25519Verifier)
    };
    let expected = ChangeError::Consents {
        needed: 4,
        found: 3,
    };
    assert_eq!(verify(&[1, 2, 3]), Err(expected));
    assert_eq!(verify(&[1, 2, 3, 4]), Ok(()));
}

#[test]
fn leaving_is_signed_by_who_leaves_and_for_one_epoch() {
    let verify = |change: &Change, run: &RunId| change.verify(run, &four(), &Ed25519Verifier);
    let leave = Change::leave(&RUN, Epoch(0), &signer(4));
    let back = Change::back(&RUN, Epoch(0), &signer(4));
    assert_eq!(verify(&leave, &RUN), Ok(()));
    assert_eq!(verify(&back, &RUN), Ok(()));
    let (Change::Leave { signature, .. }, Change::Return { .. }) = (&leave, &back) else {
        unreachable!("made above")
    };
    let forged = |epoch, member| Change::Leave {
        epoch,
        member,
        signature: *signature,
    };
    let refused = |n| Err(ChangeError::Signature { member: id(n) });
    assert_eq!(
        verify(&forged(Epoch(0), id(3)), &RUN),
        refused(3),
        "for another"
    );
    let swapped = Change::Return {
        epoch: Epoch(0),
        member: id(4),
        signature: *signature,
    };
    assert_eq!(verify(&swapped, &RUN), refused(4), "a leave is no return");
    assert_eq!(verify(&leave, &RunId([8; 32])), refused(4), "another run");
    let stale = ChangeError::Epoch {
        expected: Epoch(0),
        found: Epoch(2),
    };
    assert_eq!(verify(&forged(Epoch(2), id(4)), &RUN), Err(stale));
}
