//! The engine of the decoder on devices that are not the host.
//!
//! Master weights, moments and the optimizer's pass are the host's, in f32, the very code that
//! trains on CPUs: given a gradient, a step has the same bits everywhere, several devices cannot
//! drift apart, and a card's memory holds weights and gradients alone. It costs one download and
//! one upload a step. Devices share the plan's micro-batches in turn; gradients are added in
//! micro-batch order on the first device, so their number changes no sum.

use super::budget::{Budget, DeviceError, windows_at_once};
use super::lane::{Lane, Passage, on_each};
use crate::batch::{Batch, MicroBatch};
use crate::config::ModelConfig;
use crate::data::{DOCUMENT_BOUNDARY, TokenSource};
use crate::engine::{
    Control, Engine, EngineError, Evaluation, InnerPlan, InnerReport, Progress, hash_state,
};
use crate::lanes::{self, CHUNK};
use crate::llama::NewEngineError;
use crate::model::{Decoder, kernels::Kernels};
use crate::optimizer::{Moments, Pass};
use crate::workers::Workers;
use archipel_protocol::layout::Layout;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Device, TensorData};

/// The most threads of the host that take part in the optimizer's pass.
const MAX_HOST_THREADS: usize = 16;

/// Trains a Llama-style decoder on one device or several of one kind.
pub(super) struct DeviceEngine<T: AutodiffBackend> {
    decoder: Decoder,
    lanes: Vec<Lane<T>>,
    /// Bytes free on each device when the engine was made, where that is known.
    free: Vec<Option<u64>>,
    params: Vec<f32>,
    moments: Moments,
    gradient: Vec<f32>,
    /// The host's threads, for the optimizer's pass.
    workers: Workers,
    /// Whether the devices hold other weights than `params`.
    stale: bool,
}

