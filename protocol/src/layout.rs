//! Where each tensor lies in the flat vector of parameters.

use crate::{encoding::Canonical, ids::Digest};
use serde::{Deserialize, Serialize};

/// The most tensors a layout may have.
pub const MAX_TENSORS: usize = 16_384;
/// The most bytes a tensor's name may have.
pub const MAX_NAME_BYTES: usize = 256;
/// The most dimensions a tensor may have.
pub const MAX_RANK: usize = 4;
/// The most parameters a layout may have (2^40).
pub const MAX_PARAMETERS: u64 = 1 << 40;

/// One tensor: its path in the model and its shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Module path, for example `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<u32>,
}

impl TensorSpec {
    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.shape.iter().map(|d| *d as usize).product()
    }
}

/// Why a list of tensors is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The list is empty or too long.
    #[error("a layout has 1 to {MAX_TENSORS} tensors, found {found}")]
    Tensors {
        /// Tensors found.
        found: usize,
    },
    /// Two tensors have one name.
    #[error("tensor {index} repeats a name of another tensor: {name}")]
    Duplicate {
        /// Position in the list.
        index: usize,
        /// The name.
        name: String,
    },
    /// A name is empty or too long.
    #[error("tensor {index}: a name has 1 to {MAX_NAME_BYTES} bytes, found {found}")]
    Name {
        /// Position in the list.
        index: usize,
        /// Bytes found.
        found: usize,
    },
    /// A shape is empty, has a zero, or is too large.
    #[error("tensor {index}: shape {shape:?} has no size, or more than 2^40 in all")]
    Shape {
        /// Position in the list.
        index: usize,
        /// The shape found.
        shape: Vec<u32>,
    },
}

/// The tensors of a model in their fixed order, packed without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorSpec>,
    offsets: Vec<usize>,
    parameters: usize,
}

impl Layout {
    /// Checks the tensors and lays them out in the given order.
    pub fn new(tensors: Vec<TensorSpec>) -> Result<Self, LayoutError> {
        if tensors.is_empty() || tensors.len() > MAX_TENSORS {
            return Err(LayoutError::Tensors {
                found: tensors.len(),
            });
        }
        let mut names = std::collections::BTreeSet::new();
        let mut offsets = Vec::with_capacity(tensors.len());
        let mut total = 0u64;
        for (index, tensor) in tensors.iter().enumerate() {
            if tensor.name.is_empty() || tensor.name.len() > MAX_NAME_BYTES {
                return Err(LayoutError::Name {
                    index,
                    found: tensor.name.len(),
                });
            }
            if !names.insert(&tensor.name) {
                return Err(LayoutError::Duplicate {
                    index,
                    name: tensor.name.clone(),
                });
            }
            offsets.push(total as usize);
            total = Self::grown(total, &tensor.shape).ok_or_else(|| LayoutError::Shape {
                index,
                shape: tensor.shape.clone(),
            })?;
        }
        Ok(Self {
            tensors,
            offsets,
            parameters: total as usize,
        })
    }

    fn grown(total: u64, shape: &[u32]) -> Option<u64> {
        if shape.is_empty() || shape.len() > MAX_RANK || shape.contains(&0) {
            return None;
        }
        let size = shape
            .iter()
            .try_fold(1u64, |size, d| size.checked_mul(u64::from(*d)))?;
        total
            .checked_add(size)
            .filter(|total| *total <= MAX_PARAMETERS)
    }

    /// The tensors, in order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Where tensor `index` begins in the flat vector.
    pub fn offset(&self, index: usize) -> usize {
        self.offsets[index]
    }

    /// The place of tensor `index` in the flat vector.
    pub fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = self.offsets[index];
        start..start + self.tensors[index].parameters()
    }

    /// The number of parameters in all.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The tensor that holds the parameter at `position`.
    pub fn tensor_at(&self, position: usize) -> &TensorSpec {
        let index = self.offsets.partition_point(|offset| *offset <= position) - 1;
        &self.tensors[index]
    }

    /// The hash of names, shapes and order.
    pub fn hash(&self) -> Digest {
        let mut out = Canonical::new("archipel/layout/v1");
        out.u32(self.tensors.len() as u32);
        for tensor in &self.tensors {
            out.text(&tensor.name);
            out.u8(tensor.shape.len() as u8);
            for size in &tensor.shape {
                out.u32(*size);
            }
        }
        out.digest()
    }
}
