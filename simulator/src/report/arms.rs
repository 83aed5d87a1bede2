//! The arms of an experiment: a row each, with every seed's last loss, their mean and σ.

use super::{
    axis::{Axis, Quantity, Range, grid_across},
    figure::FULL_PX,
    html::FIGURE_STYLE,
    svg::{Anchor, Area, Svg},
};

const LEFT_PX: f64 = 220.0;
const TOP_PX: f64 = 24.0;
const PITCH_PX: f64 = 20.0;

/// One arm's name, its mean and σ, and the losses of its seeds; what is not finite diverged.
pub(crate) struct Arm {
    pub name: String,
    pub mean: f64,
    pub sigma: f64,
    pub losses: Vec<f64>,
}

/// Draws all arms as one picture; losses are in `unit`.
pub(crate) fn picture(arms: &[Arm], unit: &str) -> String {
    let mut svg = Svg::new(FULL_PX);
    let area = Area {
        left: LEFT_PX,
        top: TOP_PX,
        width: svg.width() - LEFT_PX - 24.0,
        height: PITCH_PX * arms.len() as f64 + 8.0,
    };
    let reach = |arm: &Arm| [arm.mean - arm.sigma, arm.mean + arm.sigma];
    let spread = arms.iter().flat_map(reach);
    let values = arms
        .iter()
        .flat_map(|arm| arm.losses.iter().copied())
        .chain(spread);
    let Some(axis) = Axis::over(values, Quantity::Number, Range::LogIfWide, area.across()) else {
        svg.text(
            (LEFT_PX, TOP_PX + 14.0),
            Anchor::Start,
            "key",
            "No arm ended with a loss.",
        );
        return svg.finish_alone(TOP_PX + 30.0, "no losses", FIGURE_STYLE);
    };
    grid_across(
        &mut svg,
        area,
        &axis,
        &format!("last loss, {unit}: seeds, mean ± σ"),
    );
    for (row, arm) in arms.iter().enumerate() {
        let y = TOP_PX + PITCH_PX * (row as f64 + 0.5) + 4.0;
        let label = (LEFT_PX - 10.0, y + 4.0);
        svg.text_within(label, Anchor::End, "key", &arm.name, LEFT_PX - 20.0);
        draw(&mut svg, &axis, arm, y);
    }
    svg.finish_alone(
        area.bottom() + 48.0,
        "last losses of all arms",
        FIGURE_STYLE,
    )
}

fn draw(svg: &mut Svg, axis: &Axis, arm: &Arm, y: f64) {
    if !arm.mean.is_finite() {
        return svg.text((LEFT_PX + 8.0, y + 4.0), Anchor::Start, "key", "diverged");
    }
    let (low, high) = (axis.at(arm.mean - arm.sigma), axis.at(arm.mean + arm.sigma));
    svg.line((low, y), (high, y), "line s0");
    for end in [low, high] {
        svg.line((end, y - 4.0), (end, y + 4.0), "line s0");
    }
    for loss in &arm.losses {
        svg.dot((axis.at(*loss), y), 2.5, "area s1");
    }
    svg.dot((axis.at(arm.mean), y), 4.0, "area s0");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_a_dot_a_seed_and_one_for_the_mean() {
        let arm = |name: &str, losses: &[f64]| Arm {
            name: name.to_owned(),
            mean: losses.iter().sum::<f64>() / losses.len() as f64,
            sigma: 0.1,
            losses: losses.to_vec(),
        };
        let lost = Arm {
            mean: f64::INFINITY,
            ..arm("b", &[f64::INFINITY, 2.0])
        };
        let svg = picture(&[arm("a <b>", &[2.0, 2.1, 2.2]), lost], "bits a byte");
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches(">diverged<").count(), 1);
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("bits a byte"));
        assert!(picture(&[], "x").contains("No arm"));
    }
}