impl<T> DeviceEngine<T>
where
    T: AutodiffBackend + Kernels,
    T::InnerBackend: Kernels,
{
    /// Prepares a model on `devices`, each with the bytes free on it where that is known; all its
    /// parameters are zero until [`Engine::load`].
    pub(super) fn on(
        config: &ModelConfig,
        devices: Vec<(Device<T>, Option<u64>)>,
    ) -> Result<Self, NewEngineError> {
        let decoder = Decoder::new(config)?;
        let parameters = decoder.layout().parameters();
        let (threads, mut lanes, mut free) = (devices.len(), Vec::new(), Vec::new());
        for (number, (device, bytes)) in devices.into_iter().enumerate() {
            let lane = Lane::new(number, device);
            lanes.push(lane.map_err(|reason| EngineError::Threads { threads, reason })?);
            free.push(bytes);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(MAX_HOST_THREADS);
        let workers =
            Workers::new(threads).map_err(|reason| EngineError::Threads { threads, reason })?;
        Ok(Self {
            decoder,
            lanes,
            workers,
            free,
            params: vec![0.0; parameters],
            moments: Moments::fresh(parameters),
            gradient: vec![0.0; parameters],
            stale: true,
        })
    }

    /// The shape of the model.
    fn config(&self) -> &ModelConfig {
        self.decoder.config()
    }

    fn context(&self) -> usize {
        self.config().context as usize
    }

    /// Sums the gradient of the batch's mean loss into `self.gradient`; returns that loss.
    fn gradient(&mut self, batch: &Batch, micro_batch: usize) -> Result<f64, EngineError> {
        let jobs = batch.micro_batches(micro_batch);
        jobs.iter()
            .try_for_each(|job| job.check(self.config().vocabulary))?;
        let passages: Vec<Passage> = jobs.iter().map(Passage::of).collect();
        let tokens: usize = passages.iter().map(|passage| passage.targets.len()).sum();
        let scale = 1.0 / tokens as f32;
        self.upload()?;
        let (decoder, lanes) = (&self.decoder, &mut self.lanes);
        for wave in passages.chunks(lanes.len()) {
            let parts = on_each(&mut lanes[..wave.len()], |index, bench| {
                bench.backward(decoder, &wave[index], scale)
            })?;
            for part in parts.into_iter().flatten() {
                lanes[0].run(|bench| {
                    bench.add_foreign(part);
                    Ok(())
                })?;
            }
        }
        let sums = lanes[0].run(|bench| bench.take_sums())?;
        for (range, sum) in decoder.ranges().zip(&sums) {
            self.gradient[range].copy_from_slice(floats(sum));
        }
        Ok(self.total_loss(passages.len())? / tokens as f64)
    }

    /// Adds the losses of the step's `jobs` micro-batches, in their order.
    fn total_loss(&mut self, jobs: usize) -> Result<f64, EngineError> {
        let lanes = self.lanes.len();
        let losses = on_each(&mut self.lanes, |_, bench| bench.take_losses())?;
        let in_order = (0..jobs).map(|job| &losses[job % lanes][job / lanes]);
        Ok(in_order.map(sum).sum())
    }

    /// Brings the weights to every device, unless they are there.
    fn upload(&mut self) -> Result<(), EngineError> {
        if self.stale {
            let (decoder, params) = (&self.decoder, &self.params);
            on_each(&mut self.lanes, |_, bench| {
                bench.upload(decoder, params);
                Ok(())
            })?;
            self.stale = false;
        }
        Ok(())
    }

    /// Refuses a micro-batch that does not fit on a device.
    fn check_memory(&self, plan: &InnerPlan) -> Result<(), DeviceError> {
        let windows = plan.micro_batch.min(plan.batch_sequences);
        for (device, free) in self.free.iter().enumerate() {
            if let Some(free) = free {
                Budget::check(self.config(), self.params.len(), windows, device, *free)?;
            }
        }
        Ok(())
    }

    /// One inner step, counted from 0: its loss, the gradient's norm and the learning rate.
    fn step(
        &mut self,
        plan: &InnerPlan,
        data: &dyn TokenSource,
        step: u64,
    ) -> Result<(f64, f64, f32), EngineError> {
        let batch = Batch::draw(data, plan, step, self.context())?;
        let loss = self.gradient(&batch, plan.micro_batch as usize)?;
        let chunks = self.gradient.chunks(CHUNK).collect();
        let squares = self.workers.spread(chunks, lanes::square_sum);
        let norm = squares.iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(self.not_finite(step, "gradient", &self.gradient));
        }
        if !loss.is_finite() {
            let tensor = "the batch".to_owned();
            return Err(EngineError::NotFinite {
                step: step + 1,
                what: "loss",
                tensor,
            });
        }
        let global_step = plan.schedule_offset + step;
        let config = plan.optimizer.rewarmed(step);
        let pass = Pass {
            config: &config,
            layout: self.decoder.layout(),
            workers: &self.workers,
            step: global_step,
            gradient: &self.gradient,
            norm,
        };
        self.stale = true;
        if !self.moments.step(&pass, &mut self.params) {
            return Err(self.not_finite(step, "weight", &self.params));
        }
        let lr = config.learning_rate(global_step);
        Ok((loss, norm, lr))
    }

    fn not_finite(&self, step: u64, what: &'static str, values: &[f32]) -> EngineError {
        let bad = values.iter().position(|value| !value.is_finite());
        let layout = self.decoder.layout();
        EngineError::NotFinite {
            step: step + 1,
            what,
            tensor: layout.tensor_at(bad.unwrap_or(0)).name.clone(),
        }
    }

    /// Consecutive windows of one length together, as many as a device takes at once.
    fn passages(&self, windows: &[&[u32]]) -> Result<Vec<Passage>, EngineError> {
        let longest = self.context() + 1;
        let mut passages: Vec<Passage> = Vec::new();
        let mut length = 0;
        for window in windows {
            if !(2..=longest).contains(&window.len()) {
                return Err(EngineError::Window {
                    longest,
                    found: window.len(),
                });
            }
            let batch = MicroBatch::of_window(window);
            batch.check(self.config().vocabulary)?;
            let limit = windows_at_once(self.config(), window.len() - 1);
            match passages.last_mut() {
                Some(last) if length == window.len() && last.windows < limit => {
                    last.append(Passage::of(&batch));
                }
                _ => passages.push(Passage::of(&batch)),
            }
            length = window.len();
        }
        Ok(passages)
    }
}

