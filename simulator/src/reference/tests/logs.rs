//! Logs of the protocol, read from their bytes; and what must not be one.

use crate::reference::{Commit, Content, LogError, LogReader, Received, RecordError, check_prefix};
use archipel_protocol::{
    crypto::Signature,
    ids::{BlobHash, Digest, Epoch, MemberId, Root, Round, RunId, View},
    message::{
        Ballot, Certificate, Evidence, Header, RootSeal, Seal, StateCertificate, Vote, VoteKind,
    },
    record::{
        AbsentReason, Body, Chain, CommitBody, Done, IntakeBody, IntakeEntry, Log, UpdateBody,
        Verdict, WorkBody,
    },
    suspicion::Sight,
};

const RUN: RunId = RunId([0xa1; 32]);
const MEMBER: MemberId = MemberId([0xb2; 32]);
const FIRST: u64 = 9;

fn header() -> Header {
    Header {
        epoch: Epoch(1),
        round: Round(FIRST),
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

fn finalization() -> Certificate {
    let seal = |voter| Seal {
        voter,
        signature: Signature([0x50; 64]),
    };
    Certificate {
        ballot: ballot(0x40),
        seals: vec![seal(0), seal(2)].into(),
    }
}

fn ballot(digest: u8) -> Ballot {
    Ballot {
        kind: VoteKind::Finalize,
        epoch: Epoch(1),
        round: Round(FIRST),
        view: View(2),
        digest: Digest([digest; 32]),
    }
}

const SIGHT: Sight = Sight {
    cosine: Some(-1_000_000_000),
    norm_ratio: 1_000_000_000_000,
    overlap: Some(1_000_000_000),
};

/// The four bodies of a round, beside a side log of this size and head.
fn bodies(side: &Chain) -> [Body; 4] {
    let work = WorkBody {
        header: header(),
        flop: 1 << 70,
        device: "cpu".to_owned(),
        software: Digest([0x44; 32]),
    };
    let update = UpdateBody {
        id: Digest([9; 32]),
        header: header(),
        signature: Signature([0x33; 64]),
    };
    let entry = |n: u8| IntakeEntry {
        member: MemberId([n; 32]),
        id: Digest([n + 1; 32]),
        verdict: Verdict::Accepted,
        sight: (n == 2).then_some(SIGHT),
    };
    let intake = IntakeBody {
        entries: vec![entry(1), entry(2)],
        holds: vec![(MemberId([1; 32]), vec![1, 0], Signature([9; 64]))],
    };
    let seal = RootSeal {
        voter: 3,
        attempt: 1,
        signature: Signature([0x60; 64]),
    };
    let commit = CommitBody {
        folded: true,
        rule: 2,
        cut: Digest([0x11; 32]),
        headers: vec![Digest([0x12; 32]), Digest([0x13; 32])],
        finalization: finalization(),
        weights: vec![1, 7],
        aggregate: BlobHash([0x14; 32]),
        outer: Digest([0x15; 32]),
        memory: Digest([0x17; 32]),
        root: Root([0x70; 32]),
        certificate: StateCertificate {
            epoch: Epoch(1),
            round: Round(FIRST + 1),
            root: Root([0x70; 32]),
            seals: vec![seal].into(),
        },
        side_size: side.next,
        side_root: side.root(),
    };
    [
        Body::Work(Done::Yes(work)),
        Body::Update(Done::Yes(Box::new(update))),
        Body::Intake(Done::Yes(intake)),
        Body::Commit(Done::Yes(Box::new(commit))),
    ]
}

fn absent() -> [Body; 4] {
    [
        Body::Work(Done::Absent(AbsentReason::Down)),
        Body::Update(Done::Absent(AbsentReason::Synced)),
        Body::Intake(Done::Absent(AbsentReason::Suspended)),
        Body::Commit(Done::Absent(AbsentReason::Late)),
    ]
}

/// One record of every kind of a side log; the end comes last.
fn side_bodies() -> Vec<Body> {
    let vote = |digest| Vote {
        ballot: ballot(digest),
        member: MEMBER,
        signature: Signature([digest; 64]),
    };
    let genesis = Body::Genesis {
        software: "archipel 1".to_owned(),
        root: Root([5; 32]),
    };
    let incident = Body::Incident {
        kind: "restart".to_owned(),
        text: "Gewöhnlich".to_owned(),
    };
    let evidence = Evidence::TwoNotarizations(vote(1), vote(2));
    let end = Body::End {
        root: Root([6; 32]),
    };
    vec![genesis, incident, Body::Evidence(Box::new(evidence)), end]
}

/// Records in the order they were written: main ones between side ones.
struct Logs {
    main: Vec<Vec<u8>>,
    side: Vec<Vec<u8>>,
    heads: Vec<(Digest, Digest)>,
}

fn append(chain: &mut Chain, to: &mut Vec<Vec<u8>>, round: u64, body: &Body) {
    let unix_ms = 1000 + 10 * chain.next;
    to.push(chain.append((&RUN, &MEMBER), Round(round), unix_ms, body));
}

fn logs(rounds: u64) -> Logs {
    let (mut main, mut side) = (Chain::default(), Chain::default());
    let mut logs = Logs {
        main: Vec::new(),
        side: Vec::new(),
        heads: Vec::new(),
    };
    for round in 0..rounds {
        for body in side_bodies() {
            append(&mut side, &mut logs.side, FIRST + round, &body);
        }
        let four = match round % 3 {
            1 => absent(),
            _ => bodies(&side),
        };
        for body in four {
            append(&mut main, &mut logs.main, FIRST + round, &body);
        }
        logs.heads.push((main.root(), side.root()));
    }
    logs
}

fn reader(log: Log) -> LogReader {
    LogReader::new(RUN, MEMBER, log)
}

/// Reads a log, and returns what refused it, if anything did.
fn read(log: Log, records: &[Vec<u8>]) -> Result<LogReader, LogError> {
    let mut reader = reader(log);
    for record in records {
        reader.append(record)?;
    }
    Ok(reader)
}

#[test]
fn logs_as_members_write_them_are_read_with_their_heads() {
    let logs = logs(20);
    let (mut main, mut side) = (reader(Log::Main), reader(Log::Side));
    for (round, (main_head, side_head)) in logs.heads.iter().enumerate() {
        for record in &logs.side[4 * round..][..4] {
            side.append(record).expect("a side record");
        }
        for record in &logs.main[4 * round..][..4] {
            main.append_beside(&side, record).expect("a main record");
        }
        assert_eq!((main.head(), side.head()), (*main_head, *side_head));
    }
    assert_eq!((main.size(), side.size()), (80, 80));
    let known: Vec<_> = (0..82).map(|size| side.head_at(size).is_some()).collect();
    assert_eq!(known, [vec![true; 81], vec![false]].concat());
}

#[test]
fn fields_are_found_where_they_were_written() {
    let logs = logs(1);
    let mut reader = reader(Log::Main);
    let mut contents = logs.main.iter().map(|record| {
        let record = reader.append(record).expect("a main record");
        assert_eq!((record.round, record.member), (Round(FIRST), MEMBER));
        record.content
    });
    let (steps, tokens, base) = (500, 128_000, Root([1; 32]));
    let work = Content::Work {
        steps,
        tokens,
        base,
    };
    let update = Content::Update {
        header: Digest([9; 32]),
        payload: BlobHash([2; 32]),
        base,
    };
    let entry = |n: u8| Received {
        member: MemberId([n; 32]),
        header: Digest([n + 1; 32]),
        verdict: 1,
        sight: (n == 2).then_some(SIGHT),
    };
    let entries = vec![entry(1), entry(2)];
    let side = read(Log::Side, &logs.side).expect("a side log");
    let commit = Commit {
        folded: true,
        rule: 2,
        cut: Digest([0x11; 32]),
        headers: vec![Digest([0x12; 32]), Digest([0x13; 32])],
        block: Digest([0x40; 32]),
        weights: vec![1, 7],
        aggregate: BlobHash([0x14; 32]),
        outer: Digest([0x15; 32]),
        memory: Digest([0x17; 32]),
        root: Root([0x70; 32]),
        side_size: 4,
        side_head: side.head(),
    };
    assert_eq!(contents.next(), Some(work));
    assert_eq!(contents.next(), Some(update));
    assert_eq!(contents.next(), Some(Content::Intake { entries }));
    assert_eq!(contents.next(), Some(Content::Commit(Box::new(commit))));
}

/// A change to a log at a place.
type Edit = fn(&mut Vec<Vec<u8>>, usize);

#[test]
fn whatever_is_altered_in_a_log_breaks_it() {
    let logs = logs(3);
    for (log, records) in [(Log::Main, &logs.main), (Log::Side, &logs.side)] {
        for at in 0..records.len() - 1 {
            for bit in 0..8 * records[at].len() {
                let mut altered = records.clone();
                altered[at][bit / 8] ^= 1 << (bit % 8);
                let refused = read(log, &altered[..at + 2]);
                assert!(refused.is_err(), "{log:?}, record {at}, bit {bit}");
            }
            let edits: [Edit; 5] = [
                |records, at| drop(records.remove(at)),
                |records, at| records.swap(at, at + 1),
                |records, at| records.insert(at, records[at].clone()),
                |records, at| records[at].push(0),
                |records, at| assert!(records[at].pop().is_some()),
            ];
            for edit in edits {
                let mut altered = records.clone();
                edit(&mut altered, at);
                assert!(read(log, &altered).is_err(), "{log:?}, record {at}");
            }
        }
    }
}

#[test]
fn each_break_has_its_own_error() {
    let logs = logs(2);
    let refusal = |log, records: &[Vec<u8>]| read(log, records).expect_err("it is broken");
    let [first, second, third] = [&logs.main[0], &logs.main[1], &logs.main[2]].map(Vec::clone);
    let changed = |at: usize, to: u8| {
        let mut record = second.clone();
        record[at] = to;
        refusal(Log::Main, &[first.clone(), record])
    };
    let skipped = refusal(Log::Main, &[first.clone(), third.clone()]);
    assert_eq!(
        skipped,
        LogError::Index {
            expected: 1,
            found: 2
        }
    );
    assert!(matches!(
        changed(16, 0),
        LogError::Stranger { index: 1, .. }
    ));
    assert!(matches!(
        changed(48, 0),
        LogError::Stranger { index: 1, .. }
    ));
    assert!(matches!(
        changed(104, 0),
        LogError::Previous { index: 1, .. }
    ));
    assert!(matches!(changed(102, 0), LogError::Time { index: 1, .. }));
    assert!(matches!(
        changed(95, 8),
        LogError::Round {
            found: Round(8),
            ..
        }
    ));
    let field = LogError::Record {
        index: 1,
        source: RecordError::Field {
            field: "the kind",
            at: 137,
            found: 9,
        },
    };
    assert_eq!(changed(136, 9), field);
    let misplaced = LogError::Kind { index: 0, found: 1 };
    assert_eq!(refusal(Log::Side, &logs.main[..1]), misplaced);
    let misplaced = LogError::Kind {
        index: 0,
        found: 16,
    };
    assert_eq!(refusal(Log::Main, &logs.side[..1]), misplaced);
    let long = refusal(Log::Main, &[vec![0; 65_537]]);
    assert!(matches!(
        long,
        LogError::Record {
            source: RecordError::TooLong { .. },
            ..
        }
    ));
}

#[test]
fn a_refused_record_leaves_the_reader_as_it_was() {
    let logs = logs(1);
    let mut reader = read(Log::Main, &logs.main[..3]).expect("three records");
    let head = reader.head();
    assert!(reader.append(&logs.main[1]).is_err());
    assert_eq!((reader.size(), reader.head()), (3, head));
    assert!(reader.append(&logs.main[3]).is_ok());
}

#[test]
fn a_commit_that_lies_of_the_side_log_is_noticed() {
    let logs = logs(1);
    let whole = read(Log::Side, &logs.side).expect("a side log");
    let shorter = read(Log::Side, &logs.side[..3]).expect("a side log");
    let mut other = reader(Log::Side);
    let mut chain = Chain::default();
    for _ in 0..4 {
        let mut records = Vec::new();
        append(&mut chain, &mut records, FIRST, &side_bodies()[0]);
        other.append(&records[0]).expect("a side record");
    }
    for (side, holds) in [(&whole, true), (&shorter, false), (&other, false)] {
        let mut main = read(Log::Main, &logs.main[..3]).expect("three records");
        let result = main.append_beside(side, &logs.main[3]);
        assert_eq!(result.is_ok(), holds, "{result:?}");
        let side_error = matches!(
            result,
            Err(LogError::Side {
                index: 3,
                size: 4,
                ..
            })
        );
        assert_eq!(side_error, !holds);
    }
}

#[test]
fn an_older_copy_begins_a_newer_one() {
    let records = logs(2).main;
    assert_eq!(check_prefix(&records[..5], &records), Ok(()));
    assert_eq!(check_prefix(&records, &records), Ok(()));
    let index = 5;
    assert_eq!(
        check_prefix(&records, &records[..5]),
        Err(LogError::Diverged { index })
    );
    let mut other = records.clone();
    other[2][110] ^= 1;
    let index = 2;
    assert_eq!(
        check_prefix(&other, &records),
        Err(LogError::Diverged { index })
    );
}
