//! Every kind of message over the wire; what is refused has its own error.

mod certificates;
mod flips;
mod golden;
mod proofs;

use super::*;
use crate::{
    charter::FaultModel,
    crypto::{Ed25519Signer, Ed25519Verifier, Role, Signature, Signer},
    ids::{MemberId, RunId, View},
    layout::{Layout, TensorSpec},
    ledger::{Act, EpochChain, Membership, Status},
    state::Tensors,
};
use proptest::prelude::*;
use serde_json::json;

const RUN: RunId = RunId([7; 32]);
const EPOCH: Epoch = Epoch(0);
const ROUND: Round = Round(300);
const BASE: Root = Root([3; 32]);
const NONCE: [u8; 32] = [5; 32];

/// Members 1 to 4 vote, in this order.
fn signer(n: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[n; 32])
}

fn id(n: u8) -> MemberId {
    signer(n).member()
}

fn voters() -> Vec<MemberId> {
    (1..=4).map(id).collect()
}

fn membership() -> Membership {
    let seat =
        |n: u8| json!({"id": id(n), "name": format!("member-{n}"), "status": Status::Voting});
    let value = json!({
        "epoch": EPOCH,
        "seats": (1..=4).map(seat).collect::<Vec<_>>(),
        "fault_model": FaultModel::Byzantine,
        "threshold": null,
    });
    serde_json::from_value(value).expect("the ledger's form")
}

fn layout() -> Layout {
    let spec = TensorSpec {
        name: "weight".to_owned(),
        shape: vec![2, 2],
    };
    Layout::new(vec![spec]).expect("a valid layout")
}

fn header(n: u8) -> Header {
    Header {
        epoch: EPOCH,
        round: ROUND,
        member: id(n),
        base: BASE,
        payload: crate::ids::BlobHash([n; 32]),
        payload_bytes: 70_000,
        codec: 3,
        steps: 500,
        tokens: 128_000,
        loss_micro: -2_345_678,
        work_root: Digest([4; 32]),
        residual_before: crate::ids::BlobHash([5; 32]),
        residual_after: crate::ids::BlobHash([6; 32]),
        optimizer_before: crate::ids::BlobHash([7; 32]),
        optimizer_after: crate::ids::BlobHash([8; 32]),
        carried: 1,
        numerics: "cpu-f32".to_owned(),
        nonce_commitment: nonce_commitment(&NONCE),
    }
}

