//! Tensor ids, the root of a state, and the two hashes of its memory.
//!
//! Written from *Encodings*, *Hashes*, *State* and *Records* of `protocol/SPEC.md`.

use super::{ReferenceError, Standing};
use archipel_protocol::{
    ids::{BlobHash, Digest, Root, RunId},
    layout::{Layout, TensorSpec},
    ledger::Status,
    member::FoldTask,
    state::{Manifest, Tensors},
};
use sha2::{Digest as _, Sha256};

/// The root of the state that a fold of this task must lead to.
///
/// # Errors
/// Where a vector is neither empty nor as long as the layout, or parameters are missing.
pub fn root_of(
    run_id: &RunId,
    layout: &Layout,
    task: &FoldTask,
    tensors: &Tensors,
) -> Result<Root, ReferenceError> {
    Standing::of_task(task).root(run_id, layout, tensors)
}

/// The root of the state that a manifest describes.
///
/// # Errors
/// Where it lists another number of tensors than the layout has.
pub fn root_of_manifest(
    run_id: &RunId,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<Root, ReferenceError> {
    let contents = [
        &manifest.parameters,
        &manifest.momentum,
        &manifest.aggregate,
    ];
    root_over(run_id, layout, &Standing::of_manifest(manifest), contents)
}

/// The hash that a commit record holds of the next state's momentum or previous aggregate.
///
/// # Errors
/// Where the vector is neither empty nor as long as the layout.
pub fn memory_digest(layout: &Layout, values: &[f32]) -> Result<Digest, ReferenceError> {
    let contents = contents_of(layout, "memory", values)?;
    if contents.is_empty() {
        return Ok(Digest([0; 32]));
    }
    let mut page = Page::of("archipel/tensors/v1");
    page.number(4, contents.len() as u64);
    for content in &contents {
        page.bytes(&content.0);
    }
    Ok(page.digest())
}

impl Standing {
    /// The root of the state with these tensors.
    ///
    /// # Errors
    /// Where a vector is neither empty nor as long as the layout, or parameters are missing.
    pub fn root(
        &self,
        run_id: &RunId,
        layout: &Layout,
        tensors: &Tensors,
    ) -> Result<Root, ReferenceError> {
        let contents = [
            &contents_of(layout, "parameters", &tensors.parameters)?,
            &contents_of(layout, "momentum", &tensors.momentum)?,
            &contents_of(layout, "aggregate", &tensors.aggregate)?,
        ];
        root_over(run_id, layout, self, contents)
    }
}

fn root_over(
    run_id: &RunId,
    layout: &Layout,
    standing: &Standing,
    contents: [&Vec<BlobHash>; 3],
) -> Result<Root, ReferenceError> {
    let mut page = Page::of("archipel/state/v1");
    page.bytes(&run_id.0);
    page.number(4, u64::from(standing.epoch.0));
    page.number(8, standing.round.0);
    for (position, contents) in contents.into_iter().enumerate() {
        let vector = ["parameters", "momentum", "aggregate"][position];
        let (expected, found) = (layout.tensors().len(), contents.len());
        if found != expected && (found != 0 || position == 0) {
            return Err(ReferenceError::Length {
                vector,
                expected,
                found,
            });
        }
        page.number(4, found as u64);
        let mut named: Vec<_> = layout.tensors().iter().zip(contents).collect();
        named.sort_by(|a, b| a.0.name.as_bytes().cmp(b.0.name.as_bytes()));
        for (tensor, content) in named {
            page.bytes(&tensor_id(tensor, content).0);
        }
    }
    page.number(8, standing.schedule);
    page.number(4, u64::from(standing.epoch.0));
    page.number(4, standing.seats.len() as u64);
    for seat in &standing.seats {
        page.bytes(&seat.id.0);
        page.text(&seat.name);
        page.number(1, status_number(seat.status));
    }
    page.number(8, standing.cuts);
    page.number(4, standing.last.len() as u64);
    for last in &standing.last {
        page.number(8, *last);
    }
    Ok(Root(page.digest().0))
}

fn status_number(status: Status) -> u64 {
    match status {
        Status::Voting => 0,
        Status::Suspended => 1,
        Status::Left => 2,
        Status::Removed => 3,
    }
}

fn tensor_id(tensor: &TensorSpec, content: &BlobHash) -> Digest {
    let mut page = Page::of("archipel/tensor/v1");
    page.text(&tensor.name);
    page.text("F32");
    page.number(1, tensor.shape.len() as u64);
    for size in &tensor.shape {
        page.number(4, u64::from(*size));
    }
    page.bytes(&content.0);
    page.digest()
}

/// BLAKE3 of every tensor of a flat vector, in layout order; none of an empty one.
fn contents_of(
    layout: &Layout,
    vector: &'static str,
    values: &[f32],
) -> Result<Vec<BlobHash>, ReferenceError> {
    let (expected, found) = (layout.parameters(), values.len());
    if found == 0 {
        return Ok(Vec::new());
    }
    if found != expected {
        return Err(ReferenceError::Length {
            vector,
            expected,
            found,
        });
    }
    let mut rest = values;
    let mut contents = Vec::new();
    for tensor in layout.tensors() {
        let (own, others) = rest.split_at(tensor.parameters());
        contents.push(content_hash(own));
        rest = others;
    }
    Ok(contents)
}

/// BLAKE3 of the little-endian bytes of values.
pub(super) fn content_hash(values: &[f32]) -> BlobHash {
    let mut bytes = Vec::with_capacity(4 * values.len());
    for value in values {
        bytes.extend(value.to_bits().to_le_bytes());
    }
    BlobHash(*blake3::hash(&bytes).as_bytes())
}

/// SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Bytes to be hashed, big-endian.
struct Page(Vec<u8>);

impl Page {
    fn of(domain: &str) -> Self {
        let mut page = Self(domain.as_bytes().to_vec());
        page.0.push(0);
        page
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The lowest `width` bytes of a number, the highest of them first.
    fn number(&mut self, width: usize, number: u64) {
        let bytes = number.to_be_bytes();
        self.bytes(&bytes[bytes.len() - width..]);
    }

    fn text(&mut self, text: &str) {
        self.number(4, text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn digest(&self) -> Digest {
        sha256(&self.0)
    }
}
