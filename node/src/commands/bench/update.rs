//! The update that codecs and folds are measured on: noise, or what a short training gives.

use anyhow::Context;
use archipel_protocol::{
    charter::Plan,
    layout::Layout,
    measure::{layout_of, noise},
};
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, data::MemorySource,
    initial_params,
};
use clap::Args;
use std::path::PathBuf;

/// Where the update comes from.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct UpdateArgs {
    /// Parameters of an update of noise.
    #[arg(long, value_name = "N", default_value_t = 1 << 24)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    params: u64,
    /// Train a plan on this text instead, and measure on its pseudo-gradient.
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// The plan that is trained.
    #[arg(long, value_name = "NAME", default_value = "micro", requires = "train")]
    preset: String,
    /// Steps trained before those of the pseudo-gradient.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "train")]
    after: u64,
}

/// An update and what it is.
pub(super) struct Source {
    pub name: String,
    pub layout: Layout,
    pub values: Vec<f32>,
}

impl UpdateArgs {
    pub fn source(&self) -> anyhow::Result<Source> {
        let Some(path) = &self.train else {
            let parameters = usize::try_from(self.params).context("--params")?;
            return Ok(Source {
                name: "noise".to_owned(),
                layout: layout_of(parameters),
                values: noise(1, parameters),
            });
        };
        let plan = Plan::preset(&self.preset).with_context(|| {
            let names = Plan::PRESETS.join(", ");
            format!("--preset: expected one of {names}, found {}", self.preset)
        })?;
        let text = std::fs::read(path).with_context(|| format!("--train {}", path.display()))?;
        self.trained(&plan, text)
    }

    /// The pseudo-gradient of one round, as a member's is: parameters before less those after.
    fn trained(&self, plan: &Plan, text: Vec<u8>) -> anyhow::Result<Source> {
        let model = ModelConfig::from(&plan.model);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut engine = LlamaEngine::new(&model, threads)?;
        engine.load(&initial_params(&model, [1; 32])?)?;
        let data = MemorySource::new(text);
        let inner = |from_step, to_step| InnerPlan {
            from_step,
            to_step,
            segment_steps: plan.inner.segment_steps,
            batch_sequences: plan.inner.batch_sequences,
            micro_batch: plan.inner.micro_batch,
            schedule_offset: 0,
            optimizer: AdamWConfig::from(&plan.inner),
            batch_key: [2; 32],
            mixture: Vec::new(),
        };
        let steps = plan.inner.steps;
        eprintln!(
            "training {} for {} steps, of which the last {steps} count",
            self.preset,
            self.after + steps
        );
        if self.after > 0 {
            engine.train(&inner(0, self.after), &data, &mut |_| Control::Continue)?;
        }
        let mut values = vec![0.0; engine.layout().parameters()];
        engine.params(&mut values)?;
        let round = inner(self.after, self.after + steps);
        engine.train(&round, &data, &mut |_| Control::Continue)?;
        let mut after = vec![0.0; values.len()];
        engine.params(&mut after)?;
        for (value, after) in values.iter_mut().zip(&after) {
            *value -= after;
        }
        Ok(Source {
            name: format!("pseudo-gradient of {} after {steps} steps", self.preset),
            layout: engine.layout().clone(),
            values,
        })
    }
}
