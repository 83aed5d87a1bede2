//! A node's folder: what is durable, in which order, and what is believed after a crash.
//!
//! ```text
//! VERSION            what wrote this folder
//! lock               held while a process works here; holds its id
//! wal/current.log    the write-ahead log: opaque entries, compacted now and then
//! records/main.log   opaque records, each with its round, only ever appended to
//! records/side.log
//! blobs/b3/hh/hash   one file a blob, named by its BLAKE3 hash
//! blobs/tmp          blobs that have no name yet
//! named/name         small files that are replaced whole
//! index.redb         rebuilt from all of the above whenever it disagrees
//! ```
//! Appending is not durable until [`Store::sync`] returns; blobs, named files and compaction are
//! durable when their call returns. The caller keeps the order of durability: blob before header,
//! `sync` before sending.
//!
//! At every start all logs are read to their end before anything is changed. An incomplete entry
//! at the end of a file is cut off and reported in [`Recovered::torn`]; whatever else is not as it
//! was written is refused (the format and the exact line between the two: the `frame` module).
//! A file that should be there and is not is refused too: starting with an empty log, a member
//! could sign what contradicts its earlier votes.
//!
//! One process works in a folder at a time, and its store is one value; blobs can be used from
//! any thread through clones of [`Blobs`]. All calls block.

mod blobs;
mod disk;
mod error;
mod folder;
mod frame;
mod index;
mod log;
mod named;
mod records;

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use archipel_protocol::ids::Round;

pub use blobs::{BlobWriter, Blobs, Sweep};
pub use error::{Damage, Hex, Holder, StoreError};
pub use index::{BlobNote, IndexCondition};
pub use log::TornTail;
pub use named::NAMED_LIMIT;
pub use records::{LogKind, RECORD_LIMIT, Record, Records};

use disk::Disk;
use index::{Index, Located};
use log::{Log, Scanner, Spec};

/// The longest entry of the write-ahead log, in bytes.
pub const WAL_ENTRY_LIMIT: usize = 4 << 20;

static WAL: Spec = Spec {
    magic: *b"archipel-wal/1\0\0",
    least: 1,
    limit: WAL_ENTRY_LIMIT as u32,
};

/// Everything a node keeps on disk.
pub struct Store {
    wal: Log,
    main: Log,
    side: Log,
    /// Records that the index does not know yet.
    unindexed: Vec<Located>,
    blobs: Blobs,
    index: Arc<Index>,
    disk: Arc<Disk>,
    named: PathBuf,
    _lock: File,
}

/// What was found when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// All entries of the write-ahead log, in order.
    pub wal: Vec<Vec<u8>>,
    /// The number of records in the main log.
    pub main_records: u64,
    /// The number of records in the side log.
    pub side_records: u64,
    /// Incomplete entries that were cut off.
    pub torn: Vec<TornTail>,
    /// Temporary files of a crash that were removed.
    pub removed: Vec<PathBuf>,
    /// Files in the store's folders that are not the store's: passed over, and left.
    pub foreign: Vec<PathBuf>,
    /// In what condition the index was.
    pub index: IndexCondition,
}

/// Reads the small file `name` of a folder without taking it up; `None` where there is none.
///
/// # Errors
/// A file that is damaged or cannot be read.
pub fn read_named_in(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    named::read(&folder::named(dir), name)
}

impl Store {
    /// Opens the folder of a node, or makes one, and recovers what is durable.
    ///
    /// # Errors
    /// A folder that another process works in, that another version wrote, or in which anything
    /// is damaged or missing. It is left as it was.
    pub fn open(dir: &Path) -> Result<(Self, Recovered), StoreError> {
        let disk = Arc::new(Disk::default());
        let lock = folder::lock(dir, &disk)?;
        folder::prepare(dir, &disk)?;
        let mut wal = Vec::new();
        let mut wal_scanner = Scanner::open(&folder::wal(dir), &WAL)?;
        while let Some(entry) = wal_scanner.next_entry()? {
            wal.push(entry.payload);
        }
        let mut located = Vec::new();
        let main = records::scan(
            &folder::records(dir, LogKind::Main),
            LogKind::Main,
            &mut located,
        )?;
        let side = records::scan(
            &folder::records(dir, LogKind::Side),
            LogKind::Side,
            &mut located,
        )?;
        let (main_records, side_records) = (main.entries(), side.entries());

        let (wal_log, torn_wal) = Log::open(wal_scanner, disk.clone())?;
        let (main, torn_main) = Log::open(main, disk.clone())?;
        let (side, torn_side) = Log::open(side, disk.clone())?;
        let removed = folder::remove_temporary(dir, &disk)?;
        let foreign = folder::foreign(dir)?;

        let blob_folder = folder::blobs(dir);
        let lengths = blobs::list(&blob_folder, |shard| disk.sync_folder(shard))?;
        let truth = index::Truth {
            records: &located,
            blobs: &lengths,
        };
        let (index, condition) = Index::open(&folder::index(dir), &truth)?;
        let index = Arc::new(index);
        let temporary = folder::blobs_temporary(dir);
        let blobs = Blobs::new(blob_folder, temporary, disk.clone(), index.clone());
        let (unindexed, named) = (Vec::new(), folder::named(dir));
        let store = Self {
            wal: wal_log,
            main,
            side,
            unindexed,
            blobs,
            index,
            disk,
            named,
            _lock: lock,
        };
        let torn = [torn_wal, torn_main, torn_side]
            .into_iter()
            .flatten()
            .collect();
        let index = condition;
        Ok((
            store,
            Recovered {
                wal,
                main_records,
                side_records,
                torn,
                removed,
                foreign,
                index,
            },
        ))
    }

