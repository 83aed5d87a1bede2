//! Checks pieces of a blob before the whole of it has arrived.
//!
//! A blob is named by its BLAKE3 hash. BLAKE3 is a tree, so the hash can be rebuilt from the
//! *chaining values* of aligned subtrees. A blob is cut into *chunks* of [`CHUNK_LEN`] bytes, each
//! a whole subtree except the last; the list of their chaining values is the *outline*. An outline
//! that merges to the blob's hash is authentic, and each chunk can then be checked alone, whoever
//! sent it. A blob of at most one chunk needs no outline: the chunk is checked against the hash.
//!
//! Source: O'Connor, Aumasson, Neves, Wilcox-O'Hearn, *BLAKE3* (2020), section 2.1. Bao carries
//! the interior nodes beside the data; here the lowest layer is enough, because a receiver asks
//! for the outline once and then for chunks from many senders.

pub mod compressed;

use crate::ids::BlobHash;
use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes in a chunk, except in the last of a blob. A power of two times BLAKE3's own 1024.
pub const CHUNK_LEN: usize = 256 * 1024;

/// Longest blob that can be named, in bytes: 1 TiB, so that chunk numbers fit a `u32`.
pub const MAX_BLOB_LEN: u64 = 1 << 40;

/// The chaining value of one chunk.
pub type ChainingValue = [u8; 32];

/// Why an outline was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// The blob is longer than any blob may be.
    #[error("a blob of {len} bytes, at most {MAX_BLOB_LEN} are allowed")]
    TooLong {
        /// Length claimed, in bytes.
        len: u64,
    },
    /// The number of chaining values does not fit the length.
    #[error("expected {expected} chaining values for this length, found {found}")]
    Count {
        /// Values that the length asks for.
        expected: usize,
        /// Values that came.
        found: usize,
    },
    /// The chaining values do not merge to the blob's hash.
    #[error("the outline merges to {found}, expected {expected}")]
    Hash {
        /// The blob's hash.
        expected: BlobHash,
        /// What the values merge to.
        found: BlobHash,
    },
}

/// Why a chunk was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The blob has no such chunk.
    #[error("chunk {index} asked for, the blob has {count}")]
    Index {
        /// Chunk number, from 0.
        index: u32,
        /// Chunks in the blob.
        count: u32,
    },
    /// The chunk has the wrong length.
    #[error("chunk {index} has {found} bytes, expected {expected}")]
    Length {
        /// Chunk number, from 0.
        index: u32,
        /// Bytes that this chunk has.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// The bytes are not the ones that the blob's hash names.
    #[error("chunk {index} does not match the blob's hash")]
    Hash {
        /// Chunk number, from 0.
        index: u32,
    },
}

/// Returns how many chunks a blob of `len` bytes has; an empty blob has none.
///
/// # Errors
/// Where `len` is above [`MAX_BLOB_LEN`].
pub fn chunk_count(len: u64) -> Result<u32, OutlineError> {
    if len > MAX_BLOB_LEN {
        return Err(OutlineError::TooLong { len });
    }
    let count = len.div_ceil(CHUNK_LEN as u64);
    Ok(u32::try_from(count).expect("MAX_BLOB_LEN keeps chunk numbers inside u32"))
}

/// Returns how many chaining values travel for a blob of `len` bytes: none for a single chunk.
///
/// # Errors
/// Where `len` is above [`MAX_BLOB_LEN`].
pub fn outline_count(len: u64) -> Result<u32, OutlineError> {
    chunk_count(len).map(|count| if count > 1 { count } else { 0 })
}

/// An outline known to belong to a blob's hash. Only the constructors here make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    hash: BlobHash,
    len: u64,
    values: Vec<ChainingValue>,
}

impl Outline {
    /// Computes the outline of a whole blob in memory.
    ///
    /// # Errors
    /// Where the blob is longer than [`MAX_BLOB_LEN`].
    pub fn of(bytes: &[u8]) -> Result<Self, OutlineError> {
        Self::read(bytes.len() as u64, |offset, len| {
            let start = offset as usize;
            Ok(&bytes[start..start + len])
        })
    }

