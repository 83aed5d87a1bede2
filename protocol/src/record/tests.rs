//! The bytes of every kind of record, the chain they form, and how a log is taken up again.

use super::*;
use crate::{
    crypto::Signature,
    ids::{BlobHash, Epoch, Root, View},
    message::{
        Ballot, Block, Certificate, Evidence, FinalBlock, Header, RootSeal, Seal, StateCertificate,
        Vote, VoteKind,
    },
    suspicion::Sight,
};
use serde_json::{Value, json};

const RUN: RunId = RunId([0xa1; 32]);
const MEMBER: MemberId = MemberId([0xb2; 32]);
const OWNER: (&RunId, &MemberId) = (&RUN, &MEMBER);
const ROUND: Round = Round(9);

fn header() -> Header {
    Header {
        epoch: Epoch(1),
        round: ROUND,
        member: MEMBER,
        base: Root([1; 32]),
        payload: BlobHash([2; 32]),
        payload_bytes: 70_000,
        codec: 3,
        steps: 500,
        tokens: 128_000,
        loss_micro: -1_234_567,
        work_root: Digest([3; 32]),
        residual_before: BlobHash([4; 32]),
        residual_after: BlobHash([5; 32]),
        optimizer_before: BlobHash([6; 32]),
        optimizer_after: BlobHash([7; 32]),
        carried: 1,
        numerics: "cpu-f32".to_owned(),
        nonce_commitment: Digest([8; 32]),
    }
}

fn ballot(kind: VoteKind, digest: u8) -> Ballot {
    Ballot {
        kind,
        epoch: Epoch(1),
        round: ROUND,
        view: View(2),
        digest: Digest([digest; 32]),
    }
}

fn certificate() -> Certificate {
    let seal = |voter| Seal {
        voter,
        signature: Signature([0x50 + voter as u8; 64]),
    };
    Certificate {
        ballot: ballot(VoteKind::Finalize, 0x40),
        seals: vec![seal(0), seal(2)].into(),
    }
}

fn state_certificate() -> StateCertificate {
    let seal = |voter, attempt| RootSeal {
        voter,
        attempt,
        signature: Signature([0x60 + voter as u8; 64]),
    };
    StateCertificate {
        epoch: Epoch(1),
        round: ROUND.next(),
        root: Root([0x70; 32]),
        seals: vec![seal(0, 0), seal(1, 3)].into(),
    }
}

fn final_block() -> FinalBlock {
    let block = Block {
        epoch: Epoch(1),
        round: ROUND,
        cut: Default::default(),
        presents: Vec::new(),
        changes: Vec::new(),
        evidence: Vec::new(),
        certificate: state_certificate(),
    };
    FinalBlock {
        block,
        certificate: certificate(),
    }
}

fn evidence() -> Evidence {
    let vote = |digest| Vote {
        ballot: ballot(VoteKind::Notarize, digest),
        member: MemberId([0xc3; 32]),
        signature: Signature([digest; 64]),
    };
    Evidence::TwoNotarizations(vote(1), vote(2))
}

fn intake() -> IntakeBody {
    let entry = |n: u8, verdict, sight| IntakeEntry {
        member: MemberId([n; 32]),
        id: Digest([n + 1; 32]),
        verdict,
        sight,
    };
    let whole = Sight {
        cosine: Some(-125_000_000),
        norm_ratio: 4_000_000_000,
        overlap: Some(98_765_432),
    };
    let bare = Sight {
        cosine: None,
        norm_ratio: 999_999_999,
        overlap: None,
    };
    IntakeBody {
        entries: vec![
            entry(1, Verdict::Accepted, Some(whole)),
            entry(2, Verdict::Unavailable, None),
            entry(3, Verdict::Invalid, None),
            entry(4, Verdict::Equivocated, None),
            entry(5, Verdict::Accepted, Some(bare)),
        ],
        holds: vec![
            (MemberId([1; 32]), vec![0, 3], Signature([9; 64])),
            (MemberId([2; 32]), vec![], Signature([8; 64])),
        ],
    }
}

