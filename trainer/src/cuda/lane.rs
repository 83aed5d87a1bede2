//! One device of an engine: its thread, its copy of the weights, its part of a step.
//!
//! All of a device's work runs on one thread of its own, from the first upload to the last
//! download, so that what a tensor library orders by thread is in order. Only plain numbers cross
//! threads.

use super::budget::DeviceError;
use crate::batch::MicroBatch;
use crate::model::{Decoder, kernels::Kernels};
use archipel_protocol::layout::Layout;
use burn::tensor::backend::{AutodiffBackend, ExecutionError};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Windows of equal length, ready for a device.
pub(super) struct Passage {
    pub(super) inputs: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) windows: usize,
}

impl Passage {
    pub(super) fn of(batch: &MicroBatch<'_>) -> Self {
        Self {
            inputs: batch.inputs(),
            targets: batch.targets(),
            windows: batch.windows(),
        }
    }

    /// Appends a window of the same length.
    pub(super) fn append(&mut self, other: Self) {
        self.inputs.extend(other.inputs);
        self.targets.extend(other.targets);
        self.windows += other.windows;
    }
}

/// A device and the thread that speaks to it.
pub(super) struct Lane<T: AutodiffBackend> {
    thread: rayon::ThreadPool,
    bench: Bench<T>,
}

impl<T: AutodiffBackend> Lane<T> {
    /// Starts the thread of device `number` of an engine.
    pub(super) fn new(
        number: usize,
        device: Device<T>,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let thread = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(move |_| format!("archipel-device-{number}"))
            .build()?;
        let bench = Bench {
            number,
            device,
            weights: Vec::new(),
            sums: Vec::new(),
            losses: Vec::new(),
        };
        Ok(Self { thread, bench })
    }

    /// Runs `work` on the device's thread; what panics there is an error here.
    pub(super) fn run<R: Send>(
        &mut self,
        work: impl FnOnce(&mut Bench<T>) -> Result<R, ExecutionError> + Send,
    ) -> Result<R, DeviceError> {
        let Self { thread, bench } = self;
        let device = bench.number;
        let failed = |reason| DeviceError::Failed { device, reason };
        match catch_unwind(AssertUnwindSafe(|| thread.install(|| work(bench)))) {
            Ok(done) => done.map_err(|error| failed(error.to_string())),
            Err(panic) => Err(failed(said(panic.as_ref()))),
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    text.or(owned).unwrap_or("it gave no reason").to_owned()
}

/// Runs `work` on every lane at once; results come in the lanes' order.
pub(super) fn on_each<T: AutodiffBackend, R: Send>(
    lanes: &mut [Lane<T>],
    work: impl Fn(usize, &mut Bench<T>) -> Result<R, ExecutionError> + Sync,
) -> Result<Vec<R>, DeviceError> {
    let Some((first, others)) = lanes.split_first_mut() else {
        return Ok(Vec::new());
    };
    let work = &work;
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(others.len());
        for (index, lane) in (1..).zip(others) {
            running.push(scope.spawn(move || lane.run(|bench| work(index, bench))));
        }
        let mut done = vec![first.run(|bench| work(0, bench))];
        for lane in running {
            done.push(lane.join().expect("a lane catches what panics on it"));
        }
        done.into_iter().collect()
    })
}

/// What a device holds; touched on its own thread alone.
pub(super) struct Bench<T: AutodiffBackend> {
    number: usize,
    device: Device<T>,
    weights: Vec<Tensor<T::InnerBackend, 2>>,
    /// The gradients so far, matrix by matrix.
    sums: Vec<Tensor<T::InnerBackend, 2>>,
    /// The losses of this step's micro-batches.
    losses: Vec<Tensor<T::InnerBackend, 1>>,
}

