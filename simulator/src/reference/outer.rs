//! The aggregate to the next parameters and momentum, in `f32`, one rounding an operation.

use super::sums::decimal;
use archipel_protocol::{
    charter::plan::{OuterPlan, OuterRule},
    state::Tensors,
};

/// The parameters and the momentum after the step; nothing where a number would not be finite.
pub(super) fn step(
    plan: &OuterPlan,
    turn: u64,
    base: &Tensors,
    aggregate: &[f32],
) -> Option<(Vec<f32>, Vec<f32>)> {
    let (lr, mu) = (decimal(plan.lr), decimal(plan.momentum));
    let (mut parameters, mut momentum) = (Vec::new(), Vec::new());
    for (position, delta) in aggregate.iter().copied().enumerate() {
        let theta = base.parameters[position];
        let direction = match plan.rule {
            OuterRule::Plain => delta,
            OuterRule::Nesterov => {
                let decayed = mu * base.momentum[position];
                let velocity = decayed + delta;
                momentum.push(velocity);
                let ahead = mu * velocity;
                delta + ahead
            }
            OuterRule::DelayedNesterov => {
                let (gathered, direction) = delayed(plan, turn, base.momentum[position], delta);
                momentum.push(gathered);
                direction
            }
            OuterRule::Sign if delta == 0.0 => 0.0,
            OuterRule::Sign if !delta.is_finite() => return None,
            OuterRule::Sign => 1f32.copysign(delta),
        };
        let change = lr * direction;
        parameters.push(theta - change);
    }
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    (finite(&parameters) && finite(&momentum)).then_some((parameters, momentum))
}

/// The momentum after a turn, and the direction of its step.
fn delayed(plan: &OuterPlan, turn: u64, momentum: f32, delta: f32) -> (f32, f32) {
    let (mu, period) = (decimal(plan.momentum), u64::from(plan.period));
    let share = delta / plan.period as f32;
    let place = turn % period;
    let begun = if place == 0 { mu * momentum } else { momentum };
    let gathered = begun + share;
    if place < period - 1 {
        return (gathered, share);
    }
    let pushed = mu * gathered;
    (gathered, share + pushed)
}
