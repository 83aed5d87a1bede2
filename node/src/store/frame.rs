//! The bytes of a log file, and the verdict over the bytes at its end.
//!
//! ```text
//! file   := header entry*
//! header := magic [16] · generation u64 · check [8]
//! entry  := length u32 · head check [8] · payload [length] · seal [16] · end mark 0xA5
//! ```
//! Integers are big-endian; `1 ≤ least ≤ length ≤ limit`, both by the kind of file. Checks are
//! truncated BLAKE3 values: `check` covers magic and generation; `head check` covers the previous
//! seal, the entry's number and its length; `seal` covers the same and the payload. The seal
//! before the first entry is derived from the header. So every entry is tied to its place, to all
//! entries before it and to the incarnation of its file: a removed, repeated, swapped or foreign
//! entry does not fit.
//!
//! BLAKE3 and not CRC-32: an entry that passes by accident may become a contradiction this member
//! has signed, and hashing is not what a write costs next to its fsync.
//!
//! # Incomplete or damaged
//! The header is written to a temporary file, synced and renamed, so a bad or short header is
//! always damage. Entries are appended: a crash leaves a prefix of an entry, or a prefix
//! followed by zeros up to the end of the file (the size reached the disk, the data did not). That
//! and nothing else is *incomplete*:
//! - fewer than 12 bytes, or 12 with only zeros behind them in the file, that a head whose
//!   rest became zeros could be: the length within its limit and, where a byte of the check was
//!   written, the length whole and the bytes of the check its own;
//! - a correct head with less than its entry behind it in the file;
//! - a correct head whose entry ends in 0 instead of the end mark, with only zeros behind it.
//!   The end mark is the last byte written and not zero, so such an entry was never whole.
//!
//! A flipped length is caught by the head check before the length is believed; therefore
//! it cannot pass for an incomplete entry and take the good ones behind it along. No single flipped
//! bit turns the end mark into 0. A length of 0 is not allowed, so that zeros are never an entry.
//!
//! What cannot be told apart: a file cut exactly between entries looks like one that never had
//! the rest, and a synced entry whose end was later cut off looks like a torn one (a disk rolled
//! back in time is the protocol's to detect). What is refused though a crash could have caused it:
//! later blocks of an unsynced tail written and earlier ones not. It looks like a lost block.

use super::error::{Damage, Hex};

/// Bytes of a file's header.
pub(super) const HEADER_LEN: usize = 32;
/// Bytes before an entry's payload.
pub(super) const HEAD_LEN: usize = 12;
/// Bytes behind an entry's payload.
pub(super) const TAIL_LEN: usize = 17;
const LENGTH_LEN: usize = 4;
const SEAL_LEN: usize = 16;
const END_MARK: u8 = 0xA5;

/// The checksum that ends an entry and that the next one continues.
pub(super) type Seal = [u8; SEAL_LEN];

/// Builds the header of a log file.
pub(super) fn header(magic: &[u8; 16], generation: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..16].copy_from_slice(magic);
    header[16..24].copy_from_slice(&generation.to_be_bytes());
    let check: [u8; 8] = checksum(HEADER_DOMAIN, &[&header[..24]]);
    header[24..].copy_from_slice(&check);
    header
}

/// Reads the generation out of a header.
///
/// # Errors
/// The header that must stand there, where another one does.
pub(super) fn generation(magic: &[u8; 16], found: &[u8; HEADER_LEN]) -> Result<u64, (Hex, Hex)> {
    let generation = u64::from_be_bytes(found[16..24].try_into().expect("8 bytes"));
    let expected = header(magic, generation);
    if &expected == found {
        Ok(generation)
    } else {
        Err((Hex::new(&expected), Hex::new(found)))
    }
}

/// What the first bytes of an entry turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A correct head of a payload of this length.
    Whole(u32),
    /// A prefix of a head, then zeros: incomplete if only zeros follow, else the damage within.
    Partial(Damage),
    /// Nothing that a write can leave behind.
    Damaged(Damage),
}

/// What an entry whose every byte lies within the file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// A complete and correct entry.
    Whole(Seal),
    /// The end was not written: incomplete if only zeros follow, else the damage within.
    Unwritten(Damage),
    /// Nothing that a write can leave behind.
    Damaged(Damage),
}

