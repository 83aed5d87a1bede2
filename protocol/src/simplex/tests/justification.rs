//! Which certificates allow a block in a view, and which block.

use super::*;

/// Why, the view, what is certified, and what follows from it.
type Row = (&'static str, u32, Vec<Ballot>, Option<Option<Digest>>);

fn check(table: Vec<Row>) {
    for (why, view, ballots, expected) in table {
        let certificates: Vec<_> = ballots.into_iter().map(certificate).collect();
        let found = machine().justifies(View(view), &certificates);
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn justifications_have_two_forms() {
    let free = Some(None);
    let forced = Some(Some(A));
    check(vec![
        ("J1: the first view needs nothing", 0, vec![], free),
        (
            "J1: all lower views are nullified",
            2,
            vec![nullify(1), nullify(0)],
            free,
        ),
        (
            "J2: the view below is notarized",
            1,
            vec![notarize(0, A)],
            forced,
        ),
        (
            "J2: nullified down to a notarized view",
            4,
            vec![nullify(3), notarize(2, A)],
            forced,
        ),
    ]);
}

#[test]
fn everything_else_justifies_nothing() {
    let other_round = Ballot {
        round: Round(8),
        ..nullify(0)
    };
    let other_epoch = Ballot {
        epoch: Epoch(3),
        ..notarize(0, A)
    };
    check(vec![
        ("nothing for a later view", 1, vec![], None),
        ("more than the first view needs", 0, vec![nullify(0)], None),
        ("the lowest view is missing", 2, vec![nullify(1)], None),
        (
            "a view between is missing",
            3,
            vec![nullify(2), notarize(0, A)],
            None,
        ),
        (
            "ascending instead of descending",
            2,
            vec![nullify(0), nullify(1)],
            None,
        ),
        ("one view twice", 2, vec![nullify(1), nullify(1)], None),
        (
            "more below a notarization",
            2,
            vec![notarize(1, A), nullify(0)],
            None,
        ),
        (
            "a notarization between nullifications",
            2,
            vec![notarize(1, A), notarize(0, A)],
            None,
        ),
        (
            "a finalization justifies nothing",
            1,
            vec![finalize(0, A)],
            None,
        ),
        ("its own view", 1, vec![notarize(1, A)], None),
        ("another round", 1, vec![other_round], None),
        ("another epoch", 1, vec![other_epoch], None),
    ]);
}

#[test]
fn its_own_justifications_are_accepted() {
    let table = [
        ("nothing is known of view 0", vec![], 1, None),
        (
            "all views nullified",
            vec![nullify(0), nullify(1)],
            2,
            Some(None),
        ),
        ("a gap", vec![nullify(1)], 2, None),
        (
            "a gap below a notarization does not matter",
            vec![notarize(1, A)],
            2,
            Some(Some(A)),
        ),
        (
            "the highest notarization is repeated",
            vec![notarize(0, A), nullify(1), notarize(1, B)],
            2,
            Some(Some(B)),
        ),
        (
            "a notarization counts below nullified views",
            vec![notarize(0, A), nullify(1), nullify(2)],
            3,
            Some(Some(A)),
        ),
    ];
    for (why, known, view, expected) in table {
        let mut machine = machine();
        for ballot in known {
            machine.certificate(certificate(ballot));
        }
        let justification = machine.justification(View(view));
        let judged = justification.and_then(|j| self::machine().justifies(View(view), &j));
        assert_eq!(judged, expected, "{why}");
    }
}
