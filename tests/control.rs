//! The control without which a federation proves nothing: does training together beat training
//! alone, step for step?
//!
//! Four members each hold another kind of text. Together they run the demo's plan (encoded
//! updates, mean, outer step); alone each runs the same inner steps on its own part. All are
//! measured on the same held-out bytes of all parts.

use archipel_protocol::{
    charter::Plan,
    codec::{Update, decode, encode},
    fold::fold,
    fragments::Fragments,
    ids::Round,
    layout::Layout,
    random::derive_key,
    state::Tensors,
};
use archipel_trainer::{
    AdamWConfig, Control, Engine, InnerPlan, LlamaEngine, ModelConfig,
    data::{MemorySource, byte_tokens},
    initial_params, layout, order1_entropy,
};
use std::path::Path;

const MEMBERS: usize = 4;
const ROUNDS: u64 = 10;
const CONTEXT: usize = 64;

/// Four kinds of text that every checkout has: sources, prose, a lock file, vectors. No kind helps
/// much with another, as with members of different languages.
fn parts() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock = std::fs::read(root.join("Cargo.lock")).expect("the workspace has a lock file");
    let mut prose = read_all(&root.join("docs"), "md");
    prose.extend(read_all(&root.join("protocol"), "md"));
    let rust = read_all(&root.join("protocol/src"), "rs");
    let vectors = read_all(&root.join("protocol/vectors"), "json");
    let mut parts = vec![rust, prose, lock, vectors];
    parts.iter_mut().for_each(|part| part.truncate(400_000));
    parts
}

fn read_all(folder: &Path, extension: &str) -> Vec<u8> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the workspace has this folder")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        if path.is_dir() {
            text.extend(read_all(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            text.extend(std::fs::read(&path).expect("a readable file"));
        }
    }
    text
}

struct Trial {
    plan: Plan,
    layout: Layout,
    engines: Vec<LlamaEngine>,
    data: Vec<MemorySource>,
    heldout: Vec<u8>,
}

impl Trial {
    fn new() -> Self {
        let mut plan = Plan::demo();
        plan.inner.steps = 20;
        plan.inner.segment_steps = 20;
        plan.inner.total_steps = ROUNDS * plan.inner.steps;
        let config = ModelConfig::from(&plan.model);
        let mut heldout = Vec::new();
        let data = parts().into_iter().map(|mut part| {
            let cut = part.len() - 4096;
            heldout.extend(part.split_off(cut));
            MemorySource::new(part)
        });
        let data = data.collect();
        let engine = || LlamaEngine::new(&config, 1).expect("a valid model");
        let engines = (0..MEMBERS).map(|_| engine()).collect();
        let layout = layout(&config).expect("a valid model");
        Self {
            plan,
            layout,
            engines,
            data,
            heldout,
        }
    }

    fn founding(&self) -> Vec<f32> {
        let config = ModelConfig::from(&self.plan.model);
        initial_params(&config, [5; 32]).expect("a valid model")
    }

    /// Trains one member for one round from `base`, and returns its parameters.
    fn train(&mut self, member: usize, round: u64, base: &[f32]) -> Vec<f32> {
        let inner = &self.plan.inner;
        let place = [round.to_be_bytes(), (member as u64).to_be_bytes()];
        let plan = InnerPlan {
            from_step: 0,
            to_step: inner.steps,
            segment_steps: inner.segment_steps,
            batch_sequences: inner.batch_sequences,
            micro_batch: inner.micro_batch,
            schedule_offset: round * inner.steps,
            optimizer: AdamWConfig::from(inner),
            batch_key: derive_key("archipel/test/control/v1", &[&place[0], &place[1]]),
            mixture: Vec::new(),
        };
        let engine = &mut self.engines[member];
        engine.load(base).expect("finite parameters");
        let mut go_on = |_: &archipel_trainer::Progress<'_>| Control::Continue;
        engine
            .train(&plan, &self.data[member], &mut go_on)
            .expect("training goes on");
        let mut params = vec![0.0; base.len()];
        engine.params(&mut params).expect("the layout's length");
        params
    }

    fn bits_per_byte(&mut self, params: &[f32]) -> f64 {
        let engine = &mut self.engines[0];
        engine.load(params).expect("finite parameters");
        let heldout = byte_tokens(&self.heldout);
        let windows: Vec<&[u32]> = heldout.chunks_exact(CONTEXT + 1).collect();
        engine
            .evaluate(&windows)
            .expect("windows of the context's length")
            .bits_per_token()
    }

    fn reset(&mut self) {
        for engine in &mut self.engines {
            engine.load_optimizer(&[]).expect("a fresh optimizer");
        }
    }

    /// The federation: what the node does, without a network.
    fn together(&mut self) -> f64 {
        self.reset();
        let mut state = Tensors::founding(&self.plan, self.founding());
        assert!(
            self.plan.feedback().is_none(),
            "the demo's plan keeps no residual"
        );
        for round in 0..ROUNDS {
            let mut updates: Vec<Update> = Vec::new();
            for member in 0..MEMBERS {
                let after = self.train(member, round, &state.parameters);
                let pairs = state.parameters.iter().zip(&after);
                let delta: Vec<f32> = pairs.map(|(before, after)| before - after).collect();
                let codec = self.plan.codec();
                let encoded = encode(codec, &self.layout, &delta).expect("finite");
                let limits = self.plan.limits();
                let update = decode(codec, &encoded.payload, &self.layout, &limits);
                updates.push(update.expect("an encoded payload is valid"));
            }
            let weighted: Vec<(u64, &Update)> = updates.iter().map(|u| (1, u)).collect();
            let whole = Fragments::of_plan(&self.plan, &self.layout).expect("a tensor");
            state = fold(&self.plan, &whole, Round(round), &state, &weighted).tensors;
        }
        self.bits_per_byte(&state.parameters)
    }

    /// One member, the same steps, its own part only, no exchange.
    fn alone(&mut self, member: usize) -> f64 {
        self.reset();
        let mut params = self.founding();
        for round in 0..ROUNDS {
            params = self.train(member, round, &params);
        }
        self.bits_per_byte(&params)
    }
}

#[test]
fn four_members_end_lower_than_the_best_of_four_alone() {
    let mut trial = Trial::new();
    let founding = trial.founding();
    let untrained = trial.bits_per_byte(&founding);
    let (together, alone) = std::thread::scope(|scope| {
        let alone = scope.spawn(|| {
            let mut trial = Trial::new();
            (0..MEMBERS)
                .map(|member| trial.alone(member))
                .collect::<Vec<f64>>()
        });
        (
            trial.together(),
            alone.join().expect("the trials alone end"),
        )
    });
    let best = alone.iter().copied().fold(f64::INFINITY, f64::min);
    let order1 = order1_entropy(&trial.heldout);
    println!(
        "bits per byte: untrained {untrained:.3}, alone {alone:.3?}, together {together:.3}, \
         order-1 entropy {order1:.3}"
    );
    assert!(
        together < best,
        "together {together:.4}, the best alone {best:.4}"
    );
    assert!(
        together < untrained - 1.0,
        "something was learnt: {together:.4}"
    );
}
