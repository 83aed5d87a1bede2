//! Single members fed by hand, and four of them wired by hand.

mod headers;
mod lies;
mod limits;
mod order;
mod passing;
mod patience;
mod recalls;
mod views;
mod waiting;

use super::*;
use crate::{
    charter::FaultModel,
    crypto::{Ed25519Signer, Ed25519Verifier, Signature},
    ids::{BlobHash, Digest, Epoch, RunId, View},
    layout::{Layout, TensorSpec},
    ledger::{Membership, Status},
    message::{
        Ask, Ballot, Block, Certificate, Header, Holds, Proposal, Recalled, RootSeal, RootVote,
        Seal, SignedHeader, Vote, VoteKind,
    },
    state::Tensors,
};
use serde_json::json;

/// Its zeros make member 1 the proposer of view 0 in round 0, member 2 of view 1, and so on.
const RUN: RunId = RunId([0; 32]);
const EPOCH: Epoch = Epoch(0);
const SECOND: u64 = 1_000_000;

fn signer(n: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[n; 32])
}

fn id(n: u8) -> MemberId {
    signer(n).member()
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

fn settings() -> Settings {
    let spec = TensorSpec {
        name: "weight".to_owned(),
        shape: vec![4],
    };
    Settings {
        device: "cpu".to_owned(),
        software: Default::default(),
        run_id: RUN,
        founding: membership(),
        layout: Layout::new(vec![spec]).expect("a valid layout"),
        guests: Vec::new(),
        rounds: 100,
        steps: 10,
        steps_by_speed: false,
        carries_on: false,
        delay: 0,
        fragments: 1,
        tokens_per_step: 64,
        codec: 2,
        max_payload_bytes: 1000,
        rule: 1,
        error_feedback: true,
        max_carried: 1,
        minimum_updates: 2,
        numerics: "cpu-fma-1".to_owned(),
        delta_us: SECOND / 10,
        fetch_us: SECOND / 10,
        deadline_floor_us: SECOND,
        deadline_ceiling_us: 20 * SECOND,
        deadline_mad_milli: 3000,
        wait_all: false,
        resend_us: SECOND / 2,
        hold_batch_us: SECOND / 100,
        unix_ms_at_zero: 1_700_000_000_000,
    }
}

fn founding() -> Manifest {
    let tensors = Tensors {
        parameters: vec![0.0; 4],
        momentum: Vec::new(),
        aggregate: Vec::new(),
    };
    Manifest::founding(&settings().layout, &tensors, &membership())
}

fn root_of(manifest: &Manifest) -> Root {
    manifest.root(&RUN, &settings().layout)
}

fn member(n: u8, log: Vec<Durable>) -> Member {
    let signer = Box::new(signer(n));
    let memory = (log, Logbook::default());
    let verifier = Arc::new(Ed25519Verifier);
    Member::new(
        settings(),
        signer,
        verifier,
        founding(),
        memory,
        Timestamp(0),
    )
}

fn drain(member: &mut Member) -> Vec<Output> {
    std::iter::from_fn(|| member.poll_output()).collect()
}

/// Hands a message over at the member's present time, and takes what comes of it.
fn tell(member: &mut Member, from: u8, message: Message) -> Vec<Output> {
    let message = Arc::new(message);
    let input = Input::Message {
        from: id(from),
        message,
    };
    member.handle(member.now, input);
    drain(member)
}

fn nothing_recalled(since: Round) -> Message {
    Message::Recalled(Box::new(Recalled {
        since,
        headers: Vec::new(),
        votes: Vec::new(),
        roots: Vec::new(),
    }))
}

fn root_vote(n: u8, round: u64, root: Root) -> RootVote {
    let id = (EPOCH, Round(round));
    RootVote::signed(&RUN, id, 0, root, None, &signer(n))
}

fn certified(round: u64, root: Root) -> StateCertificate {
    let seal = |n: u8| RootSeal {
        voter: u16::from(n) - 1,
        attempt: 0,
        signature: root_vote(n, round, root).signature,
    };
    StateCertificate {
        epoch: EPOCH,
        round: Round(round),
        root,
        seals: (2..=4).map(seal).collect(),
    }
}

fn ballot(kind: VoteKind, round: u64, view: u32, digest: Digest) -> Ballot {
    Ballot {
        kind,
        epoch: EPOCH,
        round: Round(round),
        view: View(view),
        digest,
    }
}

fn vote(n: u8, ballot: Ballot) -> Vote {
    Vote::signed(&RUN, ballot, &signer(n))
}

/// Member 1 in round 0, training, its outputs taken.
fn in_round_0() -> Member {
    let mut member = member(1, Vec::new());
    for n in [2, 3] {
        tell(&mut member, n, nothing_recalled(Round(0)));
    }
    for n in [2, 3] {
        let vote = root_vote(n, 0, root_of(&founding()));
        tell(&mut member, n, Message::Root(vote));
    }
    assert_eq!((member.phase(), member.round()), ("train", Some(Round(0))));
    member
}

fn header(n: u8) -> Header {
    Header {
        epoch: EPOCH,
        round: Round(0),
        member: id(n),
        base: root_of(&founding()),
        payload: BlobHash([n; 32]),
        payload_bytes: 100,
        codec: 2,
        steps: 10,
        tokens: 640,
        loss_micro: 1_000_000,
        work_root: Digest([1; 32]),
        residual_before: BlobHash([2; 32]),
        residual_after: BlobHash([3; 32]),
        optimizer_before: BlobHash([4; 32]),
        optimizer_after: BlobHash([5; 32]),
        carried: 0,
        numerics: "cpu-fma-1".to_owned(),
        nonce_commitment: Digest([6; 32]),
    }
}

fn signed(header: Header, n: u8) -> SignedHeader {
    header.signed(&RUN, &signer(n))
}

fn header_message(n: u8) -> Message {
    Message::Header(Box::new(signed(header(n), n)))
}

/// The reasons of all refusals among the outputs, and who was refused.
fn refusals(outputs: &[Output]) -> Vec<(MemberId, &str)> {
    let refused = outputs.iter().filter_map(|output| match output {
        Output::Event(Event::Refused { from, reason }) => Some((*from, reason.as_str())),
        _ => None,
    });
    refused.collect()
}

/// True for what carries a new signature of the member, on its way to the log or to the others.
fn is_signed_by(output: &Output, me: MemberId) -> bool {
    match output {
        Output::Persist(entry) => matches!(
            **entry,
            Durable::Header { .. } | Durable::Proposal(_) | Durable::Vote(_) | Durable::Root(_)
        ),
        Output::Broadcast(message) | Output::Send { message, .. } => match &**message {
            Message::Header(header) => header.header.member == me,
            Message::Holds(holds) => holds.member == me,
            Message::Proposal(proposal) => proposal.member == me,
            Message::Vote(vote) => vote.member == me,
            Message::Root(vote) => vote.member == me,
            Message::Present(present) => present.member == me,
            _ => false,
        },
        _ => false,
    }
}
