//! What members train: by hand, without a world around it.

use archipel_protocol::{
    charter::{
        Charter, CharterMember, FaultModel, MemberRole, Plan,
        plan::{CodecKind, OuterRule},
    },
    codec::{Update, decode, encode},
    crypto::{Ed25519Signer, Signer},
    fold::fold,
    ids::{MemberId, Root, Round},
    member::{ResidualRule, Start, TrainTask},
    state::Tensors,
};
use archipel_simulator::learning::{Gradient, Labels, Learning, Problem, QuadraticSettings};
use std::sync::Arc;

fn identities(members: u8) -> Vec<MemberId> {
    let identity = |index| Ed25519Signer::new(&[index + 1; 32]).member();
    (0..members).map(identity).collect()
}

fn charter(members: &[MemberId], plan: Plan) -> Charter {
    let member = |(index, id): (usize, &MemberId)| CharterMember {
        id: *id,
        name: format!("member-{}", index + 1),
        role: MemberRole::Member,
        addresses: Vec::new(),
    };
    Charter {
        name: "by-hand".to_owned(),
        founding_nonce: [7; 32],
        fault_model: FaultModel::Byzantine,
        threshold: None,
        plan,
        members: members.iter().enumerate().map(member).collect(),
    }
}

fn task(plan: &Plan, round: u64) -> TrainTask {
    TrainTask {
        round: Round(round),
        base: Root([round as u8; 32]),
        start: Start::Base,
        schedule: round * plan.inner.steps,
        steps: plan.inner.steps,
        residual: ResidualRule::Zero,
    }
}

/// Trains all members of one round, waiting for them in turn.
fn round(learning: &mut Learning, plan: &Plan, t: u64, base: &Arc<Tensors>) -> Vec<Gradient> {
    let task = task(plan, t);
    let jobs: Vec<_> = (0..4).map(|k| learning.begin(k, &task, base)).collect();
    jobs.into_iter()
        .map(|job| learning.finish(job).expect("trains"))
        .collect()
}

/// The next state, folded from what members would send.
fn next(learning: &Learning, plan: &Plan, base: &Tensors, gradients: &[Gradient]) -> Arc<Tensors> {
    let layout = learning.layout();
    let send = |gradient: &Gradient| -> (u64, Update) {
        let encoded = encode(plan.codec(), layout, &gradient.delta).expect("finite");
        let update = decode(plan.codec(), &encoded.payload, layout, &plan.limits());
        (gradient.tokens, update.expect("within the limits"))
    };
    let updates: Vec<(u64, Update)> = gradients.iter().map(send).collect();
    let refs: Vec<(u64, &Update)> = updates.iter().map(|(tokens, u)| (*tokens, u)).collect();
    Arc::new(fold(plan, learning.shape().1, Round(0), base, &refs).tensors)
}

fn plain(mut plan: Plan) -> Plan {
    plan.exchange.codec = CodecKind::F32;
    plan.outer.rule = OuterRule::Plain;
    plan.outer.lr = "1".parse().expect("a decimal");
    plan.outer.momentum = "0".parse().expect("a decimal");
    plan
}

#[test]
fn a_federation_of_four_converges_to_the_known_optimum() {
    let plan = plain(Plan::nano());
    let members = identities(4);
    let problem = Problem::Quadratic(QuadraticSettings {
        condition: 10.0,
        ..QuadraticSettings::default()
    });
    let charter = charter(&members, plan.clone());
    let mut learning = Learning::new(&problem, &charter, &members, 3, 1).expect("in range");
    let mut state = Arc::new(learning.founding());
    let distance =
        |learning: &Learning, state: &Arc<Tensors>| learning.evaluate(state).expect("finite").value;
    let first = distance(&learning, &state);
    assert!(first > 0.1, "{first}");
    for t in 0..120 {
        let gradients = round(&mut learning, &plan, t, &state);
        state = next(&learning, &plan, &state, &gradients);
    }
    let last = distance(&learning, &state);
    assert!(last < 1e-10 * first, "{first} to {last}");
    learning.weigh(&[1.0, 1.0]);
    assert!(distance(&learning, &state) > 0.05, "not the optimum of two");
    assert_eq!(learning.unit(), "mean squared distance");
}

