//! Parameters as a safetensors file, under the names of the layout.
//!
//! The reader allocates nothing before the header's length is within its limit and every tensor's
//! name, type, shape and place has been checked against the layout.

use crate::durable;
use archipel_protocol::layout::{Layout, TensorSpec};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes a header may have.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;
const BLOCK_PARAMETERS: usize = 1 << 14;

/// What a checkpoint is of; stored as text in the file's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// The round whose start these parameters are.
    pub round: Option<String>,
    /// The root of the state they were taken from.
    pub root: Option<String>,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The vector is not as long as the layout.
    #[error("the layout has {expected} parameters, the vector given has {found}")]
    Length {
        /// Parameters of the layout.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// The header's length is beyond the limit or the file.
    #[error(
        "{}: a header of {found} bytes in a file of {file_bytes}; at most {MAX_HEADER_BYTES} \
         are read: this is no checkpoint, or a cut one",
        path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// Bytes the header claims.
        found: u64,
        /// Bytes of the file.
        file_bytes: u64,
    },
    /// The header is no safetensors header.
    #[error("{}: not a safetensors header: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: SafeTensorError,
    },
    /// A tensor of the layout is missing.
    #[error("{}: {tensor} is missing: this is a checkpoint of another model", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// There are tensors the layout does not know.
    #[error(
        "{}: {found} tensors, the model has {expected}: this is a checkpoint of another model",
        path.display()
    )]
    Extra {
        /// The file.
        path: PathBuf,
        /// Tensors of the layout.
        expected: usize,
        /// Tensors found.
        found: usize,
    },
    /// A tensor has another shape or type.
    #[error(
        "{}: {tensor} is {found_type:?} {found:?}, expected F32 {expected:?}: this is a \
         checkpoint of another model",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape in the layout.
        expected: Vec<u32>,
        /// Shape found.
        found: Vec<usize>,
        /// Type found.
        found_type: Dtype,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "{}: {found} bytes, its header says {expected}: it was cut off or changed",
        path.display()
    )]
    FileLength {
        /// The file.
        path: PathBuf,
        /// Bytes the header asks for.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A value is NaN or infinite.
    #[error("{}: {tensor} has a value that is not finite: the file is damaged", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
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
    let header = header(layout, info).map_err(|reason| CheckpointError::Format {
        path: path.to_owned(),
        reason,
    })?;
    durable::write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut bytes = Vec::with_capacity(4 * BLOCK_PARAMETERS);
        for block in params.chunks(BLOCK_PARAMETERS) {
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
/// Tensors may lie in the file in any order; other tools write them sorted otherwise.
///
/// # Errors
/// Anything but a safetensors file of exactly these tensors, all finite.
pub fn read_checkpoint(
    path: &Path,
    layout: &Layout,
) -> Result<(Vec<f32>, CheckpointInfo), CheckpointError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let file_bytes = file.metadata().map_err(io("look at", path))?.len();
    let (header_bytes, metadata) = read_header(path, &mut file, file_bytes)?;
    let infos = metadata.tensors();
    if infos.len() > layout.tensors().len() {
        let (expected, found) = (layout.tensors().len(), infos.len());
        return Err(CheckpointError::Extra {
            path: path.to_owned(),
            expected,
            found,
        });
    }
    for spec in layout.tensors() {
        check_tensor(path, spec, infos.get(&spec.name).copied())?;
    }
    // Every tensor is there once, so the sizes add up to the layout's.
    let expected = 8 + header_bytes + 4 * layout.parameters() as u64;
    if expected != file_bytes {
        let path = path.to_owned();
        return Err(CheckpointError::FileLength {
            path,
            expected,
            found: file_bytes,
        });
    }
    let params = read_values(path, &mut file, layout, &metadata)?;
    let text = |key: &str| {
        metadata
            .metadata()
            .as_ref()
            .and_then(|map| map.get(key).cloned())
    };
    Ok((
        params,
        CheckpointInfo {
            round: text("round"),
            root: text("root"),
        },
    ))
}

fn header(layout: &Layout, info: &CheckpointInfo) -> Result<Vec<u8>, SafeTensorError> {
    let mut text = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let entries = [("round", &info.round), ("root", &info.root)];
    for (key, value) in entries {
        text.extend(value.clone().map(|value| (key.to_owned(), value)));
    }
    let tensors = layout.tensors().iter().enumerate().map(|(index, spec)| {
        let range = layout.range(index);
        let shape = spec.shape.iter().map(|size| *size as usize).collect();
        let data_offsets = (4 * range.start, 4 * range.end);
        (
            spec.name.clone(),
            TensorInfo {
                dtype: Dtype::F32,
                shape,
                data_offsets,
            },
        )
    });
    let metadata = Metadata::new(Some(text), tensors.collect())?;
    // Sorted keys, so that equal states give equal files.
    let value = serde_json::to_value(&metadata)?;
    let mut json = serde_json::to_vec(&value)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok(json)
}

fn read_header(
    path: &Path,
    file: &mut File,
    file_bytes: u64,
) -> Result<(u64, Metadata), CheckpointError> {
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
    let metadata = serde_json::from_slice(&json).map_err(|error| CheckpointError::Format {
        path: path.to_owned(),
        reason: SafeTensorError::InvalidHeaderDeserialization(error),
    })?;
    Ok((length, metadata))
}

fn check_tensor(
    path: &Path,
    spec: &TensorSpec,
    info: Option<&TensorInfo>,
) -> Result<(), CheckpointError> {
    let (path, tensor) = (path.to_owned(), spec.name.clone());
    let Some(info) = info else {
        return Err(CheckpointError::Missing { path, tensor });
    };
    let same = info
        .shape
        .iter()
        .copied()
        .eq(spec.shape.iter().map(|size| *size as usize));
    if info.dtype == Dtype::F32 && same {
        return Ok(());
    }
    let (expected, found, found_type) = (spec.shape.clone(), info.shape.clone(), info.dtype);
    Err(CheckpointError::Shape {
        path,
        tensor,
        expected,
        found,
        found_type,
    })
}

fn read_values(
    path: &Path,
    file: &mut File,
    layout: &Layout,
    metadata: &Metadata,
) -> Result<Vec<f32>, CheckpointError> {
    let mut params = vec![0.0f32; layout.parameters()];
    let mut bytes = vec![0u8; 4 * BLOCK_PARAMETERS];
    let places: HashMap<&str, usize> = layout
        .tensors()
        .iter()
        .enumerate()
        .map(|(index, spec)| (spec.name.as_str(), index))
        .collect();
    // `offset_keys` lists the tensors as they lie in the file, without gaps between them.
    for name in metadata.offset_keys() {
        let index = places[name.as_str()];
        for block in params[layout.range(index)].chunks_mut(BLOCK_PARAMETERS) {
            let bytes = &mut bytes[..4 * block.len()];
            file.read_exact(bytes).map_err(io("read", path))?;
            for (value, four) in block.iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes(four.try_into().expect("chunks of four bytes"));
            }
        }
        if !crate::lanes::all_finite(&params[layout.range(index)]) {
            return Err(CheckpointError::NotFinite {
                path: path.to_owned(),
                tensor: name,
            });
        }
    }
    Ok(params)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