fn commit() -> CommitBody {
    CommitBody {
        folded: true,
        rule: 2,
        cut: Digest([0x11; 32]),
        headers: vec![Digest([0x12; 32]), Digest([0x13; 32])],
        finalization: certificate(),
        weights: vec![1 << 31, 1 << 31],
        aggregate: BlobHash([0x14; 32]),
        outer: Digest([0x15; 32]),
        memory: Digest::default(),
        root: Root([0x70; 32]),
        certificate: state_certificate(),
        side_size: 5,
        side_root: Digest([0x16; 32]),
    }
}

/// Every form of the four bodies of a round, with what a reader of the vector makes them of.
fn main_bodies() -> Vec<(&'static str, Body, Value)> {
    let update = UpdateBody {
        id: header().id(&RUN),
        header: header(),
        signature: Signature([0x33; 64]),
    };
    let work = WorkBody {
        header: header(),
        flop: 1 << 70,
        device: "cpu".to_owned(),
        software: Digest([0x44; 32]),
    };
    vec![
        (
            "work",
            Body::Work(Done::Yes(work)),
            json!({"header": header(), "flop": "2^70", "device": "cpu", "software": "44 × 32"}),
        ),
        (
            "work, absent",
            Body::Work(Done::Absent(AbsentReason::Down)),
            json!({"reason": 1}),
        ),
        (
            "update",
            Body::Update(Done::Yes(Box::new(update))),
            json!({"header": header(), "signature": Signature([0x33; 64])}),
        ),
        (
            "update, absent",
            Body::Update(Done::Absent(AbsentReason::Late)),
            json!({"reason": 4}),
        ),
        (
            "intake",
            Body::Intake(Done::Yes(intake())),
            json!({
                "entries": "members 01..01 to 05..05, identities 02..02 to 06..06, verdicts 1 to \
                            4 and 1, sights of the first (cosine -0.125, ratio 4, overlap \
                            0.098765432) and the last (ratio 0.999999999 alone)",
                "holds": "01..01 of positions 0 and 3, signature 09..09; 02..02 of none, 08..08",
            }),
        ),
        (
            "intake, absent",
            Body::Intake(Done::Absent(AbsentReason::Synced)),
            json!({"reason": 2}),
        ),
        (
            "commit",
            Body::Commit(Done::Yes(Box::new(commit()))),
            json!({
                "folded": true, "rule": 2, "cut": Digest([0x11; 32]),
                "headers": commit().headers, "finalization": certificate(),
                "weights": commit().weights, "aggregate": BlobHash([0x14; 32]),
                "outer": Digest([0x15; 32]), "memory": Digest::default(),
                "root": Root([0x70; 32]), "certificate": state_certificate(),
                "side_size": 5, "side_root": Digest([0x16; 32]),
            }),
        ),
        (
            "commit, absent",
            Body::Commit(Done::Absent(AbsentReason::Suspended)),
            json!({"reason": 3}),
        ),
    ]
}

/// The same for the side log.
fn side_bodies() -> Vec<(&'static str, Body, Value)> {
    let incident = Body::Incident {
        kind: "repair".to_owned(),
        text: "refolded round 9 – done".to_owned(),
    };
    let genesis = Body::Genesis {
        software: "archipel 0.1.0".to_owned(),
        root: Root([0x71; 32]),
    };
    let end = Body::End {
        root: Root([0x72; 32]),
    };
    vec![
        (
            "genesis",
            genesis,
            json!({"software": "archipel 0.1.0", "root": Root([0x71; 32])}),
        ),
        (
            "epoch",
            Body::Epoch(Box::new(final_block())),
            json!({"block": final_block()}),
        ),
        (
            "incident",
            incident,
            json!({"kind": "repair", "text": "refolded round 9 – done"}),
        ),
        (
            "evidence",
            Body::Evidence(Box::new(evidence())),
            json!({"evidence": evidence()}),
        ),
        ("end", end, json!({"root": Root([0x72; 32])})),
    ]
}

