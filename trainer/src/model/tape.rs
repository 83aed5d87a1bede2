//! The model's operations on burn's autodiff tape over CPU tensors, each with its own backward.

use super::flex::{self, Computed, columns, matrix, packed, values};
use super::kernels::{Attention, Kernels};
use super::{causal, rows};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::{FloatTensor, FloatTensorOps};
use burn::tensor::{Tensor, TensorPrimitive};
use burn_flex::FlexTensor;
use std::sync::Arc;

type Tape = Autodiff<Flex>;

/// An operation on the tape: from its inputs and what it saved, the gradient of each input.
trait Step<const N: usize>: Clone + Send + std::fmt::Debug + 'static {
    fn gradients(&self, inputs: &[FlexTensor; N], dy: &FlexTensor) -> [FlexTensor; N];
}

#[derive(Debug)]
struct OnTape<S>(std::marker::PhantomData<S>);

impl<S: Step<N> + Sync, const N: usize> Backward<Flex, N> for OnTape<S> {
    type State = (S, [FlexTensor; N]);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let dy = packed(&gradients.consume::<Flex>(&ops.node));
        let (step, inputs) = ops.state;
        for (parent, gradient) in ops.parents.into_iter().zip(step.gradients(&inputs, &dy)) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Puts an operation on the tape: its inputs, the packed inputs it reads, its step and its output.
fn record<S: Step<N> + Sync, const N: usize>(
    inputs: [FloatTensor<Tape>; N],
    packed: [FlexTensor; N],
    step: S,
    output: FlexTensor,
) -> FloatTensor<Tape> {
    let nodes = inputs.each_ref().map(|input| input.node.clone());
    let operation = OnTape::<S>(std::marker::PhantomData);
    match operation
        .prepare::<NoCheckpointing>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prepared) => prepared.finish((step, packed), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

#[derive(Clone, Debug)]
struct Project;

impl Step<2> for Project {
    fn gradients(&self, [x, weight]: &[FlexTensor; 2], dy: &FlexTensor) -> [FlexTensor; 2] {
        let dx = Flex::float_matmul(dy.clone(), weight.clone());
        let dweight = Flex::float_matmul(dy.transpose(0, 1), x.clone());
        [dx, dweight]
    }
}

#[derive(Clone, Debug)]
struct RmsNorm {
    roots: Arc<Vec<f32>>,
}

impl Step<2> for RmsNorm {
    fn gradients(&self, [x, weight]: &[FlexTensor; 2], dy: &FlexTensor) -> [FlexTensor; 2] {
        let (x, weight, dy) = (values(x), values(weight), values(dy));
        let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        rows::rms_norm_backward(x, weight, &self.roots, dy, &mut dx, &mut dweight);
        [matrix(dx, weight.len()), matrix(dweight, weight.len())]
    }
}

#[derive(Clone, Debug)]
struct CausalAttention {
    shape: Arc<Attention>,
    length: usize,
    probabilities: Arc<Vec<f32>>,
}

impl Step<1> for CausalAttention {
    fn gradients(&self, [qkv]: &[FlexTensor; 1], dy: &FlexTensor) -> [FlexTensor; 1] {
        let (qkv, dy) = (values(qkv), values(dy));
        let dqkv = causal::backward(qkv, &self.shape, self.length, &self.probabilities, dy);
        [matrix(dqkv, self.shape.columns())]
    }
}

#[derive(Clone, Debug)]
struct Swiglu;

impl Step<1> for Swiglu {
    fn gradients(&self, [gate_up]: &[FlexTensor; 1], dy: &FlexTensor) -> [FlexTensor; 1] {
        let width = columns(dy);
        let mut dx = vec![0.0; values(gate_up).len()];
        rows::swiglu_backward(values(gate_up), width, values(dy), &mut dx);
        [matrix(dx, 2 * width)]
    }
}

#[derive(Clone, Debug)]
struct Embed {
    tokens: Vec<u32>,
}

impl Step<1> for Embed {
    fn gradients(&self, [weight]: &[FlexTensor; 1], dy: &FlexTensor) -> [FlexTensor; 1] {
        let width = columns(weight);
        let mut dweight = vec![0.0; values(weight).len()];
        rows::embed_backward(&self.tokens, width, values(dy), &mut dweight);
        [matrix(dweight, width)]
    }
}

#[derive(Clone, Debug)]
struct TokenLosses {
    targets: Vec<u32>,
    probabilities: Arc<Vec<f32>>,
}

impl Step<1> for TokenLosses {
    fn gradients(&self, [logits]: &[FlexTensor; 1], dy: &FlexTensor) -> [FlexTensor; 1] {
        let width = columns(logits);
        let mut dlogits = self.probabilities.to_vec();
        rows::token_losses_backward(&mut dlogits, width, &self.targets, values(dy));
        [matrix(dlogits, width)]
    }
}

impl Kernels for Tape {
    fn project(x: Tensor<Self, 2>, weight: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let inputs = [primitive(x), primitive(weight)];
        let [x, weight] = inputs.each_ref().map(|input| packed(&input.primitive));
        let output = Flex::float_matmul(x.clone(), weight.transpose(0, 1));
        tensor(record(inputs, [x, weight], Project, output))
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f32) -> Tensor<Self, 2> {
        let inputs = [primitive(x), primitive(weight)];
        let [x, weight] = inputs.each_ref().map(|input| packed(&input.primitive));
        let Computed { output, saved } = flex::rms_norm(&x, &weight, eps);
        tensor(record(
            inputs,
            [x, weight],
            RmsNorm { roots: saved },
            output,
        ))
    }

    fn causal_attention(
        qkv: Tensor<Self, 2>,
        shape: &Arc<Attention>,
        length: usize,
    ) -> Tensor<Self, 2> {
        let (inputs, qkv) = one(qkv);
        let Computed { output, saved } = flex::causal_attention(&qkv, shape, length);
        let shape = Arc::clone(shape);
        let step = CausalAttention {
            shape,
            length,
            probabilities: saved,
        };
        tensor(record(inputs, [qkv], step, output))
    }

    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let (inputs, gate_up) = one(gate_up);
        let output = flex::swiglu(&gate_up);
        tensor(record(inputs, [gate_up], Swiglu, output))
    }

    fn embed(weight: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        let (inputs, weight) = one(weight);
        let output = flex::embed(&weight, tokens);
        tensor(record(
            inputs,
            [weight],
            Embed {
                tokens: tokens.to_vec(),
            },
            output,
        ))
    }

    fn token_losses(logits: Tensor<Self, 2>, targets: &[u32]) -> Tensor<Self, 1> {
        let (inputs, logits) = one(logits);
        let Computed { output, saved } = flex::token_losses(&logits, targets);
        let step = TokenLosses {
            targets: targets.to_vec(),
            probabilities: saved,
        };
        tensor(record(inputs, [logits], step, output))
    }
}

fn one(input: Tensor<Tape, 2>) -> ([FloatTensor<Tape>; 1], FlexTensor) {
    let input = primitive(input);
    let packed = packed(&input.primitive);
    ([input], packed)
}

fn primitive<const D: usize>(tensor: Tensor<Tape, D>) -> FloatTensor<Tape> {
    tensor.into_primitive().tensor()
}

fn tensor<const D: usize>(primitive: FloatTensor<Tape>) -> Tensor<Tape, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
