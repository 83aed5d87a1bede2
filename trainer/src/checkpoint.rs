//! Parameters as safetensors, under the names of the layout.
//!
//! What is written is one file of `f32`. What is read may also be `bf16` or `f16`, and spread over
//! shards with an index, as `transformers` writes large models. Nothing is allocated before the
//! header's length is within its limit and every tensor's name, type, shape and place has been
//! checked against the others, the file, and the layout.

mod error;
mod header;
mod index;
mod values;

pub use error::CheckpointError;
pub use header::MAX_HEADER_BYTES;
pub use index::MAX_SHARDS;

use crate::durable::{self, Access};
use archipel_protocol::layout::Layout;
use error::io;
use header::Shard;
use safetensors::tensor::Dtype;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// The file of weights in a checkpoint's folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The file that lists the shards of a checkpoint that has no [`WEIGHTS_FILE`].
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// What a checkpoint is of; stored as text in the file's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The round whose start these parameters are.
    pub round: Option<String>,
    /// The root of the state they were taken from.
    pub root: Option<String>,
}

/// Writes `params` to `path`: whole, or not at all.
///
/// # Errors
/// A vector of the wrong length, or a disk that refuses.
pub fn write_checkpoint(
    path: &Path,
    layout: &Layout,
    params: &[f32],
    info: &CheckpointInfo,
) -> Result<(), CheckpointError> {
    if params.len() != layout.parameters() {
        let (expected, found) = (layout.parameters(), params.len());
        return Err(CheckpointError::Length { expected, found });
    }
    let header = header(layout, info);
    durable::write_with(path, Access::Mask, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut bytes = Vec::with_capacity(4 * values::BLOCK);
        for block in params.chunks(values::BLOCK) {
            bytes.clear();
            bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
            file.write_all(&bytes)?;
        }
        Ok(())
    })
    .map_err(io("write", path))
}

/// Reads the parameters of a model with this layout.
///
/// `path` is a safetensors file, or an index of several. Tensors may lie in any order. A tied model
/// may have a head all the same, equal to its embedding; rotary frequencies, which old files carry,
/// are passed over.
///
/// # Errors
/// Anything but exactly these tensors, all finite, in files without a byte too few or too many.
pub fn read_checkpoint(
    path: &Path,
    layout: &Layout,
) -> Result<(Vec<f32>, CheckpointInfo), CheckpointError> {
    let indexed = path.extension().is_some_and(|ending| ending == "json");
    let mut shards = match indexed {
        true => index::open_all(path)?,
        false => vec![Shard::open(path)?],
    };
    let params = values::read(&mut shards, layout)?;
    let text = |key: &str| {
        shards
            .first()
            .and_then(|shard| shard.texts.get(key).cloned())
    };
    Ok((
        params,
        CheckpointInfo {
            round: text("round"),
            root: text("root"),
        },
    ))
}

/// One entry of a header. Keys are in alphabetical order, here and in maps, so that equal states
/// give equal files whatever features the JSON library was built with.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Text(BTreeMap<&'static str, String>),
    Tensor {
        data_offsets: [usize; 2],
        dtype: Dtype,
        shape: Vec<u32>,
    },
}

fn header(layout: &Layout, info: &CheckpointInfo) -> Vec<u8> {
    let texts = [
        ("format", Some("pt".to_owned())),
        ("round", info.round.clone()),
        ("root", info.root.clone()),
    ];
    let texts = texts.into_iter();
    let text = texts.filter_map(|(key, text)| text.map(|text| (key, text)));
    let mut entries = BTreeMap::from([("__metadata__", Entry::Text(text.collect()))]);
    for (index, spec) in layout.tensors().iter().enumerate() {
        let range = layout.range(index);
        let tensor = Entry::Tensor {
            data_offsets: [4 * range.start, 4 * range.end],
            dtype: Dtype::F32,
            shape: spec.shape.clone(),
        };
        entries.insert(&spec.name, tensor);
    }
    let mut json = serde_json::to_vec(&entries).expect("a header has text keys only");
    json.resize(json.len().next_multiple_of(8), b' ');
    json
}

#[cfg(test)]
mod tests;