fn signed(n: u8) -> SignedHeader {
    header(n).signed(&RUN, &signer(n))
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

fn vote(n: u8, ballot: Ballot) -> Vote {
    Vote::signed(&RUN, ballot, &signer(n))
}

fn certificate(ballot: Ballot, by: &[u8]) -> Certificate {
    let seal = |n: &u8| Seal {
        voter: u16::from(*n) - 1,
        signature: vote(*n, ballot).signature,
    };
    Certificate {
        ballot,
        seals: by.iter().map(seal).collect(),
    }
}

fn root_vote(n: u8, attempt: u32, root: Root) -> RootVote {
    let id = (EPOCH, ROUND);
    RootVote::signed(&RUN, id, attempt, root, Some(NONCE), &signer(n))
}

fn state_certificate(by: &[u8]) -> StateCertificate {
    let seal = |n: &u8| RootSeal {
        voter: u16::from(*n) - 1,
        attempt: u32::from(*n),
        signature: root_vote(*n, u32::from(*n), BASE).signature,
    };
    StateCertificate {
        epoch: EPOCH,
        round: ROUND,
        root: BASE,
        seals: by.iter().map(seal).collect(),
    }
}

fn amendment() -> Amendment {
    let act = Act::Admit {
        id: id(9),
        name: "member-9".to_owned(),
    };
    Amendment::signed(&RUN, EPOCH, act, &signer(2))
}

fn consents() -> Vec<Consent> {
    let digest = amendment().digest(&RUN);
    let signed = (1..=3).map(|n| Consent::signed(digest, &signer(n)));
    let mut consents: Vec<_> = signed.collect();
    consents.sort_by_key(|consent| consent.member);
    consents
}

fn evidence() -> [Evidence; 4] {
    let notarize = |d| vote(4, ballot(VoteKind::Notarize, 1, Digest([d; 32])));
    let nullify = vote(4, ballot(VoteKind::Nullify, 1, Digest::default()));
    let finalize = vote(4, ballot(VoteKind::Finalize, 1, Digest([1; 32])));
    let mut second = header(4);
    second.tokens += 1;
    [
        Evidence::TwoNotarizations(notarize(1), notarize(2)),
        Evidence::NullifiedAndFinalized(nullify, finalize),
        Evidence::TwoRoots(root_vote(4, 0, BASE), root_vote(4, 0, Root([4; 32]))),
        Evidence::TwoHeaders(
            Box::new(signed(4)),
            Box::new(second.signed(&RUN, &signer(4))),
        ),
    ]
}

fn block() -> Block {
    Block {
        epoch: EPOCH,
        round: ROUND,
        cut: vec![signed(1), signed(3)].into(),
        presents: vec![Present::signed(&RUN, EPOCH, ROUND, &signer(2))],
        changes: vec![Change::Amend {
            amendment: amendment(),
            consents: consents(),
        }],
        evidence: evidence()[..1].to_vec(),
        certificate: state_certificate(&[1, 2, 3]),
    }
}

fn proposal() -> Proposal {
    let digest = block().digest(&RUN);
    let justification = vec![
        certificate(ballot(VoteKind::Nullify, 1, Digest::default()), &[1, 2, 4]),
        certificate(ballot(VoteKind::Notarize, 0, digest), &[1, 3, 4]),
    ];
    Proposal::signed(&RUN, View(2), block(), justification, &signer(2))
}

fn final_block() -> FinalBlock {
    let about = ballot(VoteKind::Finalize, 2, block().digest(&RUN));
    FinalBlock {
        block: block(),
        certificate: certificate(about, &[2, 3, 4]),
    }
}

fn manifest() -> Manifest {
    let tensors = Tensors {
        parameters: vec![1.0; 4],
        momentum: vec![0.5; 4],
        aggregate: Vec::new(),
    };
    Manifest::founding(&layout(), &tensors, &membership())
}

fn recalled() -> Recalled {
    Recalled {
        since: ROUND,
        headers: vec![signed(4)],
        votes: vec![vote(4, ballot(VoteKind::Nullify, 0, Digest::default()))],
        roots: vec![root_vote(4, 0, BASE)],
    }
}

/// At least one message of every kind, every variant and optional field among them.
fn messages() -> Vec<Message> {
    let digest = Digest([9; 32]);
    let without_nonce = RootVote {
        nonce: None,
        ..root_vote(2, 1, BASE)
    };
    let asks = [
        Ask::Tip,
        Ask::Link(Epoch(130)),
        Ask::Final(ROUND),
        Ask::Block(ROUND, digest),
        Ask::Manifest(BASE),
        Ask::Recall(ROUND),
        Ask::Views(ROUND, View(300)),
    ];
    let motions = [
        Motion::Propose(amendment()),
        Motion::Consent(consents().remove(0)),
        Motion::Own(Change::leave(&RUN, EPOCH, &signer(3))),
        Motion::Own(Change::back(&RUN, EPOCH, &signer(3))),
    ];
    let mut all = vec![
        Message::Header(Box::new(signed(1))),
        Message::Holds(Holds::signed(
            &RUN,
            EPOCH,
            ROUND,
            vec![digest, Digest([2; 32])],
            &signer(1),
        )),
        Message::Proposal(Box::new(proposal())),
        Message::Vote(vote(1, ballot(VoteKind::Notarize, 200, digest))),
        Message::Vote(vote(2, ballot(VoteKind::Nullify, 0, Digest::default()))),
        Message::Vote(vote(3, ballot(VoteKind::Finalize, 1, digest))),
        Message::Certificate(certificate(
            ballot(VoteKind::Finalize, 1, digest),
            &[1, 2, 3, 4],
        )),
        Message::Root(root_vote(1, 0, BASE)),
        Message::Root(without_nonce),
        Message::State(state_certificate(&[1, 2, 4])),
        Message::Present(Present::signed(&RUN, EPOCH, ROUND, &signer(2))),
        Message::Final(Box::new(final_block())),
        Message::Block(Box::new(block())),
        Message::Manifest(Box::new(manifest())),
        Message::Recalled(Box::new(recalled())),
    ];
    all.extend(evidence().map(|proof| Message::Evidence(Box::new(proof))));
    all.extend(motions.map(|motion| Message::Motion(Box::new(motion))));
    all.extend(asks.map(Message::Ask));
    all
}

#[test]
fn every_kind_comes_back_as_it_was() {
    let mut kinds = std::collections::BTreeSet::new();
    for message in messages() {
        let bytes = message.to_bytes();
        assert_eq!(bytes[..2], [WIRE_VERSION, message.kind()]);
        assert_eq!(Message::from_bytes(&bytes), Ok(message.clone()));
        kinds.insert(message.kind());
    }
    assert!(kinds.into_iter().eq(1..=15), "the registry has no gap");
}

#[test]
fn what_is_no_message_has_its_own_error() {
    let good = Message::Ask(Ask::Final(Round(5))).to_bytes();
    assert_eq!(good, [1, 11, 2, 5]);
    let body = |kind, error| Err(WireError::Body { kind, error });
    let long = [vec![1, 1], vec![0; MAX_MESSAGE_BYTES + 1]].concat();
    let too_long = DecodeError::TooLong {
        found: MAX_MESSAGE_BYTES + 1,
        limit: MAX_MESSAGE_BYTES,
    };
    let table: [(&str, &[u8], Result<Message, WireError>); 14] = [
        ("nothing", &[], Err(WireError::Short { found: 0 })),
        ("no kind", &[1], Err(WireError::Short { found: 1 })),
        (
            "an older version",
            &[0, 11, 2, 5],
            Err(WireError::Version { found: 0 }),
        ),
        (
            "a later version",
            &[2, 11, 2, 5],
            Err(WireError::Version { found: 2 }),
        ),
        (
            "below the registry",
            &[1, 0],
            Err(WireError::Kind { found: 0 }),
        ),
        (
            "beyond the registry",
            &[1, 16],
            Err(WireError::Kind { found: 16 }),
        ),
        (
            "the last kind there is",
            &[1, 255, 0],
            Err(WireError::Kind { found: 255 }),
        ),
        ("cut short", &[1, 11, 2], body(11, DecodeError::Malformed)),
        (
            "an unknown variant",
            &[1, 11, 6],
            body(11, DecodeError::Malformed),
        ),
        (
            "an over-long number",
            &[1, 11, 2, 0x85, 0],
            body(11, DecodeError::NotCanonical),
        ),
        (
            "an over-long variant",
            &[1, 11, 0x80, 0],
            body(11, DecodeError::NotCanonical),
        ),
        (
            "bytes left over",
            &[1, 11, 2, 5, 0],
            body(11, DecodeError::Trailing { left: 1 }),
        ),
        ("a body over the limit", &long, body(1, too_long)),
        (
            "a kind and no body",
            &[1, 1],
            body(1, DecodeError::Malformed),
        ),
    ];
    for (why, bytes, expected) in table {
        assert_eq!(Message::from_bytes(bytes), expected, "{why}");
    }
}

#[test]
fn no_message_decodes_from_a_part_of_it() {
    for message in messages() {
        let bytes = message.to_bytes();
        for end in 0..bytes.len() {
            assert!(
                Message::from_bytes(&bytes[..end]).is_err(),
                "{end} of {message:?}"
            );
        }
        let longer = [bytes, vec![0]].concat();
        let trailing = WireError::Body {
            kind: message.kind(),
            error: DecodeError::Trailing { left: 1 },
        };
        assert_eq!(Message::from_bytes(&longer), Err(trailing));
    }
}

/// A declared length is never believed before the bytes are there.
#[test]
fn a_huge_declared_list_is_refused() {
    let holds = |count: &[u8]| {
        let mut bytes = vec![WIRE_VERSION, 2, 0, 1];
        bytes.extend([9; 32]);
        bytes.extend(count);
        Message::from_bytes(&bytes)
    };
    let error = WireError::Body {
        kind: 2,
        error: DecodeError::Malformed,
    };
    for count in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 9], &[0xff; 20]] {
        assert_eq!(holds(count), Err(error.clone()), "{count:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::from_bytes(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes);
        }
    }

    #[test]
    fn random_bodies_never_panic(
        kind in 1u8..=15,
        body in prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..600),
    ) {
        let bytes = [vec![WIRE_VERSION, kind], body].concat();
        match Message::from_bytes(&bytes) {
            Ok(message) => prop_assert_eq!(message.to_bytes(), bytes),
            Err(WireError::Body { kind: found, .. }) => prop_assert_eq!(found, kind),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn spliced_messages_never_panic(
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
    ) {
        let all = ALL.get_or_init(|| messages().iter().map(Message::to_bytes).collect());
        let (head, tail) = (first.get(all), second.get(all));
        let bytes = [&head[..at.index(head.len())], &tail[from.index(tail.len())..]].concat();
        if let Ok(message) = Message::from_bytes(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes);
        }
    }
}

/// Signing every message anew in each case would only cost time.
static ALL: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