impl<T> Bench<T>
where
    T: AutodiffBackend + Kernels,
    T::InnerBackend: Kernels,
{
    /// Brings the weights over and forgets gradients and losses.
    pub(super) fn upload(&mut self, decoder: &Decoder, params: &[f32]) {
        self.sums.clear();
        self.losses.clear();
        self.weights.clear();
        let tensor = |range: Range<usize>| {
            let columns = columns(decoder.layout(), range.start);
            let shape = [range.len() / columns, columns];
            let data = TensorData::new(params[range].to_vec(), shape);
            Tensor::from_data(data, &self.device)
        };
        self.weights = decoder.ranges().map(tensor).collect();
    }

    /// Forward and backward of one micro-batch. The first device adds the gradient to its sums,
    /// the others hand theirs out.
    pub(super) fn backward(
        &mut self,
        decoder: &Decoder,
        passage: &Passage,
        scale: f32,
    ) -> Result<Option<Vec<TensorData>>, ExecutionError> {
        let leaf = |weight: &Tensor<_, 2>| Tensor::from_inner(weight.clone()).require_grad();
        let leaves: Vec<Tensor<T, 2>> = self.weights.iter().map(leaf).collect();
        let logits = decoder.logits::<T>(&leaves, &passage.inputs, passage.windows);
        let losses = T::token_losses(logits, &passage.targets);
        self.losses.push(losses.clone().inner());
        let mut gradients = (losses.sum() * scale).backward();
        let gradients: Vec<_> = leaves
            .iter()
            .map(|leaf| {
                leaf.grad_remove(&mut gradients)
                    .expect("every weight takes part in the loss")
            })
            .collect();
        if self.number == 0 {
            self.add(gradients);
            return Ok(None);
        }
        let data = gradients.into_iter().map(Tensor::try_into_data);
        data.collect::<Result<_, _>>().map(Some)
    }

    /// Adds another device's gradient to the sums.
    pub(super) fn add_foreign(&mut self, gradients: Vec<TensorData>) {
        let tensor = |data| Tensor::from_data(data, &self.device);
        let gradients = gradients.into_iter().map(tensor).collect();
        self.add(gradients);
    }

    fn add(&mut self, gradients: Vec<Tensor<T::InnerBackend, 2>>) {
        self.sums = match self.sums.is_empty() {
            true => gradients,
            false => std::mem::take(&mut self.sums)
                .into_iter()
                .zip(gradients)
                .map(|(sum, gradient)| sum + gradient)
                .collect(),
        };
    }

    /// Brings the sums back, matrix by matrix, and keeps none.
    pub(super) fn take_sums(&mut self) -> Result<Vec<TensorData>, ExecutionError> {
        let sums = std::mem::take(&mut self.sums).into_iter();
        sums.map(Tensor::try_into_data).collect()
    }

    /// Brings the losses of this device's micro-batches back.
    pub(super) fn take_losses(&mut self) -> Result<Vec<TensorData>, ExecutionError> {
        let losses = std::mem::take(&mut self.losses).into_iter();
        losses.map(Tensor::try_into_data).collect()
    }

    /// The losses of a passage, without a backward pass.
    pub(super) fn losses(
        &mut self,
        decoder: &Decoder,
        passage: &Passage,
    ) -> Result<TensorData, ExecutionError> {
        let logits = self.forward(decoder, &passage.inputs, passage.windows);
        <T::InnerBackend as Kernels>::token_losses(logits, &passage.targets).try_into_data()
    }

    /// The logits after the last of `tokens`.
    pub(super) fn last_logits(
        &mut self,
        decoder: &Decoder,
        tokens: &[u32],
    ) -> Result<TensorData, ExecutionError> {
        let logits = self.forward(decoder, tokens, 1);
        logits.narrow(0, tokens.len() - 1, 1).try_into_data()
    }

    fn forward(
        &self,
        decoder: &Decoder,
        tokens: &[u32],
        windows: usize,
    ) -> Tensor<T::InnerBackend, 2> {
        decoder.logits::<T::InnerBackend>(&self.weights, tokens, windows)
    }
}

/// Columns of the matrix that begins at `start`: its tensors share their last side.
fn columns(layout: &Layout, start: usize) -> usize {
    let shape = &layout.tensor_at(start).shape;
    *shape.last().expect("a layout has no empty shape") as usize
}
