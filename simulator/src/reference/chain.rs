//! A member's log from raw bytes: order, chain, tree heads, and what it says of the other log.
//!
//! Written from the sections *Hashes* and *Records* of `protocol/SPEC.md`. A log is read record by
//! record; a record that is refused leaves the reader as it was.

use super::{
    record::{Content, Record, RecordError},
    root::sha256,
};
use archipel_protocol::{
    ids::{Digest, MemberId, Round, RunId},
    record::Log,
};

/// Records of a round in a main log.
const PER_ROUND: u64 = 4;

/// Why a record cannot come next in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The bytes are no record.
    #[error("record {index}: {source}")]
    Record {
        /// The index the record should have.
        index: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// It is of another run or another member.
    #[error("record {index} belongs to {found}, not to {member}, or to another run")]
    Stranger {
        /// The index the record should have.
        index: u64,
        /// Whose log it is.
        member: MemberId,
        /// Whose record it is.
        found: MemberId,
    },
    /// Its index is not the number of records before it.
    #[error("expected record {expected}, found {found}")]
    Index {
        /// Records before it.
        expected: u64,
        /// Its index.
        found: u64,
    },
    /// It does not name the record before it.
    #[error("record {index} follows {found}, the log ends with {expected}")]
    Previous {
        /// Its index.
        index: u64,
        /// Leaf of the last record.
        expected: Digest,
        /// Leaf that it names.
        found: Digest,
    },
    /// Its time lies before that of the record before it.
    #[error("record {index} is of {found} ms, the one before it of {latest} ms")]
    Time {
        /// Its index.
        index: u64,
        /// Time of the last record.
        latest: u64,
        /// Its time.
        found: u64,
    },
    /// It is not of the kind that comes here, or belongs into the other log.
    #[error("record {index} is of kind {found}, which does not come here")]
    Kind {
        /// Its index.
        index: u64,
        /// Its kind.
        found: u8,
    },
    /// Four records a round: it is of another round.
    #[error("record {index} is of round {found}, expected round {expected}")]
    Round {
        /// Its index.
        index: u64,
        /// The round that comes here.
        expected: Round,
        /// Its round.
        found: Round,
    },
    /// A commit says of the side log what is not so.
    #[error("record {index} says that the side log had {size} records under {found}: it did not")]
    Side {
        /// Index of the commit.
        index: u64,
        /// The size it names.
        size: u64,
        /// The tree head it names.
        found: Digest,
    },
    /// Two copies of one log part.
    #[error("two copies of a log part at record {index}")]
    Diverged {
        /// The first record that differs, or that only the copy meant to be older has.
        index: u64,
    },
}

/// Reads one of a member's two logs.
#[derive(Clone, Debug)]
pub struct LogReader {
    run_id: RunId,
    member: MemberId,
    log: Log,
    leaves: u64,
    last: Digest,
    time_unix_ms: u64,
    first_round: Round,
    /// Heads of whole subtrees with their sizes, largest first.
    subtrees: Vec<(u64, Digest)>,
    /// Tree heads at every size, for a side log.
    heads: Vec<Digest>,
    /// Size of the side log in the last commit.
    side_size: u64,
}

impl LogReader {
    /// A reader of an empty log.
    pub fn new(run_id: RunId, member: MemberId, log: Log) -> Self {
        Self {
            run_id,
            member,
            log,
            leaves: 0,
            last: Digest([0; 32]),
            time_unix_ms: 0,
            first_round: Round(0),
            subtrees: Vec::new(),
            heads: vec![sha256(b"")],
            side_size: 0,
        }
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// Where it cannot come next.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Record, LogError> {
        let record = self.examine(bytes)?;
        self.accept(&record, bytes);
        Ok(record)
    }

    /// Reads the next record of a main log, and holds a commit against the side log.
    ///
    /// # Errors
    /// Where it cannot come next, or says of the side log what is not so.
    pub fn append_beside(&mut self, side: &Self, bytes: &[u8]) -> Result<Record, LogError> {
        let record = self.examine(bytes)?;
        if let Content::Commit(commit) = &record.content {
            let (size, found) = (commit.side_size, commit.side_head);
            if size < self.side_size || side.head_at(size) != Some(found) {
                let index = record.index;
                return Err(LogError::Side { index, size, found });
            }
        }
        self.accept(&record, bytes);
        Ok(record)
    }

