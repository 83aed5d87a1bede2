//! A training problem with a known answer.
//!
//! Member i descends `½ Σⱼ cⱼ (θⱼ − tᵢⱼ)²`. H gradient steps at learning rate η take it to
//! `t + (1 − ηc)^H (θ − t)`, so that the pseudo-gradient is `(1 − (1 − ηc)^H) (θ − t)`: computed
//! at once, the power by repeated squaring. Curvatures are everybody's, so the weighted mean
//! of the targets is the optimum of the federation's objective, and a fixed point of its rounds as
//! long as members of equal weight do equally many steps.
//!
//! There is no inner optimizer to remember: its state is no bytes, before and after. Where members
//! train on from their own parameters, two such descents follow each other. The work root
//! has one leaf, the end of the round: the segments on the way are not computed.

use super::{Beginning, Course, Gradient, Labels, LearningError, QuadraticSettings, permutation};
use archipel_protocol::{
    ids::BlobHash,
    layout::{Layout, TensorSpec},
    member::TrainTask,
    random::{Stream, derive_key},
    state::{Tensors, tensor_hash},
    work::{segment_leaf, tree_root},
};
use std::borrow::Cow;

/// The problem of one world.
pub(super) struct Quadratic {
    settings: QuadraticSettings,
    seed: u64,
    layout: Layout,
    tokens_per_step: u64,
    curvatures: Vec<f64>,
    /// The targets of the members, in their order.
    targets: Vec<Vec<f32>>,
    optimum: Vec<f64>,
    /// What H steps do, for the H asked for last.
    descent: Descent,
}

/// What so many steps do to each parameter's distance from its target.
#[derive(Default)]
struct Descent {
    steps: u64,
    /// The part of the way that is gone: `1 − (1 − ηc)^H`.
    gone: Vec<f64>,
    /// Curvature times the mean of the squared distances before each step, for distance 1.
    energy: Vec<f64>,
}

