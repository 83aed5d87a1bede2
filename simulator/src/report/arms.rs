//! The arms of an experiment: a row each, with every seed's last loss, their mean and σ.

use super::{
    axis::{Axis, Quantity, Range, grid_across},
    figure::FULL_PX,
    html::FIGURE_STYLE,
    svg::{Anchor, Area, Svg},
};

const LEFT_PX: f64 = 250.0;
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
    let bound = bound(arms);
    let near = || arms.iter().filter(|arm| arm.mean <= bound);
    let reach = |arm: &Arm| [arm.mean - arm.sigma, arm.mean + arm.sigma];
    let losses = near().flat_map(|arm| arm.losses.iter().copied());
    let values = losses.chain(near().flat_map(reach));
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
        match arm.mean.is_finite() && arm.mean > bound {
            true => draw_far(&mut svg, area, arm, y),
            false => draw(&mut svg, &axis, arm, y),
        }
    }
    svg.finish_alone(
        area.bottom() + 48.0,
        "last losses of all arms",
        FIGURE_STYLE,
    )
}

/// The largest mean that is drawn to scale: twice the median, where no more than a quarter of the
/// arms lie beyond it. Few that ran away would leave the others one dot.
fn bound(arms: &[Arm]) -> f64 {
    let mut means: Vec<f64> = arms.iter().map(|arm| arm.mean).collect();
    means.retain(|mean| mean.is_finite());
    means.sort_by(f64::total_cmp);
    let Some(median) = means.get(means.len().saturating_sub(1) / 2) else {
        return f64::INFINITY;
    };
    let bound = 2.0 * median;
    let beyond = means.iter().filter(|mean| **mean > bound).count();
    match 4 * beyond <= means.len() {
        true => bound,
        false => f64::INFINITY,
    }
}

/// An arm that is not drawn to scale: its figures at the right edge.
fn draw_far(svg: &mut Svg, area: Area, arm: &Arm, y: f64) {
    let text = format!("{:.1} ± {:.1} →", arm.mean, arm.sigma);
    let right = (area.left + area.width, y + 4.0);
    svg.text(right, Anchor::End, "key", &text);
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

    #[test]
    fn few_that_ran_away_are_written_and_not_drawn() {
        let arm = |name: &str, mean: f64| Arm {
            name: name.to_owned(),
            mean,
            sigma: 0.125,
            losses: vec![mean; 3],
        };
        let near = ["a", "b", "c"].map(|name| arm(name, 3.0));
        let mut arms = Vec::from(near);
        arms.push(arm("far", 104.0));
        let drawn = picture(&arms, "bits");
        assert!(drawn.contains("104.0 ± 0.1 →"), "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 3 * 4);
        arms.push(arm("too", 50.0));
        let drawn = picture(&arms, "bits");
        assert!(
            !drawn.contains('→'),
            "two of five are too many to leave out"
        );
        assert_eq!(drawn.matches("<circle").count(), 5 * 4);
    }
}
