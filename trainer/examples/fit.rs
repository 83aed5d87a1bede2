//! Trains a small model on a text file and says when it beats the order-1 entropy of the held-out
//! bytes.
//!
//! `cargo run --release --example fit -- TEXT [LR] [STEPS] [D_MODEL] [LAYERS] [CONTEXT] [BATCH]
//! [THREADS]`

use archipel_trainer::data::{
    Dataset, PrepareOptions, SourceOptions, TokenSource, byte_tokens, prepare,
};
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, Sampling, generate,
    initial_params, order1_entropy,
};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(text) = words.first().map(PathBuf::from) else {
        return Err("give a text file: cargo run --release --example fit -- TEXT".into());
    };
    let lr: f32 = words.get(1).map_or(Ok(3e-3), |word| word.parse())?;
    let number = |index: usize, default: u32| words.get(index).map_or(Ok(default), |w| w.parse());
    let (steps, d_model, context) = (number(2, 400)?, number(3, 64)?, number(5, 64)?);
    let config = ModelConfig {
        vocabulary: 256,
        d_model,
        layers: number(4, 2)?,
        heads: 4,
        kv_heads: 4,
        ffn: 3 * d_model,
        context,
        tied: false,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    };
    let mut engine = LlamaEngine::new(&config, number(7, 1)? as usize)?;
    engine.load(&initial_params(&config, [1; 32])?)?;

    let folder = std::env::temp_dir().join(format!("archipel-fit-{}", std::process::id()));
    let source = SourceOptions::of(vec![text]);
    prepare(&[source], &folder, &PrepareOptions::default(), &mut |_| {})?;
    let data = Dataset::open(&folder)?;
    let mut held_out = vec![0; data.held_out().len() as usize];
    data.held_out().copy_window(0, &mut held_out)?;
    let held_out: Vec<u8> = held_out.iter().map(|token| *token as u8).collect();
    let order1 = order1_entropy(&held_out);
    let windows = data.windows([7; 32], 64, context as usize + 1)?;
    println!(
        "{} parameters, {} training bytes; order-1 entropy {order1:.4} bits a byte",
        engine.layout().parameters(),
        data.len(),
    );
    let windows: Vec<&[u32]> = windows.iter().map(Vec::as_slice).collect();
    let begun = Instant::now();
    let mut beaten = None;
    for from_step in (0..u64::from(steps)).step_by(25) {
        let to_step = (from_step + 25).min(u64::from(steps));
        let plan = plan(lr, u64::from(steps), number(6, 16)?, from_step, to_step);
        let report = engine.train(&plan, &data, &mut |_| Control::Continue)?;
        let bits = engine.evaluate(&windows)?.bits_per_token();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "step {to_step}: loss {:.4}, {bits:.4} bits a byte, {seconds:.1} s",
            report.last_loss
        );
        if bits < order1 && beaten.is_none() {
            beaten = Some(to_step);
        }
    }
    match beaten {
        Some(step) => println!("below the order-1 entropy at step {step}"),
        None => println!("not below the order-1 entropy in {steps} steps"),
    }
    let sampling = Sampling {
        temperature: 0.8,
        top_k: 40,
        tokens: 256,
        seed: [3; 32],
    };
    let sample = generate(&mut engine, &byte_tokens(b"\n"), 200, &sampling)?;
    let bytes: Vec<u8> = sample.iter().map(|token| *token as u8).collect();
    println!("{}", String::from_utf8_lossy(&bytes));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn plan(lr: f32, steps: u64, batch: u32, from_step: u64, to_step: u64) -> InnerPlan {
    InnerPlan {
        from_step,
        to_step,
        segment_steps: 25,
        batch_sequences: batch,
        micro_batch: 4,
        schedule_offset: 0,
        optimizer: AdamWConfig {
            lr,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 20,
            total_steps: steps,
            min_lr_ratio: 0.1,
            muon: None,
            sgd: false,
            rewarm_steps: 0,
        },
        batch_key: [2; 32],
        mixture: Vec::new(),
    }
}
