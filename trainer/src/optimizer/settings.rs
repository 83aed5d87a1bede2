//! What the inner optimizer is told: rates, decays, the schedule.

use crate::transcendental::sin_cos;

/// Settings of the inner optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Highest learning rate, reached at the end of warm-up.
    pub lr: f32,
    /// Decay of the first moment a step.
    pub beta1: f32,
    /// Decay of the second moment a step.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled decay of matrices, times the learning rate.
    pub weight_decay: f32,
    /// Largest norm of the whole gradient; 0 does not clip.
    pub clip_norm: f32,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Global step at which the cosine reaches its lowest point; later steps stay there.
    pub total_steps: u64,
    /// Learning rate at the end, as a part of `lr`.
    pub min_lr_ratio: f32,
    /// Muon for the hidden matrices; without it AdamW moves them as well.
    pub muon: Option<MuonConfig>,
    /// Neither: the clipped gradient times the learning rate, without any state. Decay and schedule
    /// stay.
    pub sgd: bool,
    /// Steps at the beginning of every round over which the learning rate rises to its schedule; 0
    /// is none.
    pub rewarm_steps: u64,
}

/// Settings of Muon (Jordan et al. 2024): orthogonalized momentum for the hidden matrices. The
/// schedule, the clipping and the weight decay are those of [`AdamWConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct MuonConfig {
    /// Highest learning rate of the hidden matrices, reached at the end of warm-up.
    pub lr: f32,
    /// Decay of the momentum a step.
    pub momentum: f32,
    /// Newton–Schulz iterations, 1 to 10; five are usual.
    pub iterations: u32,
}

/// A setting of [`AdamWConfig`] is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("optimizer setting {field} must be {expected}, found {found}: change it in the plan")]
pub struct SettingError {
    /// The field's name.
    pub field: &'static str,
    /// The range, in words.
    pub expected: &'static str,
    /// The value found.
    pub found: f32,
}

impl AdamWConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// The first setting out of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let unit = |x: f32| (0.0..1.0).contains(&x);
        let positive = |x: f32| x > 0.0 && x.is_finite();
        let not_negative = |x: f32| x >= 0.0 && x.is_finite();
        let rules = [
            ("lr", self.lr, positive(self.lr), "above 0"),
            ("beta1", self.beta1, unit(self.beta1), "in 0..1"),
            ("beta2", self.beta2, unit(self.beta2), "in 0..1"),
            ("epsilon", self.epsilon, positive(self.epsilon), "above 0"),
            (
                "weight_decay",
                self.weight_decay,
                not_negative(self.weight_decay),
                "0 or above",
            ),
            (
                "clip_norm",
                self.clip_norm,
                not_negative(self.clip_norm),
                "0 or above",
            ),
            (
                "min_lr_ratio",
                self.min_lr_ratio,
                (0.0..=1.0).contains(&self.min_lr_ratio),
                "in 0..=1",
            ),
        ];
        check(&rules)?;
        self.muon.as_ref().map_or(Ok(()), MuonConfig::validate)
    }

    /// The learning rate of global step `step` (0 is the first): linear warm-up, then cosine.
    pub fn learning_rate(&self, step: u64) -> f32 {
        (f64::from(self.lr) * self.schedule(step)) as f32
    }

    /// The settings of a round's step (0 is its first), its rates lowered where the round warms up
    /// again.
    pub(crate) fn rewarmed(&self, step: u64) -> Self {
        let mut settings = self.clone();
        if step < self.rewarm_steps {
            let share = (step + 1) as f64 / self.rewarm_steps as f64;
            let lower = |lr: f32| (f64::from(lr) * share) as f32;
            settings.lr = lower(self.lr);
            if let Some(muon) = &mut settings.muon {
                muon.lr = lower(muon.lr);
            }
        }
        settings
    }

    /// What the highest learning rate is multiplied by at global step `step`.
    pub(crate) fn schedule(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let part = ((step - self.warmup_steps) as f64 / span as f64).min(1.0);
        let (_, cosine) = sin_cos(std::f64::consts::PI * part);
        let lowest = f64::from(self.min_lr_ratio);
        lowest + (1.0 - lowest) * 0.5 * (1.0 + cosine)
    }
}

impl MuonConfig {
    fn validate(&self) -> Result<(), SettingError> {
        let (lr, momentum, iterations) = (self.lr, self.momentum, self.iterations);
        check(&[
            ("muon.lr", lr, lr > 0.0 && lr.is_finite(), "above 0"),
            (
                "muon.momentum",
                momentum,
                (0.0..1.0).contains(&momentum),
                "in 0..1",
            ),
            (
                "muon.iterations",
                iterations as f32,
                (1..=10).contains(&iterations),
                "in 1..=10",
            ),
        ])
    }
}

/// The first rule that is broken: field, value, whether it is in its range, the range in words.
fn check(rules: &[(&'static str, f32, bool, &'static str)]) -> Result<(), SettingError> {
    match rules.iter().find(|(_, _, valid, _)| !valid) {
        None => Ok(()),
        Some((field, found, _, expected)) => Err(SettingError {
            field,
            expected,
            found: *found,
        }),
    }
}
