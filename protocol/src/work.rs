//! Segments of inner steps, and the root over them that a header holds.
//!
//! A segment leaf names everything needed to re-run from it: the step, the parameters, and the
//! inner-optimizer state.

use crate::{
    encoding::{Canonical, sha256},
    ids::{BlobHash, Digest},
};

/// The leaf of one segment end, as an RFC 6962 leaf hash.
pub fn segment_leaf(step: u64, parameters: &BlobHash, optimizer: &BlobHash) -> Digest {
    let mut out = Canonical::bare();
    out.u8(0)
        .text("archipel/segment/v1")
        .u64(step)
        .raw(&parameters.0)
        .raw(&optimizer.0);
    out.digest()
}

/// The RFC 6962 tree head over leaf hashes.
pub fn tree_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            node(&tree_root(left), &tree_root(right))
        }
    }
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut out = Canonical::bare();
    out.u8(1).raw(&left.0).raw(&right.0);
    out.digest()
}

/// An RFC 6962 tree that grows: only the roots of its perfect subtrees are kept, at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    leaves: u64,
    /// Largest subtree first: one for each bit set in `leaves`.
    subtrees: Vec<Digest>,
}

impl Frontier {
    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut root = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.subtrees.pop().expect("one subtree for each bit set");
            root = node(&left, &root);
        }
        self.subtrees.push(root);
        self.leaves += 1;
    }

    /// The tree head over all leaves so far.
    pub fn root(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else {
            return sha256(b"");
        };
        subtrees.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of RFC 6962 (the Certificate Transparency test tree).
    #[test]
    fn the_tree_head_is_the_public_one() {
        let inputs: [&[u8]; 3] = [&[], &[0x00], &[0x10]];
        let leaves: Vec<Digest> = inputs.iter().map(|i| crate::record::leaf_hash(i)).collect();
        let expected = "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77";
        assert_eq!(tree_root(&leaves).to_string(), expected);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tree_root(&[]).to_string(), empty);
    }

    #[test]
    fn a_growing_tree_has_the_same_head_at_every_size() {
        let mut frontier = Frontier::default();
        let mut leaves = Vec::new();
        for number in 0..70u8 {
            assert_eq!(frontier.root(), tree_root(&leaves), "{number} leaves");
            let leaf = crate::record::leaf_hash(&[number]);
            frontier.push(leaf);
            leaves.push(leaf);
        }
    }
}
