//! Two hundred steps end on one root: for any number of threads, on every instruction set, in any
//! process and profile, and wherever training was interrupted.

use archipel_trainer::data::MemorySource;
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, Isa, LlamaEngine, ModelConfig, initial_params,
};
use std::process::Command;

const CHILD: &str = "ARCHIPEL_TEST_CHILD_THREADS";
const STEPS: u64 = 200;
/// What every machine of the class `cpu-fma-1` ends on, in every profile.
const ROOT: &str = "026b7b7e094c3de02b89b7b3b41c95551f593f981e1c47949ea6fb96c079876f";

fn config() -> ModelConfig {
    ModelConfig {
        vocabulary: 256,
        d_model: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        ffn: 40,
        context: 26,
        tied: true,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
    }
}

fn plan(from_step: u64) -> InnerPlan {
    InnerPlan {
        from_step,
        to_step: STEPS,
        segment_steps: 50,
        batch_sequences: 3,
        micro_batch: 1,
        schedule_offset: 10,
        optimizer: AdamWConfig {
            lr: 3e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: 1.0,
            warmup_steps: 20,
            total_steps: 300,
            min_lr_ratio: 0.1,
            muon: None,
            sgd: false,
            rewarm_steps: 0,
        },
        batch_key: [9; 32],
        mixture: Vec::new(),
    }
}

fn text() -> MemorySource {
    let words = "the same bits on every machine, whoever trains and whoever looks; ";
    MemorySource::new(words.bytes().cycle().take(5000).collect())
}

fn engine(threads: usize) -> LlamaEngine {
    let mut engine = LlamaEngine::new(&config(), threads).expect("the shape is right");
    let params = initial_params(&config(), [4; 32]).expect("a shape");
    engine.load(&params).expect("weights");
    engine
}

fn hex(root: [u8; 32]) -> String {
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn trained_root(threads: usize) -> String {
    let mut engine = engine(threads);
    engine
        .train(&plan(0), &text(), &mut |_| Control::Continue)
        .expect("the plan is right");
    hex(engine.state_hash())
}

fn root_of_child(threads: usize, rayon_threads: usize) -> String {
    let output = Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "processes_end_on_the_root", "--nocapture"])
        .env(CHILD, threads.to_string())
        .env("RAYON_NUM_THREADS", rayon_threads.to_string())
        .output()
        .expect("the test starts itself");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("the test prints text");
    let (_, rest) = text.split_once("root ").expect("the child prints its root");
    rest[..64].to_owned()
}

#[test]
fn processes_end_on_the_root() {
    if let Ok(threads) = std::env::var(CHILD) {
        let threads = threads.parse().expect("the parent gives a number");
        println!("\nroot {}", trained_root(threads));
        return;
    }
    for (threads, rayon_threads) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
        let name = format!("{threads} {rayon_threads}");
        assert_eq!(root_of_child(threads, rayon_threads), ROOT, "{name}");
    }
}

/// The choice of instructions is the process's; it changes no bit of the other tests.
#[test]
fn threads_and_instructions_end_on_the_root() {
    for isa in Isa::ALL {
        if isa.choose().is_err() {
            println!("not run on {}: this machine has none", isa.name());
            continue;
        }
        for threads in [1, 2, 3, 8] {
            let name = format!("{} with {threads} threads", isa.name());
            assert_eq!(trained_root(threads), ROOT, "{name}");
        }
    }
}

/// After any step a run can be taken up by another engine, from parameters and optimizer state.
#[test]
fn a_run_taken_up_anywhere_ends_on_the_root() {
    for stop in [1, 7, 50, 113, 199] {
        let mut first = engine(2);
        let mut until = |progress: &archipel_trainer::Progress<'_>| {
            if progress.step == stop {
                Control::Stop
            } else {
                Control::Continue
            }
        };
        first
            .train(&plan(0), &text(), &mut until)
            .expect("the plan is right");
        let mut params = vec![0.0; first.layout().parameters()];
        first.params(&mut params).expect("as long as the layout");
        let mut second = LlamaEngine::new(&config(), 1).expect("the shape is right");
        second.load(&params).expect("weights");
        let optimizer = first.optimizer_state();
        second.load_optimizer(&optimizer).expect("a state");
        second
            .train(&plan(stop), &text(), &mut |_| Control::Continue)
            .expect("the plan is right");
        assert_eq!(hex(second.state_hash()), ROOT, "taken up after {stop}");
    }
}