    /// Appends an entry of 1 to [`WAL_ENTRY_LIMIT`] bytes to the write-ahead log.
    pub fn append_wal(&mut self, entry: &[u8]) -> Result<(), StoreError> {
        self.wal.append(entry).map(drop)
    }

    /// The length of the write-ahead log, in bytes: tells when to compact it.
    pub fn wal_bytes(&self) -> u64 {
        self.wal.end()
    }

    /// Replaces the write-ahead log by `keep`, at once and whole; durable on return.
    pub fn compact_wal(&mut self, keep: &[Vec<u8>]) -> Result<(), StoreError> {
        self.wal.replace(keep)
    }

    /// Appends a record of 1 to [`RECORD_LIMIT`] bytes; returns its number, from 0.
    pub fn append_record(
        &mut self,
        log: LogKind,
        round: Round,
        bytes: &[u8],
    ) -> Result<u64, StoreError> {
        let number = self.record_count(log);
        let offset = self.log_mut(log).append(&records::encode(round, bytes)?)?;
        self.unindexed.push(Located {
            log,
            number,
            offset,
            round,
        });
        Ok(number)
    }

    /// Makes everything appended durable, by one fsync for each file that was appended to.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.wal.sync()?;
        self.main.sync()?;
        self.side.sync()?;
        if !self.unindexed.is_empty() {
            self.index.add_records(&self.unindexed)?;
            self.unindexed.clear();
        }
        Ok(())
    }

    /// The number of records in a log, those not yet synced included.
    pub fn record_count(&self, log: LogKind) -> u64 {
        self.log(log).entries()
    }

    /// Reads records in order; each is checked as it is read. The iterator is independent of the
    /// store and may go to another thread.
    pub fn records(&self, log: LogKind, range: Range<u64>) -> Result<Records, StoreError> {
        let (file, have) = (self.log(log), self.record_count(log));
        if range.end > have || range.start > range.end {
            let (start, end) = (range.start, range.end);
            let path = file.path().to_owned();
            return Err(StoreError::Range {
                path,
                unit: "records",
                start,
                end,
                have,
            });
        }
        let offset = if range.start == have {
            file.end()
        } else {
            self.offset(log, range.start)?
        };
        let mut scanner = Scanner::open(file.path(), file.spec())?;
        scanner.seek(range.start, offset, file.end())?;
        Ok(Records::new(scanner, range.end))
    }

    /// Lists the numbers of the records of a round, in order.
    pub fn records_of_round(&self, log: LogKind, round: Round) -> Result<Vec<u64>, StoreError> {
        let mut numbers = self.index.of_round(log, round)?;
        let recent = self
            .unindexed
            .iter()
            .filter(|at| at.log == log && at.round == round);
        numbers.extend(recent.map(|at| at.number));
        Ok(numbers)
    }

    /// The blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Replaces the small file `name` by at most [`NAMED_LIMIT`] bytes; durable on return.
    pub fn put_named(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        named::put(&self.disk, &self.named, name, bytes)
    }

    /// Reads the small file `name`; `None` where there is none.
    pub fn read_named(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        named::read(&self.named, name)
    }

    /// Removes the small file `name`, if there is one; durable on return.
    pub fn remove_named(&self, name: &str) -> Result<(), StoreError> {
        named::remove(&self.disk, &self.named, name)
    }

    fn offset(&self, log: LogKind, number: u64) -> Result<u64, StoreError> {
        let recent = self
            .unindexed
            .iter()
            .find(|at| at.log == log && at.number == number);
        if let Some(recent) = recent {
            return Ok(recent.offset);
        }
        let offset = self.index.offset(log, number)?;
        Ok(offset.expect("the index was made to agree with the logs and is told every record"))
    }

    fn log(&self, log: LogKind) -> &Log {
        match log {
            LogKind::Main => &self.main,
            LogKind::Side => &self.side,
        }
    }

    fn log_mut(&mut self, log: LogKind) -> &mut Log {
        match log {
            LogKind::Main => &mut self.main,
            LogKind::Side => &mut self.side,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Best effort: an index that lacks something is caught up at the next start.
        let _ = self.index.sync();
    }
}

#[cfg(test)]
mod tests;
