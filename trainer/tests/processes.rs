//! Two processes that train on the same plan and data end with the same bits.

use archipel_trainer::data::MemorySource;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig, initial_params,
};
use std::process::Command;

const CHILD: &str = "ARCHIPEL_TEST_CHILD_THREADS";

fn trained_hash(threads: usize) -> String {
    let config = ModelConfig {
        vocabulary: 256,
        d_model: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        ffn: 160,
        context: 48,
        tied: true,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    };
    let plan = InnerPlan {
        from_step: 0,
        to_step: 4,
        segment_steps: 2,
        batch_sequences: 8,
        micro_batch: 4,
        schedule_offset: 10,
        optimizer: AdamWConfig {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 2,
            total_steps: 100,
            min_lr_ratio: 0.1,
            muon: None,
        },
        batch_key: [9; 32],
        mixture: Vec::new(),
    };
    let text = include_str!("processes.rs").as_bytes().to_vec();
    let mut engine = LlamaEngine::new(&config, threads).expect("the shape is right");
    engine
        .load(&initial_params(&config, [4; 32]).expect("a shape"))
        .expect("weights");
    engine
        .train(&plan, &MemorySource::new(text), &mut |_| Control::Continue)
        .expect("the plan is right");
    engine
        .state_hash()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn hash_of_child(threads: usize, rayon_threads: usize) -> String {
    let output = Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "processes_end_with_the_same_bits", "--nocapture"])
        .env(CHILD, threads.to_string())
        .env("RAYON_NUM_THREADS", rayon_threads.to_string())
        .output()
        .expect("the test starts itself");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("the test prints text");
    let (_, rest) = text.split_once("hash ").expect("the child prints its hash");
    rest[..64].to_owned()
}

#[test]
fn processes_end_with_the_same_bits() {
    if let Ok(threads) = std::env::var(CHILD) {
        let threads = threads.parse().expect("the parent gives a number");
        println!("\nhash {}", trained_hash(threads));
        return;
    }
    let here = trained_hash(1);
    for (threads, rayon_threads) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
        assert_eq!(
            hash_of_child(threads, rayon_threads),
            here,
            "{threads} {rayon_threads}"
        );
    }
}
