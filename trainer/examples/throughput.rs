//! Prints tokens a second of training for one shape.
//!
//! `cargo run --release --example throughput -- D_MODEL LAYERS HEADS CONTEXT BATCH [MICRO]
//! [THREADS] [STEPS]`

use archipel_trainer::data::MemorySource;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, initial_params,
};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<u32> = std::env::args()
        .skip(1)
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    let or = |index: usize, default: u32| given.get(index).copied().unwrap_or(default);
    let (d_model, batch) = (or(0, 64), or(4, 16));
    let config = ModelConfig {
        vocabulary: 256,
        d_model,
        layers: or(1, 2),
        heads: or(2, 4),
        kv_heads: or(2, 4),
        ffn: 4 * d_model,
        context: or(3, 64),
        tied: false,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    };
    let (micro_batch, threads, steps) = (or(5, 4), or(6, 1), u64::from(or(7, 20)));
    let mut engine = LlamaEngine::new(&config, threads as usize)?;
    engine.load(&initial_params(&config, [1; 32])?)?;
    let text: Vec<u8> = (0..1u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8)
        .collect();
    let data = MemorySource::new(text);
    let plan = InnerPlan {
        from_step: 0,
        to_step: steps + 2,
        segment_steps: steps,
        batch_sequences: batch,
        micro_batch,
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
        },
        batch_key: [2; 32],
        mixture: Vec::new(),
    };
    let (mut begun, mut times) = (Instant::now(), Vec::new());
    let report = engine.train(&plan, &data, &mut |_| {
        times.push(begun.elapsed().as_secs_f64());
        begun = Instant::now();
        Control::Continue
    })?;
    times.drain(..2);
    times.sort_by(f64::total_cmp);
    let seconds = times[times.len() / 2] * (steps + 2) as f64;
    println!(
        "fastest step {:.4} s, median {:.4} s",
        times[0],
        times[times.len() / 2]
    );
    let part = 1.0;
    println!(
        "{} parameters, micro-batch {micro_batch}, {threads} threads: \
         {:.0} tokens/s, {:.1} GFLOP/s, loss {:.4}",
        engine.layout().parameters(),
        report.tokens as f64 * part / seconds,
        report.flop as f64 * part / seconds / 1e9,
        report.last_loss,
    );
    Ok(())
}
