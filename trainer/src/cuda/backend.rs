//! burn's CUDA backend as the engine's: the same model, on cards by number.

use super::attention::Rotary;
use super::discovery::{Card, CudaError, usable};
use super::engine::DeviceEngine;
use super::mixed::{self, narrow};
use super::tape::kernels_on_tape;
use crate::config::ModelConfig;
use crate::engine::Engine;
use crate::llama::NewEngineError;
use crate::model::kernels::{Attention, Kernels};
use burn::backend::cuda::CudaDevice;
use burn::backend::{Autodiff, Cuda};
use burn::tensor::Tensor;
use std::sync::Arc;

type Tape = Autodiff<Cuda>;

kernels_on_tape!(Tape);

/// The same operations where no gradient is wanted.
impl Kernels for Cuda {
    fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        mixed::project(narrow(x), weight)
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f32) -> Tensor<Self, 2> {
        mixed::rms_norm(x, weight, eps)
    }

    fn causal_attention(
        qkv: Tensor<Self, 2>,
        shape: &Arc<Attention>,
        length: usize,
    ) -> Tensor<Self, 2> {
        Rotary::new(shape, length, &qkv.device()).forward(narrow(qkv))
    }

    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        mixed::swiglu(narrow(gate_up))
    }

    fn token_losses(logits: Tensor<Self, 2>, targets: &[u32]) -> Tensor<Self, 1> {
        let targets = mixed::column(targets, &logits.device());
        mixed::token_losses(narrow(logits), targets)
    }
}

/// Why an engine on cards could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewCudaEngineError {
    /// The machine lacks something.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The shape is no model, or a thread could not be started.
    #[error(transparent)]
    Engine(#[from] NewEngineError),
}

/// Prepares a model on the cards of these numbers; its parameters are zero until it is loaded.
///
/// Results are of class [`GPU_CLASS`](super::GPU_CLASS).
///
/// # Errors
/// What the machine lacks, a card that is too old, or a shape that is no model. Whether a
/// micro-batch fits into the memory that is free is asked when training begins.
pub fn engine_on_cards(
    config: &ModelConfig,
    cards: &[usize],
) -> Result<Box<dyn Engine>, NewCudaEngineError> {
    let device = |card: Card| (CudaDevice::new(card.number), Some(card.free_bytes));
    let devices = usable(cards)?.into_iter().map(device).collect();
    Ok(Box::new(DeviceEngine::<Tape>::on(config, devices)?))
}
