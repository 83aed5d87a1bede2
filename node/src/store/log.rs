//! One append-only log file: appended to, synced, replaced whole, and read again.
//!
//! Its bytes, and what counts as incomplete, are [`super::frame`]'s.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{Disk, Medium},
    error::{Damage, Hex, StoreError},
    frame::{self, HEAD_LEN, HEADER_LEN, Head, Place, TAIL_LEN, Tail},
};

/// What sets one kind of log apart from the others.
#[derive(Debug)]
pub(super) struct Spec {
    /// The first bytes of the file.
    pub(super) magic: [u8; 16],
    /// The shortest payload, in bytes; at least 1.
    pub(super) least: u32,
    /// The longest payload, in bytes.
    pub(super) limit: u32,
}

/// An incomplete entry that was cut off the end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The log.
    pub file: PathBuf,
    /// Where the entry began: the file's length now, in bytes.
    pub at_offset: u64,
    /// How many bytes were cut off.
    pub bytes_cut: u64,
}

/// A log that is open for appending.
pub(super) struct Log {
    path: PathBuf,
    spec: &'static Spec,
    disk: Arc<Disk>,
    file: Box<dyn Medium>,
    generation: u64,
    place: Place,
    end: u64,
    unsynced: bool,
}

impl Log {
    /// Creates a log without an entry.
    pub(super) fn create(path: &Path, spec: &Spec, disk: &Disk) -> Result<(), StoreError> {
        disk.replace(path, &frame::header(&spec.magic, 0)).map(drop)
    }

    /// Opens the log that `scanner` has read to its end; cuts off an incomplete entry.
    pub(super) fn open(
        scanner: Scanner,
        disk: Arc<Disk>,
    ) -> Result<(Self, Option<TornTail>), StoreError> {
        let path = scanner.path;
        let mut file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|e| StoreError::io(&path, "open", e))?;
        let end = scanner.offset;
        let torn = (scanner.end > end).then(|| TornTail {
            file: path.clone(),
            at_offset: end,
            bytes_cut: scanner.end - end,
        });
        if torn.is_some() {
            file.cut(end).map_err(|e| StoreError::io(&path, "cut", e))?;
        }
        // Also where nothing was cut: the entries recovered may never have been synced.
        disk.sync(&mut file, &path)?;
        let log = Self {
            path,
            spec: scanner.spec,
            disk,
            file: Box::new(file),
            generation: scanner.generation,
            place: scanner.place,
            end,
            unsynced: false,
        };
        Ok((log, torn))
    }

    /// Appends an entry; returns where it begins.
    ///
    /// A failed write leaves the log as it was, or stops all writing where that fails too.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<u64, StoreError> {
        self.disk.check()?;
        self.check_length(payload)?;
        let mut place = self.place;
        let mut bytes = Vec::with_capacity(HEAD_LEN + payload.len() + TAIL_LEN);
        place.write(payload, &mut bytes);
        self.unsynced = true;
        if let Err(source) = self.file.write(&bytes, self.end) {
            if self.file.cut(self.end).is_err() {
                self.disk.stop(&self.path);
            }
            return Err(StoreError::io(&self.path, "append to", source));
        }
        let offset = self.end;
        self.end += bytes.len() as u64;
        self.place = place;
        Ok(offset)
    }

    /// Makes every entry durable; does nothing where none was appended.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.disk.check()?;
        if self.unsynced {
            self.disk.sync(self.file.as_mut(), &self.path)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Replaces the log by one that holds `entries`, of the next generation; durable on return.
    pub(super) fn replace(&mut self, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        let generation = self.generation + 1;
        let header = frame::header(&self.spec.magic, generation);
        let mut place = Place::start(&header);
        let mut bytes = header.to_vec();
        for entry in entries {
            self.check_length(entry)?;
            place.write(entry, &mut bytes);
        }
        let end = bytes.len() as u64;
        let replaced = self.disk.replace(&self.path, &bytes);
        if replaced.is_err() && !self.is_untouched() {
            // The new file is in place though not surely durable: the old handle must not be used.
            self.disk.stop(&self.path);
        }
        self.file = Box::new(replaced?);
        (self.generation, self.place, self.end) = (generation, place, end);
        self.unsynced = false;
        Ok(())
    }

    /// The number of entries.
    pub(super) fn entries(&self) -> u64 {
        self.place.entry
    }

    /// The length of the file, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of log.
    pub(super) fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn is_untouched(&self) -> bool {
        Scanner::open(&self.path, self.spec).is_ok_and(|now| now.generation == self.generation)
    }

    fn check_length(&self, payload: &[u8]) -> Result<(), StoreError> {
        if payload.len() < self.spec.least as usize {
            return Err(StoreError::Empty {
                path: self.path.clone(),
            });
        }
        if payload.len() > self.spec.limit as usize {
            let (found, limit) = (payload.len() as u64, u64::from(self.spec.limit));
            return Err(StoreError::TooLong {
                what: "an entry of a log",
                found,
                limit,
            });
        }
        Ok(())
    }

    /// Puts another medium under the log.
    #[cfg(test)]
    pub(super) fn set_medium(&mut self, medium: impl FnOnce(Box<dyn Medium>) -> Box<dyn Medium>) {
        let old = std::mem::replace(
            &mut self.file,
            Box::new(tempfile::tempfile().expect("temp")),
        );
        self.file = medium(old);
    }
}