fn bodies() -> impl Iterator<Item = (&'static str, Body, Value)> {
    main_bodies().into_iter().chain(side_bodies())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_golden_records_are_what_they_were() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/records.json");
    let mut chain = Chain::default();
    let mut records = Vec::new();
    for (nth, (what, body, fields)) in (0..).zip(bodies()) {
        let bytes = chain.append(OWNER, ROUND, 1_700_000_000_000 + nth, &body);
        records.push(json!({
            "what": what,
            "kind": body.kind() as u8,
            "time_unix_ms": 1_700_000_000_000_u64 + nth,
            "body": fields,
            "record": hex(&bytes),
            "leaf": leaf_hash(&bytes),
        }));
    }
    let actual = json!({
        "about": "Records of one log, in order: magic[16], run_id[32], member[32], index u64, \
                  round u64, time_unix_ms u64, prev[32], kind u8, body; big-endian; texts and \
                  lists of bytes behind their length (u32), other lists behind their count \
                  (u16). 'record' is hexadecimal; 'leaf' is SHA-256 of a zero byte and the \
                  record, and 'prev' of the next one. Epoch and evidence bodies hold one strict \
                  postcard value. 'body' names the fields that the record was made of; reasons \
                  of absence are 1 down, 2 synced, 3 suspended, 4 late.",
        "run_id": RUN,
        "member": MEMBER,
        "round": ROUND,
        "records": records,
    });
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&actual).expect("JSON") + "\n";
        std::fs::write(path, text).expect("the vectors folder is writable");
    }
    let text = std::fs::read_to_string(path).expect("vectors/records.json exists");
    let golden: Value = serde_json::from_str(&text).expect("the vector is JSON");
    let advice = "run with UPDATE_VECTORS=1 if the layout was meant to change";
    assert_eq!(actual, golden, "{advice}");
}

/// Reads the fixed part of a record by the offsets of the specification.
struct Prefix<'a> {
    owner: (&'a [u8], &'a [u8]),
    index: u64,
    round: u64,
    unix_ms: u64,
    prev: &'a [u8],
    kind: u8,
}

fn prefix(record: &[u8]) -> Prefix<'_> {
    assert_eq!(&record[..16], b"archipel-record2");
    let number = |at: usize| {
        let bytes = &record[at..at + 8];
        bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    };
    Prefix {
        owner: (&record[16..48], &record[48..80]),
        index: number(80),
        round: number(88),
        unix_ms: number(96),
        prev: &record[104..136],
        kind: record[136],
    }
}

fn absent(kind: u64) -> Body {
    let reason = AbsentReason::Down;
    match kind {
        0 => Body::Work(Done::Absent(reason)),
        1 => Body::Update(Done::Absent(reason)),
        2 => Body::Intake(Done::Absent(reason)),
        _ => Body::Commit(Done::Absent(reason)),
    }
}

/// Three rounds of four records, the first in round 9.
fn log_of_three_rounds() -> (Chain, Vec<Vec<u8>>) {
    let mut chain = Chain::default();
    let records = (0..12).map(|index| {
        let round = Round(ROUND.0 + index / 4);
        chain.append(OWNER, round, 1000 + index, &absent(index % 4))
    });
    let records = records.collect();
    (chain, records)
}

#[test]
fn records_form_a_chain() {
    let (chain, records) = log_of_three_rounds();
    let mut last = Digest::default();
    for (index, record) in (0..).zip(&records) {
        let found = prefix(record);
        assert_eq!(found.owner, (&RUN.0[..], &MEMBER.0[..]), "record {index}");
        assert_eq!((found.index, found.round), (index, 9 + index / 4));
        assert_eq!(found.unix_ms, 1000 + index, "record {index}");
        assert_eq!(u64::from(found.kind), 1 + index % 4, "record {index}");
        assert_eq!(
            found.prev, last.0,
            "record {index} continues the one before"
        );
        last = leaf_hash(record);
    }
    let end = Chain {
        next: 12,
        last,
        unix_ms: 1011,
        first_round: Some(ROUND),
        tree: chain.tree.clone(),
    };
    assert_eq!(chain, end);
}

