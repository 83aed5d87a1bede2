//! From checked headers to a flat vector of `f32`.

use super::{
    error::{CheckpointError, io},
    header::{Entry, Shard},
};
use archipel_protocol::layout::{Layout, TensorSpec};
use half::{bf16, f16};
use safetensors::tensor::Dtype;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// Values converted at once.
pub(super) const BLOCK: usize = 1 << 14;
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
/// Frequencies that old files carry and that follow from the model's shape.
const FREQUENCIES: &str = ".rotary_emb.inv_freq";

/// Reads the vector that a layout describes. It is allocated when every tensor is known to be there
/// once, in its shape, in a type that is read.
pub(super) fn read(shards: &mut [Shard], layout: &Layout) -> Result<Vec<f32>, CheckpointError> {
    let plan = Places::find(shards, layout)?;
    let mut params = vec![0.0f32; layout.parameters()];
    for (index, (shard, entry)) in plan.tensors.iter().enumerate() {
        let Shard { path, file, .. } = &mut shards[*shard];
        let values = &mut params[layout.range(index)];
        let mut at = 0;
        each_block(path, file, entry, |block| {
            values[at..at + block.len()].copy_from_slice(block);
            at += block.len();
            true
        })?;
        if !crate::lanes::all_finite(values) {
            return Err(CheckpointError::NotFinite {
                path: path.clone(),
                tensor: entry.name.clone(),
            });
        }
    }
    if let Some((shard, entry, embedding)) = &plan.copied_head {
        let Shard { path, file, .. } = &mut shards[*shard];
        let values = &params[layout.range(*embedding)];
        let (mut at, mut equal) = (0, true);
        each_block(path, file, entry, |block| {
            equal &= values[at..at + block.len()] == *block;
            at += block.len();
            equal
        })?;
        if !equal {
            return Err(CheckpointError::Untied { path: path.clone() });
        }
    }
    Ok(params)
}

/// Where everything is: shard and entry.
struct Places {
    /// In the layout's order.
    tensors: Vec<(usize, Entry)>,
    /// The head of a tied model that was written all the same, and the embedding's index.
    copied_head: Option<(usize, Entry, usize)>,
}

impl Places {
    fn find(shards: &[Shard], layout: &Layout) -> Result<Self, CheckpointError> {
        let mut found: BTreeMap<&str, (usize, &Entry)> = BTreeMap::new();
        for (index, shard) in shards.iter().enumerate() {
            for entry in &shard.entries {
                if found.insert(&entry.name, (index, entry)).is_some() {
                    return Err(CheckpointError::Duplicate {
                        path: shard.path.clone(),
                        tensor: entry.name.clone(),
                    });
                }
            }
        }
        let mut tensors = Vec::with_capacity(layout.tensors().len());
        for spec in layout.tensors() {
            let Some((shard, entry)) = found.remove(spec.name.as_str()) else {
                let path = shards.first().map(|shard| shard.path.clone());
                return Err(CheckpointError::Missing {
                    path: path.unwrap_or_default(),
                    tensor: spec.name.clone(),
                });
            };
            check(&shards[shard].path, entry, &spec.shape)?;
            tensors.push((shard, entry.clone()));
        }
        let embedding = |spec: &TensorSpec| spec.name == EMBEDDING;
        let embedding = layout.tensors().iter().position(embedding);
        let mut copied_head = None;
        for (name, (shard, entry)) in found {
            match (name, embedding) {
                (HEAD, Some(embedding)) => {
                    let shape = &layout.tensors()[embedding].shape;
                    check(&shards[shard].path, entry, shape)?;
                    copied_head = Some((shard, entry.clone(), embedding));
                }
                _ if name.ends_with(FREQUENCIES) => {}
                _ => {
                    return Err(CheckpointError::Unknown {
                        path: shards[shard].path.clone(),
                        tensor: name.to_owned(),
                    });
                }
            }
        }
        Ok(Self {
            tensors,
            copied_head,
        })
    }
}

fn check(path: &Path, entry: &Entry, expected: &[u32]) -> Result<(), CheckpointError> {
    let (path, tensor) = (path.to_owned(), entry.name.clone());
    let same = entry
        .shape
        .iter()
        .copied()
        .eq(expected.iter().map(|size| u64::from(*size)));
    if !same {
        return Err(CheckpointError::Shape {
            path,
            tensor,
            expected: expected.to_vec(),
            found: entry.shape.clone(),
        });
    }
    match entry.dtype {
        Dtype::F32 | Dtype::BF16 | Dtype::F16 => Ok(()),
        found => Err(CheckpointError::Type {
            path,
            tensor,
            found,
        }),
    }
}

/// Hands a tensor's values over, block by block, until `take` says that it has seen enough.
fn each_block(
    path: &Path,
    file: &mut File,
    entry: &Entry,
    mut take: impl FnMut(&[f32]) -> bool,
) -> Result<(), CheckpointError> {
    file.seek(SeekFrom::Start(entry.start))
        .map_err(io("read", path))?;
    let width = entry.dtype.bitsize() / 8;
    let (mut bytes, mut values) = (vec![0u8; width * BLOCK], Vec::with_capacity(BLOCK));
    let mut left = entry.bytes;
    while left > 0 {
        let part = &mut bytes[..left.min((width * BLOCK) as u64) as usize];
        file.read_exact(part).map_err(io("read", path))?;
        left -= part.len() as u64;
        values.clear();
        convert(entry.dtype, part, &mut values);
        if !take(&values) {
            break;
        }
    }
    Ok(())
}

/// Every value of the narrow types is an `f32` as well, so nothing is rounded.
fn convert(dtype: Dtype, bytes: &[u8], values: &mut Vec<f32>) {
    let (twos, fours) = (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0);
    match dtype {
        Dtype::F32 => values.extend(fours.iter().map(|four| f32::from_le_bytes(*four))),
        Dtype::BF16 => values.extend(twos.iter().map(|two| bf16::from_le_bytes(*two).to_f32())),
        Dtype::F16 => values.extend(twos.iter().map(|two| f16::from_le_bytes(*two).to_f32())),
        other => unreachable!("{other:?} was refused before anything was read"),
    }
}