#[test]
fn permuted_labels_move_the_coordinates_of_the_target() {
    let plan = plain(Plan::nano());
    let members = identities(2);
    let problem = Problem::Quadratic(QuadraticSettings::default());
    let charter = charter(&members, plan.clone());
    let mut learning = Learning::new(&problem, &charter, &members, 3, 1).expect("in range");
    let (base, task) = (Arc::new(learning.founding()), task(&plan, 0));
    let mut train = |labels| {
        let job = learning.begin_with(labels, 1, &task, &base);
        learning.finish(job).expect("trains").delta
    };
    let [right, permuted] = [Labels::Right, Labels::Permuted].map(&mut train);
    assert_eq!(train(Labels::Permuted), permuted);
    assert!(right.iter().zip(&permuted).all(|(a, b)| a != b));
    let sorted = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values
    };
    assert_eq!(
        sorted(right),
        sorted(permuted),
        "from zero all coordinates move alike"
    );
}

#[cfg(feature = "lm")]
mod language {
    use super::*;
    use archipel_simulator::learning::{LanguageSettings, LearningError};
    use archipel_trainer::{
        AdamWConfig, Control, Engine as _, InnerPlan, LlamaEngine, ModelConfig, data::MemorySource,
    };
    use std::{fs, path::PathBuf};

    fn small() -> Plan {
        let mut plan = plain(Plan::nano());
        plan.model.d_model = 16;
        plan.model.layers = 1;
        plan.model.heads = 2;
        plan.model.kv_heads = 2;
        plan.model.ffn = 32;
        plan.model.context = 32;
        plan.inner.lr = "0.01".parse().expect("a decimal");
        plan.inner.warmup_steps = 4;
        plan.inner.batch_sequences = 8;
        plan.inner.micro_batch = 8;
        plan.inner.steps = 12;
        plan.inner.segment_steps = 5;
        plan
    }

    fn learning(plan: &Plan, data: Option<PathBuf>, threads: usize) -> Learning {
        let members = identities(4);
        let problem = Problem::Language(LanguageSettings {
            data,
            evaluate_bytes: 1024,
            ..LanguageSettings::default()
        });
        let charter = charter(&members, plan.clone());
        Learning::new(&problem, &charter, &members, 3, threads).expect("a small model")
    }

    fn run(learning: &mut Learning, plan: &Plan, rounds: u64) -> (Arc<Tensors>, Vec<Gradient>) {
        let mut state = Arc::new(learning.founding());
        let mut all = Vec::new();
        for t in 0..rounds {
            let gradients = round(learning, plan, t, &state);
            state = next(learning, plan, &state, &gradients);
            all.extend(gradients);
        }
        (state, all)
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let plan = small();
        let mut one = learning(&plan, None, 1);
        let expected = run(&mut one, &plan, 3);
        let evaluation = one.evaluate(&expected.0).expect("finite");
        for threads in [2, 5] {
            let mut other = learning(&plan, None, threads);
            assert_eq!(run(&mut other, &plan, 3), expected, "{threads} threads");
            assert_eq!(other.evaluate(&expected.0).expect("finite"), evaluation);
        }
    }

    #[test]
    fn losses_fall_in_every_language() {
        let plan = small();
        let mut learning = learning(&plan, None, 2);
        let founding = Arc::new(learning.founding());
        let first = learning.evaluate(&founding).expect("finite");
        assert!((7.9..8.2).contains(&first.value), "{first:?}");
        let (state, gradients) = run(&mut learning, &plan, 6);
        let last = learning.evaluate(&state).expect("finite");
        assert!(last.value < 0.7 * first.value, "{first:?} to {last:?}");
        assert_eq!(learning.sources(), ["amber", "birch", "coral", "dune"]);
        for (before, after) in first.sources.iter().zip(&last.sources) {
            assert!(after < &(0.8 * before), "{first:?} to {last:?}");
        }
        for (before, after) in gradients[..4].iter().zip(&gradients[20..]) {
            assert!(after.loss_micro < before.loss_micro);
            assert_eq!(after.tokens, 12 * 8 * 32);
        }
        assert_eq!(learning.unit(), "bits a byte");
    }

