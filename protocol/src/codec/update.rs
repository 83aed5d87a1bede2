//! A decoded update, dense or sparse.

use super::lanes::{self, Lanes};
use std::ops::Range;

/// Why values are no update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A value is NaN or infinite.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Position among the values.
        index: usize,
    },
    /// There are not as many values as indices.
    #[error("{indices} indices need as many values, found {values}")]
    Pairs {
        /// Indices given.
        indices: usize,
        /// Values given.
        values: usize,
    },
    /// An index does not lie above the one before it, or lies behind the end.
    #[error("index {found} at position {position}: indices ascend and lie below {parameters}")]
    Index {
        /// Position among the indices.
        position: usize,
        /// Index found.
        found: u32,
        /// Parameters of the model.
        parameters: usize,
    },
}

/// The entries of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entries<'a> {
    /// One value for every parameter.
    Dense(&'a [f32]),
    /// Values at ascending positions; everything else is zero.
    Sparse {
        /// Ascending positions in the flat vector.
        indices: &'a [u32],
        /// One value for every position.
        values: &'a [f32],
    },
}

/// An update: finite values, as many as the model has parameters, most of them perhaps left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    parameters: usize,
    values: Vec<f32>,
    indices: Option<Vec<u32>>,
}

impl Update {
    /// Makes an update with a value for every parameter.
    ///
    /// # Errors
    /// Where a value is not finite.
    pub fn dense(values: Vec<f32>) -> Result<Self, UpdateError> {
        refuse_not_finite(&values)?;
        Ok(Self::from_dense_parts(values))
    }

    /// Makes an update with values at ascending positions.
    ///
    /// # Errors
    /// Where lengths differ, positions do not ascend or lie outside, or a value is not finite.
    pub fn sparse(
        parameters: usize,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, UpdateError> {
        if indices.len() != values.len() {
            return Err(UpdateError::Pairs {
                indices: indices.len(),
                values: values.len(),
            });
        }
        for (position, found) in indices.iter().copied().enumerate() {
            let ascends = position == 0 || indices[position - 1] < found;
            if !ascends || found as usize >= parameters {
                return Err(UpdateError::Index {
                    position,
                    found,
                    parameters,
                });
            }
        }
        refuse_not_finite(&values)?;
        Ok(Self::from_sparse_parts(parameters, indices, values))
    }

    /// The number of parameters of the model.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The entries, as they are held.
    pub fn entries(&self) -> Entries<'_> {
        match &self.indices {
            None => Entries::Dense(&self.values),
            Some(indices) => Entries::Sparse {
                indices,
                values: &self.values,
            },
        }
    }

    /// The Euclidean norm; the same for a sparse update and its dense form.
    pub fn norm(&self) -> f64 {
        let Entries::Sparse { indices, values } = self.entries() else {
            return lanes::norm(&self.values);
        };
        let mut sums = Lanes::default();
        for (index, value) in indices.iter().zip(values) {
            sums.add_square_at(*index as usize, *value);
        }
        sums.total().sqrt()
    }

    /// The update with a value for every parameter.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.parameters];
        self.for_each(0..self.parameters, |position, value| out[position] = value);
        out
    }

    /// Calls `visit` with position and value of every entry that is held within `range`.
    pub fn for_each(&self, range: Range<usize>, mut visit: impl FnMut(usize, f32)) {
        match self.entries() {
            Entries::Dense(values) => {
                for (offset, value) in values[range.clone()].iter().enumerate() {
                    visit(range.start + offset, *value);
                }
            }
            Entries::Sparse { indices, values } => {
                let first = indices.partition_point(|i| (*i as usize) < range.start);
                let last = indices.partition_point(|i| (*i as usize) < range.end);
                for (index, value) in indices[first..last].iter().zip(&values[first..last]) {
                    visit(*index as usize, *value);
                }
            }
        }
    }

    /// The values of `range`, from `scratch` where zeros have to be filled in.
    pub(crate) fn window<'a>(
        &'a self,
        range: Range<usize>,
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        if let Entries::Dense(values) = self.entries() {
            return &values[range];
        }
        scratch.clear();
        scratch.resize(range.len(), 0.0);
        self.for_each(range.clone(), |position, value| {
            scratch[position - range.start] = value
        });
        scratch
    }

    /// An update of no parameters.
    pub fn empty() -> Self {
        Self::from_dense_parts(Vec::new())
    }

    /// The memory of an update, which is empty afterwards.
    pub(super) fn take_parts(&mut self) -> (Vec<u32>, Vec<f32>) {
        let taken = std::mem::replace(self, Self::empty());
        (taken.indices.unwrap_or_default(), taken.values)
    }

    pub(super) fn from_dense_parts(values: Vec<f32>) -> Self {
        Self {
            parameters: values.len(),
            values,
            indices: None,
        }
    }

    pub(super) fn from_sparse_parts(
        parameters: usize,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Self {
        Self {
            parameters,
            values,
            indices: Some(indices),
        }
    }
}

fn refuse_not_finite(values: &[f32]) -> Result<(), UpdateError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(UpdateError::NotFinite { index }),
    }
}