/// The place in a log behind a number of entries: what the next entry must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the next entry.
    pub(super) entry: u64,
    /// The seal before it.
    pub(super) seal: Seal,
}

impl Place {
    /// The place before the first entry of the file that begins with `header`.
    pub(super) fn start(header: &[u8; HEADER_LEN]) -> Self {
        Self {
            entry: 0,
            seal: checksum(START_DOMAIN, &[header]),
        }
    }

    /// Appends the entry at this place to `out` and moves behind it.
    pub(super) fn write(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let length = u32::try_from(payload.len()).expect("limits are far below 4 GiB");
        let seal = self.seal_of(payload);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.head_check(length));
        out.extend_from_slice(payload);
        out.extend_from_slice(&seal);
        out.push(END_MARK);
        self.advance(seal);
    }

    /// Judges the first bytes of the entry at this place: 1 to 12, fewer than 12 only at the end
    /// of the file.
    pub(super) fn judge_head(&self, bytes: &[u8], least: u32, limit: u32) -> Head {
        let mut head = [0; HEAD_LEN];
        head[..bytes.len()].copy_from_slice(bytes);
        let (length, check) = head.split_at(LENGTH_LEN);
        let length = u32::from_be_bytes(length.try_into().expect("4 bytes"));
        let expected = self.head_check(length);
        let damage = Damage::Head {
            expected: Hex::new(&expected),
            found: Hex::new(check),
        };
        if length > limit {
            return Head::Damaged(Damage::Length {
                found: length,
                least,
                limit,
            });
        }
        let written = check
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        if written == 0 && check != expected {
            return Head::Partial(damage);
        }
        if length < least {
            return Head::Damaged(Damage::Length {
                found: length,
                least,
                limit,
            });
        }
        if bytes.len() == HEAD_LEN && check == expected {
            return Head::Whole(length);
        }
        if check[..written] == expected[..written] {
            return Head::Partial(damage);
        }
        Head::Damaged(damage)
    }

    /// Judges the entry at this place, of which `body` is the payload and all behind it.
    pub(super) fn judge_tail(&self, body: &[u8]) -> Tail {
        let (payload, tail) = body.split_at(body.len() - TAIL_LEN);
        let (found, end) = (&tail[..SEAL_LEN], tail[SEAL_LEN]);
        if end != END_MARK {
            let damage = Damage::End {
                expected: END_MARK,
                found: end,
            };
            return if end == 0 {
                Tail::Unwritten(damage)
            } else {
                Tail::Damaged(damage)
            };
        }
        let expected = self.seal_of(payload);
        if expected == found {
            return Tail::Whole(expected);
        }
        Tail::Damaged(Damage::Seal {
            expected: Hex::new(&expected),
            found: Hex::new(found),
        })
    }

    /// Moves behind the entry that ends with `seal`.
    pub(super) fn advance(&mut self, seal: Seal) {
        self.entry += 1;
        self.seal = seal;
    }

    fn head_check(&self, length: u32) -> [u8; 8] {
        let parts: [&[u8]; 3] = [&self.seal, &self.entry.to_be_bytes(), &length.to_be_bytes()];
        checksum(HEAD_DOMAIN, &parts)
    }

    fn seal_of(&self, payload: &[u8]) -> Seal {
        let length = payload.len() as u64;
        let parts: [&[u8]; 4] = [
            &self.seal,
            &self.entry.to_be_bytes(),
            &length.to_be_bytes(),
            payload,
        ];
        checksum(SEAL_DOMAIN, &parts)
    }
}

/// Bytes the entry of a payload of `length` takes in the file.
pub(super) fn entry_len(length: u32) -> u64 {
    (HEAD_LEN + TAIL_LEN) as u64 + u64::from(length)
}

const HEADER_DOMAIN: u8 = 0;
const START_DOMAIN: u8 = 1;
const HEAD_DOMAIN: u8 = 2;
const SEAL_DOMAIN: u8 = 3;

/// The first `N` bytes of the BLAKE3 hash of the domain and all parts but the last, which have
/// fixed lengths in each domain, and the last.
fn checksum<const N: usize>(domain: u8, parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"archipel/log/v1\0").update(&[domain]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().as_bytes()[..N]
        .try_into()
        .expect("checksums are shorter than a hash")
}
