use super::*;
use crate::learning::memory::Optimizer;
use archipel_protocol::{
    fragments::Fragments,
    ids::{Root, Round},
    member::{ResidualRule, Start},
};
use std::sync::Arc;

fn quadratic(change: impl Fn(&mut QuadraticSettings)) -> Result<Quadratic, LearningError> {
    let mut settings = QuadraticSettings::default();
    change(&mut settings);
    Quadratic::new(&settings, 5, 4, 100)
}

fn task(round: u64, steps: u64) -> TrainTask {
    TrainTask {
        round: Round(round),
        base: Root::default(),
        start: Start::Base,
        schedule: round * steps,
        steps,
        residual: ResidualRule::Zero,
    }
}

fn state(parameters: Vec<f32>) -> Tensors {
    Tensors {
        parameters,
        momentum: Vec::new(),
        aggregate: Vec::new(),
    }
}

fn beginning(quadratic: &Quadratic, task: &TrainTask, base: &Tensors) -> Beginning {
    Beginning {
        labels: Labels::Right,
        task: *task,
        base: Arc::new(base.clone()),
        before: Optimizer::fresh(),
        fragments: Arc::new(Fragments::new(quadratic.layout(), 1).expect("a tensor")),
        alpha: 0.0,
        carries_on: false,
        resets: false,
    }
}

fn train(quadratic: &mut Quadratic, member: u32, task: &TrainTask, base: &Tensors) -> Gradient {
    let beginning = beginning(quadratic, task, base);
    let course = quadratic.train(member, beginning);
    course.expect("finite").gradient
}

#[test]
fn the_closed_form_is_what_single_steps_do() {
    let mut quadratic = quadratic(|s| s.condition = 50.0).expect("in range");
    let base = state((0..64).map(|i| i as f32 / 8.0).collect());
    let gradient = train(&mut quadratic, 2, &task(0, 37), &base);
    let (rate, mut loss) = (quadratic.settings.learning_rate, 0.0);
    let mut theta: Vec<f64> = base.parameters.iter().map(|x| f64::from(*x)).collect();
    for _ in 0..37 {
        for (j, theta) in theta.iter_mut().enumerate() {
            let (c, apart) = (
                quadratic.curvatures[j],
                *theta - f64::from(quadratic.targets[2][j]),
            );
            loss += 0.5 * c * apart * apart / (64.0 * 37.0);
            *theta -= rate * c * apart;
        }
    }
    for ((theta, start), delta) in theta.iter().zip(&base.parameters).zip(&gradient.delta) {
        let expected = f64::from(*start) - theta;
        assert!(
            (expected - f64::from(*delta)).abs() < 1e-5,
            "{expected} {delta}"
        );
    }
    let found = gradient.loss_micro as f64 / 1e6;
    assert!((found - loss).abs() < 1e-5, "{found} {loss}");
    assert_eq!(gradient.tokens, 3700);
}

#[test]
fn no_steps_are_no_way() {
    let mut quadratic = quadratic(|_| {}).expect("in range");
    let gradient = train(&mut quadratic, 0, &task(0, 0), &state(vec![1.0; 64]));
    assert_eq!((gradient.delta, gradient.tokens), (vec![0.0; 64], 0));
    assert_eq!(gradient.work_root, tree_root(&[]));
}

#[test]
fn noise_is_a_function_of_member_and_round() {
    let mut quadratic = quadratic(|s| s.noise = 0.5).expect("in range");
    let base = state(vec![0.0; 64]);
    let mut delta = |member, round| train(&mut quadratic, member, &task(round, 9), &base).delta;
    let first = delta(1, 3);
    assert_ne!(first, delta(1, 4));
    assert_ne!(first, delta(2, 3));
    assert_eq!(first, delta(1, 3));
}

#[test]
fn without_heterogeneity_all_pull_to_the_optimum() {
    let quadratic = quadratic(|s| s.heterogeneity = 0.0).expect("in range");
    assert!(quadratic.targets.iter().all(|t| *t == quadratic.targets[0]));
    assert!(quadratic.distance(&state(quadratic.targets[3].clone())) < 1e-12);
}

#[test]
fn weights_place_the_optimum() {
    let mut quadratic = quadratic(|_| {}).expect("in range");
    quadratic.weigh(&[0.0, 0.0, 7.0]);
    assert_eq!(
        quadratic.distance(&state(quadratic.targets[2].clone())),
        0.0
    );
    assert!(quadratic.distance(&state(quadratic.targets[1].clone())) > 0.5);
    quadratic.weigh(&[]);
    assert_eq!(quadratic.distance(&state(vec![0.0; 64])), 0.0);
}