impl Quadratic {
    /// Draws the targets of `members` members from `seed`; the optimum is their mean until
    /// [`Self::weigh`].
    pub fn new(
        settings: &QuadraticSettings,
        seed: u64,
        members: usize,
        tokens_per_step: u64,
    ) -> Result<Self, LearningError> {
        check(settings, members)?;
        let parameters = settings.parameters as usize;
        let (slope, last) = (1.0 / settings.condition, (parameters - 1) as f64);
        let curvature = |j: usize| slope + (1.0 - slope) * j as f64 / last;
        let centre = normals(seed, "centre", 0, parameters);
        let target = |member: usize| -> Vec<f32> {
            let apart = normals(seed, "target", member as u64, parameters);
            let both = centre.iter().zip(apart);
            both.map(|(centre, apart)| (centre + settings.heterogeneity * apart) as f32)
                .collect()
        };
        let mut quadratic = Self {
            layout: layout(settings.parameters),
            curvatures: (0..parameters).map(curvature).collect(),
            targets: (0..members).map(target).collect(),
            optimum: Vec::new(),
            descent: Descent::default(),
            settings: settings.clone(),
            seed,
            tokens_per_step,
        };
        quadratic.weigh(&vec![1.0; members]);
        Ok(quadratic)
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Places the optimum: the mean of the targets under these weights, missing ones zero.
    pub fn weigh(&mut self, weights: &[f64]) {
        let total: f64 = weights.iter().take(self.targets.len()).sum();
        let mut optimum = vec![0.0f64; self.curvatures.len()];
        for (target, weight) in self.targets.iter().zip(weights) {
            for (sum, value) in optimum.iter_mut().zip(target) {
                *sum += f64::from(*value) * weight;
            }
        }
        if total > 0.0 {
            optimum.iter_mut().for_each(|sum| *sum /= total);
        }
        self.optimum = optimum;
    }

    /// The inner steps of one member in one round.
    pub fn train(&mut self, member: u32, beginning: Beginning) -> Result<Course, LearningError> {
        let Beginning { task, base, .. } = &beginning;
        let from = &base.parameters;
        let length = self.curvatures.len();
        assert_eq!(from.len(), length, "states have the layout's length");
        let (delta, end, energy) = match beginning.carries_on {
            true => self.train_on(member, &beginning),
            false => {
                let (mut delta, energy) =
                    self.descend((member, beginning.labels), task.steps, from);
                self.disturb(member, task, &mut delta);
                let end: Vec<f32> = from.iter().zip(&delta).map(|(a, b)| a - b).collect();
                (delta, end, energy)
            }
        };
        let loss = 0.5 * energy / from.len() as f64;
        if !loss.is_finite() || delta.iter().chain(&end).any(|value| !value.is_finite()) {
            let round = task.round;
            return Err(LearningError::NotFinite { member, round });
        }
        let after = match beginning.carries_on {
            true => beginning.left(Vec::new(), &end),
            false => beginning.before.clone(),
        };
        let nothing = BlobHash(*blake3::hash(b"").as_bytes());
        let leaf = || segment_leaf(task.steps, &tensor_hash(&end), &nothing);
        let leaves = (task.steps > 0).then(leaf);
        let gradient = Gradient {
            loss_micro: (loss * 1e6).round() as i64,
            tokens: task.steps.saturating_mul(self.tokens_per_step),
            flop: 4 * u128::from(task.steps) * end.len() as u128,
            work_root: tree_root(leaves.as_slice()),
            optimizer: (beginning.before.hash, after.hash),
            delta,
        };
        Ok(Course { gradient, after })
    }

    /// The same for a member that trains on from its own parameters: what it sends, where it ends,
    /// and its mean energy.
    fn train_on(&mut self, member: u32, beginning: &Beginning) -> (Vec<f32>, Vec<f32>, f64) {
        let task = &beginning.task;
        let (_, mut own) = beginning.apart();
        let ahead = task.start.ahead();
        let mut energy = 0.0;
        let mut walk = |own: &mut Vec<f32>, steps: u64| {
            let (gone, part) = self.descend((member, beginning.labels), steps, own);
            own.iter_mut()
                .zip(gone)
                .for_each(|(own, gone)| *own -= gone);
            energy += part * (steps as f64 / task.steps.max(1) as f64);
        };
        walk(&mut own, ahead);
        beginning.blend(&mut own);
        walk(&mut own, task.steps - ahead);
        let mut noise = vec![0.0; own.len()];
        self.disturb(member, task, &mut noise);
        own.iter_mut()
            .zip(noise)
            .for_each(|(own, noise)| *own -= noise);
        let delta = beginning
            .fragments
            .delta(task.round, &beginning.base.parameters, &own);
        (delta, own, energy)
    }

    /// How far so many steps lead from some parameters, and the mean energy on the way.
    fn descend(
        &mut self,
        (member, labels): (u32, Labels),
        steps: u64,
        from: &[f32],
    ) -> (Vec<f32>, f64) {
        self.prepare(steps);
        let target = self.target(member, labels);
        let (mut delta, mut energy) = (Vec::with_capacity(from.len()), 0.0f64);
        for (j, (theta, goal)) in from.iter().zip(&*target).enumerate() {
            let apart = f64::from(*theta) - f64::from(*goal);
            delta.push((self.descent.gone[j] * apart) as f32);
            energy += self.descent.energy[j] * apart * apart;
        }
        (delta, energy)
    }

    /// Where a member is drawn to.
    fn target(&self, member: u32, labels: Labels) -> Cow<'_, [f32]> {
        let target = &self.targets[member as usize];
        if labels == Labels::Right {
            return Cow::Borrowed(target);
        }
        let permuted = permutation(self.seed, target.len());
        let values = permuted.into_iter().map(|from| target[from as usize]);
        Cow::Owned(values.collect())
    }

