//! A fold held against the one it must be, bit by bit.
//!
//! Floats are compared by their bits: as numbers, −0 would pass for 0 and NaN never for itself.

use super::Refolded;
use archipel_protocol::{ids::BlobHash, state::Tensors, suspicion::Sight};

/// The first thing in which a fold is not what it must be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Difference {
    /// A vector has another length.
    #[error("{vector} has {found} values, expected {expected}")]
    Length {
        /// Which vector.
        vector: &'static str,
        /// Values it must have.
        expected: usize,
        /// Values it has.
        found: usize,
    },
    /// A value has other bits.
    #[error("{vector}[{position}] is {found} ({found_bits:08x}), expected {expected} ({bits:08x})")]
    Value {
        /// Which vector.
        vector: &'static str,
        /// Position in the flat vector.
        position: usize,
        /// What it must be.
        expected: f32,
        /// The bits of that.
        bits: u32,
        /// What it is.
        found: f32,
        /// The bits of that.
        found_bits: u32,
    },
    /// The updates were weighed otherwise.
    #[error("the weights are {found:?}, expected {expected:?}")]
    Weights {
        /// What they must be.
        expected: Vec<u64>,
        /// What they are.
        found: Vec<u64>,
    },
    /// The updates look otherwise.
    #[error("the updates look like {found:?}, expected {expected:?}")]
    Sights {
        /// How they must look.
        expected: Vec<Sight>,
        /// How they were seen.
        found: Vec<Sight>,
    },
    /// The aggregate is another.
    #[error("the aggregate is {found}, expected {expected}")]
    Aggregate {
        /// The hash it must have.
        expected: BlobHash,
        /// The hash it has.
        found: BlobHash,
    },
}

impl Refolded {
    /// Holds the vectors of a state against this fold.
    ///
    /// # Errors
    /// The first bit that differs.
    pub fn check_tensors(&self, found: &Tensors) -> Result<(), Difference> {
        let expected = &self.tensors;
        let vectors = [
            ("parameters", &expected.parameters, &found.parameters),
            ("momentum", &expected.momentum, &found.momentum),
            ("aggregate", &expected.aggregate, &found.aggregate),
        ];
        vectors
            .into_iter()
            .try_for_each(|(vector, expected, found)| check_vector(vector, expected, found))
    }

    /// Holds how updates were seen, as records have it, against this fold.
    ///
    /// # Errors
    /// What differs.
    pub fn check_sights(&self, sights: &[Sight]) -> Result<(), Difference> {
        if sights == self.sights {
            return Ok(());
        }
        let (expected, found) = (self.sights.clone(), sights.to_vec());
        Err(Difference::Sights { expected, found })
    }

    /// Holds the weights and the hash of the aggregate, as records have them, against this fold.
    ///
    /// # Errors
    /// What differs.
    pub fn check_record(&self, weights: &[u64], aggregate: BlobHash) -> Result<(), Difference> {
        if weights != self.weights {
            let (expected, found) = (self.weights.clone(), weights.to_vec());
            return Err(Difference::Weights { expected, found });
        }
        if aggregate != self.aggregate {
            let (expected, found) = (self.aggregate, aggregate);
            return Err(Difference::Aggregate { expected, found });
        }
        Ok(())
    }
}

fn check_vector(vector: &'static str, expected: &[f32], found: &[f32]) -> Result<(), Difference> {
    if expected.len() != found.len() {
        let (expected, found) = (expected.len(), found.len());
        return Err(Difference::Length {
            vector,
            expected,
            found,
        });
    }
    for (position, (expected, found)) in expected.iter().zip(found).enumerate() {
        let (bits, found_bits) = (expected.to_bits(), found.to_bits());
        if bits != found_bits {
            return Err(Difference::Value {
                vector,
                position,
                expected: *expected,
                bits,
                found: *found,
                found_bits,
            });
        }
    }
    Ok(())
}
