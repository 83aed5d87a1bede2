//! Decides what the demo's members train on and what all of them are measured on.
//!
//! | text given | dealt |
//! |---|---|
//! | a folder with a file a member or more | file by file in name order, round robin: non-IID |
//! | a file, a smaller folder, the default | evenly, in contiguous parts |
//!
//! Held out is about 5 % of the whole, taken in proportion from the end of every file dealt, or of
//! every member's part where files are small, so that the measure sees every sort of text. It is
//! cut off before anything is dealt: no byte is both trained on and held out.

mod registry;
mod source;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

pub use source::MAXIMUM_BYTES;

/// Least text a member trains on, in bytes.
pub const MINIMUM_MEMBER_BYTES: usize = 32 * 1024;
/// Held-out text is at least this long, where it is no more than a quarter of everything.
pub const MINIMUM_HELDOUT_BYTES: usize = 64 * 1024;
/// Held-out text is at most this long.
pub const MAXIMUM_HELDOUT_BYTES: usize = 256 * 1024;
/// Held-out text is taken from single files only where each gives this much.
const MINIMUM_TAIL_BYTES: usize = 4 * 1024;

/// A piece of text with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it came from, with `/` between folders.
    pub name: String,
    /// UTF-8 text.
    pub text: String,
}

/// The text of a demo, dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// Each member's documents, in the order of the members.
    pub members: Vec<Vec<Document>>,
    /// What every member evaluates on.
    pub heldout: Vec<u8>,
    /// Where the text came from: one line for people.
    pub source: String,
}

/// Why there is nothing to train on.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}; --data takes a file or folder of text", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file given by name is not text.
    #[error("{} is not UTF-8 text (byte {position}); convert it, or name another file",
        path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Position of the first byte that is not.
        position: usize,
    },
    /// There is too little text.
    #[error(
        "{source_line}: {found} bytes of text, and {members} members need at least {expected}; \
         give a larger file or folder with --data, or fewer --members"
    )]
    TooLittle {
        /// Where the text came from.
        source_line: String,
        /// Bytes found.
        found: usize,
        /// Least number of bytes.
        expected: usize,
        /// Members to deal to.
        members: usize,
    },
    /// One member's files are too short.
    #[error(
        "{source_line}: member {member} gets {found} bytes and needs at least {expected}, as each \
         file goes to one member; join small files into one, or give fewer --members"
    )]
    ShareTooSmall {
        /// Where the text came from.
        source_line: String,
        /// The member, counted from 1.
        member: usize,
        /// Bytes of its files.
        found: usize,
        /// Least number of bytes.
        expected: usize,
    },
    /// The text carried in the binary does not unpack.
    #[error("the text carried in this binary is damaged ({error}); build it again, or give --data")]
    Damaged {
        /// Why.
        error: io::Error,
    },
}

impl Corpus {
    /// Gathers the text at `data`, or the default text, and deals it to `members`.
    ///
    /// # Errors
    /// Where the text cannot be read or is too little.
    ///
    /// # Panics
    /// Where `members` is 0.
    pub fn gather(data: Option<&std::path::Path>, members: usize) -> Result<Self, CorpusError> {
        assert!(members > 0, "a federation has at least one member");
        let text = match data {
            Some(path) => source::read(path)?,
            None => source::default_text()?,
        };
        if text.dealable && text.documents.len() >= members {
            deal_files(text.documents, members, text.source)
        } else {
            deal_evenly(text.documents, members, text.source)
        }
    }

    /// Bytes of text that members train on.
    pub fn training_bytes(&self) -> usize {
        self.members.iter().map(|documents| bytes(documents)).sum()
    }
}

/// The entropy of a byte given the byte before it, in bits, as counted in `text` itself.
///
/// What a table of 65,536 counts would reach, had it seen the very text it is measured on. A model
/// below it has learnt more than which letter follows which.
pub fn order1_entropy(text: &[u8]) -> f64 {
    let mut counts = vec![0u32; 256 * 256];
    for pair in text.windows(2) {
        counts[usize::from(pair[0]) * 256 + usize::from(pair[1])] += 1;
    }
    let pairs = text.len().saturating_sub(1).max(1) as f64;
    counts
        .chunks_exact(256)
        .map(|row| row_bits(row) / pairs)
        .sum()
}

fn row_bits(row: &[u32]) -> f64 {
    let total: f64 = row.iter().map(|&count| f64::from(count)).sum();
    let seen = row.iter().filter(|&&count| count > 0);
    seen.map(|&count| f64::from(count) * (total / f64::from(count)).log2())
        .sum()
}

fn bytes(documents: &[Document]) -> usize {
    documents.iter().map(|document| document.text.len()).sum()
}

