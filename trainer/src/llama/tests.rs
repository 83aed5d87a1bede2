use super::*;
use crate::config::{initial_params, tiny};
use crate::data::{MemorySource, SectorRange, byte_tokens};
use crate::optimizer::AdamWConfig;

fn optimizer() -> AdamWConfig {
    AdamWConfig {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.1,
        clip_norm: 1.0,
        warmup_steps: 2,
        total_steps: 100,
        min_lr_ratio: 0.1,
        muon: None,
        sgd: false,
        rewarm_steps: 0,
    }
}

fn plan(to_step: u64) -> InnerPlan {
    InnerPlan {
        from_step: 0,
        to_step,
        segment_steps: 3,
        batch_sequences: 6,
        micro_batch: 2,
        schedule_offset: 0,
        optimizer: optimizer(),
        batch_key: [5; 32],
        mixture: Vec::new(),
    }
}

fn text() -> MemorySource {
    let line = b"the quick brown fox jumps over the lazy dog; ";
    MemorySource::new(line.iter().copied().cycle().take(4000).collect())
}

fn engine(threads: usize) -> LlamaEngine {
    let mut engine = LlamaEngine::new(&tiny(), threads).expect("the shape is right");
    engine
        .load(&initial_params(&tiny(), [1; 32]).expect("a shape"))
        .expect("finite weights");
    engine
}

fn run(engine: &mut LlamaEngine, plan: &InnerPlan) -> InnerReport {
    engine
        .train(plan, &text(), &mut |_| Control::Continue)
        .expect("the plan is right")
}

#[test]
fn thread_counts_give_the_same_bits() {
    let hash = |threads| {
        let mut engine = engine(threads);
        run(&mut engine, &plan(5));
        engine.state_hash()
    };
    let one = hash(1);
    assert_eq!([hash(2), hash(3), hash(8)], [one; 3]);
}

#[test]
fn resuming_from_a_segment_gives_the_bits_of_never_having_stopped() {
    let mut whole = engine(1);
    let mut snapshot = None;
    let report = whole
        .train(&plan(7), &text(), &mut |progress| {
            assert_eq!(progress.segment_end, [3, 6, 7].contains(&progress.step));
            if progress.step == 3 {
                snapshot = Some((progress.params.to_vec(), (progress.optimizer_state)()));
            }
            Control::Continue
        })
        .expect("the plan is right");
    assert_eq!((report.steps, report.tokens), (7, 7 * 6 * 16));

    let (params, optimizer) = snapshot.expect("step 3 ends a segment");
    let mut resumed = LlamaEngine::new(&tiny(), 1).expect("the shape is right");
    resumed.load(&params).expect("a snapshot");
    resumed.load_optimizer(&optimizer).expect("a snapshot");
    run(
        &mut resumed,
        &InnerPlan {
            from_step: 3,
            ..plan(7)
        },
    );
    assert_eq!(resumed.state_hash(), whole.state_hash());
}

#[test]
fn stopping_between_steps_keeps_what_was_done() {
    let mut stopped = engine(1);
    let mut seen = [0; 32];
    let report = stopped
        .train(&plan(7), &text(), &mut |progress| {
            seen = progress.state_hash();
            if progress.step == 4 {
                Control::Stop
            } else {
                Control::Continue
            }
        })
        .expect("the plan is right");
    assert_eq!(report.steps, 4);
    assert_eq!(stopped.state_hash(), seen);
    run(
        &mut stopped,
        &InnerPlan {
            from_step: 4,
            ..plan(7)
        },
    );
    let mut whole = engine(1);
    run(&mut whole, &plan(7));
    assert_eq!(stopped.state_hash(), whole.state_hash());
}

#[test]
fn micro_batches_change_the_grouping_not_the_gradient() {
    let batch = Batch::draw(&text(), &plan(1), 0, 16).expect("enough text");
    let mut engine = engine(1);
    let whole = engine.gradient(&batch, 6).expect("a batch");
    let gradient = engine.gradient.clone();
    let parts = engine.gradient(&batch, 4).expect("a batch");
    assert!((whole - parts).abs() < 1e-6, "{whole} {parts}");
    let scale = lanes::square_sum(&gradient).sqrt();
    let difference: Vec<f32> = gradient
        .iter()
        .zip(&engine.gradient)
        .map(|(a, b)| a - b)
        .collect();
    assert!(lanes::square_sum(&difference).sqrt() < 1e-5 * scale);
}