    /// Mean squared distance to the optimum.
    pub fn distance(&self, state: &Tensors) -> f64 {
        let apart = state.parameters.iter().zip(&self.optimum);
        let square = |(theta, goal): (&f32, &f64)| {
            let apart = f64::from(*theta) - goal;
            apart * apart
        };
        apart.map(square).sum::<f64>() / self.optimum.len() as f64
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        let vectors = 4 * self.targets.len() + 4 * 8;
        vectors as u64 * self.curvatures.len() as u64
    }

    /// Adds the member's noise of this round.
    fn disturb(&self, member: u32, task: &TrainTask, delta: &mut [f32]) {
        if self.settings.noise == 0.0 {
            return;
        }
        let parts = [self.seed, u64::from(member), task.round.0].map(u64::to_be_bytes);
        let key = derive_key(
            "archipel/simulator/quadratic-noise/v1",
            &[&parts[0], &parts[1], &parts[2]],
        );
        let mut stream = Stream::new(key);
        for value in delta {
            let noise = self.settings.noise * f64::from(stream.normal_f32());
            *value = (f64::from(*value) + noise) as f32;
        }
    }

    /// Computes what `steps` steps do, unless it was asked for last.
    fn prepare(&mut self, steps: u64) {
        if self.descent.steps == steps && !self.descent.gone.is_empty() {
            return;
        }
        let mut descent = Descent {
            steps,
            ..Descent::default()
        };
        for curvature in &self.curvatures {
            let keep = 1.0 - self.settings.learning_rate * curvature;
            let left = power(keep, steps);
            descent.gone.push(1.0 - left);
            // The mean of keep^2k over the steps k = 0, 1, …, H − 1.
            let shrinks = 1.0 - keep * keep;
            let mean = match shrinks > 0.0 && steps > 0 {
                true => (1.0 - left * left) / (shrinks * steps as f64),
                false => 1.0,
            };
            descent.energy.push(curvature * mean);
        }
        self.descent = descent;
    }
}

/// `base` to the power of `exponent`, by squaring: the same bits on every machine.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

/// A matrix, and a vector with what is left.
fn layout(parameters: u32) -> Layout {
    let columns = parameters.isqrt();
    let rows = (parameters - columns) / columns;
    let tensor = |name: &str, shape: &[u32]| TensorSpec {
        name: name.to_owned(),
        shape: shape.to_vec(),
    };
    let matrix = tensor("matrix", &[rows, columns]);
    let vector = tensor("vector", &[parameters - rows * columns]);
    Layout::new(vec![matrix, vector]).expect("two tensors that are not empty are a layout")
}

fn normals(seed: u64, purpose: &str, entity: u64, count: usize) -> Vec<f64> {
    let (seed, entity) = (seed.to_be_bytes(), entity.to_be_bytes());
    let parts: [&[u8]; 3] = [&seed, purpose.as_bytes(), &entity];
    let mut stream = Stream::new(derive_key("archipel/simulator/quadratic/v1", &parts));
    (0..count).map(|_| f64::from(stream.normal_f32())).collect()
}

fn check(settings: &QuadraticSettings, members: usize) -> Result<(), LearningError> {
    let parameters = f64::from(settings.parameters);
    let targets = parameters * members as f64;
    let rate = settings.learning_rate;
    let rules = [
        ("parameters", parameters, 2.0..=16_777_216.0, "2 to 2^24"),
        (
            "parameters, times members",
            targets,
            0.0..=268_435_456.0,
            "at most 2^28",
        ),
        (
            "learning_rate",
            rate,
            f64::MIN_POSITIVE..=1.0,
            "above 0, at most 1",
        ),
        ("condition", settings.condition, 1.0..=1e6, "1 to 1000000"),
        (
            "heterogeneity",
            settings.heterogeneity,
            0.0..=1e3,
            "0 to 1000",
        ),
        ("noise", settings.noise, 0.0..=1e3, "0 to 1000"),
    ];
    for (field, found, range, expected) in rules {
        if !range.contains(&found) {
            return Err(LearningError::Setting {
                field,
                expected,
                found,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
