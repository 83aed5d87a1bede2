//! The state between two rounds, its manifest, and the root that stands for all of it.
//!
//! Whoever holds the state under a root can fold the next round and needs nothing else.

use crate::{
    encoding::Canonical,
    ids::{BlobHash, Digest, Epoch, Root, Round, RunId},
    layout::{Layout, TensorSpec},
    ledger::{Activity, Membership},
};
use serde::{Deserialize, Serialize};

/// The three flat vectors of a state, little-endian in every file.
///
/// # Shapes
/// `parameters` has the layout's length; `momentum` and `aggregate` have that length or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// The model.
    pub parameters: Vec<f32>,
    /// Memory of the outer optimizer; empty where it has none.
    pub momentum: Vec<f32>,
    /// The previous aggregate; empty where the rule needs none.
    pub aggregate: Vec<f32>,
}

/// A state by hashes: small enough for one message, and enough to compute the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The round that starts from this state.
    pub round: Round,
    /// BLAKE3 of each tensor of the model, in layout order.
    pub parameters: Vec<BlobHash>,
    /// The same for the outer optimizer's memory, or empty.
    pub momentum: Vec<BlobHash>,
    /// The same for the previous aggregate, or empty.
    pub aggregate: Vec<BlobHash>,
    /// The inner step, counted over the whole run, with which the round begins.
    pub schedule: u64,
    /// The members of the epoch that the round belongs to.
    pub membership: Membership,
    /// Who is waited for.
    pub activity: Activity,
}

/// Why a manifest is refused before its root is computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A vector has another number of tensors than the layout.
    #[error("{section} lists {found} tensors, the layout has {expected} (or none)")]
    Tensors {
        /// Which vector.
        section: &'static str,
        /// Tensors in the layout.
        expected: usize,
        /// Tensors listed.
        found: usize,
    },
    /// The members are not those of the epoch chain.
    #[error("the manifest names other members than epoch {epoch} of the chain")]
    Membership {
        /// The epoch.
        epoch: Epoch,
    },
    /// The activity does not fit the members.
    #[error("the record of activity does not fit the members")]
    Activity,
    /// The root is another.
    #[error("expected the state under root {expected}, found {found}")]
    Root {
        /// The certified root.
        expected: Root,
        /// The root of the manifest.
        found: Root,
    },
}

/// The identity of one tensor: name, type, shape and content.
pub fn tensor_id(tensor: &TensorSpec, content: &BlobHash) -> Digest {
    let mut out = Canonical::new("archipel/tensor/v1");
    out.text(&tensor.name)
        .text("F32")
        .u8(tensor.shape.len() as u8);
    for size in &tensor.shape {
        out.u32(*size);
    }
    out.raw(&content.0);
    out.digest()
}

/// BLAKE3 of a tensor's little-endian bytes.
pub fn tensor_hash(values: &[f32]) -> BlobHash {
    let mut hasher = TensorHasher::default();
    hasher.update(values);
    hasher.finish()
}

/// [`tensor_hash`] of values that come in parts.
#[derive(Debug, Default)]
pub(crate) struct TensorHasher {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl TensorHasher {
    /// Bytes hashed at once: BLAKE3 works on as many blocks of 1024 side by side as a machine's
    /// registers hold.
    const BYTES: usize = 65_536;

    /// Adds the next values.
    pub(crate) fn update(&mut self, values: &[f32]) {
        for part in values.chunks(Self::BYTES / 4) {
            self.bytes.resize(4 * part.len(), 0);
            for (slot, value) in self.bytes.as_chunks_mut::<4>().0.iter_mut().zip(part) {
                *slot = value.to_le_bytes();
            }
            self.hasher.update(&self.bytes);
        }
    }

    /// The hash of all values.
    pub(crate) fn finish(self) -> BlobHash {
        BlobHash(*self.hasher.finalize().as_bytes())
    }
}

/// The hashes of all tensors of a flat vector; none for an empty one.
///
/// # Panics
/// Where the vector is neither empty nor as long as the layout.
pub fn tensor_hashes(layout: &Layout, values: &[f32]) -> Vec<BlobHash> {
    if values.is_empty() {
        return Vec::new();
    }
    assert_eq!(
        values.len(),
        layout.parameters(),
        "a flat vector has the layout's length"
    );
    (0..layout.tensors().len())
        .map(|i| tensor_hash(&values[layout.range(i)]))
        .collect()
}

impl Manifest {
    /// Describes the state that a run begins with.
    pub fn founding(layout: &Layout, tensors: &Tensors, membership: &Membership) -> Self {
        Self {
            round: Round(0),
            parameters: tensor_hashes(layout, &tensors.parameters),
            momentum: tensor_hashes(layout, &tensors.momentum),
            aggregate: tensor_hashes(layout, &tensors.aggregate),
            schedule: 0,
            membership: membership.clone(),
            activity: Activity::founding(membership),
        }
    }

    /// The root: one hash over everything in the state, independent of the order of files.
    ///
    /// # Panics
    /// Where a vector does not fit the layout; [`Self::check`] says so first.
    pub fn root(&self, run_id: &RunId, layout: &Layout) -> Root {
        let mut out = Canonical::new("archipel/state/v1");
        out.raw(&run_id.0)
            .u32(self.membership.epoch().0)
            .u64(self.round.0);
        for section in [&self.parameters, &self.momentum, &self.aggregate] {
            write_section(&mut out, layout, section);
        }
        out.u64(self.schedule);
        self.membership.write(&mut out);
        self.activity.write(&mut out);
        Root(out.digest().0)
    }

    /// Checks a manifest from elsewhere against the layout, the epoch chain and a certified root.
    pub fn check(
        &self,
        run_id: &RunId,
        layout: &Layout,
        membership: &Membership,
        expected: Root,
    ) -> Result<(), ManifestError> {
        let n = layout.tensors().len();
        let sections = [
            ("parameters", self.parameters.len(), false),
            ("momentum", self.momentum.len(), true),
            ("aggregate", self.aggregate.len(), true),
        ];
        for (section, found, may_be_empty) in sections {
            if found != n && !(may_be_empty && found == 0) {
                return Err(ManifestError::Tensors {
                    section,
                    expected: n,
                    found,
                });
            }
        }
        if self.membership != *membership {
            return Err(ManifestError::Membership {
                epoch: membership.epoch(),
            });
        }
        if !self.activity.fits(membership) {
            return Err(ManifestError::Activity);
        }
        let found = self.root(run_id, layout);
        if found != expected {
            return Err(ManifestError::Root { expected, found });
        }
        Ok(())
    }
}

fn write_section(out: &mut Canonical, layout: &Layout, section: &[BlobHash]) {
    let mut ids: Vec<(&str, Digest)> = layout
        .tensors()
        .iter()
        .zip(section)
        .map(|(tensor, content)| (tensor.name.as_str(), tensor_id(tensor, content)))
        .collect();
    ids.sort();
    out.u32(ids.len() as u32);
    for (_, id) in ids {
        out.raw(&id.0);
    }
}

#[cfg(test)]
mod tests;