impl<T> Engine for DeviceEngine<T>
where
    T: AutodiffBackend + Kernels,
    T::InnerBackend: Kernels,
{
    fn layout(&self) -> &Layout {
        self.decoder.layout()
    }

    fn load(&mut self, params: &[f32]) -> Result<(), EngineError> {
        same_length(self.params.len(), params.len())?;
        if let Some(at) = params.iter().position(|value| !value.is_finite()) {
            let layout = self.decoder.layout();
            let holds = |index: &usize| layout.range(*index).contains(&at);
            let index = (0..layout.tensors().len()).find(holds);
            let index = index.expect("a position below the number of parameters");
            return Err(EngineError::Parameter {
                tensor: layout.tensors()[index].name.clone(),
                position: at - layout.offset(index),
                value: params[at],
            });
        }
        self.params.copy_from_slice(params);
        self.stale = true;
        Ok(())
    }

    fn load_optimizer(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.moments = Moments::decode(bytes, self.decoder.layout())?;
        Ok(())
    }

    fn optimizer_state(&self) -> Vec<u8> {
        self.moments.encode()
    }

    fn train(
        &mut self,
        plan: &InnerPlan,
        data: &dyn TokenSource,
        observe: &mut dyn FnMut(&Progress<'_>) -> Control,
    ) -> Result<InnerReport, EngineError> {
        plan.validate()?;
        self.check_memory(plan)?;
        let (mut sum, mut last, mut steps) = (0.0, 0.0, 0);
        for step in plan.from_step..plan.to_step {
            let (loss, norm, learning_rate) = self.step(plan, data, step)?;
            (sum, last, steps) = (sum + loss, loss, steps + 1);
            let done = step + 1;
            let moments = &self.moments;
            let progress = Progress {
                step: done,
                loss: loss as f32,
                gradient_norm: norm as f32,
                learning_rate,
                segment_end: done.is_multiple_of(plan.segment_steps) || done == plan.to_step,
                params: &self.params,
                optimizer_state: &|| moments.encode(),
            };
            if observe(&progress) == Control::Stop {
                break;
            }
        }
        let windows = steps * u64::from(plan.batch_sequences);
        let tokens = windows * self.context() as u64;
        Ok(InnerReport {
            steps,
            tokens,
            mean_loss: if steps == 0 { 0.0 } else { sum / steps as f64 },
            last_loss: last,
            flop: self.config().training_flop(tokens),
        })
    }

    fn params(&self, out: &mut [f32]) -> Result<(), EngineError> {
        same_length(self.params.len(), out.len())?;
        out.copy_from_slice(&self.params);
        Ok(())
    }

    fn evaluate(&mut self, windows: &[&[u32]]) -> Result<Evaluation, EngineError> {
        let passages = self.passages(windows)?;
        let tokens: usize = passages.iter().map(|passage| passage.targets.len()).sum();
        self.upload()?;
        let (decoder, mut nats) = (&self.decoder, 0.0f64);
        for wave in passages.chunks(self.lanes.len()) {
            let losses = on_each(&mut self.lanes[..wave.len()], |index, bench| {
                bench.losses(decoder, &wave[index])
            })?;
            nats += losses.iter().map(sum).sum::<f64>();
        }
        Ok(Evaluation {
            nats,
            tokens: tokens as u64,
        })
    }

    fn state_hash(&self) -> [u8; 32] {
        hash_state(&self.params, &self.moments.encode())
    }

    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        let visible = &context[context.len().saturating_sub(self.context())..];
        let visible = match visible.is_empty() {
            true => &[u32::from(DOCUMENT_BOUNDARY)],
            false => visible,
        };
        let tokens = visible.to_vec();
        let vocabulary = self.config().vocabulary;
        if let Some(token) = tokens.iter().copied().find(|token| *token >= vocabulary) {
            return Err(EngineError::Token { token, vocabulary });
        }
        self.upload()?;
        let decoder = &self.decoder;
        let logits = self.lanes[0].run(|bench| bench.last_logits(decoder, &tokens))?;
        Ok(floats(&logits).to_vec())
    }
}

fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("what leaves a device is f32")
}

/// The sum in `f64`, in order.
fn sum(losses: &TensorData) -> f64 {
    floats(losses).iter().map(|loss| f64::from(*loss)).sum()
}

fn same_length(expected: usize, found: usize) -> Result<(), EngineError> {
    match expected == found {
        true => Ok(()),
        false => Err(EngineError::Length { expected, found }),
    }
}

#[cfg(test)]
mod tests;
