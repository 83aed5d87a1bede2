//! Numbers as the specification wants them: sums in lanes, lower medians, decimals.

use archipel_protocol::charter::Decimal;

/// Adds term `i` to lane `i mod 16`, and the lanes as a tree of distance 8, 4, 2, 1.
pub(super) fn lane_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let mut lanes = [0.0f64; 16];
    for (position, term) in terms.enumerate() {
        lanes[position % 16] += term;
    }
    let eight: [f64; 8] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 8]);
    let four: [f64; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    let two: [f64; 2] = std::array::from_fn(|lane| four[lane] + four[lane + 2]);
    two[0] + two[1]
}

/// The middle value, the smaller of the two where there are two.
///
/// Found by counting, not by sorting: the least value that half of all values do not exceed.
pub(super) fn lower_median(values: &[f64]) -> f64 {
    let enough = values.len().div_ceil(2);
    let not_above = |limit: f64| values.iter().filter(|value| **value <= limit).count();
    let candidates = values.iter().copied();
    candidates
        .filter(|value| not_above(*value) >= enough)
        .fold(f64::INFINITY, f64::min)
}

/// The `f32` nearest to a decimal, ties to even.
///
/// The standard library reads decimal text with exactly this rounding.
pub(super) fn decimal(value: Decimal) -> f32 {
    let (billionths, one) = (value.billionths().unsigned_abs(), 1_000_000_000);
    let text = format!("{}.{:09}", billionths / one, billionths % one);
    let magnitude: f32 = text.parse().expect("digits around a point are a number");
    match value.billionths() < 0 {
        true => -magnitude,
        false => magnitude,
    }
}
