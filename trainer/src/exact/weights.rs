//! The weights of one step, packed for its products.

use super::product::{Packed, Rows};
use crate::model::{Decoder, Matrix, PER_LAYER};
use crate::workers::Workers;

/// A matrix of weights, packed for products with rows of activations.
pub(crate) struct PackedWeight {
    /// For x · wᵀ.
    pub(super) forward: Packed,
    /// For dy · w; empty where nothing is trained.
    pub(super) backward: Packed,
}

impl PackedWeight {
    fn new(values: &[f32], matrix: &Matrix, trains: bool) -> Self {
        let (rows, columns) = (matrix.rows, matrix.columns);
        let values = Rows::new(values, columns);
        let backward = |()| Packed::rows(values, rows, columns);
        Self {
            forward: Packed::transposed(values, columns, rows),
            backward: trains.then_some(()).map(backward).unwrap_or_default(),
        }
    }
}

/// All weights of a step: the flat vector, and what is packed of it.
pub(crate) struct Weights<'a> {
    params: &'a [f32],
    decoder: &'a Decoder,
    /// One a matrix of [`Decoder::matrices`]; norms and an embedding of its own have none.
    packed: Vec<Option<PackedWeight>>,
}

/// The weights of one block.
pub(super) struct Block<'a> {
    pub(super) norm: &'a [f32],
    pub(super) qkv: &'a PackedWeight,
    pub(super) out: &'a PackedWeight,
    pub(super) norm2: &'a [f32],
    pub(super) gate_up: &'a PackedWeight,
    pub(super) down: &'a PackedWeight,
}

impl<'a> Weights<'a> {
    /// Packs the weights, on all workers; for the backward pass too where `trains`.
    pub(crate) fn new(
        decoder: &'a Decoder,
        params: &'a [f32],
        workers: &Workers,
        trains: bool,
    ) -> Self {
        let pack = |(index, matrix): (usize, &Matrix)| {
            let is_head = index == head_index(decoder);
            let is_product = matrix.rows > 1 && (index > 0 || is_head);
            is_product.then(|| PackedWeight::new(&params[matrix.range.clone()], matrix, trains))
        };
        let packed = workers.spread(decoder.matrices().iter().enumerate().collect(), pack);
        Self {
            params,
            decoder,
            packed,
        }
    }

    pub(super) fn decoder(&self) -> &'a Decoder {
        self.decoder
    }

    pub(super) fn block(&self, layer: usize) -> Block<'_> {
        let first = 1 + layer * PER_LAYER;
        Block {
            norm: self.values(first),
            qkv: self.product(first + 1),
            out: self.product(first + 2),
            norm2: self.values(first + 3),
            gate_up: self.product(first + 4),
            down: self.product(first + 5),
        }
    }

    pub(super) fn embedding(&self) -> &'a [f32] {
        self.values(0)
    }

    pub(super) fn last_norm(&self) -> &'a [f32] {
        self.values(last_norm_index(self.decoder))
    }

    pub(super) fn head(&self) -> &PackedWeight {
        self.product(head_index(self.decoder))
    }

    fn values(&self, index: usize) -> &'a [f32] {
        &self.params[self.decoder.matrices()[index].range.clone()]
    }

    fn product(&self, index: usize) -> &PackedWeight {
        self.packed[index]
            .as_ref()
            .expect("a matrix of products is packed")
    }
}

/// Where the last norm stands in the list of matrices.
pub(super) fn last_norm_index(decoder: &Decoder) -> usize {
    1 + decoder.config().layers as usize * PER_LAYER
}

/// Where the head stands in the list of matrices: with tied weights it is the embedding.
pub(super) fn head_index(decoder: &Decoder) -> usize {
    if decoder.config().tied {
        0
    } else {
        last_norm_index(decoder) + 1
    }
}
