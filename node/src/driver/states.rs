//! The states on disk: one file each, named by root, readable tensor by tensor.
//!
//! `file := magic [16] · length of manifest u32 big-endian · manifest · parameters · momentum ·
//! aggregate`, the vectors little-endian and as long as the manifest says. The name stands for all
//! of the content: the root is the manifest's, and the manifest has a hash of every tensor.

mod looking;

use super::files::{self, FileError};
use crate::net::BlobInfo;
use archipel_protocol::{
    encoding::{DecodeError, encode},
    ids::{BlobHash, Root, Round, RunId},
    layout::Layout,
    state::{Manifest, Tensors, tensor_hash},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

const MAGIC: &[u8; 16] = b"archipel-state/1";
const PREFIX_BYTES: u64 = 20;
/// The most bytes of a manifest.
const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Rounds whose states are kept, besides the first state of the run.
const KEPT_ROUNDS: u64 = 3;

/// Why a state cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what its name says.
    #[error("{}: {reason}: the file is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A manifest is not canonical.
    #[error("{}: the manifest: {source}: the file is damaged", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// There is no such state.
    #[error("the state under root {root} is not in {}", folder.display())]
    Absent {
        /// The root.
        root: Root,
        /// The folder.
        folder: PathBuf,
    },
}

/// A kept state.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    manifest: Manifest,
    /// Where the vectors begin in the file.
    start: u64,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
struct Place {
    root: Root,
    offset: u64,
    bytes: u64,
}

#[derive(Default)]
struct Index {
    states: BTreeMap<Root, Kept>,
    tensors: BTreeMap<BlobHash, Place>,
}

/// The states that this node keeps. Usable from any thread; all calls block.
pub struct States {
    folder: PathBuf,
    run_id: RunId,
    layout: Layout,
    index: RwLock<Index>,
    odd: Vec<String>,
}

impl States {
    /// Opens the folder of states. Reads manifests, not tensors, and changes nothing. Files that
    /// are no whole states are passed over: [`Self::odd`] names them.
    ///
    /// # Errors
    /// A folder that is not there.
    pub fn open(folder: PathBuf, run_id: RunId, layout: Layout) -> Result<Self, StateError> {
        let mut states = Self {
            index: RwLock::default(),
            folder,
            run_id,
            layout,
            odd: Vec::new(),
        };
        for path in files::list(&states.folder)? {
            let found = match is_state_name(&path) {
                true => states.look_at(&path).map_err(|error| error.to_string()),
                false => Err(format!("{}: not a file of the node's", path.display())),
            };
            match found {
                Ok((root, kept)) => states.insert(root, kept),
                Err(text) => states.odd.push(format!("{text}. It is passed over")),
            }
        }
        Ok(states)
    }

    /// What lay in the folder at the start and is no whole state, each with the reason.
    pub fn odd(&self) -> &[String] {
        &self.odd
    }

