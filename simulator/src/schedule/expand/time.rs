//! Random times.

use crate::scenario::Duration;
use archipel_protocol::random::Stream;

/// Draws a time, in microseconds; at least one.
pub(super) fn draw_us(duration: Duration, stream: &mut Stream) -> u64 {
    let us = match duration {
        Duration::Fixed(us) => us,
        Duration::Exponential(mean) => exponential_us(mean, stream),
        Duration::Uniform(low, high) => {
            low + stream.below((high.saturating_sub(low)).saturating_add(1))
        }
    };
    us.max(1)
}

/// Its mean.
pub(super) fn mean_us(duration: Duration) -> u64 {
    match duration {
        Duration::Fixed(us) | Duration::Exponential(us) => us,
        Duration::Uniform(low, high) => low + high.saturating_sub(low) / 2,
    }
}

/// The same distribution, stretched.
pub(super) fn stretched(duration: Duration, factor: f64) -> Duration {
    // Converting saturates; scenarios hold at most ten years.
    let by = |us: u64| (us as f64 * factor) as u64;
    match duration {
        Duration::Fixed(us) => Duration::Fixed(by(us)),
        Duration::Exponential(mean) => Duration::Exponential(by(mean)),
        Duration::Uniform(low, high) => Duration::Uniform(by(low), by(high)),
    }
}

/// An exponential time of this mean, by von Neumann's comparisons.
///
/// Draw a run of falling numbers. If its length is odd its first number is the fraction, and the
/// even runs before it count the whole part: each has probability 1/e.
fn exponential_us(mean: u64, stream: &mut Stream) -> u64 {
    let mut whole: u64 = 0;
    loop {
        let first = stream.next_u64();
        let (mut last, mut length) = (first, 1u32);
        loop {
            let next = stream.next_u64();
            if next >= last {
                break;
            }
            (last, length) = (next, length + 1);
        }
        if length % 2 == 1 {
            let fraction = (u128::from(mean) * u128::from(first)) >> 64;
            // The fraction is below the mean, so it fits.
            return whole.saturating_mul(mean).saturating_add(fraction as u64);
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_times_have_their_mean_deviation_and_median() {
        let mut stream = Stream::new([3; 32]);
        let mut draws: Vec<f64> = (0..40_000)
            .map(|_| exponential_us(1_000_000, &mut stream) as f64 / 1e6)
            .collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let squares = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        let deviation = (squares / draws.len() as f64).sqrt();
        draws.sort_by(f64::total_cmp);
        let (median, tail) = (draws[20_000], draws[39_600]);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((deviation - 1.0).abs() < 0.03, "{deviation}");
        assert!((median - std::f64::consts::LN_2).abs() < 0.02, "{median}");
        assert!((tail - 4.605_17).abs() < 0.2, "{tail}");
    }

    #[test]
    fn uniform_times_reach_both_ends_and_no_time_is_zero() {
        let mut stream = Stream::new([4; 32]);
        let draws: Vec<u64> = (0..200)
            .map(|_| draw_us(Duration::Uniform(2, 4), &mut stream))
            .collect();
        assert_eq!(draws.iter().min(), Some(&2));
        assert_eq!(draws.iter().max(), Some(&4));
        assert_eq!(draw_us(Duration::Exponential(0), &mut stream), 1);
        assert_eq!(
            draw_us(Duration::Uniform(0, u64::MAX), &mut stream).min(1),
            1
        );
    }
}