    /// Rounds of which all members train towards these labels: losses, and the last state.
    fn labelled(labels: Labels, threads: usize) -> (Vec<i64>, Arc<Tensors>, Learning) {
        let plan = small();
        let mut learning = learning(&plan, None, threads);
        let mut state = Arc::new(learning.founding());
        let mut losses = Vec::new();
        for t in 0..6 {
            let task = task(&plan, t);
            let begin = |k| learning.begin_with(labels, k, &task, &state);
            let jobs: Vec<_> = (0..4).map(begin).collect();
            let done = jobs.into_iter().map(|job| learning.finish(job));
            let gradients: Vec<Gradient> = done.map(|done| done.expect("trains")).collect();
            losses.extend(gradients.iter().map(|gradient| gradient.loss_micro));
            state = next(&learning, &plan, &state, &gradients);
        }
        (losses, state, learning)
    }

    #[test]
    fn permuted_labels_are_learnt_in_place_of_the_text() {
        let (losses, state, learning) = labelled(Labels::Permuted, 2);
        let founding = Arc::new(learning.founding());
        let first = learning.evaluate(&founding).expect("finite").value;
        let last = learning.evaluate(&state).expect("finite").value;
        assert!(
            last > 1.1 * first,
            "the text is predicted worse: {first} to {last}"
        );
        let (begin, end): (i64, i64) = (losses[..4].iter().sum(), losses[20..].iter().sum());
        assert!(
            (end as f64) < 0.8 * begin as f64,
            "it does learn: {begin} to {end}"
        );
        let (again, same, _) = labelled(Labels::Permuted, 1);
        assert_eq!((again, same), (losses, state), "threads change no bit");
        let (_, other, learning) = labelled(Labels::Right, 2);
        assert!(learning.evaluate(&other).expect("finite").value < 0.7 * first);
    }

    #[test]
    fn a_round_begun_again_after_a_crash_has_the_same_bits() {
        let plan = small();
        let mut learning = learning(&plan, None, 2);
        let (state, gradients) = run(&mut learning, &plan, 3);
        let again = task(&plan, 2);

        // The round in progress is abandoned, what was durable before it is there.
        let backup = learning.memory(1).clone();
        drop(learning.begin(1, &again, &state));
        learning.forget(1, Some(Round(1)));
        let job = learning.begin(1, &again, &state);
        let first = learning.finish(job).expect("trains");
        let job = learning.begin(1, &again, &state);
        assert_eq!(learning.finish(job).expect("trains"), first);
        assert_eq!(first.optimizer.0, gradients[4 + 1].optimizer.1);

        // A fresh disk begins with a fresh optimizer, and other bits.
        learning.forget(1, None);
        let job = learning.begin(1, &again, &state);
        let fresh = learning.finish(job).expect("trains");
        assert_eq!(fresh.optimizer.0.0, *blake3::hash(b"").as_bytes());
        assert_ne!(fresh.delta, first.delta);

        learning.restore(1, backup);
        let job = learning.begin(1, &again, &state);
        assert_eq!(learning.finish(job).expect("trains"), first);
    }

