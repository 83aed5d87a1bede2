//! The outer rule: how an aggregate moves the parameters.
//!
//! [`Outer::Nesterov`] is DiLoCo's (<https://arxiv.org/abs/2311.08105>):
//! `v ← μ·v + Δ; θ ← θ − η·(Δ + μ·v)`. [`Outer::Plain`] is SparseLoCo's
//! (<https://arxiv.org/abs/2508.15706>): `θ ← θ − α·Δ`. Δ is θ before minus θ after the inner
//! steps, so it is subtracted. [`Outer::DelayedNesterov`] (<https://arxiv.org/abs/2401.09135>, with
//! its c = 0) takes an Nth of every Δ at once, `g ← Δ/N; θ ← θ − η·g`, gathers it, `v ← v + g`, and
//! once in N turns steps by the momentum as well, `θ ← θ − η·(g + μ·v)`; the turn after that begins
//! with `v ← μ·v`. [`Outer::Sign`] is DeMo's (<https://arxiv.org/abs/2411.19870>):
//! `θ ← θ − η·sign(Δ)`, where the sign of zero is zero.
//!
//! Every product, sum and difference is rounded to `f32` on its own, in the order written, never
//! fused. A step touches nothing unless all of its results are finite. A state that is stepped in
//! parts is first checked in all of its parts with [`Outer::check`].

#[cfg(test)]
mod tests;

use crate::layout::Layout;

/// Why a step was not made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OuterError {
    /// A rate is not a positive finite number.
    #[error("an outer learning rate is positive and finite, found {found}")]
    Rate {
        /// The rate found.
        found: f32,
    },
    /// The momentum does not decay.
    #[error("an outer momentum lies in [0, 1), found {found}")]
    Momentum {
        /// The momentum found.
        found: f32,
    },
    /// The slices do not cover the same part of the layout.
    #[error(
        "a step from parameter {first} has {parameters} parameters, {momentum} momenta and \
         {aggregate} aggregated values; the layout has {limit} in all"
    )]
    Length {
        /// Where the part begins.
        first: usize,
        /// Parameters given.
        parameters: usize,
        /// Momenta given.
        momentum: usize,
        /// Aggregated values given.
        aggregate: usize,
        /// Parameters of the layout.
        limit: usize,
    },
    /// A result would be NaN or infinite; nothing was changed.
    #[error("{tensor}[{index}] would not be finite: this round folds as an empty cut")]
    NonFinite {
        /// The tensor's name.
        tensor: String,
        /// Position in the tensor.
        index: usize,
    },
}

/// How an aggregate moves the parameters. Set by the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outer {
    /// DiLoCo: Nesterov momentum.
    Nesterov {
        /// η, positive; 0.7 in the paper.
        lr: f32,
        /// μ, in `[0, 1)`; 0.9 in the paper.
        momentum: f32,
    },
    /// SparseLoCo: no momentum.
    Plain {
        /// α, positive; 1 in the paper.
        lr: f32,
    },
    /// Momentum that acts once in `period` turns.
    DelayedNesterov {
        /// η, positive.
        lr: f32,
        /// μ, in `[0, 1)`.
        momentum: f32,
        /// N, 1 or more; with 1 this is [`Outer::Nesterov`].
        period: u32,
        /// Which turn of the period this is, from 0.
        position: u32,
    },
    /// DeMo: one length in every coordinate.
    Sign {
        /// η, positive.
        lr: f32,
    },
}

impl Outer {
    /// The byte that stands for the rule in plans and records.
    pub fn id(&self) -> u8 {
        match self {
            Self::Nesterov { .. } => 1,
            Self::Plain { .. } => 2,
            Self::DelayedNesterov { .. } => 3,
            Self::Sign { .. } => 4,
        }
    }

    /// The step of a turn, counted from 0: for a fragment how many times it was exchanged before.
    #[must_use]
    pub fn at(self, turn: u64) -> Self {
        match self {
            Self::DelayedNesterov {
                lr,
                momentum,
                period,
                ..
            } => Self::DelayedNesterov {
                lr,
                momentum,
                period,
                position: (turn % u64::from(period.max(1))) as u32,
            },
            other => other,
        }
    }

