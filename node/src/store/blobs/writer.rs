//! A blob on its way in: bytes under a temporary name until they are whole, hashed and synced.

use std::{fs::File, os::unix::fs::FileExt};

use archipel_protocol::ids::BlobHash;
use tempfile::NamedTempFile;

use super::{super::error::StoreError, Blobs, hash_of};

/// A blob that arrives in pieces. Dropped before [`Self::finish`], it leaves nothing behind.
pub struct BlobWriter {
    blobs: Blobs,
    file: NamedTempFile,
    /// The hash of all bytes so far; `None` once pieces came out of order.
    hasher: Option<blake3::Hasher>,
    length: u64,
    limit: u64,
    expected: Option<BlobHash>,
}

impl BlobWriter {
    /// Writes into the temporary `file` until it is finished.
    pub(super) fn new(
        blobs: Blobs,
        file: NamedTempFile,
        limit: u64,
        expected: Option<BlobHash>,
    ) -> Self {
        Self {
            blobs,
            file,
            hasher: Some(blake3::Hasher::new()),
            length: 0,
            limit,
            expected,
        }
    }

    /// Appends a piece.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_at(self.length, bytes)
    }

    /// Writes a piece at its place; pieces may come in any order. What is never written is zeros.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let found = offset.saturating_add(bytes.len() as u64);
        if found > self.limit {
            return Err(StoreError::TooLong {
                what: "the blob",
                found,
                limit: self.limit,
            });
        }
        if offset == self.length
            && let Some(hasher) = &mut self.hasher
        {
            hasher.update(bytes);
        } else {
            self.hasher = None;
        }
        let written = self.file.as_file().write_all_at(bytes, offset);
        written.map_err(|e| StoreError::io(self.file.path(), "write", e))?;
        self.length = self.length.max(found);
        Ok(())
    }

    /// The bytes from the start to the end of the last piece so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Syncs the bytes, compares them with the expected hash and gives them their name; durable on
    /// return.
    pub fn finish(mut self) -> Result<BlobHash, StoreError> {
        let found = match &self.hasher {
            Some(hasher) => BlobHash(*hasher.finalize().as_bytes()),
            None => File::open(self.file.path())
                .and_then(|file| hash_of(&file))
                .map_err(|e| StoreError::io(self.file.path(), "read", e))?,
        };
        if let Some(expected) = self.expected
            && expected != found
        {
            return Err(StoreError::WrongContent { expected, found });
        }
        let path = self.file.path().to_owned();
        self.blobs
            .shared
            .disk
            .sync(self.file.as_file_mut(), &path)?;
        self.blobs.keep(self.file, &found, self.length)?;
        Ok(found)
    }
}