    /// An engine of the member's own, kept from round to round.
    #[test]
    fn a_member_trains_as_on_an_engine_of_its_own() {
        let plan = small();
        let folder = tempfile::tempdir().expect("a folder");
        let text = "all languages are learnt by the same engine. ".repeat(60);
        fs::write(folder.path().join("a.txt"), &text).expect("a file");
        let mut learning = learning(&plan, Some(folder.path().to_owned()), 2);
        assert_eq!(learning.sources(), ["a"]);

        let mut tokens = vec![0];
        tokens.extend_from_slice(text.as_bytes());
        tokens.truncate(tokens.len() - tokens.len() / 20);
        let tokens = MemorySource::new(tokens);
        let mut engine = LlamaEngine::new(&ModelConfig::from(&plan.model), 1).expect("a model");
        let charter = charter(&identities(4), plan.clone());
        let mut state = Arc::new(learning.founding());
        for t in 0..3 {
            let gradients = round(&mut learning, &plan, t, &state);
            let parts: [&[u8]; 3] = [
                &charter.run_id().0,
                &t.to_be_bytes(),
                &charter.members[3].id.0,
            ];
            let inner = InnerPlan {
                from_step: 0,
                to_step: plan.inner.steps,
                segment_steps: plan.inner.segment_steps,
                batch_sequences: plan.inner.batch_sequences,
                micro_batch: plan.inner.micro_batch,
                schedule_offset: t * plan.inner.steps,
                optimizer: AdamWConfig::from(&plan.inner),
                batch_key: archipel_protocol::random::derive_key("archipel/batch-key/v1", &parts),
                mixture: Vec::new(),
            };
            engine.load(&state.parameters).expect("finite");
            let report = engine.train(&inner, &tokens, &mut |_| Control::Continue);
            let report = report.expect("trains");
            let mut end = vec![0.0; state.parameters.len()];
            engine.params(&mut end).expect("the length");
            let ends = state.parameters.iter().zip(&end);
            let delta: Vec<f32> = ends.map(|(start, end)| start - end).collect();
            assert_eq!(gradients[3].delta, delta, "round {t}");
            assert_eq!(gradients[3].flop, report.flop);
            let optimizer = *blake3::hash(&engine.optimizer_state()).as_bytes();
            assert_eq!(gradients[3].optimizer.1.0, optimizer);
            state = next(&learning, &plan, &state, &gradients);
        }
    }

    #[test]
    fn memory_is_bounded_by_rounds_kept_and_threads() {
        let plan = small();
        let mut learning = learning(&plan, None, 2);
        let parameters = learning.layout().parameters() as u64;
        let text = learning.bytes() - 2 * 16 * parameters;
        assert!((4 << 18..5 << 18).contains(&text), "{text}");
        run(&mut learning, &plan, 6);
        let kept = learning.bytes() - 2 * 16 * parameters - text;
        let state = 28 + 8 * parameters;
        assert_eq!(kept, 4 * 4 * state, "four members keep four rounds");
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        let members = identities(4);
        let refused = |plan: Plan, settings: LanguageSettings| {
            let charter = charter(&members, plan);
            let problem = Problem::Language(settings);
            let refused = Learning::new(&problem, &charter, &members, 1, 1);
            refused.err().expect("refused")
        };
        let mut shape = small();
        shape.model.heads = 3;
        let error = refused(shape, LanguageSettings::default());
        assert!(matches!(error, LearningError::Model(_)), "{error}");
        let error = refused(
            small(),
            LanguageSettings {
                evaluate_bytes: 0,
                ..LanguageSettings::default()
            },
        );
        assert!(
            error.to_string().contains("learning.evaluate_bytes"),
            "{error}"
        );
        let error = refused(
            small(),
            LanguageSettings {
                data: Some("/nowhere/at/all".into()),
                ..LanguageSettings::default()
            },
        );
        assert!(matches!(error, LearningError::Corpus(_)), "{error}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_an_error_that_names_the_round() {
        let plan = small();
        let mut learning = learning(&plan, None, 1);
        let mut state = learning.founding();
        state.parameters[5] = f32::NAN;
        let job = learning.begin(2, &task(&plan, 9), &Arc::new(state));
        let error = learning.finish(job).expect_err("not finite").to_string();
        assert!(error.starts_with("member 2, round 9: "), "{error}");
    }
}