    /// Records read so far.
    pub fn size(&self) -> u64 {
        self.leaves
    }

    /// The RFC 6962 tree head over all records read.
    pub fn head(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev();
        let Some((_, last)) = subtrees.next() else {
            return sha256(b"");
        };
        subtrees.fold(*last, |right, (_, left)| parent(left, &right))
    }

    /// The tree head that a side log had at this size; nothing where it was never that long.
    pub fn head_at(&self, size: u64) -> Option<Digest> {
        let size = usize::try_from(size).ok()?;
        self.heads.get(size).copied()
    }

    /// The record, where it can come next.
    fn examine(&self, bytes: &[u8]) -> Result<Record, LogError> {
        let index = self.leaves;
        let record = Record::read(bytes).map_err(|source| LogError::Record { index, source })?;
        self.check_chain(&record)?;
        self.check_place(&record)?;
        Ok(record)
    }

    fn accept(&mut self, record: &Record, bytes: &[u8]) {
        if self.leaves == 0 {
            self.first_round = record.round;
        }
        if let Content::Commit(commit) = &record.content {
            self.side_size = commit.side_size;
        }
        self.time_unix_ms = record.time_unix_ms;
        self.grow(bytes);
    }

    fn check_chain(&self, record: &Record) -> Result<(), LogError> {
        let (index, member) = (self.leaves, self.member);
        if record.run_id != self.run_id || record.member != member {
            let found = record.member;
            return Err(LogError::Stranger {
                index,
                member,
                found,
            });
        }
        if record.index != index {
            let (expected, found) = (index, record.index);
            return Err(LogError::Index { expected, found });
        }
        if record.previous != self.last {
            let (expected, found) = (self.last, record.previous);
            return Err(LogError::Previous {
                index,
                expected,
                found,
            });
        }
        let (latest, found) = (self.time_unix_ms, record.time_unix_ms);
        match found < latest {
            true => Err(LogError::Time {
                index,
                latest,
                found,
            }),
            false => Ok(()),
        }
    }

    fn check_place(&self, record: &Record) -> Result<(), LogError> {
        let (index, found) = (self.leaves, record.kind);
        let fits = match self.log {
            Log::Main => u64::from(found) == 1 + index % PER_ROUND,
            Log::Side => found > 4,
        };
        if !fits {
            return Err(LogError::Kind { index, found });
        }
        let expected = Round(self.first_round.0.saturating_add(index / PER_ROUND));
        if self.log == Log::Main && index > 0 && record.round != expected {
            let found = record.round;
            return Err(LogError::Round {
                index,
                expected,
                found,
            });
        }
        Ok(())
    }

    fn grow(&mut self, record: &[u8]) {
        let mut leaf = vec![0];
        leaf.extend_from_slice(record);
        self.last = sha256(&leaf);
        self.leaves += 1;
        let (mut size, mut head) = (1, self.last);
        while let Some((_, left)) = self.subtrees.pop_if(|(left, _)| *left == size) {
            head = parent(&left, &head);
            size *= 2;
        }
        self.subtrees.push((size, head));
        if self.log == Log::Side {
            self.heads.push(self.head());
        }
    }
}

/// Fails unless the records of an older copy of a log begin a newer one.
///
/// # Errors
/// The first record that differs or is missing.
pub fn check_prefix<T: AsRef<[u8]>>(older: &[T], newer: &[T]) -> Result<(), LogError> {
    for (index, record) in older.iter().enumerate() {
        let same = newer.get(index).map(AsRef::as_ref) == Some(record.as_ref());
        if !same {
            let index = index as u64;
            return Err(LogError::Diverged { index });
        }
    }
    Ok(())
}

fn parent(left: &Digest, right: &Digest) -> Digest {
    let mut node = vec![1];
    node.extend_from_slice(&left.0);
    node.extend_from_slice(&right.0);
    sha256(&node)
}
