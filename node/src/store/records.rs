//! Records: opaque bytes with the round they belong to, in a main and a side log.
//!
//! `payload := round u64 big-endian · record`; the round is here so that the index can be rebuilt
//! without knowing what a record says.

use std::path::Path;

use archipel_protocol::ids::Round;

use super::{
    error::{Damage, StoreError},
    index::Located,
    log::{Scanner, Spec},
};

/// The longest record, in bytes.
pub const RECORD_LIMIT: usize = 64 << 10;

const ROUND_LEN: usize = 8;
const LEAST: u32 = ROUND_LEN as u32 + 1;
const LIMIT: u32 = (ROUND_LEN + RECORD_LIMIT) as u32;

static MAIN: Spec = Spec {
    magic: *b"archipel-main/1\0",
    least: LEAST,
    limit: LIMIT,
};
static SIDE: Spec = Spec {
    magic: *b"archipel-side/1\0",
    least: LEAST,
    limit: LIMIT,
};

/// One of a member's two logs of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogKind {
    /// What was done in every round.
    Main = 0,
    /// Everything that is not tied to the rhythm of rounds.
    Side = 1,
}

impl LogKind {
    /// Both logs.
    pub const ALL: [Self; 2] = [Self::Main, Self::Side];

    pub(super) fn spec(self) -> &'static Spec {
        match self {
            Self::Main => &MAIN,
            Self::Side => &SIDE,
        }
    }
}

/// One record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in the log, from 0.
    pub number: u64,
    /// The round it belongs to.
    pub round: Round,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// Reads records in order. Ends after the first error.
#[derive(Debug)]
pub struct Records {
    scanner: Scanner,
    end: u64,
}

impl Records {
    /// Reads from where `scanner` is up to the record before `end`.
    pub(super) fn new(scanner: Scanner, end: u64) -> Self {
        Self { scanner, end }
    }

    fn read(&mut self) -> Result<Record, StoreError> {
        let entry = self.scanner.next_entry()?;
        let entry = entry.ok_or_else(|| self.scanner.damaged(Damage::Shrunk))?;
        let (round, bytes) = entry.payload.split_at(ROUND_LEN);
        Ok(Record {
            number: entry.number,
            round: decode_round(round),
            bytes: bytes.to_vec(),
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.scanner.entries() >= self.end {
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.end = 0;
        }
        Some(record)
    }
}

/// Builds the payload of a record.
pub(super) fn encode(round: Round, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    if bytes.len() > RECORD_LIMIT {
        let (found, limit) = (bytes.len() as u64, RECORD_LIMIT as u64);
        return Err(StoreError::TooLong {
            what: "the record",
            found,
            limit,
        });
    }
    let mut payload = Vec::with_capacity(ROUND_LEN + bytes.len());
    payload.extend_from_slice(&round.0.to_be_bytes());
    payload.extend_from_slice(bytes);
    Ok(payload)
}

/// Reads a log to its end and notes where its records lie.
pub(super) fn scan(
    path: &Path,
    log: LogKind,
    located: &mut Vec<Located>,
) -> Result<Scanner, StoreError> {
    let mut scanner = Scanner::open(path, log.spec())?;
    while let Some(entry) = scanner.next_entry()? {
        let round = decode_round(&entry.payload[..ROUND_LEN]);
        located.push(Located {
            log,
            number: entry.number,
            offset: entry.offset,
            round,
        });
    }
    Ok(scanner)
}

fn decode_round(bytes: &[u8]) -> Round {
    Round(u64::from_be_bytes(
        bytes
            .try_into()
            .expect("the log takes no payload below 9 bytes"),
    ))
}
