//! Which certificates allow a block in a view, and which block.

use super::*;

/// Why, the view, what is certified, and whether it has the form of a justification.
type Row = (&'static str, u32, Vec<Ballot>);

fn check(table: Vec<Row>, expected: bool) {
    for (why, view, ballots) in table {
        let certificates: Vec<_> = ballots.into_iter().map(certificate).collect();
        let found = machine().is_justification(View(view), &certificates);
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn justifications_have_these_forms() {
    let table = vec![
        ("J1: the first view needs nothing", 0, vec![]),
        ("J1: all lower views", 2, vec![nullify(1), nullify(0)]),
        ("J2: the view below is notarized", 1, vec![notarize(0, A)]),
        (
            "J2: down to a notarized view",
            4,
            vec![nullify(3), notarize(2, A)],
        ),
        ("the beginning of either", 3, vec![nullify(2), nullify(1)]),
    ];
    check(table, true);
}

#[test]
fn everything_else_is_no_justification() {
    let other_round = Ballot {
        round: Round(8),
        ..nullify(0)
    };
    let other_epoch = Ballot {
        epoch: Epoch(3),
        ..notarize(0, A)
    };
    let table = vec![
        ("nothing for a later view", 1, vec![]),
        ("more than the first view needs", 0, vec![nullify(0)]),
        (
            "a view between is missing",
            3,
            vec![nullify(2), notarize(0, A)],
        ),
        (
            "ascending instead of descending",
            2,
            vec![nullify(0), nullify(1)],
        ),
        ("one view twice", 2, vec![nullify(1), nullify(1)]),
        ("below the first view", 1, vec![nullify(0), nullify(0)]),
        (
            "more below a notarization",
            2,
            vec![notarize(1, A), nullify(0)],
        ),
        ("two notarizations", 2, vec![notarize(1, A), notarize(0, A)]),
        ("a finalization", 1, vec![finalize(0, A)]),
        ("its own view", 1, vec![notarize(1, A)]),
        ("another round", 1, vec![other_round]),
        ("another epoch", 1, vec![other_epoch]),
    ];
    check(table, false);
}

/// What is known, the view, what is missing or how many certificates justify it, and the support of
/// block A in it.
type Knowledge = (&'static str, Vec<Ballot>, u32, Result<usize, View>, Support);

#[test]
fn what_is_known_justifies_and_supports() {
    let (free, forced) = (Support::Free, Support::Forced);
    let missing = |view| Support::Missing(View(view));
    let table: Vec<Knowledge> = vec![
        ("the first view", vec![], 0, Ok(0), free),
        ("nothing of view 0", vec![], 1, Err(View(0)), missing(0)),
        (
            "all nullified",
            vec![nullify(0), nullify(1)],
            2,
            Ok(2),
            free,
        ),
        ("a gap", vec![nullify(1)], 2, Err(View(0)), missing(0)),
        (
            "a gap below a notarization does not matter",
            vec![notarize(1, A)],
            2,
            Ok(1),
            forced,
        ),
        (
            "the highest notarization is repeated, and another block only if that one is nullified",
            vec![notarize(0, A), nullify(1), notarize(1, B)],
            2,
            Ok(1),
            forced,
        ),
        (
            "another block is notarized, and may be final",
            vec![notarize(0, A), notarize(1, B)],
            2,
            Ok(1),
            missing(1),
        ),
        (
            "a notarization counts below nullified views",
            vec![notarize(0, A), nullify(1), nullify(2)],
            3,
            Ok(3),
            forced,
        ),
    ];
    for (why, known, view, certificates, support) in table {
        let mut machine = machine();
        for ballot in known {
            machine.certificate(certificate(ballot));
        }
        let justification = machine.justification(View(view));
        assert_eq!(
            justification.clone().map(|j| j.len()),
            certificates,
            "{why}"
        );
        assert_eq!(machine.support(View(view), &A), support, "{why}");
        if let Ok(justification) = justification {
            let carried: Vec<_> = justification.into_iter().cloned().collect();
            assert!(machine.is_justification(View(view), &carried), "{why}");
        }
    }
}

#[test]
fn certificates_are_told_from_the_highest_view_down() {
    let mut machine = machine();
    for ballot in [nullify(0), notarize(1, A), nullify(1), nullify(3)] {
        machine.certificate(certificate(ballot));
    }
    let told = machine.certificates_down_from(View(2), 2);
    let told: Vec<_> = told.into_iter().map(|c| c.ballot).collect();
    assert_eq!(told, [notarize(1, A), nullify(1)]);
}
