//! The records a member keeps of every round, for anyone who audits it later.
//!
//! A record is `magic[16] · run_id[32] · member[32] · index u64 · round u64 · time_unix_ms u64 ·
//! prev[32] · kind u8 · body`, big-endian, with one encoding only. `prev` is the leaf hash of the
//! record before it (all zero in the first), so that the log is a chain even before a Merkle tree
//! is built over it. A main log holds exactly four records a final round, in the order of [`Kind`];
//! a side log holds everything that is not tied to a round's work.

mod body;

pub use body::{
    AbsentReason, Body, CommitBody, Done, IntakeBody, IntakeEntry, UpdateBody, Verdict, WorkBody,
};

use crate::{
    encoding::{Canonical, sha256},
    ids::{Digest, MemberId, Round, RunId},
    work::Frontier,
};
use serde::{Deserialize, Serialize};

/// The first sixteen bytes of every record.
pub const MAGIC: &[u8; 16] = b"archipel-record2";
/// The most bytes a record may have.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;

/// One of the two logs of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Log {
    /// Four records a round.
    Main,
    /// Everything else.
    Side,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Inner steps done.
    Work = 1,
    /// The update made of them.
    Update = 2,
    /// The updates received.
    Intake = 3,
    /// The fold and its certified result.
    Commit = 4,
    /// The beginning of the log.
    Genesis = 16,
    /// A change of membership.
    Epoch = 17,
    /// A crash, restore, rollback or repair.
    Incident = 21,
    /// A proof of misbehaviour.
    Evidence = 22,
    /// The end of the run.
    End = 24,
}

/// The hash of a record as a leaf of its log (RFC 6962).
pub fn leaf_hash(record: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(1 + record.len());
    bytes.push(0);
    bytes.extend_from_slice(record);
    sha256(&bytes)
}

/// Where a log stands: what the next record continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Index of the next record.
    pub next: u64,
    /// Leaf hash of the last one, zero before the first.
    pub last: Digest,
    /// Time of the last one.
    pub unix_ms: u64,
    /// The round of the first one.
    pub first_round: Option<Round>,
    tree: Frontier,
}

/// Why bytes cannot be the next record of a member's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Too short, too long, or without the magic.
    #[error("expected a record that begins with {MAGIC:?}, found {found} other bytes")]
    NotARecord {
        /// Bytes found.
        found: usize,
    },
    /// Another run's or another member's.
    #[error("the record belongs to another run or member: is this another node's folder?")]
    Stranger,
    /// It does not name the record before it.
    #[error("record {index} does not continue the one before it: the log was altered")]
    Broken {
        /// Its index.
        index: u64,
    },
    /// The index does not follow from the number of records.
    #[error("expected record {expected}, found {found}")]
    Index {
        /// The index that the log's length asks for.
        expected: u64,
        /// The index in the record.
        found: u64,
    },
}

const INDEX_AT: usize = 80;
const ROUND_AT: usize = 88;
const TIME_AT: usize = 96;
const PREVIOUS_AT: usize = 104;
const PREFIX_BYTES: usize = 137;

fn number_at(record: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(record[at..at + 8].try_into().expect("eight bytes"))
}

/// The leaf hash that a record names: that of the record before it. None where it is too short.
pub fn previous_of(record: &[u8]) -> Option<Digest> {
    let bytes = record.get(PREVIOUS_AT..PREVIOUS_AT + 32)?;
    Some(Digest(bytes.try_into().expect("32 bytes")))
}

impl Chain {
    /// Follows the log by its next record, as it was found on disk.
    ///
    /// # Errors
    /// Where the record is not the one that continues this log; the chain is unchanged then.
    pub fn follow(&mut self, ids: (&RunId, &MemberId), record: &[u8]) -> Result<(), ChainError> {
        self.follow_as(ids, record, || leaf_hash(record))
    }

    /// The same, where the record's leaf hash is known: the record behind it names it.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn follow_as(
        &mut self,
        (run_id, member): (&RunId, &MemberId),
        record: &[u8],
        leaf: impl FnOnce() -> Digest,
    ) -> Result<(), ChainError> {
        let sized = (PREFIX_BYTES..=MAX_RECORD_BYTES).contains(&record.len());
        if !sized || &record[..16] != MAGIC {
            return Err(ChainError::NotARecord {
                found: record.len(),
            });
        }
        if record[16..48] != run_id.0 || record[48..80] != member.0 {
            return Err(ChainError::Stranger);
        }
        let (expected, found) = (self.next, number_at(record, INDEX_AT));
        if found != expected {
            return Err(ChainError::Index { expected, found });
        }
        if record[PREVIOUS_AT..PREVIOUS_AT + 32] != self.last.0 {
            return Err(ChainError::Broken { index: found });
        }
        self.moved_on(Round(number_at(record, ROUND_AT)), leaf());
        self.unix_ms = number_at(record, TIME_AT);
        Ok(())
    }

    /// The RFC 6962 tree head over all records.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    fn moved_on(&mut self, round: Round, leaf: Digest) {
        self.first_round.get_or_insert(round);
        self.next += 1;
        self.last = leaf;
        self.tree.push(self.last);
    }

    /// Writes the next record and moves on. Its time never runs back.
    ///
    /// # Panics
    /// Where the record would exceed [`MAX_RECORD_BYTES`]; every body is bounded below it.
    pub fn append(
        &mut self,
        (run_id, member): (&RunId, &MemberId),
        round: Round,
        unix_ms: u64,
        body: &Body,
    ) -> Vec<u8> {
        self.unix_ms = self.unix_ms.max(unix_ms);
        let mut out = Canonical::bare();
        out.raw(MAGIC)
            .raw(&run_id.0)
            .raw(&member.0)
            .u64(self.next)
            .u64(round.0);
        out.u64(self.unix_ms)
            .raw(&self.last.0)
            .u8(body.kind() as u8);
        body.write(&mut out);
        let bytes = out.finish();
        assert!(
            bytes.len() <= MAX_RECORD_BYTES,
            "bodies are bounded below the limit"
        );
        self.moved_on(round, leaf_hash(&bytes));
        bytes
    }
}

#[cfg(test)]
mod tests;