/// How much of `total` bytes is held out.
fn heldout_bytes(total: usize) -> usize {
    (total / 20)
        .clamp(MINIMUM_HELDOUT_BYTES, MAXIMUM_HELDOUT_BYTES)
        .min(total / 4)
}

fn demand(found: usize, members: usize, source: &str) -> Result<(), CorpusError> {
    // With a quarter held out, three quarters must do for the members.
    let expected = (MINIMUM_MEMBER_BYTES * members).div_ceil(3) * 4;
    if found >= expected {
        return Ok(());
    }
    Err(CorpusError::TooLittle {
        source_line: source.to_owned(),
        found,
        expected,
        members,
    })
}

fn deal_files(
    documents: Vec<Document>,
    members: usize,
    source: String,
) -> Result<Corpus, CorpusError> {
    let total = bytes(&documents);
    demand(total, members, &source)?;
    let wanted = heldout_bytes(total);
    let mut heldout = Vec::with_capacity(wanted);
    let mut shares = vec![Vec::new(); members];
    let by_file = wanted / documents.len() >= MINIMUM_TAIL_BYTES;
    for (index, mut document) in documents.into_iter().enumerate() {
        if by_file {
            let tail = proportion(wanted, document.text.len(), total);
            heldout.extend(cut_tail(&mut document.text, tail).into_bytes());
        }
        shares[index % members].push(document);
    }
    if !by_file {
        hold_out(&mut shares, wanted, &mut heldout);
    }
    for (index, share) in shares.iter_mut().enumerate() {
        share.retain(|document| !document.text.is_empty());
        let (found, expected) = (bytes(share), MINIMUM_MEMBER_BYTES);
        if found < expected {
            let (source_line, member) = (source, index + 1);
            return Err(CorpusError::ShareTooSmall {
                source_line,
                member,
                found,
                expected,
            });
        }
    }
    let source = format!("{source}, dealt file by file");
    Ok(Corpus {
        members: shares,
        heldout,
        source,
    })
}

fn deal_evenly(
    documents: Vec<Document>,
    members: usize,
    source: String,
) -> Result<Corpus, CorpusError> {
    let total = bytes(&documents);
    demand(total, members, &source)?;
    let mut shares = contiguous(documents, members, total);
    let wanted = heldout_bytes(total);
    let mut heldout = Vec::with_capacity(wanted);
    hold_out(&mut shares, wanted, &mut heldout);
    Ok(Corpus {
        members: shares,
        heldout,
        source,
    })
}

/// Splits the documents, as if joined, into parts of equal length, cutting where a part ends.
fn contiguous(documents: Vec<Document>, members: usize, total: usize) -> Vec<Vec<Document>> {
    let mut shares = vec![Vec::new(); members];
    let (mut member, mut position) = (0, 0);
    for mut document in documents {
        while member + 1 < members {
            let end = proportion(total, member + 1, members);
            if position + document.text.len() <= end {
                break;
            }
            let head = cut_head(&mut document.text, end.saturating_sub(position));
            position += head.len();
            if !head.is_empty() {
                shares[member].push(Document {
                    name: document.name.clone(),
                    text: head,
                });
            }
            member += 1;
        }
        position += document.text.len();
        if !document.text.is_empty() {
            shares[member].push(document);
        }
    }
    shares
}

/// Takes `wanted` bytes in equal parts from the end of every share.
fn hold_out(shares: &mut [Vec<Document>], wanted: usize, heldout: &mut Vec<u8>) {
    let total: usize = shares.iter().map(|share| bytes(share)).sum();
    for share in shares {
        let mut missing = proportion(wanted, bytes(share), total);
        let mut tails = Vec::new();
        while missing > 0
            && let Some(last) = share.last_mut()
        {
            let tail = cut_tail(&mut last.text, missing);
            missing = missing.saturating_sub(tail.len().max(1));
            tails.push(tail);
            if last.text.is_empty() {
                share.pop();
            }
        }
        tails
            .iter()
            .rev()
            .for_each(|tail| heldout.extend(tail.as_bytes()));
    }
}

fn proportion(whole: usize, part: usize, parts: usize) -> usize {
    (whole as u128 * part as u128 / parts.max(1) as u128) as usize
}

/// Cuts the last `length` bytes off, less what belongs to a character that begins before them.
fn cut_tail(text: &mut String, length: usize) -> String {
    let from = text.len().saturating_sub(length);
    let from = (from..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    text.split_off(from)
}

/// Cuts off the first `length` bytes, up to and with the last line end among them if there is one.
fn cut_head(text: &mut String, length: usize) -> String {
    let length = text.floor_char_boundary(length.min(text.len()));
    let length = text[..length].rfind('\n').map_or(length, |at| at + 1);
    let rest = text.split_off(length);
    std::mem::replace(text, rest)
}