/// The derivative along the gradient, from two losses, is the gradient's squared norm.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let batch = Batch::draw(&text(), &plan(1), 0, 16).expect("enough text");
    let mut engine = engine(1);
    // Larger weights than the first ones, so that every tensor matters to the loss.
    let matrices = engine
        .layout()
        .tensors()
        .iter()
        .map(|tensor| tensor.shape.len() > 1);
    for (index, matrix) in matrices.collect::<Vec<_>>().into_iter().enumerate() {
        let range = engine.layout().range(index);
        engine.params[range]
            .iter_mut()
            .for_each(|w| *w *= if matrix { 10.0 } else { 1.0 });
    }
    engine.gradient(&batch, 6).expect("a batch");
    let (start, gradient) = (engine.params.clone(), engine.gradient.clone());
    for index in 0..engine.layout().tensors().len() {
        let range = engine.layout().range(index);
        let norm = lanes::square_sum(&gradient[range.clone()]).sqrt();
        let step = 2e-2 / norm.max(1e-3);
        let mut loss_at = |sign: f64| {
            engine.params.copy_from_slice(&start);
            for at in range.clone() {
                engine.params[at] += (sign * step * f64::from(gradient[at])) as f32;
            }
            engine.gradient(&batch, 6).expect("a batch")
        };
        let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * step);
        let error = (slope - norm * norm).abs() / (norm * norm);
        let name = &engine.layout().tensors()[index].name;
        assert!(
            error < 0.03,
            "{name}: slope {slope}, gradient {}",
            norm * norm
        );
    }
}

#[test]
fn training_learns_and_evaluation_sees_it() {
    let mut engine = engine(2);
    let text = byte_tokens(b"the quick brown fox jumps over the lazy dog; the quick");
    let windows: Vec<&[u32]> = vec![&text[..17], &text[9..26], &text[20..37], &text[..2]];
    let before = engine.evaluate(&windows).expect("windows");
    assert_eq!(before.tokens, 16 * 3 + 1);
    assert!((before.bits_per_token() - 8.0).abs() < 0.1, "{before:?}");
    let report = run(&mut engine, &plan(60));
    assert!(report.last_loss < report.mean_loss && report.mean_loss < 256f64.ln());
    let after = engine.evaluate(&windows).expect("windows");
    assert!(after.bits_per_token() < 4.0, "{after:?}");
    let none = engine.evaluate(&[]).expect("no windows");
    assert_eq!((none.tokens, none.bits_per_token()), (0, 0.0));
}

#[test]
fn the_next_byte_does_not_depend_on_what_follows_and_the_context_is_the_end() {
    let mut engine = engine(1);
    let long: Vec<u32> = (0..40).map(|i| 97 + i % 26).collect();
    let logits = engine.next_token_logits(&long).expect("bytes");
    assert_eq!(logits.len(), 256);
    assert_eq!(
        logits,
        engine.next_token_logits(&long[24..]).expect("bytes")
    );
    assert_ne!(
        logits,
        engine.next_token_logits(&long[25..]).expect("bytes")
    );
    let empty = engine.next_token_logits(&[]).expect("bytes");
    assert_eq!(
        empty,
        engine
            .next_token_logits(&[u32::from(DOCUMENT_BOUNDARY)])
            .expect("bytes")
    );

    // Causality: the loss of a window's first bytes is that of the shorter window.
    let weights = Weights::new(&engine.decoder, &engine.params, &engine.workers, false);
    let mut workspace = Workspace::default();
    let mut of = |bytes| {
        let window = MicroBatch::of_window(bytes);
        workspace.losses(&weights, &window.inputs(), &window.targets(), 1)
    };
    let (short, whole) = (of(&long[..9]), of(&long[..17]));
    for (a, b) in short.iter().zip(&whole) {
        assert!((a - b).abs() < 1e-5, "{short:?} {whole:?}");
    }
}

