//! The aggregate to the next parameters and momentum, in `f32`, one rounding an operation.

use super::sums::decimal;
use archipel_protocol::{
    charter::plan::{OuterPlan, OuterRule},
    state::Tensors,
};

/// The parameters and the momentum after the step; nothing where a number would not be finite.
pub(super) fn step(
    plan: &OuterPlan,
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
        };
        let change = lr * direction;
        parameters.push(theta - change);
    }
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    (finite(&parameters) && finite(&momentum)).then_some((parameters, momentum))
}
