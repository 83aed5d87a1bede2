//! `model.safetensors.index.json`: which shard has which tensor.

use super::{
    error::{CheckpointError, io},
    header::Shard,
};
use archipel_protocol::layout::MAX_TENSORS;
use serde::Deserialize;
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// The most files that one checkpoint may be spread over.
pub const MAX_SHARDS: usize = 1024;
/// The most bytes of an index.
const MAX_INDEX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens every shard that an index names. Each tensor is where the index says, and nowhere else.
pub(super) fn open_all(path: &Path) -> Result<Vec<Shard>, CheckpointError> {
    let map = read(path)?;
    let mut names: Vec<&String> = map.values().collect();
    names.sort();
    names.dedup();
    if names.len() > MAX_SHARDS {
        return Err(CheckpointError::Shards {
            path: path.to_owned(),
            found: names.len(),
        });
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut shards = Vec::with_capacity(names.len());
    let mut seen = 0;
    for name in names {
        let shard = Shard::open(&folder.join(name))?;
        let strayed = |entry: &&super::header::Entry| map.get(&entry.name) != Some(name);
        if let Some(entry) = shard.entries.iter().find(strayed) {
            return Err(CheckpointError::Elsewhere {
                path: shard.path.clone(),
                tensor: entry.name.clone(),
            });
        }
        seen += shard.entries.len();
        shards.push(shard);
    }
    if seen == map.len() {
        return Ok(shards);
    }
    // Every tensor found is one of the index, so one of the index was not found.
    let found = |tensor: &String| {
        let mut entries = shards.iter().flat_map(|shard| &shard.entries);
        entries.any(|entry| entry.name == *tensor)
    };
    let (tensor, name) = map
        .iter()
        .find(|(tensor, _)| !found(tensor))
        .expect("fewer tensors were found than the index lists");
    Err(CheckpointError::Elsewhere {
        path: folder.join(name),
        tensor: tensor.clone(),
    })
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let file = File::open(path).map_err(io("open", path))?;
    let found = file.metadata().map_err(io("look at", path))?.len();
    if found > MAX_INDEX_BYTES {
        return Err(CheckpointError::IndexLength {
            path: path.to_owned(),
            limit: MAX_INDEX_BYTES,
            found,
        });
    }
    let mut json = Vec::new();
    file.take(MAX_INDEX_BYTES)
        .read_to_end(&mut json)
        .map_err(io("read", path))?;
    let index: Index = serde_json::from_slice(&json).map_err(|reason| CheckpointError::Index {
        path: path.to_owned(),
        reason,
    })?;
    let map = index.weight_map;
    if map.len() > MAX_TENSORS {
        return Err(CheckpointError::Tensors {
            path: path.to_owned(),
            found: map.len(),
        });
    }
    // A name with a folder in it would be read outside the checkpoint.
    let plain = |name: &&String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(allowed)
    };
    match map.values().find(|name| !plain(name)) {
        None => Ok(map),
        Some(name) => Err(CheckpointError::ShardName {
            path: path.to_owned(),
            found: name.chars().take(64).collect(),
        }),
    }
}
