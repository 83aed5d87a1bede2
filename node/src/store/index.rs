//! The index: where a record lies, which records a round has, how long a blob is and what it is
//! for. Never truth: it is compared with the logs and the blob folder at every start, caught up
//! where it is behind and built anew where it is missing, damaged or says anything else.
//!
//! While the store is open nothing in it is synced (the logs are); it is made durable on close.
//! After a crash it is merely behind.

use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use archipel_protocol::ids::{BlobHash, Round};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{LogKind, error::StoreError};

/// (log, record) → (offset, round).
const RECORDS: TableDefinition<(u8, u64), (u64, u64)> = TableDefinition::new("records/v1");
/// (log, round, record).
const ROUNDS: TableDefinition<(u8, u64, u64), ()> = TableDefinition::new("rounds/v1");
/// Blob → (length, kind, last round); kind 0 where nobody noted one.
const BLOBS: TableDefinition<[u8; 32], (u64, u8, u64)> = TableDefinition::new("blobs/v1");
/// redb's own default is 1 GiB.
const CACHE_BYTES: usize = 4 << 20;

/// In what condition the index was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexCondition {
    /// It said what the logs and the blob folder say.
    Current,
    /// It lacked the latest records or blobs, as after a crash; they were added.
    CaughtUp,
    /// It was missing, damaged or wrong and was built anew; what blobs are for is forgotten.
    Rebuilt,
}

/// Where one record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// Which log it is in.
    pub(super) log: LogKind,
    /// Its number in the log, from 0.
    pub(super) number: u64,
    /// Where its entry begins, in bytes.
    pub(super) offset: u64,
    /// The round it belongs to.
    pub(super) round: Round,
}

/// What is known about one blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobNote {
    /// Its length in bytes.
    pub length: u64,
    /// What it is for, as the caller noted it; 0 where nobody has, or the index was rebuilt.
    pub kind: u8,
    /// The last round that needed it, as the caller noted it.
    pub last_round: Round,
}

/// What the logs and the blob folder hold, to hold the index against.
pub(super) struct Truth<'a> {
    /// All records, by log and number.
    pub(super) records: &'a [Located],
    /// The lengths of all blobs.
    pub(super) blobs: &'a BTreeMap<BlobHash, u64>,
}

/// The open index.
pub(super) struct Index {
    path: PathBuf,
    database: Database,
}