#[test]
fn kinds_have_their_numbers() {
    let numbers = bodies().map(|(_, b, _)| b.kind() as u8).collect::<Vec<_>>();
    assert_eq!(numbers, [1, 1, 2, 2, 3, 3, 4, 4, 16, 17, 21, 22, 24]);
}

#[test]
fn a_leaf_is_hashed_as_rfc_6962_says() {
    assert_eq!(leaf_hash(b"abc"), sha256(b"\0abc"));
    let empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(
        leaf_hash(b"").to_string(),
        empty,
        "the RFC's hash of an empty leaf"
    );
}

#[test]
fn time_never_runs_back() {
    let mut chain = Chain::default();
    let times = [50, 40, 0, 60, 59, u64::MAX, 1];
    let found = times.map(|at| prefix(&chain.append(OWNER, ROUND, at, &absent(0))).unix_ms);
    assert_eq!(found, [50, 50, 50, 60, 60, u64::MAX, u64::MAX]);
}

fn taken_up(records: &[Vec<u8>]) -> Result<Chain, ChainError> {
    let mut chain = Chain::default();
    records
        .iter()
        .try_for_each(|record| chain.follow(OWNER, record))
        .map(|()| chain)
}

#[test]
fn a_log_is_taken_up_where_it_ends() {
    let (mut chain, records) = log_of_three_rounds();
    let mut resumed = taken_up(&records).expect("the log is whole");
    assert_eq!(resumed, chain);
    let next = |chain: &mut Chain| chain.append(OWNER, Round(12), 5, &absent(0));
    assert_eq!(next(&mut chain), next(&mut resumed));
    let leaves: Vec<Digest> = records.iter().map(|record| leaf_hash(record)).collect();
    let whole = taken_up(&records).map(|chain| chain.root());
    assert_eq!(whole, Ok(crate::work::tree_root(&leaves)));
}

fn check_altered(at: usize, record: Vec<u8>, expected: ChainError, why: &str) {
    let (_, mut records) = log_of_three_rounds();
    records[at] = record;
    assert_eq!(taken_up(&records), Err(expected), "{why}");
}

#[test]
fn other_files_and_other_logs_are_not_taken_up() {
    let (_, records) = log_of_three_rounds();
    let last = &records[11];
    let edited = |at: usize| {
        let mut record = last.clone();
        record[at] ^= 1;
        record
    };
    let no_record = |found| ChainError::NotARecord { found };
    let long = [last.clone(), vec![0; MAX_RECORD_BYTES]].concat();
    let index = |expected, found| ChainError::Index { expected, found };
    for (why, at, record, expected) in [
        ("nothing", 11, Vec::new(), no_record(0)),
        (
            "cut short",
            11,
            last[..PREFIX_BYTES - 1].to_vec(),
            no_record(PREFIX_BYTES - 1),
        ),
        ("too long", 11, long.clone(), no_record(long.len())),
        ("without the magic", 11, edited(0), no_record(last.len())),
        ("another version", 11, edited(15), no_record(last.len())),
        ("of another run", 11, edited(16), ChainError::Stranger),
        ("of another member", 11, edited(79), ChainError::Stranger),
        ("another index", 11, edited(87), index(11, 10)),
        ("twice", 5, records[4].clone(), index(5, 4)),
        ("swapped", 4, records[5].clone(), index(4, 5)),
        (
            "another before it",
            11,
            edited(PREVIOUS_AT),
            ChainError::Broken { index: 11 },
        ),
    ] {
        check_altered(at, record, expected, why);
    }
    let mut body = records[4].clone();
    *body.last_mut().expect("not empty") ^= 1;
    check_altered(4, body, ChainError::Broken { index: 5 }, "an altered body");
}
