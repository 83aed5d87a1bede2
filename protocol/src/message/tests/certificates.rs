//! Certificates: how many signatures, in which order, of whom, over what.

use super::*;

fn count(found: usize) -> Result<(), CertificateError> {
    Err(CertificateError::Count {
        quorum: 3,
        voters: 4,
        found,
    })
}

fn position(found: u16) -> Result<(), CertificateError> {
    Err(CertificateError::Position { voters: 4, found })
}

fn unsigned(voter: u16) -> Result<(), CertificateError> {
    Err(CertificateError::Signature { voter })
}

/// What is done to the voter positions and signatures of a certificate by members 1, 2 and 3.
type Tamper = fn(&mut Vec<(u16, Signature)>);

const FORGED: Signature = Signature([1; 64]);

fn table() -> Vec<(&'static str, Tamper, Result<(), CertificateError>)> {
    vec![
        ("a quorum", |_| {}, Ok(())),
        ("nobody", |s| s.clear(), count(0)),
        ("one too few", |s| s.truncate(2), count(2)),
        (
            "more than voters",
            |s| s.extend([(3, FORGED), (4, FORGED)]),
            count(5),
        ),
        ("one voter twice", |s| s[1] = s[0], position(0)),
        ("descending", |s| s.reverse(), position(1)),
        ("beyond the last voter", |s| s[2].0 = 4, position(4)),
        ("far beyond it", |s| s[2].0 = u16::MAX, position(u16::MAX)),
        ("forged", |s| s[1].1 = FORGED, unsigned(1)),
        ("another voter's signature", |s| s[2].0 = 3, unsigned(3)),
        (
            "two exchanged",
            |s| (s[0].1, s[1].1) = (s[1].1, s[0].1),
            unsigned(0),
        ),
        ("a fourth, forged", |s| s.push((3, FORGED)), unsigned(3)),
    ]
}

#[test]
fn a_certificate_needs_a_quorum_in_order() {
    for kind in [VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize] {
        for (why, tamper, expected) in table() {
            let mut certificate = certificate(ballot(kind, 1, Digest([1; 32])), &[1, 2, 3]);
            let seals = certificate.seals.iter().map(|s| (s.voter, s.signature));
            let mut seals: Vec<_> = seals.collect();
            tamper(&mut seals);
            let seal = |(voter, signature)| Seal { voter, signature };
            certificate.seals = seals.into_iter().map(seal).collect();
            let found = certificate.verify(&RUN, &voters(), 3, &Ed25519Verifier);
            assert_eq!(found, expected, "{kind:?}: {why}");
        }
    }
}

#[test]
fn a_state_certificate_needs_a_quorum_in_order() {
    for (why, tamper, expected) in table() {
        let mut certificate = state_certificate(&[1, 2, 3]);
        let seals = certificate.seals.iter().map(|s| (s.voter, s.signature));
        let mut seals: Vec<_> = seals.collect();
        tamper(&mut seals);
        let attempts = |voter: u16| u32::from(voter) + 1;
        let seal = |(voter, signature)| RootSeal {
            voter,
            attempt: attempts(voter),
            signature,
        };
        certificate.seals = seals.into_iter().map(seal).collect();
        let found = certificate.verify(&RUN, &voters(), 3, &Ed25519Verifier);
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn a_certificate_holds_for_its_own_ballot_only() {
    let about = ballot(VoteKind::Finalize, 1, Digest([1; 32]));
    let others = [
        (
            "another kind",
            Ballot {
                kind: VoteKind::Notarize,
                ..about
            },
        ),
        (
            "another epoch",
            Ballot {
                epoch: Epoch(1),
                ..about
            },
        ),
        (
            "another round",
            Ballot {
                round: Round(1),
                ..about
            },
        ),
        (
            "another view",
            Ballot {
                view: View(2),
                ..about
            },
        ),
        (
            "another block",
            Ballot {
                digest: Digest([2; 32]),
                ..about
            },
        ),
    ];
    let verify = |c: &Certificate, run| c.verify(run, &voters(), 3, &Ed25519Verifier);
    let good = certificate(about, &[1, 2, 3]);
    assert_eq!(verify(&good, &RUN), Ok(()));
    assert_eq!(verify(&good, &RunId([8; 32])), unsigned(0), "another run");
    for (why, ballot) in others {
        let moved = Certificate {
            ballot,
            ..good.clone()
        };
        assert_eq!(verify(&moved, &RUN), unsigned(0), "{why}");
    }
}

#[test]
fn a_state_certificate_holds_for_its_own_state_only() {
    let good = state_certificate(&[1, 2, 3]);
    let attempt = |attempt| {
        let mut certificate = good.clone();
        certificate.seals[0].attempt = attempt;
        certificate
    };
    let others = [
        (
            "another epoch",
            StateCertificate {
                epoch: Epoch(1),
                ..good.clone()
            },
        ),
        (
            "another round",
            StateCertificate {
                round: Round(1),
                ..good.clone()
            },
        ),
        (
            "another root",
            StateCertificate {
                root: Root([4; 32]),
                ..good.clone()
            },
        ),
        ("another attempt", attempt(9)),
    ];
    for (why, moved) in others {
        let found = moved.verify(&RUN, &voters(), 3, &Ed25519Verifier);
        assert_eq!(found, unsigned(0), "{why}");
    }
}

#[test]
fn holds_have_one_form() {
    let ids = [Digest([1; 32]), Digest([2; 32])];
    let good = Holds::signed(&RUN, EPOCH, ROUND, vec![ids[1], ids[0], ids[1]], &signer(1));
    assert_eq!(*good.headers, ids, "sorted, each once");
    assert!(good.verify(&RUN, &Ed25519Verifier));
    // Signed over exactly what they say, so that only the form is wrong.
    let signed_as_is = |headers: Vec<Digest>| {
        let mut out = crate::encoding::Canonical::new("archipel/holds/v1");
        out.raw(&RUN.0).u32(EPOCH.0).u64(ROUND.0);
        out.u32(headers.len() as u32);
        headers.iter().for_each(|id| {
            out.raw(&id.0);
        });
        let signature = signer(1).sign(Role::Holds, &out.digest().0);
        Holds {
            headers: headers.into(),
            signature,
            ..good.clone()
        }
    };
    let numbered = |n: u16| {
        let mut digest = Digest::default();
        digest.0[..2].copy_from_slice(&n.to_be_bytes());
        digest
    };
    let table = [
        ("in order", ids.to_vec(), true),
        (
            "as many as there may be",
            (0..MAX_HOLDS as u16).map(numbered).collect(),
            true,
        ),
        ("none", vec![], false),
        ("not in order", vec![ids[1], ids[0]], false),
        ("one twice", vec![ids[0], ids[0]], false),
        (
            "one too many",
            (0..=MAX_HOLDS as u16).map(numbered).collect(),
            false,
        ),
    ];
    for (why, headers, expected) in table {
        let holds = signed_as_is(headers);
        assert_eq!(holds.verify(&RUN, &Ed25519Verifier), expected, "{why}");
    }
}