    /// Leaves a state out, as if its file were not there; the file stays.
    pub fn forget(&self, root: &Root) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.states.remove(root);
        self.list_tensors(&mut index);
    }

    /// Whether the state is here.
    pub fn contains(&self, root: &Root) -> bool {
        self.read_index().states.contains_key(root)
    }

    /// The kept state with the highest round not above `round`.
    pub fn latest(&self) -> Option<Root> {
        let index = self.read_index();
        let newest = index
            .states
            .iter()
            .max_by_key(|(_, kept)| kept.manifest.round);
        newest.map(|(root, _)| *root)
    }

    /// The round that starts from a state.
    pub fn round(&self, root: &Root) -> Option<Round> {
        self.read_index()
            .states
            .get(root)
            .map(|kept| kept.manifest.round)
    }

    /// Keeps a state; durable on return. Kept before: it is written again.
    ///
    /// # Errors
    /// Where the disk refuses.
    ///
    /// # Panics
    /// Where the tensors are not as many as the manifest says.
    pub fn save(&self, manifest: &Manifest, tensors: &Tensors) -> Result<Root, StateError> {
        let root = manifest.root(&self.run_id, &self.layout);
        let path = self.folder.join(format!("{root}.state"));
        let sections = [
            (&manifest.parameters, &tensors.parameters),
            (&manifest.momentum, &tensors.momentum),
            (&manifest.aggregate, &tensors.aggregate),
        ];
        for (hashes, values) in sections {
            let expected = if hashes.is_empty() {
                0
            } else {
                self.layout.parameters()
            };
            assert_eq!(values.len(), expected, "a manifest describes its tensors");
        }
        let described = encode(manifest);
        files::replace(&path, |out| {
            out.write_all(MAGIC)?;
            out.write_all(&(described.len() as u32).to_be_bytes())?;
            out.write_all(&described)?;
            sections
                .iter()
                .try_for_each(|(_, values)| write_values(out, values))
        })?;
        let kept = Kept {
            path,
            manifest: manifest.clone(),
            start: PREFIX_BYTES + described.len() as u64,
        };
        self.insert(root, kept);
        Ok(root)
    }

    /// Reads a state. What was read is checked where it is used: in the root that comes of it.
    ///
    /// # Errors
    /// A state that is not here, or a file that cannot be read.
    pub fn load(&self, root: &Root) -> Result<(Manifest, Tensors), StateError> {
        let kept = self.kept(root)?;
        let file = File::open(&kept.path).map_err(FileError::of("open", &kept.path))?;
        let parameters = self.layout.parameters();
        let mut offset = kept.start;
        let mut section = |hashes: &[BlobHash]| -> Result<Vec<f32>, FileError> {
            if hashes.is_empty() {
                return Ok(Vec::new());
            }
            let values = read_values(&file, offset, parameters)
                .map_err(FileError::of("read", &kept.path))?;
            offset += 4 * parameters as u64;
            Ok(values)
        };
        let tensors = Tensors {
            parameters: section(&kept.manifest.parameters)?,
            momentum: section(&kept.manifest.momentum)?,
            aggregate: section(&kept.manifest.aggregate)?,
        };
        Ok((kept.manifest, tensors))
    }

    /// Reads a state and names the tensors whose content is not what the manifest says.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(&self, root: &Root) -> Result<Checked, StateError> {
        let (manifest, tensors) = self.load(root)?;
        let sections = [
            (&manifest.parameters, &tensors.parameters),
            (&manifest.momentum, &tensors.momentum),
            (&manifest.aggregate, &tensors.aggregate),
        ];
        let mut damaged = Vec::new();
        for (section, (hashes, values)) in sections.into_iter().enumerate() {
            for (tensor, hash) in hashes.iter().enumerate() {
                if tensor_hash(&values[self.layout.range(tensor)]) != *hash {
                    damaged.push((section, tensor, *hash));
                }
            }
        }
        Ok(Checked {
            manifest,
            tensors,
            damaged,
        })
    }

    /// The content of a tensor that is in some kept state, if its bytes are still what they were.
    pub fn tensor(&self, hash: &BlobHash) -> Option<Vec<f32>> {
        let place = self.read_index().tensors.get(hash).cloned()?;
        let kept = self.kept(&place.root).ok()?;
        let file = File::open(&kept.path).ok()?;
        let values = read_values(&file, place.offset, place.bytes as usize / 4).ok()?;
        (tensor_hash(&values) == *hash).then_some(values)
    }

    /// What is known of a tensor without reading it.
    pub fn tensor_info(&self, hash: &BlobHash) -> Option<BlobInfo> {
        let index = self.read_index();
        index
            .tensors
            .get(hash)
            .map(|place| BlobInfo { len: place.bytes })
    }

    /// Reads a part of a tensor.
    ///
    /// # Errors
    /// A tensor that is not here, or a part that is not in it.
    pub fn read_tensor(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let (path, at) = {
            let index = self.read_index();
            let place = index.tensors.get(hash).ok_or(io::ErrorKind::NotFound)?;
            let end = offset.checked_add(u64::from(len));
            if end.is_none_or(|end| end > place.bytes) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let kept = index
                .states
                .get(&place.root)
                .ok_or(io::ErrorKind::NotFound)?;
            (kept.path.clone(), place.offset + offset)
        };
        let mut bytes = vec![0; len as usize];
        File::open(path)?.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Removes what lies more than three rounds behind `certified`, but not the run's first state.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn retain(&self, certified: Round) -> Result<(), StateError> {
        let from = certified.0.saturating_sub(KEPT_ROUNDS - 1);
        let old: Vec<(Root, PathBuf)> = {
            let index = self.read_index();
            let old = index.states.iter().filter(|(_, kept)| {
                let round = kept.manifest.round.0;
                round != 0 && round < from
            });
            old.map(|(root, kept)| (*root, kept.path.clone())).collect()
        };
        for (root, path) in old {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.states.remove(&root);
            self.list_tensors(&mut index);
            drop(index);
            files::remove(&path)?;
        }
        Ok(())
    }

    fn kept(&self, root: &Root) -> Result<Kept, StateError> {
        let kept = self.read_index().states.get(root).cloned();
        kept.ok_or_else(|| StateError::Absent {
            root: *root,
            folder: self.folder.clone(),
        })
    }

    fn read_index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, root: Root, kept: Kept) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.states.insert(root, kept);
        self.list_tensors(&mut index);
    }

    fn list_tensors(&self, index: &mut Index) {
        index.tensors.clear();
        for (root, kept) in &index.states {
            let manifest = &kept.manifest;
            let sections = [
                &manifest.parameters,
                &manifest.momentum,
                &manifest.aggregate,
            ];
            let filled = sections.into_iter().filter(|hashes| !hashes.is_empty());
            for (section, hashes) in filled.enumerate() {
                for (tensor, hash) in hashes.iter().enumerate() {
                    let range = self.layout.range(tensor);
                    let first = (section * self.layout.parameters() + range.start) as u64;
                    let place = Place {
                        root: *root,
                        offset: kept.start + 4 * first,
                        bytes: 4 * range.len() as u64,
                    };
                    index.tensors.insert(*hash, place);
                }
            }
        }
    }
}

/// Whether a name is one that states are kept under.
fn is_state_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let root = name.and_then(|name| name.strip_suffix(".state"));
    root.is_some_and(|root| root.parse::<Root>().is_ok())
}

/// A state that was read and compared with its manifest.
pub struct Checked {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its content as read.
    pub tensors: Tensors,
    /// Section (0 parameters, 1 momentum, 2 aggregate), tensor and right hash of what is damaged.
    pub damaged: Vec<(usize, usize, BlobHash)>,
}

/// Writes values as little-endian bytes.
pub(super) fn write_values(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(1 << 16);
    for block in values.chunks(1 << 14) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The values of little-endian bytes; an incomplete one at the end is left out.
pub(super) fn values_of(bytes: &[u8]) -> Vec<f32> {
    let (fours, _) = bytes.as_chunks::<4>();
    fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn read_values(file: &File, offset: u64, count: usize) -> io::Result<Vec<f32>> {
    let mut bytes = vec![0; 4 * count];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(values_of(&bytes))
}

#[cfg(test)]
mod tests;
