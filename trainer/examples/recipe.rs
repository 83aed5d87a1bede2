//! nanoGPT's CPU recipe on this engine: characters of one text, 2,000 steps, validation loss.
//!
//! `cargo run --release -p archipel-trainer --example recipe -- TEXT [SEED] [THREADS] [adamw|muon]`
//!
//! The recipe's sizes (4 layers, 4 heads, width 128, context 64, batch 12) and its schedule
//! (learning rate 10⁻³ to 10⁻⁴, 100 steps of warm-up, β₂ 0.99, clipped at 1), with as many
//! parameters as there: 0.80 million. The first 90 % of the text are trained on, the rest measured.

use archipel_trainer::data::MemorySource;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, MuonConfig, initial_params,
};
use std::error::Error;
use std::time::Instant;

const CONTEXT: usize = 64;
const STEPS: u64 = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = words.first() else {
        return Err("give a text: recipe -- TEXT [SEED] [THREADS] [adamw|muon]".into());
    };
    let seed: u8 = words.get(1).map_or(Ok(1), |word| word.parse())?;
    let threads: usize = words.get(2).map_or(Ok(2), |word| word.parse())?;
    let muon = words.get(3).is_some_and(|word| word == "muon");
    let text = std::fs::read(path)?;
    let mut characters = text.clone();
    characters.sort_unstable();
    characters.dedup();
    let number = |byte: &u8| characters.binary_search(byte).expect("a character of it") as u8;
    let tokens: Vec<u8> = text.iter().map(number).collect();
    let (training, held_out) = tokens.split_at(tokens.len() * 9 / 10);

    let config = config(characters.len() as u32);
    let mut engine = LlamaEngine::new(&config, threads)?;
    engine.load(&initial_params(&config, [seed; 32])?)?;
    println!(
        "{} parameters, {} characters, seed {seed}, {}",
        engine.layout().parameters(),
        characters.len(),
        if muon { "Muon" } else { "AdamW" }
    );
    let held_out: Vec<u32> = held_out.iter().map(|token| u32::from(*token)).collect();
    let windows: Vec<&[u32]> = (0..held_out.len() - 1)
        .step_by(CONTEXT)
        .map(|start| &held_out[start..held_out.len().min(start + CONTEXT + 1)])
        .collect();
    let data = MemorySource::new(training.to_vec());
    let began = Instant::now();
    for from_step in (0..STEPS).step_by(500) {
        let plan = plan(seed, muon, from_step, from_step + 500);
        let report = engine.train(&plan, &data, &mut |_| Control::Continue)?;
        let found = engine.evaluate(&windows)?;
        println!(
            "step {}: training loss {:.4}, validation loss {:.4}, {:.0} s",
            plan.to_step,
            report.mean_loss,
            found.nats / found.tokens as f64,
            began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn config(vocabulary: u32) -> ModelConfig {
    ModelConfig {
        vocabulary,
        d_model: 128,
        layers: 4,
        heads: 4,
        kv_heads: 4,
        ffn: 344,
        context: CONTEXT as u32,
        tied: true,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    }
}

fn plan(seed: u8, muon: bool, from_step: u64, to_step: u64) -> InnerPlan {
    InnerPlan {
        from_step,
        to_step,
        segment_steps: 500,
        batch_sequences: 12,
        micro_batch: 6,
        schedule_offset: 0,
        optimizer: AdamWConfig {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 100,
            total_steps: STEPS,
            min_lr_ratio: 0.1,
            sgd: false,
            rewarm_steps: 0,
            muon: muon.then_some(MuonConfig {
                lr: 2e-2,
                momentum: 0.95,
                iterations: 5,
            }),
        },
        batch_key: [seed ^ 0x80; 32],
        mixture: Vec::new(),
    }
}
