//! `archipel bench train`: tokens a second of one shape, beside what bare products reach.

use crate::cli::text::{bytes, grouped};
use anyhow::bail;
use archipel_protocol::random::Stream;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, Isa, LlamaEngine, ModelConfig, data::MemorySource,
    initial_params, multiply_on_all,
};
use clap::Args;
use serde_json::json;
use std::time::{Duration, Instant};

/// Steps before the first that counts.
const WARM_UP: usize = 2;
/// Fewest steps that count.
const FEWEST: usize = 3;

/// Train a model of a given shape on noise, and count tokens.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct TrainArgs {
    /// Width of the residual stream.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub d_model: u32,
    /// Blocks.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub layers: u32,
    /// Attention heads.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub heads: u32,
    /// Key and value heads [default: as many as heads].
    #[arg(long, value_name = "N")]
    pub kv_heads: Option<u32>,
    /// Tokens of a window.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub context: u32,
    /// Windows a step.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: u32,
    /// Windows computed at once by a thread [default: a share of the batch, 4 at most].
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<u32>,
    /// Different tokens.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub vocab: u32,
    /// Width of the feed-forward part [default: 4 · d_model].
    #[arg(long, value_name = "N")]
    pub ffn: Option<u32>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<u16>,
    /// Seconds to measure for; three steps at least.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl TrainArgs {
    fn config(&self) -> ModelConfig {
        ModelConfig {
            vocabulary: self.vocab,
            d_model: self.d_model,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads.unwrap_or(self.heads),
            ffn: self.ffn.unwrap_or(self.d_model.saturating_mul(4)),
            context: self.context,
            tied: false,
            rope_base: 10_000.0,
            norm_eps: 1e-5,
        }
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from).max(1)
    }

    fn micro_batch(&self) -> u32 {
        let share = self.batch.div_ceil(self.threads() as u32).clamp(1, 4);
        self.micro_batch.unwrap_or(share)
    }
}

/// What was measured.
struct Measured {
    parameters: usize,
    /// Seconds of each step that counts, in ascending order.
    steps: Vec<f64>,
    /// Floating-point operations of a step.
    flop: f64,
    last_loss: f64,
    /// Operations a second of bare products on all threads, at best.
    peak: f64,
}

impl Measured {
    fn median(&self) -> f64 {
        self.steps[self.steps.len() / 2]
    }
}

pub(super) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    if !(args.seconds > 0.0 && args.seconds <= 86_400.0) {
        bail!(
            "--seconds: expected above 0, at most a day, found {}",
            args.seconds
        );
    }
    let measured = measure(args)?;
    let tokens = f64::from(args.batch) * f64::from(args.context);
    let (tokens_per_s, flops) = (
        tokens / measured.median(),
        measured.flop / measured.median(),
    );
    let peak_bytes = super::memory::peak();
    let share = flops / measured.peak;
    if args.json {
        let object = json!({
            "program": "archipel", "parameters": measured.parameters,
            "threads": args.threads(), "isa": Isa::current().name(),
            "micro_batch": args.micro_batch(), "steps": measured.steps.len(),
            "loss": measured.last_loss, "tokens_per_s": tokens_per_s,
            "flops_per_s": flops, "matmul_peak_flops_per_s": measured.peak,
            "matmul_peak_share": share, "peak_bytes": peak_bytes,
        });
        println!("{object}");
        return Ok(());
    }
    let step = measured.median() * 1e3;
    println!("parameters   {}", grouped(measured.parameters as u64));
    println!(
        "step         {step:.1} ms, the median of {} with {} threads ({})",
        measured.steps.len(),
        args.threads(),
        Isa::current().name()
    );
    println!("tokens       {} a second", grouped(tokens_per_s as u64));
    println!(
        "arithmetic   {:.1} GFLOP/s, {:.0} % of the {:.1} that bare products reach",
        flops / 1e9,
        100.0 * share,
        measured.peak / 1e9
    );
    if let Some(peak) = peak_bytes {
        println!("memory       {} at most", bytes(peak));
    }
    Ok(())
}

fn measure(args: &TrainArgs) -> anyhow::Result<Measured> {
    let config = args.config();
    let mut engine = LlamaEngine::new(&config, args.threads())?;
    engine.load(&initial_params(&config, [1; 32])?)?;
    let mut stream = Stream::new([2; 32]);
    let highest = u64::from(args.vocab.min(256));
    let noise = (0..1u32 << 20)
        .map(|_| stream.below(highest) as u8)
        .collect();
    let data = MemorySource::new(noise);
    let limit = Duration::from_secs_f64(args.seconds);
    let (mut steps, began) = (Vec::new(), Instant::now());
    let mut last = began;
    let report = engine.train(&plan(args), &data, &mut |_| {
        steps.push(last.elapsed().as_secs_f64());
        last = Instant::now();
        if steps.len() >= WARM_UP + FEWEST && began.elapsed() > limit {
            Control::Stop
        } else {
            Control::Continue
        }
    })?;
    let parameters = engine.layout().parameters();
    drop(engine);
    let flop = report.flop as f64 / steps.len() as f64;
    steps.drain(..WARM_UP);
    steps.sort_by(f64::total_cmp);
    Ok(Measured {
        parameters,
        steps,
        flop,
        last_loss: report.last_loss,
        peak: product_peak(args.threads())?,
    })
}

/// Operations a second of bare products on all threads: the best of several short runs.
fn product_peak(threads: usize) -> anyhow::Result<f64> {
    let mut best = 0.0f64;
    multiply_on_all(threads, 20, &mut |run| {
        let began = Instant::now();
        let flop = run() as f64;
        best = best.max(flop / began.elapsed().as_secs_f64());
    })?;
    Ok(best)
}

fn plan(args: &TrainArgs) -> InnerPlan {
    InnerPlan {
        from_step: 0,
        to_step: 1 << 40,
        segment_steps: 1 << 40,
        batch_sequences: args.batch,
        micro_batch: args.micro_batch(),
        schedule_offset: 0,
        optimizer: AdamWConfig {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 10,
            total_steps: 1000,
            min_lr_ratio: 0.1,
            muon: None,
            sgd: false,
            rewarm_steps: 0,
        },
        batch_key: [2; 32],
        mixture: Vec::new(),
    }
}
