//! Why a checkpoint is refused.

use super::{MAX_HEADER_BYTES, index::MAX_SHARDS};
use archipel_protocol::layout::MAX_TENSORS;
use safetensors::tensor::{Dtype, SafeTensorError};
use std::path::PathBuf;

/// Why a checkpoint could not be written or read. Every variant of reading names the file.
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
    /// The library could not describe the tensors.
    #[error("{}: no safetensors header comes of this layout: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: SafeTensorError,
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
    #[error(
        "{}: not a safetensors header: {reason}: take the file that was written by the library",
        path.display()
    )]
    NotAHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// More tensors than any model has.
    #[error("{}: {found} tensors, expected at most {MAX_TENSORS}: no model", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// Tensors found.
        found: usize,
    },
    /// One name is there twice.
    #[error("{}: {tensor} is there twice: which one counts is not known", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A shape has more elements than can be counted.
    #[error("{}: {tensor} has the shape {found:?}, which is no size at all", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape found.
        found: Vec<u64>,
    },
    /// A tensor's place is not as long as its shape and type.
    #[error(
        "{}: {tensor} lies in {found} bytes, its shape and type take {expected}: the header is \
         damaged",
        path.display()
    )]
    Place {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Bytes of shape and type.
        expected: u64,
        /// Bytes of the place; negative where it ends before it begins.
        found: i128,
    },
    /// Two tensors share bytes.
    #[error(
        "{}: {tensor} begins at byte {found}, inside the tensor before it, which ends at \
         {expected}: the header is damaged",
        path.display()
    )]
    Overlap {
        /// The file.
        path: PathBuf,
        /// The tensor that begins too early.
        tensor: String,
        /// Where the one before it ends.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
    /// Bytes belong to no tensor.
    #[error(
        "{}: {tensor} begins at byte {found}, expected {expected}, where the tensor before it \
         ends: bytes between tensors are not allowed",
        path.display()
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// The tensor after the gap.
        tensor: String,
        /// Where the one before it ends.
        expected: u64,
        /// Where it begins.
        found: u64,
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
    /// A tensor of the layout is missing.
    #[error("{}: {tensor} is missing: this is a checkpoint of another model", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// There is a tensor the layout does not know.
    #[error(
        "{}: {tensor} is no tensor of this model, which would be computed without it: this is a \
         checkpoint of another model",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape.
    #[error(
        "{}: {tensor} has the shape {found:?}, expected {expected:?}: this is a checkpoint of \
         another model",
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
        found: Vec<u64>,
    },
    /// A tensor has a type that is not read.
    #[error(
        "{}: {tensor} is {found:?}, expected F32, BF16 or F16: save the model in one of these",
        path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Type found.
        found: Dtype,
    },
    /// A value is NaN or infinite.
    #[error("{}: {tensor} has a value that is not finite: the file is damaged", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tied model has a head of its own, which differs from the embedding.
    #[error(
        "{}: lm_head.weight differs from the embedding, and config.json says that they are one: \
         set tie_word_embeddings to false there",
        path.display()
    )]
    Untied {
        /// The file.
        path: PathBuf,
    },
    /// The index of shards is too long.
    #[error("{}: {found} bytes, at most {limit} are read: is it the right file?", path.display())]
    IndexLength {
        /// The index.
        path: PathBuf,
        /// Bytes allowed.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// The index of shards is none.
    #[error(
        "{}: not an index of shards: {reason}: expected {{\"weight_map\": {{tensor: file}}}}",
        path.display()
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// The index names something that is no file beside it.
    #[error(
        "{}: expected the name of a .safetensors file beside it, found {found:?}",
        path.display()
    )]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name, cut after 64 characters.
        found: String,
    },
    /// The index names more files than are opened.
    #[error(
        "{}: {found} shards, at most {MAX_SHARDS} are read: save the model in fewer",
        path.display()
    )]
    Shards {
        /// The index.
        path: PathBuf,
        /// Shards found.
        found: usize,
    },
    /// Index and shards tell different things.
    #[error(
        "{}: {tensor} is not in the shard that the index names for it: index and shards are of \
         different models",
        path.display()
    )]
    Elsewhere {
        /// The shard in which the tensor was found, or should have been.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
}

/// Turns what the system said into an error about `path`.
pub(super) fn io(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io {
        action,
        path,
        source,
    }
}
