//! The header of a safetensors file: what is in it, and where, checked against the file's length.
//!
//! `file := length of header u64 little-endian · header · data`. The header is a JSON object of
//! `name: {dtype, shape, data_offsets}`, and `__metadata__` with texts. The format leaves no byte
//! without a tensor and none with two; the library checks that as well, but takes the last of two
//! equal names, and does not say where it found what.

use super::error::{CheckpointError, io};
use archipel_protocol::layout::MAX_TENSORS;
use safetensors::tensor::Dtype;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// The most bytes a header may have.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Where the texts are kept.
const METADATA: &str = "__metadata__";

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Where it begins, in bytes from the file's start.
    pub start: u64,
    pub bytes: u64,
}

/// A file whose header was checked.
#[derive(Debug)]
pub(super) struct Shard {
    pub path: PathBuf,
    pub file: File,
    /// In the order in which they lie in the file.
    pub entries: Vec<Entry>,
    pub texts: BTreeMap<String, String>,
}

impl Shard {
    /// Opens a file and reads its header, and no more.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut file = File::open(path).map_err(io("open", path))?;
        let file_bytes = file.metadata().map_err(io("look at", path))?.len();
        let json = read_header(path, &mut file, file_bytes)?;
        let header: Header =
            serde_json::from_slice(&json).map_err(|reason| CheckpointError::NotAHeader {
                path: path.to_owned(),
                reason,
            })?;
        let first = 8 + json.len() as u64;
        let entries = placed(path, header.tensors, first, file_bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            entries,
            texts: header.texts,
        })
    }
}

fn read_header(path: &Path, file: &mut File, file_bytes: u64) -> Result<Vec<u8>, CheckpointError> {
    let wrong = |found| CheckpointError::Header {
        path: path.to_owned(),
        found,
        file_bytes,
    };
    if file_bytes < 8 {
        return Err(wrong(0));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(io("read", path))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES || length > file_bytes - 8 {
        return Err(wrong(length));
    }
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(io("read", path))?;
    Ok(json)
}

/// Checks the tensors of a header against each other and the file.
fn placed(
    path: &Path,
    described: Vec<(String, Described)>,
    first: u64,
    file_bytes: u64,
) -> Result<Vec<Entry>, CheckpointError> {
    let file = || path.to_owned();
    if described.len() > MAX_TENSORS {
        let found = described.len();
        return Err(CheckpointError::Tensors {
            path: file(),
            found,
        });
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = described.iter().find(|(name, _)| !names.insert(name)) {
        let tensor = name.clone();
        return Err(CheckpointError::Duplicate {
            path: file(),
            tensor,
        });
    }
    let mut entries = described
        .into_iter()
        .map(|(name, described)| entry(path, name, described))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort_by(|a, b| (a.start, a.bytes, &a.name).cmp(&(b.start, b.bytes, &b.name)));
    let mut end = 0;
    for entry in &mut entries {
        let (tensor, expected, found) = (entry.name.clone(), end, entry.start);
        if found < expected {
            return Err(CheckpointError::Overlap {
                path: file(),
                tensor,
                expected,
                found,
            });
        }
        if found > expected {
            return Err(CheckpointError::Gap {
                path: file(),
                tensor,
                expected,
                found,
            });
        }
        // An entry's bytes are the difference of two offsets, so the sum is the second of them.
        end += entry.bytes;
        entry.start = first.saturating_add(entry.start);
    }
    let expected = first.saturating_add(end);
    if expected != file_bytes {
        return Err(CheckpointError::FileLength {
            path: file(),
            expected,
            found: file_bytes,
        });
    }
    Ok(entries)
}

/// A tensor whose place is as long as its shape and type say; its start counts from the data's.
fn entry(path: &Path, name: String, described: Described) -> Result<Entry, CheckpointError> {
    let Described {
        dtype,
        shape,
        data_offsets: (start, end),
    } = described;
    let bits = shape
        .iter()
        .try_fold(dtype.bitsize() as u64, |bits, size| bits.checked_mul(*size));
    let Some(bits) = bits.filter(|bits| bits.is_multiple_of(8)) else {
        return Err(CheckpointError::Size {
            path: path.to_owned(),
            tensor: name,
            found: shape,
        });
    };
    let (bytes, found) = (bits / 8, i128::from(end) - i128::from(start));
    if i128::from(bytes) != found {
        return Err(CheckpointError::Place {
            path: path.to_owned(),
            tensor: name,
            expected: bytes,
            found,
        });
    }
    Ok(Entry {
        name,
        dtype,
        shape,
        start,
        bytes,
    })
}

/// A tensor as the header describes it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// A header as it is written, equal names included.
struct Header {
    tensors: Vec<(String, Described)>,
    texts: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let (mut tensors, mut texts) = (Vec::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            if name != METADATA {
                tensors.push((name, map.next_value()?));
            } else if texts.replace(map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(METADATA));
            }
        }
        let texts = texts.unwrap_or_default();
        Ok(Header { tensors, texts })
    }
}
