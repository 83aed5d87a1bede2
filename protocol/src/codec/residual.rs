//! Error feedback: what a codec lost is added to the next pseudo-gradient.
//!
//! Per round, with β from the plan (0.95 in SparseLoCo, <https://arxiv.org/abs/2508.15706>):
//! `a = β·e + Δ` is encoded, and `e ← a − decoded`, each operation rounded to `f32`. What happens
//! to an update that misses the cut is not in the paper, which has no cuts: its decoded values are
//! added back, for [`Residual::missed`] rounds in a row at the most, then the memory is emptied,
//! since an old pseudo-gradient points away from where the model has gone.
//!
//! # Bytes
//! `"ARCE" · version u8 = 1 · kind u8 (0 zero, 1 dense) · misses u16 · parameters u64 ·` and for
//! kind 1 one `f32` a parameter, all little-endian. A residual of zeros has kind 0. The hash in a
//! header is the BLAKE3 of these bytes, so that the file can be checked with `b3sum`.

use super::{Update, lanes};
use crate::ids::BlobHash;

const MAGIC: [u8; 4] = *b"ARCE";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;

/// Why a residual was not used or not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResidualError {
    /// Something has another number of parameters.
    #[error("the residual has {expected} parameters, found {found}")]
    Length {
        /// Parameters of the residual, or of the model.
        expected: u64,
        /// Parameters found.
        found: u64,
    },
    /// The bytes do not start as a residual does.
    #[error("expected a residual of version {VERSION}, found {found:02x?}: is this another file?")]
    Header {
        /// The first bytes, at most six.
        found: Vec<u8>,
    },
    /// There are not as many bytes as the header says.
    #[error("a residual of this kind has {expected} bytes, found {found}: take another copy")]
    Bytes {
        /// Bytes that were expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A value is NaN or infinite.
    #[error("value {index} of the residual is not finite: take another copy")]
    NotFinite {
        /// Position in the flat vector.
        index: usize,
    },
    /// The values are all zero, which has a shorter form.
    #[error("a residual of zeros has kind 0, found kind 1: take another copy")]
    NotCanonical,
}

/// The memory of error feedback. Moves from "before" a round to "after" it and on to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    parameters: usize,
    /// Rounds in a row without a place in the cut.
    misses: u16,
    /// Nothing where every value is zero.
    values: Option<Vec<f32>>,
}

impl Residual {
    /// The residual before the first round.
    pub fn zero(parameters: usize) -> Self {
        Self {
            parameters,
            misses: 0,
            values: None,
        }
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Rounds in a row that were missed.
    pub fn misses(&self) -> u16 {
        self.misses
    }

    /// Whether nothing is carried.
    pub fn is_zero(&self) -> bool {
        self.values.is_none()
    }

    /// The values, or nothing where all are zero.
    pub fn values(&self) -> Option<&[f32]> {
        self.values.as_deref()
    }

    /// What is to be encoded: `beta · residual + delta`.
    ///
    /// The result may be infinite where both are huge; the codec then refuses it.
    ///
    /// # Errors
    /// Where `delta` has another length.
    pub fn add_to(&self, mut delta: Vec<f32>, beta: f32) -> Result<Vec<f32>, ResidualError> {
        self.require_length(delta.len())?;
        if let Some(values) = &self.values {
            for (delta, residual) in delta.iter_mut().zip(values) {
                *delta += beta * residual;
            }
        }
        Ok(delta)
    }

    /// The residual after a round: what was to be encoded, less what its payload decodes to.
    ///
    /// # Errors
    /// Where lengths differ, or a value is not finite.
    pub fn after(&self, encoded: Vec<f32>, decoded: &Update) -> Result<Self, ResidualError> {
        self.require_length(encoded.len())?;
        self.require_length(decoded.parameters())?;
        let mut values = encoded;
        decoded.for_each(0..decoded.parameters(), |position, value| {
            values[position] -= value
        });
        self.with_values(values, self.misses)
    }

    /// The residual before the next round, once this round's cut holds the member's update.
    pub fn included(self) -> Self {
        Self { misses: 0, ..self }
    }

    /// The residual before the next round, once this round's cut lacks the member's update.
    ///
    /// What was sent in vain is added back; after more than `max_carried` misses in a row the
    /// residual is emptied, which the caller records.
    ///
    /// # Errors
    /// Where the update has another length, or a sum is not finite.
    pub fn missed(self, decoded: &Update, max_carried: u16) -> Result<Self, ResidualError> {
        self.require_length(decoded.parameters())?;
        let misses = self.misses.saturating_add(1);
        if misses > max_carried {
            return Ok(Self {
                misses,
                ..Self::zero(self.parameters)
            });
        }
        let mut values = self.values.unwrap_or_else(|| vec![0.0; self.parameters]);
        decoded.for_each(0..decoded.parameters(), |position, value| {
            values[position] += value
        });
        Self::zero(self.parameters).with_values(values, misses)
    }

    /// The bytes kept and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let values = self.values.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(HEADER_BYTES + 4 * values.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, u8::from(self.values.is_some())]);
        out.extend_from_slice(&self.misses.to_le_bytes());
        out.extend_from_slice(&(self.parameters as u64).to_le_bytes());
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        out
    }

    /// Reads what [`Self::to_bytes`] wrote, for a model of `parameters`.
    ///
    /// # Errors
    /// Where the bytes are anything else.
    pub fn from_bytes(bytes: &[u8], parameters: usize) -> Result<Self, ResidualError> {
        let header = || ResidualError::Header {
            found: bytes[..bytes.len().min(6)].to_vec(),
        };
        let (head, body) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or_else(header)?;
        let [m0, m1, m2, m3, version, kind, low, high, count @ ..] = *head;
        if [m0, m1, m2, m3] != MAGIC || version != VERSION || kind > 1 {
            return Err(header());
        }
        let (found, expected) = (u64::from_le_bytes(count), parameters as u64);
        if found != expected {
            return Err(ResidualError::Length { expected, found });
        }
        let expected = HEADER_BYTES as u64 + 4 * expected * u64::from(kind);
        if bytes.len() as u64 != expected {
            return Err(ResidualError::Bytes {
                expected,
                found: bytes.len() as u64,
            });
        }
        let empty = Self::zero(parameters);
        let misses = u16::from_le_bytes([low, high]);
        if kind == 0 {
            return Ok(Self { misses, ..empty });
        }
        let quads = body.as_chunks::<4>().0;
        let read = empty.with_values(
            quads.iter().map(|q| f32::from_le_bytes(*q)).collect(),
            misses,
        )?;
        if read.is_zero() {
            Err(ResidualError::NotCanonical)
        } else {
            Ok(read)
        }
    }

    /// The hash a header carries: BLAKE3 of [`Self::to_bytes`].
    pub fn hash(&self) -> BlobHash {
        BlobHash(*blake3::hash(&self.to_bytes()).as_bytes())
    }

    fn require_length(&self, found: usize) -> Result<(), ResidualError> {
        if found == self.parameters {
            return Ok(());
        }
        Err(ResidualError::Length {
            expected: self.parameters as u64,
            found: found as u64,
        })
    }

    fn with_values(&self, values: Vec<f32>, misses: u16) -> Result<Self, ResidualError> {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ResidualError::NotFinite { index });
        }
        let values = Some(values).filter(|values| lanes::any_bit(values));
        Ok(Self {
            parameters: self.parameters,
            misses,
            values,
        })
    }
}
