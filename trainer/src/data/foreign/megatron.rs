//! Megatron-LM's index of sequences and documents (`IndexedDataset` in `megatron.core`).
//!
//! `MMIDIDX\0\0`, version 1 (u64), type of tokens (u8), number of sequences s (u64), entries of the
//! list of documents d (u64); then s lengths in tokens (i32), s byte offsets into the `.bin` (i64),
//! d numbers of first sequences, ending with s (i64). Offsets must follow from lengths, as they do
//! in every file that Megatron writes, so that a document is one range of tokens. Modes of
//! sequences, which stand behind in data of several kinds, are refused.

use super::{Fault, number};
use memmap2::Mmap;
use std::ops::Range;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const VERSION: u64 = 1;
/// Bytes before the lists: magic, version, type, two counts.
const HEADER: usize = 9 + 8 + 1 + 8 + 8;

/// An index whose numbers add up.
pub(super) struct Index {
    bytes: Mmap,
    sequences: usize,
    /// Entries of the list of documents: one more than there are documents.
    entries: usize,
    width: usize,
    signed: bool,
}

impl Index {
    /// Reads an index over a `.bin` of so many bytes.
    pub(super) fn read(bytes: Mmap, data_bytes: u64) -> Result<Self, Fault> {
        let length = |what, expected: u64, found: u64| Fault::Length {
            what,
            expected,
            found,
        };
        let all = bytes.len() as u64;
        let start = bytes.len().min(MAGIC.len());
        if bytes[..start] != MAGIC[..start] || start == 0 {
            return Err(Fault::Magic {
                format: "Megatron index",
                expected: "MMIDIDX and two zero bytes",
                found: bytes[..start].to_vec(),
            });
        }
        if bytes.len() < HEADER {
            return Err(length("header", HEADER as u64, all));
        }
        let found = number(&bytes[9..17]);
        if found != VERSION {
            return Err(Fault::Version {
                expected: VERSION,
                found,
            });
        }
        let (width, signed) = match bytes[17] {
            1 => (1, false),
            3 => (2, true),
            4 => (4, true),
            5 => (8, true),
            8 => (2, false),
            found => return Err(Fault::Type { found }),
        };
        let (sequences, documents) = (number(&bytes[18..26]), number(&bytes[26..34]));
        let counts = || Fault::Counts {
            sequences,
            documents,
        };
        let lists = sequences
            .checked_mul(12)
            .zip(documents.checked_mul(8))
            .and_then(|(a, b)| a.checked_add(b)?.checked_add(HEADER as u64));
        let expected = lists.ok_or_else(counts)?;
        if all == expected.saturating_add(sequences) && sequences > 0 {
            return Err(Fault::Modes);
        }
        if all != expected {
            return Err(length("index", expected, all));
        }
        let index = Self {
            sequences: sequences as usize,
            entries: documents as usize,
            bytes,
            width,
            signed,
        };
        index.check(data_bytes)?;
        Ok(index)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn is_signed(&self) -> bool {
        self.signed
    }

    pub(super) fn documents(&self) -> u64 {
        self.entries as u64 - 1
    }

    pub(super) fn document(&self, number: u64) -> Range<usize> {
        let number = number as usize;
        let start = |entry: usize| self.first_token(self.entry(entry) as usize);
        start(number)..start(number + 1)
    }

    /// Where a sequence's tokens begin, and behind the last where they end.
    fn first_token(&self, sequence: usize) -> usize {
        match self.sequences {
            0 => 0,
            all if sequence < all => self.offset(sequence) as usize / self.width,
            all => self.offset(all - 1) as usize / self.width + self.length(all - 1) as usize,
        }
    }

    /// Tokens of a sequence.
    fn length(&self, sequence: usize) -> i64 {
        let at = HEADER + 4 * sequence;
        i64::from(number(&self.bytes[at..at + 4]) as u32 as i32)
    }

    /// Where a sequence begins, in bytes.
    fn offset(&self, sequence: usize) -> i64 {
        let at = HEADER + 4 * self.sequences + 8 * sequence;
        number(&self.bytes[at..at + 8]) as i64
    }

    /// The first sequence of a document.
    fn entry(&self, document: usize) -> i64 {
        let at = HEADER + 12 * self.sequences + 8 * document;
        number(&self.bytes[at..at + 8]) as i64
    }

    /// Offsets follow from lengths, documents from sequences, the file's length from both.
    fn check(&self, data_bytes: u64) -> Result<(), Fault> {
        let wrong = |what, index: usize, expected, found| Fault::Index {
            what,
            index: index as u64,
            expected,
            found,
        };
        let mut offset = 0i64;
        for sequence in 0..self.sequences {
            let (length, found) = (self.length(sequence), self.offset(sequence));
            if length < 0 {
                return Err(wrong("length", sequence, 0, length));
            }
            if found != offset {
                return Err(wrong("offset", sequence, offset, found));
            }
            // At most 2^60 sequences of 2^31 tokens, of which a file holds far fewer.
            offset = offset.saturating_add(length * self.width as i64);
        }
        if offset as u64 != data_bytes {
            return Err(Fault::Length {
                what: "tokens",
                expected: offset as u64,
                found: data_bytes,
            });
        }
        if offset == 0 {
            return Err(Fault::Empty);
        }
        let last = self.sequences as i64;
        let mut before = 0;
        for document in 0..self.entries {
            let found = self.entry(document);
            if !(before..=last).contains(&found) || (document == 0 && found != 0) {
                return Err(wrong("document", document, before, found));
            }
            before = found;
        }
        match self.entries > 1 && before == last {
            true => Ok(()),
            false => Err(wrong("document", self.entries.max(1) - 1, last, before)),
        }
    }
}
