//! The operations of mixed precision on burn's autodiff tape, each with its own backward.

use super::attention::Rotary;
use super::mixed::{self, narrow};
use crate::model::kernels::Attention;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorPrimitive};
use std::fmt::Debug;
use std::marker::PhantomData;

/// What an operation saved, and from it the gradient of each of its `N` inputs.
trait Step<B: Backend, const N: usize>: Clone + Send + Debug + 'static {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; N];
}

#[derive(Debug)]
struct OnTape<S>(PhantomData<S>);

impl<B: Backend, S: Step<B, N> + Sync, const N: usize> Backward<B, N> for OnTape<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state.gradients(dy)) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// A tensor on the tape.
type Taped<B, C, const D: usize> = Tensor<Autodiff<B, C>, D>;

/// Puts an operation on the tape: its inputs, what it saved, and its output.
fn record<B, C, S, const N: usize, const D: usize, const O: usize>(
    inputs: [Taped<B, C, D>; N],
    step: S,
    output: Tensor<B, O>,
) -> Taped<B, C, O>
where
    B: Backend,
    C: CheckpointStrategy,
    S: Step<B, N> + Sync,
{
    let nodes = inputs.map(|input| input.into_primitive().tensor().node);
    let output = output.into_primitive().tensor();
    let operation = OnTape::<S>(PhantomData);
    let prepared = Backward::<B, N>::prepare::<C>(operation, nodes);
    let output = match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(step, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive(TensorPrimitive::Float(output))
}

fn wide<B: Backend, const D: usize>(dy: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(dy))
}

fn primitive<B: Backend, const D: usize>(gradient: Tensor<B, D>) -> FloatTensor<B> {
    gradient.into_primitive().tensor()
}

#[derive(Clone, Debug)]
struct Project<B: Backend> {
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
}

impl<B: Backend> Step<B, 2> for Project<B> {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        mixed::project_gradients(self.x, self.weight, wide(dy)).map(primitive)
    }
}

pub(super) fn project<B: Backend, C: CheckpointStrategy>(
    x: Taped<B, C, 2>,
    weight: Taped<B, C, 2>,
) -> Taped<B, C, 2> {
    let step = Project {
        x: narrow(x.clone().inner()),
        weight: weight.clone().inner(),
    };
    let y = mixed::project(step.x.clone(), step.weight.clone());
    record([x, weight], step, y)
}

#[derive(Clone, Debug)]
struct RmsNorm<B: Backend> {
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f32,
}

impl<B: Backend> Step<B, 2> for RmsNorm<B> {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; 2] {
        mixed::rms_norm_gradients(self.x, self.weight, self.eps, wide(dy)).map(primitive)
    }
}

pub(super) fn rms_norm<B: Backend, C: CheckpointStrategy>(
    x: Taped<B, C, 2>,
    weight: Taped<B, C, 2>,
    eps: f32,
) -> Taped<B, C, 2> {
    let step = RmsNorm {
        x: x.clone().inner(),
        weight: weight.clone().inner(),
        eps,
    };
    let y = mixed::rms_norm(step.x.clone(), step.weight.clone(), eps);
    record([x, weight], step, y)
}

#[derive(Clone, Debug)]
struct CausalAttention<B: Backend> {
    qkv: Tensor<B, 2>,
    rotary: Rotary<B>,
}

impl<B: Backend> Step<B, 1> for CausalAttention<B> {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [primitive(self.rotary.gradient(self.qkv, wide(dy)))]
    }
}

pub(super) fn causal_attention<B: Backend, C: CheckpointStrategy>(
    qkv: Taped<B, C, 2>,
    shape: &Attention,
    length: usize,
) -> Taped<B, C, 2> {
    let step = CausalAttention {
        qkv: narrow(qkv.clone().inner()),
        rotary: Rotary::new(shape, length, &qkv.device()),
    };
    let y = step.rotary.forward(step.qkv.clone());
    record([qkv], step, y)
}

#[derive(Clone, Debug)]
struct Swiglu<B: Backend> {
    gate_up: Tensor<B, 2>,
}

impl<B: Backend> Step<B, 1> for Swiglu<B> {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        [primitive(mixed::swiglu_gradient(self.gate_up, wide(dy)))]
    }
}

pub(super) fn swiglu<B: Backend, C: CheckpointStrategy>(gate_up: Taped<B, C, 2>) -> Taped<B, C, 2> {
    let step = Swiglu {
        gate_up: narrow(gate_up.clone().inner()),
    };
    let y = mixed::swiglu(step.gate_up.clone());
    record([gate_up], step, y)
}

#[derive(Clone, Debug)]
struct TokenLosses<B: Backend> {
    logits: Tensor<B, 2>,
    targets: Tensor<B, 2, Int>,
}

impl<B: Backend> Step<B, 1> for TokenLosses<B> {
    fn gradients(self, dy: FloatTensor<B>) -> [FloatTensor<B>; 1] {
        let gradient = mixed::token_losses_gradient(self.logits, self.targets, wide(dy));
        [primitive(gradient)]
    }
}

pub(super) fn token_losses<B: Backend, C: CheckpointStrategy>(
    logits: Taped<B, C, 2>,
    targets: &[u32],
) -> Taped<B, C, 1> {
    let step = TokenLosses {
        logits: narrow(logits.clone().inner()),
        targets: mixed::column(targets, &logits.device()),
    };
    let losses = mixed::token_losses(step.logits.clone(), step.targets.clone());
    record([logits], step, losses)
}

/// Lets an autodiff backend compute the model in mixed precision.
macro_rules! kernels_on_tape {
    ($backend:ty) => {
        impl crate::model::kernels::Kernels for $backend {
            fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
                crate::cuda::tape::project(x, weight)
            }

            fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f32) -> Tensor<Self, 2> {
                crate::cuda::tape::rms_norm(x, weight, eps)
            }

            fn causal_attention(
                qkv: Tensor<Self, 2>,
                shape: &std::sync::Arc<crate::model::kernels::Attention>,
                length: usize,
            ) -> Tensor<Self, 2> {
                crate::cuda::tape::causal_attention(qkv, shape, length)
            }

            fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
                crate::cuda::tape::swiglu(gate_up)
            }

            fn token_losses(logits: Tensor<Self, 2>, targets: &[u32]) -> Tensor<Self, 1> {
                crate::cuda::tape::token_losses(logits, targets)
            }
        }
    };
}

pub(super) use kernels_on_tape;
