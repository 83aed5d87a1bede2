//! Evidence: two statements that exclude each other, both signed by the accused.

use super::*;

fn notarize(n: u8, view: u32, digest: u8) -> Vote {
    vote(n, ballot(VoteKind::Notarize, view, Digest([digest; 32])))
}

fn nullify(n: u8, view: u32) -> Vote {
    vote(n, ballot(VoteKind::Nullify, view, Digest::default()))
}

fn finalize(n: u8, view: u32) -> Vote {
    vote(n, ballot(VoteKind::Finalize, view, Digest([1; 32])))
}

fn elsewhere(vote: Vote, epoch: u32, round: u64) -> Vote {
    let ballot = Ballot {
        epoch: Epoch(epoch),
        round: Round(round),
        ..vote.ballot
    };
    self::vote(4, ballot)
}

fn headers(a: Header, b: Header) -> Evidence {
    let sign = |header: Header| Box::new(header.signed(&RUN, &signer(4)));
    Evidence::TwoHeaders(sign(a), sign(b))
}

fn other_header() -> Header {
    Header {
        tokens: 1,
        ..header(4)
    }
}

fn forged(vote: Vote) -> Vote {
    Vote {
        signature: Signature([1; 64]),
        ..vote
    }
}

const CONFLICT: Result<(), EvidenceError> = Err(EvidenceError::NoConflict);

fn check(table: Vec<(&str, Evidence, Result<(), EvidenceError>)>) {
    for (why, evidence, expected) in table {
        let found = evidence.verify(&RUN, &Ed25519Verifier);
        assert_eq!(found, expected, "{why}");
        if expected.is_ok() {
            let about = (evidence.accused(), evidence.round());
            assert_eq!(about, (id(4), ROUND), "{why}");
        }
    }
}

#[test]
fn votes_that_exclude_each_other_are_proof() {
    use Evidence::{NullifiedAndFinalized as Both, TwoNotarizations as Two};
    check(vec![
        (
            "two blocks",
            Two(notarize(4, 1, 1), notarize(4, 1, 2)),
            Ok(()),
        ),
        (
            "one block twice",
            Two(notarize(4, 1, 1), notarize(4, 1, 1)),
            CONFLICT,
        ),
        (
            "in two views",
            Two(notarize(4, 1, 1), notarize(4, 2, 2)),
            CONFLICT,
        ),
        (
            "of two members",
            Two(notarize(4, 1, 1), notarize(3, 1, 2)),
            CONFLICT,
        ),
        (
            "in two rounds",
            Two(notarize(4, 1, 1), elsewhere(notarize(4, 1, 2), 0, 1)),
            CONFLICT,
        ),
        (
            "in two epochs",
            Two(notarize(4, 1, 1), elsewhere(notarize(4, 1, 2), 1, ROUND.0)),
            CONFLICT,
        ),
        (
            "not notarizations",
            Two(nullify(4, 1), finalize(4, 1)),
            CONFLICT,
        ),
        (
            "given up and finalized",
            Both(nullify(4, 1), finalize(4, 1)),
            Ok(()),
        ),
        (
            "the other way round",
            Both(finalize(4, 1), nullify(4, 1)),
            CONFLICT,
        ),
        (
            "of two views",
            Both(nullify(4, 1), finalize(4, 2)),
            CONFLICT,
        ),
        (
            "of two members",
            Both(nullify(4, 1), finalize(3, 1)),
            CONFLICT,
        ),
        (
            "given up and notarized",
            Both(nullify(4, 1), notarize(4, 1, 1)),
            CONFLICT,
        ),
    ]);
}

#[test]
fn roots_and_headers_that_exclude_each_other_are_proof() {
    use Evidence::TwoRoots as Roots;
    let of_round_2 = RootVote::signed(&RUN, (EPOCH, Round(2)), 0, BASE, None, &signer(4));
    let root = |attempt, n| root_vote(4, attempt, Root([n; 32]));
    check(vec![
        ("two roots", Roots(root(0, 1), root(0, 2)), Ok(())),
        ("one root twice", Roots(root(0, 1), root(0, 1)), CONFLICT),
        ("a repair", Roots(root(0, 1), root(1, 2)), CONFLICT),
        (
            "roots of two rounds",
            Roots(root(0, 1), of_round_2),
            CONFLICT,
        ),
        (
            "roots of two members",
            Roots(root(0, 1), root_vote(3, 0, BASE)),
            CONFLICT,
        ),
        ("two headers", headers(header(4), other_header()), Ok(())),
        ("one header twice", headers(header(4), header(4)), CONFLICT),
        (
            "headers of two rounds",
            headers(
                header(4),
                Header {
                    round: Round(1),
                    ..header(4)
                },
            ),
            CONFLICT,
        ),
        (
            "headers of two members",
            Evidence::TwoHeaders(Box::new(signed(4)), Box::new(signed(3))),
            CONFLICT,
        ),
    ]);
}

#[test]
fn nobody_is_accused_without_both_signatures() {
    let unsigned = Err(EvidenceError::Signature);
    let [first, second] = [header(4), other_header()].map(|h| h.signed(&RUN, &signer(4)));
    let foreign = other_header().signed(&RUN, &signer(3));
    let forged_root = RootVote {
        signature: Signature([1; 64]),
        ..root_vote(4, 0, Root([4; 32]))
    };
    let two = |a, b| Evidence::TwoNotarizations(a, b);
    let table = [
        (
            "the first is forged",
            two(forged(notarize(4, 1, 1)), notarize(4, 1, 2)),
        ),
        (
            "the second is forged",
            two(notarize(4, 1, 1), forged(notarize(4, 1, 2))),
        ),
        (
            "a forged finalize vote",
            Evidence::NullifiedAndFinalized(nullify(4, 1), forged(finalize(4, 1))),
        ),
        (
            "a forged root",
            Evidence::TwoRoots(root_vote(4, 0, BASE), forged_root),
        ),
        (
            "a header that another member signed",
            Evidence::TwoHeaders(Box::new(first.clone()), Box::new(foreign)),
        ),
    ];
    for (why, evidence) in table {
        assert_eq!(evidence.verify(&RUN, &Ed25519Verifier), unsigned, "{why}");
    }
    let proof = Evidence::TwoHeaders(Box::new(first), Box::new(second));
    let other_run = RunId([8; 32]);
    assert_eq!(proof.verify(&RUN, &Ed25519Verifier), Ok(()));
    assert_eq!(proof.verify(&other_run, &Ed25519Verifier), unsigned);
}

/// Evidence is recorded, and a record is bounded: what no member would accept as a header is not
/// accepted as half of a proof either.
#[test]
fn a_proof_of_oversize_headers_is_refused() {
    let long = |n: usize, tokens| Header {
        numerics: "x".repeat(n),
        tokens,
        ..header(4)
    };
    let limit = MAX_NUMERICS_BYTES;
    let fits = headers(long(limit, 1), long(limit, 2));
    assert_eq!(fits.verify(&RUN, &Ed25519Verifier), Ok(()));
    for evidence in [
        headers(long(limit + 1, 1), long(1, 2)),
        headers(long(1, 1), long(32_000, 2)),
    ] {
        let oversize = Err(EvidenceError::Oversize);
        assert_eq!(evidence.verify(&RUN, &Ed25519Verifier), oversize);
    }
}