impl Index {
    /// Opens the index and makes it agree with `truth`.
    pub(super) fn open(
        path: &Path,
        truth: &Truth<'_>,
    ) -> Result<(Self, IndexCondition), StoreError> {
        let missing = !path.exists();
        if !missing && let Some(index) = Self::open_existing(path) {
            // redb asserts in debug builds that its own files are sound; a damaged one may panic.
            let agreed = catch_unwind(AssertUnwindSafe(|| index.agree(truth)));
            if let Ok(Ok(Some(condition))) = agreed {
                return Ok((index, condition));
            }
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(path, "remove the damaged", e));
            }
            _ => {}
        }
        let database = builder().create(path).map_err(|e| failed(path, e))?;
        let index = Self {
            path: path.to_owned(),
            database,
        };
        index.fill(truth)?;
        Ok((index, IndexCondition::Rebuilt))
    }

    /// Adds records.
    pub(super) fn add_records(&self, records: &[Located]) -> Result<(), StoreError> {
        self.write(Durability::None, |transaction| {
            insert_records(transaction, records)
        })
    }

    /// Says where a record lies.
    pub(super) fn offset(&self, log: LogKind, number: u64) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(RECORDS)?;
            Ok(table.get((log as u8, number))?.map(|found| found.value().0))
        })
    }

    /// Lists the records of a round, in order.
    pub(super) fn of_round(&self, log: LogKind, round: Round) -> Result<Vec<u64>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(ROUNDS)?;
            let range = (log as u8, round.0, 0)..=(log as u8, round.0, u64::MAX);
            table
                .range(range)?
                .map(|row| Ok(row?.0.value().2))
                .collect()
        })
    }

    /// Says what is known about a blob.
    pub(super) fn blob(&self, hash: &BlobHash) -> Result<Option<BlobNote>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(BLOBS)?;
            Ok(table.get(hash.0)?.map(|row| {
                let (length, kind, round) = row.value();
                BlobNote {
                    length,
                    kind,
                    last_round: Round(round),
                }
            }))
        })
    }

    /// Writes down what is known about a blob.
    pub(super) fn set_blob(&self, hash: &BlobHash, note: BlobNote) -> Result<(), StoreError> {
        let row = (note.length, note.kind, note.last_round.0);
        self.write(Durability::None, |transaction| {
            transaction.open_table(BLOBS)?.insert(hash.0, row)?;
            Ok(())
        })
    }

    /// Forgets blobs.
    pub(super) fn remove_blobs(&self, hashes: &[BlobHash]) -> Result<(), StoreError> {
        self.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(BLOBS)?;
            hashes
                .iter()
                .try_for_each(|hash| table.remove(hash.0).map(drop))?;
            Ok(())
        })
    }

    /// Makes everything in the index durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |_| Ok(()))
    }

    /// Opens what is there, every page's checksum verified; `None` where it cannot be used.
    fn open_existing(path: &Path) -> Option<Self> {
        let open = || builder().set_check_integrity_on_open(true).open(path);
        let database = catch_unwind(AssertUnwindSafe(open)).ok()?.ok()?;
        Some(Self {
            path: path.to_owned(),
            database,
        })
    }

    /// Compares with the truth and adds what is missing at the end; `None` where anything differs.
    fn agree(&self, truth: &Truth<'_>) -> Result<Option<IndexCondition>, StoreError> {
        let Some(missing) = self.missing_records(truth.records)? else {
            return Ok(None);
        };
        let (absent, gone) = self.compare_blobs(truth.blobs)?;
        if missing.is_empty() && absent.is_empty() && gone.is_empty() {
            return Ok(Some(IndexCondition::Current));
        }
        self.write(Durability::Immediate, |transaction| {
            insert_records(transaction, &missing)?;
            let mut table = transaction.open_table(BLOBS)?;
            for (hash, length) in &absent {
                table.insert(hash.0, (*length, 0, 0))?;
            }
            gone.iter()
                .try_for_each(|hash| table.remove(hash.0).map(drop))?;
            Ok(())
        })?;
        Ok(Some(IndexCondition::CaughtUp))
    }

    fn missing_records(&self, records: &[Located]) -> Result<Option<Vec<Located>>, StoreError> {
        self.read(|transaction| {
            let (table, rounds) = (
                transaction.open_table(RECORDS)?,
                transaction.open_table(ROUNDS)?,
            );
            let mut missing = Vec::new();
            let (mut indexed, mut by_round) = (0, 0);
            for record in records {
                let key = (record.log as u8, record.number);
                match table.get(key)?.map(|row| row.value()) {
                    Some(row) if row == (record.offset, record.round.0) => indexed += 1,
                    Some(_) => return Ok(None),
                    None => missing.push(*record),
                }
                let key = (record.log as u8, record.round.0, record.number);
                by_round += u64::from(rounds.get(key)?.is_some());
            }
            let sound = redb::ReadableTableMetadata::len(&table)? == indexed
                && redb::ReadableTableMetadata::len(&rounds)? == indexed
                && by_round == indexed;
            Ok(sound.then_some(missing))
        })
    }

    /// Blobs that the index lacks or has with another length, and blobs that are no more.
    #[allow(clippy::type_complexity)]
    fn compare_blobs(
        &self,
        blobs: &BTreeMap<BlobHash, u64>,
    ) -> Result<(Vec<(BlobHash, u64)>, Vec<BlobHash>), StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(BLOBS)?;
            let mut gone = Vec::new();
            let mut absent = blobs.clone();
            for row in table.iter()? {
                let (hash, note) = row?;
                let hash = BlobHash(hash.value());
                match blobs.get(&hash) {
                    Some(length) if *length == note.value().0 => drop(absent.remove(&hash)),
                    Some(_) => {}
                    None => gone.push(hash),
                }
            }
            Ok((absent.into_iter().collect(), gone))
        })
    }

    fn fill(&self, truth: &Truth<'_>) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            insert_records(transaction, truth.records)?;
            let mut table = transaction.open_table(BLOBS)?;
            for (hash, length) in truth.blobs {
                table.insert(hash.0, (*length, 0, 0))?;
            }
            Ok(())
        })
    }

    fn read<T>(
        &self,
        body: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let run = || body(&self.database.begin_read()?);
        run().map_err(|e| failed(&self.path, e))
    }

    fn write(
        &self,
        durability: Durability,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let run = || {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            body(&transaction)?;
            Ok::<_, redb::Error>(transaction.commit()?)
        };
        run().map_err(|e| failed(&self.path, e))
    }
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn failed(path: &Path, source: impl Into<redb::Error>) -> StoreError {
    StoreError::Index {
        path: path.to_owned(),
        source: Box::new(source.into()),
    }
}

/// Inserts records; creates the tables where they are not there.
fn insert_records(
    transaction: &redb::WriteTransaction,
    records: &[Located],
) -> Result<(), redb::Error> {
    let mut by_number = transaction.open_table(RECORDS)?;
    let mut by_round = transaction.open_table(ROUNDS)?;
    for record in records {
        let log = record.log as u8;
        by_number.insert((log, record.number), (record.offset, record.round.0))?;
        by_round.insert((log, record.round.0, record.number), ())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