#[test]
fn every_size_has_a_layout() {
    for parameters in [2, 3, 4, 63, 64, 65, 4160, 1 << 16] {
        assert_eq!(layout(parameters).parameters(), parameters as usize);
    }
}

#[test]
fn settings_out_of_their_range_are_refused_by_name() {
    type Change = fn(&mut QuadraticSettings);
    let cases: [(Change, &str); 7] = [
        (|s| s.parameters = 1, "learning.parameters: expected 2 to"),
        (
            |s| s.parameters = u32::MAX,
            "expected 2 to 2^24, found 4294967295",
        ),
        (
            |s| s.learning_rate = 0.0,
            "learning.learning_rate: expected above 0",
        ),
        (|s| s.learning_rate = 1.5, "at most 1, found 1.5"),
        (|s| s.condition = 0.5, "learning.condition: expected 1 to"),
        (
            |s| s.heterogeneity = f64::NAN,
            "learning.heterogeneity: expected 0 to 1000, found NaN",
        ),
        (|s| s.noise = -1.0, "learning.noise"),
    ];
    for (change, expected) in cases {
        let message = quadratic(change).err().expect("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
    let settings = QuadraticSettings {
        parameters: 1 << 24,
        ..QuadraticSettings::default()
    };
    let message = Quadratic::new(&settings, 5, 17, 1).err().expect("refused");
    assert!(message.to_string().contains("times members"), "{message}");
}

#[test]
fn a_state_that_diverged_is_an_error() {
    let mut quadratic = quadratic(|_| {}).expect("in range");
    let base = state(vec![f32::INFINITY; 64]);
    let beginning = beginning(&quadratic, &task(4, 9), &base);
    let refused = quadratic.train(1, beginning);
    let expected = LearningError::NotFinite {
        member: 1,
        round: Round(4),
    };
    let message = refused.err().map(|error| error.to_string());
    assert_eq!(message, Some(expected.to_string()));
}

/// A round of a member that trains on, and what it leaves.
fn train_on(
    quadratic: &mut Quadratic,
    task: &TrainTask,
    base: &Tensors,
    before: Optimizer,
) -> (Gradient, Optimizer) {
    let beginning = Beginning {
        before,
        fragments: Arc::new(Fragments::new(quadratic.layout(), 2).expect("two tensors")),
        alpha: 0.5,
        carries_on: true,
        ..beginning(quadratic, task, base)
    };
    let course = quadratic.train(1, beginning).expect("finite");
    (course.gradient, course.after)
}

#[test]
fn who_trains_on_starts_from_its_own_and_sends_one_fragment() {
    let mut quadratic = quadratic(|s| s.condition = 9.0).expect("in range");
    let base = state(vec![0.0; 64]);
    let (first, left) = train_on(&mut quadratic, &task(0, 7), &base, Optimizer::fresh());
    assert_eq!((first.delta.len(), left.bytes.len()), (56, 256));
    let next = state(vec![0.25; 64]);
    let on = TrainTask {
        start: Start::Own { ahead: 3 },
        ..task(1, 10)
    };
    let (second, after) = train_on(&mut quadratic, &on, &next, left.clone());
    assert_eq!(second.optimizer, (left.hash, after.hash));
    // By single steps: 7, then 3 ahead, the blend of what round 0 exchanged, then 7.
    let (rate, mut own) = (quadratic.settings.learning_rate, [0.0f64; 64]);
    let walk = |own: &mut [f64; 64], steps: usize| {
        for _ in 0..steps {
            for (j, own) in own.iter_mut().enumerate() {
                let apart = *own - f64::from(quadratic.targets[1][j]);
                *own -= rate * quadratic.curvatures[j] * apart;
            }
        }
    };
    walk(&mut own, 10);
    own[..56]
        .iter_mut()
        .for_each(|own| *own = 0.5 * *own + 0.5 * 0.25);
    walk(&mut own, 7);
    assert_eq!(second.delta.len(), 8);
    for (delta, own) in second.delta.iter().zip(&own[56..]) {
        assert!(
            (f64::from(*delta) - (0.25 - own)).abs() < 1e-5,
            "{delta} {own}"
        );
    }
    let anew = TrainTask {
        start: Start::Base,
        ..on
    };
    let (third, _) = train_on(&mut quadratic, &anew, &next, left);
    assert_ne!(third.delta, second.delta, "what a member left is not used");
}