    /// The rule's name in plans and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nesterov { .. } => "nesterov",
            Self::Plain { .. } => "plain",
            Self::DelayedNesterov { .. } => "delayed-nesterov",
            Self::Sign { .. } => "sign",
        }
    }

    /// The momenta a state of `parameters` holds: one a parameter, or none.
    pub fn momenta(&self, parameters: usize) -> usize {
        match self {
            Self::Nesterov { .. } | Self::DelayedNesterov { .. } => parameters,
            Self::Plain { .. } | Self::Sign { .. } => 0,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Where a rate is not positive and finite, or the momentum does not lie in `[0, 1)`.
    pub fn check_settings(&self) -> Result<(), OuterError> {
        let (Self::Nesterov { lr, .. }
        | Self::Plain { lr }
        | Self::DelayedNesterov { lr, .. }
        | Self::Sign { lr }) = *self;
        if !lr.is_finite() || lr <= 0.0 {
            return Err(OuterError::Rate { found: lr });
        }
        match *self {
            Self::Nesterov { momentum, .. } | Self::DelayedNesterov { momentum, .. }
                if !(0.0..1.0).contains(&momentum) =>
            {
                Err(OuterError::Momentum { found: momentum })
            }
            _ => Ok(()),
        }
    }

    /// Whether a step would succeed; see [`Self::step`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn check(
        &self,
        layout: &Layout,
        first: usize,
        parameters: &[f32],
        momentum: &[f32],
        aggregate: &[f32],
    ) -> Result<(), OuterError> {
        self.check_settings()?;
        let limit = layout.parameters();
        let fits = first
            .checked_add(parameters.len())
            .is_some_and(|end| end <= limit);
        let (count, momenta) = (parameters.len(), self.momenta(parameters.len()));
        if !fits || momentum.len() != momenta || aggregate.len() != count {
            let (momentum, aggregate) = (momentum.len(), aggregate.len());
            return Err(OuterError::Length {
                first,
                parameters: count,
                momentum,
                aggregate,
                limit,
            });
        }
        let stays_finite = |index: usize| {
            let v = momentum.get(index).copied().unwrap_or_default();
            let (theta, v) = self.moved(parameters[index], v, aggregate[index]);
            theta.is_finite() && v.is_finite()
        };
        match (0..count).position(|index| !stays_finite(index)) {
            None => Ok(()),
            Some(offset) => {
                let (tensor, index) = crate::codec::frame::place(layout, first + offset);
                Err(OuterError::NonFinite { tensor, index })
            }
        }
    }

    /// Moves `parameters`, which begin at `first` in the layout, and their momenta.
    ///
    /// `momentum` has [`Self::momenta`] values. The caller steps the whole layout, in one or
    /// several parts; the bits are the same.
    ///
    /// # Errors
    /// Where settings or lengths are wrong, or a result would not be finite; then nothing changed.
    pub fn step(
        &self,
        layout: &Layout,
        first: usize,
        parameters: &mut [f32],
        momentum: &mut [f32],
        aggregate: &[f32],
    ) -> Result<(), OuterError> {
        self.check(layout, first, parameters, momentum, aggregate)?;
        self.apply(parameters, momentum, aggregate);
        Ok(())
    }

    /// Whether [`Self::apply`] leaves only finite numbers, whatever values it is given, as long as
    /// none has a larger magnitude than these. False where that is not certain.
    pub(crate) fn stays_finite(&self, parameters: f32, momentum: f32, aggregate: f32) -> bool {
        let [theta, v, delta] = [parameters, momentum, aggregate].map(f64::from);
        let largest = match *self {
            Self::Nesterov { lr, momentum: mu }
            | Self::DelayedNesterov {
                lr, momentum: mu, ..
            } => {
                let v = v + delta;
                theta + v + f64::from(lr) * (delta + f64::from(mu) * v)
            }
            Self::Plain { lr } => theta + f64::from(lr) * delta,
            Self::Sign { lr } => theta + f64::from(lr),
        };
        // Half of the range is far more than rounding adds.
        largest < f64::from(f32::MAX) / 2.0
    }

    /// Moves parameters and their momenta as [`Self::step`] does, without looking at the results.
    pub(crate) fn apply(&self, parameters: &mut [f32], momentum: &mut [f32], aggregate: &[f32]) {
        if momentum.is_empty() {
            for (theta, delta) in parameters.iter_mut().zip(aggregate) {
                (*theta, _) = self.moved(*theta, 0.0, *delta);
            }
            return;
        }
        let values = parameters.iter_mut().zip(momentum.iter_mut());
        for ((theta, v), delta) in values.zip(aggregate) {
            (*theta, *v) = self.moved(*theta, *v, *delta);
        }
    }

    /// A parameter and its momentum after the step.
    #[inline]
    fn moved(&self, theta: f32, v: f32, delta: f32) -> (f32, f32) {
        match *self {
            Self::Nesterov { lr, momentum } => nesterov(lr, momentum, theta, v, delta),
            Self::Plain { lr } => (theta - lr * delta, v),
            Self::Sign { lr } => (theta - lr * sign(delta), v),
            Self::DelayedNesterov {
                lr,
                momentum,
                period,
                position,
            } => {
                let turn = (position == 0, position + 1 == period);
                delayed(lr, (momentum, period), turn, (theta, v, delta))
            }
        }
    }
}

#[inline]
fn nesterov(lr: f32, mu: f32, theta: f32, v: f32, delta: f32) -> (f32, f32) {
    let v = mu * v + delta;
    let direction = delta + mu * v;
    (theta - lr * direction, v)
}

#[inline]
fn delayed(
    lr: f32,
    (mu, period): (f32, u32),
    (first, last): (bool, bool),
    (theta, v, delta): (f32, f32, f32),
) -> (f32, f32) {
    let share = delta / period as f32;
    let before = if first { mu * v } else { v };
    let v = before + share;
    let direction = if last { share + mu * v } else { share };
    (theta - lr * direction, v)
}

/// −1, 0 or 1; no number for what is no finite number.
#[inline]
fn sign(value: f32) -> f32 {
    match value == 0.0 {
        true => 0.0,
        false => value / value.abs(),
    }
}
