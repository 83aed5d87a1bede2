//! The engine of the decoder on the CPU.

use crate::batch::{Batch, MicroBatch};
use crate::config::{ConfigError, ModelConfig};
use crate::data::{DOCUMENT_BOUNDARY, TokenSource};
use crate::engine::{
    Control, Engine, EngineError, Evaluation, InnerPlan, InnerReport, Progress, hash_state,
};
use crate::exact::{Weights, Workspace};
use crate::lanes::{self, CHUNK};
use crate::model::Decoder;
use crate::optimizer::{Moments, Pass};
use crate::workers::Workers;
use archipel_protocol::layout::Layout;

/// The most worker threads an engine starts.
pub const MAX_THREADS: usize = 1024;

/// Trains a Llama-style decoder on the CPU.
pub struct LlamaEngine {
    decoder: Decoder,
    workers: Workers,
    /// One a worker.
    workspaces: Vec<Workspace>,
    params: Vec<f32>,
    moments: Moments,
    gradient: Vec<f32>,
}

impl LlamaEngine {
    /// Prepares a model of the given shape, all its parameters zero until [`Engine::load`].
    ///
    /// The result of training does not depend on `threads` (1 to [`MAX_THREADS`]; what lies
    /// outside is moved to the nearer end).
    ///
    /// # Errors
    /// A shape that is no model, or threads that cannot be started.
    pub fn new(config: &ModelConfig, threads: usize) -> Result<Self, NewEngineError> {
        let decoder = Decoder::new(config)?;
        let parameters = decoder.layout().parameters();
        let threads = threads.clamp(1, MAX_THREADS);
        let workers =
            Workers::new(threads).map_err(|reason| EngineError::Threads { threads, reason })?;
        Ok(Self {
            decoder,
            workspaces: (0..threads).map(|_| Workspace::default()).collect(),
            workers,
            params: vec![0.0; parameters],
            moments: Moments::fresh(parameters),
            gradient: vec![0.0; parameters],
        })
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
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
        let tokens: usize = jobs.iter().map(|job| job.windows()).sum::<usize>() * self.context();
        let scale = 1.0 / tokens as f32;
        let workers = &self.workers;
        let weights = Weights::new(&self.decoder, &self.params, workers, true);
        self.gradient.fill(0.0);
        let mut loss = 0.0f64;
        let work = |(job, workspace): (&MicroBatch<'_>, &mut Workspace)| {
            let (inputs, targets) = (job.inputs(), job.targets());
            workspace.train(&weights, &inputs, &targets, job.windows(), scale)
        };
        for wave in jobs.chunks(workers.count()) {
            let jobs = wave.iter().zip(&mut self.workspaces).collect();
            for losses in workers.at_once(jobs, &work) {
                loss += losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
            }
            add_parts(workers, &self.workspaces[..wave.len()], &mut self.gradient);
        }
        Ok(loss / tokens as f64)
    }

    /// The loss of a batch and its gradient.
    #[cfg(all(test, feature = "burn"))]
    pub(crate) fn gradient_of(&mut self, batch: &Batch, micro_batch: usize) -> (f64, &[f32]) {
        let loss = self.gradient(batch, micro_batch).expect("a batch");
        (loss, &self.gradient)
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
        if !self.moments.step(&pass, &mut self.params) {
            return Err(self.not_finite(step, "weight", &self.params));
        }
        let lr = config.learning_rate(global_step);
        Ok((loss, norm, lr))
    }

    fn not_finite(&self, step: u64, what: &'static str, values: &[f32]) -> EngineError {
        let at = values
            .iter()
            .position(|value| !value.is_finite())
            .unwrap_or(0);
        let tensor = self.decoder.layout().tensor_at(at).name.clone();
        EngineError::NotFinite {
            step: step + 1,
            what,
            tensor,
        }
    }
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewEngineError {
    /// The shape is no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Threads could not be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine for LlamaEngine {
    fn layout(&self) -> &Layout {
        self.decoder.layout()
    }

    fn load(&mut self, params: &[f32]) -> Result<(), EngineError> {
        same_length(self.params.len(), params.len())?;
        if let Some(at) = params.iter().position(|value| !value.is_finite()) {
            let layout = self.decoder.layout();
            let tensor = layout.tensor_at(at).name.clone();
            let index = layout.tensors().iter().position(|t| t.name == tensor);
            let position = at - layout.offset(index.expect("the layout named this tensor"));
            return Err(EngineError::Parameter {
                tensor,
                position,
                value: params[at],
            });
        }
        self.params.copy_from_slice(params);
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
        let longest = self.context() + 1;
        for window in windows {
            if !(2..=longest).contains(&window.len()) {
                return Err(EngineError::Window {
                    longest,
                    found: window.len(),
                });
            }
            MicroBatch::of_window(window).check(self.config().vocabulary)?;
        }
        let workers = &self.workers;
        let weights = Weights::new(&self.decoder, &self.params, workers, false);
        let (mut nats, mut tokens) = (0.0f64, 0u64);
        let work = |(window, workspace): (&&[u32], &mut Workspace)| {
            let window = MicroBatch::of_window(window);
            workspace.losses(&weights, &window.inputs(), &window.targets(), 1)
        };
        for wave in windows.chunks(workers.count()) {
            let jobs = wave.iter().zip(&mut self.workspaces).collect();
            for losses in workers.at_once(jobs, &work) {
                tokens += losses.len() as u64;
                nats += losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
            }
        }
        Ok(Evaluation { nats, tokens })
    }

    fn state_hash(&self) -> [u8; 32] {
        hash_state(&self.params, &self.moments.encode())
    }

    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        let visible = &context[context.len().saturating_sub(self.context())..];
        let visible = if visible.is_empty() {
            &[u32::from(DOCUMENT_BOUNDARY)]
        } else {
            visible
        };
        let tokens = visible.to_vec();
        let vocabulary = self.config().vocabulary;
        if let Some(token) = tokens.iter().copied().find(|token| *token >= vocabulary) {
            return Err(EngineError::Token { token, vocabulary });
        }
        let weights = Weights::new(&self.decoder, &self.params, &self.workers, false);
        Ok(self.workspaces[0].last_logits(&weights, &tokens))
    }
}

/// Adds the gradients of micro-batches to the whole, in their order.
fn add_parts(workers: &Workers, parts: &[Workspace], gradient: &mut [f32]) {
    let jobs = gradient.chunks_mut(CHUNK).enumerate().collect();
    workers.spread(jobs, |(chunk, sums): (usize, &mut [f32])| {
        let from = chunk * CHUNK;
        let parts: Vec<&[f32]> = parts
            .iter()
            .map(|part| &part.gradient()[from..from + sums.len()])
            .collect();
        lanes::add(sums, &parts);
    });
}

fn same_length(expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::Length { expected, found })
    }
}

#[cfg(test)]
mod tests;