/// Reads the entries of a log in order, and believes none that it has not checked.
#[derive(Debug)]
pub(super) struct Scanner {
    path: PathBuf,
    spec: &'static Spec,
    file: BufReader<File>,
    generation: u64,
    place: Place,
    /// Where the next entry begins, in bytes.
    offset: u64,
    /// Where to stop, in bytes.
    end: u64,
}

/// One entry of a log.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number, from 0.
    pub(super) number: u64,
    /// Where it begins, in bytes.
    pub(super) offset: u64,
    /// What was appended.
    pub(super) payload: Vec<u8>,
}

impl Scanner {
    /// Reads a whole file as long as it is now.
    pub(super) fn open(path: &Path, spec: &'static Spec) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io(path, "open", e))?;
        let end = file
            .metadata()
            .map_err(|e| StoreError::io(path, "examine", e))?
            .len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER_LEN];
        let available = end.min(HEADER_LEN as u64) as usize;
        file.read_exact(&mut header[..available])
            .map_err(|e| StoreError::io(path, "read", e))?;
        let damaged = |(expected, _)| StoreError::Header {
            path: path.to_owned(),
            expected,
            found: Hex::new(&header[..available]),
        };
        let generation = frame::generation(&spec.magic, &header).map_err(damaged)?;
        let offset = HEADER_LEN as u64;
        let place = Place::start(&header);
        Ok(Self {
            path: path.to_owned(),
            spec,
            file,
            generation,
            place,
            offset,
            end,
        })
    }

    /// Goes to the entry `number`, which begins at `offset`, and stops at `end`.
    pub(super) fn seek(&mut self, number: u64, offset: u64, end: u64) -> Result<(), StoreError> {
        self.end = end;
        if number == 0 {
            return Ok(());
        }
        let mut tail = [0; TAIL_LEN];
        let read = self
            .file
            .seek(SeekFrom::Start(offset.saturating_sub(TAIL_LEN as u64)));
        read.and_then(|_| self.file.read_exact(&mut tail))
            .map_err(|e| self.unreadable(e))?;
        let seal = tail[..TAIL_LEN - 1]
            .try_into()
            .expect("a seal and the end mark");
        self.place = Place {
            entry: number,
            seal,
        };
        self.offset = offset;
        Ok(())
    }

    /// Reads the next entry; `None` at the end, and before an incomplete entry at the end.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        let available = self.end - self.offset;
        if available == 0 {
            return Ok(None);
        }
        let mut head = [0; HEAD_LEN];
        let head = &mut head[..available.min(HEAD_LEN as u64) as usize];
        self.file.read_exact(head).map_err(|e| self.unreadable(e))?;
        let length = match self
            .place
            .judge_head(head, self.spec.least, self.spec.limit)
        {
            Head::Whole(length) => length,
            Head::Partial(damage) => return self.incomplete(damage),
            Head::Damaged(damage) => return Err(self.damaged(damage)),
        };
        if frame::entry_len(length) > available {
            return Ok(None);
        }
        let mut body = vec![0; length as usize + TAIL_LEN];
        self.file
            .read_exact(&mut body)
            .map_err(|e| self.unreadable(e))?;
        match self.place.judge_tail(&body) {
            Tail::Whole(seal) => {
                body.truncate(length as usize);
                let (number, offset) = (self.place.entry, self.offset);
                self.place.advance(seal);
                self.offset += frame::entry_len(length);
                Ok(Some(Entry {
                    number,
                    offset,
                    payload: body,
                }))
            }
            Tail::Unwritten(damage) => self.incomplete(damage),
            Tail::Damaged(damage) => Err(self.damaged(damage)),
        }
    }

    /// The number of entries read.
    pub(super) fn entries(&self) -> u64 {
        self.place.entry
    }

    /// Accepts the entry as incomplete if the file holds only zeros from here to its end.
    fn incomplete(&mut self, damage: Damage) -> Result<Option<Entry>, StoreError> {
        let mut buffer = [0; 4096];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.damaged(damage)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(StoreError::io(&self.path, "read", e)),
            }
        }
    }

    pub(super) fn damaged(&self, damage: Damage) -> StoreError {
        let (path, offset, entry) = (self.path.clone(), self.offset, self.place.entry);
        StoreError::Damaged {
            path,
            offset,
            entry,
            damage,
        }
    }

    fn unreadable(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(Damage::Shrunk),
            _ => StoreError::io(&self.path, "read", error),
        }
    }
}

#[cfg(test)]
mod tests;
