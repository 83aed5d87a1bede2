//! The model's operations on burn's CPU tensors, by way of plain slices.

use super::kernels::{Attention, Kernels};
use super::{causal, rows};
use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData, TensorMetadata, TensorPrimitive};
use burn_flex::FlexTensor;
use std::sync::Arc;

/// A computed tensor, and what its backward pass needs besides the inputs.
pub(super) struct Computed {
    pub(super) output: FlexTensor,
    pub(super) saved: Arc<Vec<f32>>,
}

impl Computed {
    fn new(output: FlexTensor, saved: Vec<f32>) -> Self {
        Self {
            output,
            saved: Arc::new(saved),
        }
    }
}

/// The tensor with all its values in one row-major slice.
pub(super) fn packed(tensor: &FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// The values of a [`packed`] tensor.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.storage::<f32>()
}

/// A matrix of `columns` columns from its values.
pub(super) fn matrix(values: Vec<f32>, columns: usize) -> FlexTensor {
    let rows = values.len() / columns;
    FlexTensor::from_data(TensorData::new(values, [rows, columns]))
}

pub(super) fn columns(tensor: &FlexTensor) -> usize {
    tensor.shape()[1]
}

pub(super) fn rms_norm(x: &FlexTensor, weight: &FlexTensor, eps: f32) -> Computed {
    let (x, weight) = (values(x), values(weight));
    let (mut y, mut roots) = (vec![0.0; x.len()], vec![0.0; x.len() / weight.len()]);
    rows::rms_norm(x, weight, eps, &mut y, &mut roots);
    Computed::new(matrix(y, weight.len()), roots)
}

pub(super) fn causal_attention(qkv: &FlexTensor, shape: &Attention, length: usize) -> Computed {
    let (mixed, probabilities) = causal::forward(values(qkv), shape, length);
    Computed::new(matrix(mixed, shape.heads * shape.head_width), probabilities)
}

pub(super) fn swiglu(gate_up: &FlexTensor) -> FlexTensor {
    let width = columns(gate_up) / 2;
    let mut y = vec![0.0; values(gate_up).len() / 2];
    rows::swiglu(values(gate_up), width, &mut y);
    matrix(y, width)
}

pub(super) fn embed(weight: &FlexTensor, tokens: &[u32]) -> FlexTensor {
    let width = columns(weight);
    let row = |token: &u32| &values(weight)[*token as usize * width..][..width];
    matrix(tokens.iter().flat_map(row).copied().collect(), width)
}

pub(super) fn token_losses(logits: &FlexTensor, targets: &[u32]) -> Computed {
    let (losses, probabilities) = rows::token_losses(values(logits), columns(logits), targets);
    let count = losses.len();
    Computed::new(
        FlexTensor::from_data(TensorData::new(losses, [count])),
        probabilities,
    )
}

impl Kernels for Flex {
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f32) -> Tensor<Self, 2> {
        tensor(rms_norm(&primitive(x), &primitive(weight), eps).output)
    }

    fn causal_attention(
        qkv: Tensor<Self, 2>,
        shape: &Arc<Attention>,
        length: usize,
    ) -> Tensor<Self, 2> {
        tensor(causal_attention(&primitive(qkv), shape, length).output)
    }

    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        tensor(swiglu(&primitive(gate_up)))
    }

    fn embed(weight: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        tensor(embed(&primitive(weight), tokens))
    }

    fn token_losses(logits: Tensor<Self, 2>, targets: &[u32]) -> Tensor<Self, 1> {
        tensor(token_losses(&primitive(logits), targets).output)
    }
}

fn primitive<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    packed(&tensor.into_primitive().tensor())
}

fn tensor<const D: usize>(primitive: FlexTensor) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