    /// Computes the outline of a blob of `len` bytes, reading it chunk by chunk, in order.
    ///
    /// `chunk` is called with an offset and a length in bytes and returns exactly these bytes.
    ///
    /// # Errors
    /// Where the blob is too long, or with the first error of `chunk`.
    ///
    /// # Panics
    /// Where `chunk` returns another number of bytes than asked for.
    pub fn read<B, E>(
        len: u64,
        mut chunk: impl FnMut(u64, usize) -> Result<B, E>,
    ) -> Result<Self, E>
    where
        B: AsRef<[u8]>,
        E: From<OutlineError>,
    {
        let count = chunk_count(len)?;
        let mut values = Vec::new();
        for index in 0..count {
            let expected = chunk_len(len, index);
            let offset = u64::from(index) * CHUNK_LEN as u64;
            let bytes = chunk(offset, expected)?;
            assert_eq!(
                bytes.as_ref().len(),
                expected,
                "a reader returns what was asked for"
            );
            if count == 1 {
                let hash = BlobHash(*blake3::hash(bytes.as_ref()).as_bytes());
                return Ok(Self { hash, len, values });
            }
            values.push(chaining_value(index, bytes.as_ref()));
        }
        let hash = match values.len() {
            0 => BlobHash(*blake3::hash(b"").as_bytes()),
            _ => merge_root(&values),
        };
        Ok(Self { hash, len, values })
    }

    /// Accepts chaining values from a peer, where they merge to `hash`.
    ///
    /// # Errors
    /// Where the length is too large, the number of values does not fit it, or the hash differs.
    /// A blob of at most one chunk has no values and nothing to compare until its chunk comes.
    pub fn verify(
        hash: BlobHash,
        len: u64,
        values: Vec<ChainingValue>,
    ) -> Result<Self, OutlineError> {
        let expected = outline_count(len)? as usize;
        if values.len() != expected {
            return Err(OutlineError::Count {
                expected,
                found: values.len(),
            });
        }
        if !values.is_empty() {
            let found = merge_root(&values);
            if found != hash {
                return Err(OutlineError::Hash {
                    expected: hash,
                    found,
                });
            }
        }
        Ok(Self { hash, len, values })
    }

    /// The hash of the whole blob.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// The length of the whole blob in bytes.
    #[allow(
        clippy::len_without_is_empty,
        reason = "the length of the blob, not of a collection"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The chaining values that travel, in chunk order; none where the blob is at most one chunk.
    pub fn values(&self) -> &[ChainingValue] {
        &self.values
    }

    /// How many chunks the blob has.
    pub fn chunks(&self) -> u32 {
        chunk_count(self.len).expect("an outline is only made for a length that was checked")
    }

    /// Where chunk `index` starts, in bytes, and how long it is.
    ///
    /// # Errors
    /// Where the blob has no such chunk.
    pub fn span(&self, index: u32) -> Result<(u64, usize), ChunkError> {
        let count = self.chunks();
        if index >= count {
            return Err(ChunkError::Index { index, count });
        }
        Ok((
            u64::from(index) * CHUNK_LEN as u64,
            chunk_len(self.len, index),
        ))
    }

    /// Checks that `bytes` are chunk `index` of this blob.
    ///
    /// # Errors
    /// Where the number, the length or the hash does not fit.
    pub fn check(&self, index: u32, bytes: &[u8]) -> Result<(), ChunkError> {
        let (_, expected) = self.span(index)?;
        if bytes.len() != expected {
            return Err(ChunkError::Length {
                index,
                expected,
                found: bytes.len(),
            });
        }
        let same = match self.values.get(index as usize) {
            Some(value) => chaining_value(index, bytes) == *value,
            None => blake3::hash(bytes).as_bytes() == &self.hash.0,
        };
        if same {
            Ok(())
        } else {
            Err(ChunkError::Hash { index })
        }
    }
}

/// Length in bytes of chunk `index` of a blob of `len` bytes that has it.
fn chunk_len(len: u64, index: u32) -> usize {
    let rest = len - u64::from(index) * CHUNK_LEN as u64;
    usize::try_from(rest.min(CHUNK_LEN as u64)).expect("a chunk's length fits usize")
}

fn chaining_value(index: u32, bytes: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(index) * CHUNK_LEN as u64);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// Merges at least two values to the hash of the whole blob.
fn merge_root(values: &[ChainingValue]) -> BlobHash {
    let (left, right) = halves(values);
    let root = merge_subtrees_root(&merge(left), &merge(right), Mode::Hash);
    BlobHash(*root.as_bytes())
}

fn merge(values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(values);
    merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
}

/// Splits as BLAKE3 does: the left side is the largest power of two that leaves something right.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    assert!(values.len() >= 2, "only two or more subtrees have a parent");
    values.split_at(values.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests;