#[test]
fn wrong_input_is_refused_and_named() {
    let mut engine = engine(1);
    let hash = engine.state_hash();
    let good = initial_params(&tiny(), [2; 32]).expect("a shape");
    let mut bad = good.clone();
    let at = engine.layout().offset(3) + 7;
    bad[at] = f32::NAN;
    let message = engine.load(&bad).expect_err("a NaN").to_string();
    assert!(
        message.contains("parameter 7 of model.layers.0.self_attn.k_proj"),
        "{message}"
    );
    assert!(matches!(
        engine.load(&good[1..]),
        Err(EngineError::Length { .. })
    ));
    assert!(matches!(
        engine.params(&mut []),
        Err(EngineError::Length { found: 0, .. })
    ));
    assert!(matches!(
        engine.load_optimizer(b"x"),
        Err(EngineError::Moments(_))
    ));

    let long = [97; 18];
    let windows = [&long[..], &long[..1]];
    for window in windows {
        let refused = engine.evaluate(&[window]);
        assert!(
            matches!(refused, Err(EngineError::Window { longest: 17, .. })),
            "{refused:?}"
        );
    }
    let plans: [fn(&mut InnerPlan); 8] = [
        |p| p.from_step = 6,
        |p| p.segment_steps = 0,
        |p| p.batch_sequences = 0,
        |p| p.micro_batch = 0,
        |p| p.schedule_offset = u64::MAX,
        |p| p.optimizer.lr = f32::NAN,
        |p| p.mixture = vec![("law".to_owned(), 0)],
        |p| p.mixture = vec![("law".to_owned(), u64::MAX), ("press".to_owned(), 1)],
    ];
    for change in plans {
        let mut plan = plan(5);
        change(&mut plan);
        engine
            .train(&plan, &text(), &mut |_| Control::Continue)
            .expect_err("a wrong plan");
    }
    let little = MemorySource::new(vec![b'a'; 16]);
    let refused = engine.train(&plan(1), &little, &mut |_| Control::Continue);
    assert!(matches!(
        refused,
        Err(EngineError::TooLittleData {
            expected: 17,
            found: 16
        })
    ));
    assert_eq!(engine.state_hash(), hash, "what was refused left no trace");
}

#[test]
fn a_byte_outside_the_vocabulary_is_refused() {
    let config = ModelConfig {
        vocabulary: 100,
        ..tiny()
    };
    let mut engine = LlamaEngine::new(&config, 1).expect("the shape is right");
    engine
        .load(&initial_params(&config, [1; 32]).expect("a shape"))
        .expect("weights");
    let refused = engine.train(&plan(1), &text(), &mut |_| Control::Continue);
    assert!(
        matches!(
            refused,
            Err(EngineError::Token {
                vocabulary: 100,
                ..
            })
        ),
        "{refused:?}"
    );
    let refused = engine.next_token_logits(&[126]);
    assert!(
        matches!(refused, Err(EngineError::Token { token: 126, .. })),
        "{refused:?}"
    );
}

/// Half of the data would be refused, and a mixture keeps every window out of it.
#[test]
fn a_mixture_trains_on_its_sectors_alone() {
    let config = ModelConfig {
        vocabulary: 100,
        ..tiny()
    };
    let range = |sector: &str, tokens| SectorRange {
        sector: sector.to_owned(),
        tokens,
    };
    let tokens = [vec![7; 500], vec![200; 500]].concat();
    let data = MemorySource::of_tokens(tokens)
        .with_sectors(vec![range("law", 0..500), range("press", 500..1000)]);
    let mut engine = LlamaEngine::new(&config, 1).expect("the shape is right");
    engine
        .load(&initial_params(&config, [1; 32]).expect("a shape"))
        .expect("weights");
    let mut plan = plan(3);
    let mut train = |plan: &InnerPlan| engine.train(plan, &data, &mut |_| Control::Continue);
    assert!(matches!(
        train(&plan),
        Err(EngineError::Token { token: 200, .. })
    ));
    plan.mixture = vec![("energy".to_owned(), 9), ("law".to_owned(), 1)];
    assert_eq!(train(&plan).expect("law alone").steps, 3);
    plan.mixture = vec![("energy".to_owned(), 9)];
    assert!(matches!(train(&plan), Err(EngineError::NoSector { .. })));
}

#[test]
fn numbers_that_overflow_end_the_step_by_name() {
    let mut engine = engine(1);
    let mut params = engine.params.clone();
    let range = engine.layout().range(engine.layout().tensors().len() - 1);
    params[range].fill(1e38);
    engine.load(&params).expect("finite weights");
    let refused = engine.train(&plan(3), &text(), &mut |_| Control::Continue);
    let message = refused.expect_err("the loss overflows").to_string();
    assert!(message.contains("step 1: the gradient of "), "{message}");

    let mut engine = self::engine(1);
    let mut plan = plan(3);
    plan.optimizer = AdamWConfig {
        lr: 3e38,
        warmup_steps: 0,
        weight_decay: 1e3,
        ..optimizer()
    };
    let refused = engine.train(&plan, &text(), &mut |_| Control::Continue);
    let message = refused.expect_err("the weights overflow").to_string();
    assert!(
        message.contains("step 1: the weight of model."),
        "{message}"
    );
}
