//! The clocks of a simulated member: a monotonic one that may drift, and a wall clock that may be
//! wrong.

use archipel_protocol::ids::Timestamp;

/// Milliseconds since 1970 at which every world begins: 1 January 2026.
const WALL_AT_ZERO_MS: i64 = 1_767_225_600_000;

/// A member's clocks as functions of the world's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The world's time at which the drift changed last.
    since_us: u64,
    /// What the monotonic clock showed then.
    shown_us: u64,
    /// Microseconds a second that it runs too fast.
    ppm: i64,
    /// What the wall clock is off by.
    skew_us: i64,
}

impl Clock {
    /// What the monotonic clock shows.
    pub fn local(&self, world: Timestamp) -> Timestamp {
        let passed = world.0.saturating_sub(self.since_us);
        let rate = (1_000_000 + self.ppm).max(1) as u128;
        Timestamp(self.shown_us + (u128::from(passed) * rate / 1_000_000) as u64)
    }

    /// The first moment of the world at which the monotonic clock shows `local` or later.
    pub fn world(&self, local: Timestamp) -> Timestamp {
        let passed = u128::from(local.0.saturating_sub(self.shown_us));
        let rate = (1_000_000 + self.ppm).max(1) as u128;
        Timestamp(self.since_us + (passed * 1_000_000).div_ceil(rate) as u64)
    }

    /// Changes the drift.
    pub fn drift(&mut self, ppm: i64, world: Timestamp) {
        *self = Self {
            since_us: world.0,
            shown_us: self.local(world).0,
            ppm: ppm.clamp(-900_000, 9_000_000),
            skew_us: self.skew_us,
        };
    }

    /// Moves the wall clock.
    pub fn step(&mut self, by_us: i64) {
        self.skew_us = self.skew_us.saturating_add(by_us);
    }

    /// What the wall clock would have shown when the monotonic one showed 0, in milliseconds
    /// since 1970.
    pub fn unix_ms_at_zero(&self, world: Timestamp) -> u64 {
        let wall_us = WALL_AT_ZERO_MS * 1000 + world.0 as i64 + self.skew_us;
        let zero_us = wall_us - self.local(world).0 as i64;
        u64::try_from(zero_us / 1000).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drifting_clock_never_runs_backwards_and_converts_back() {
        let mut clock = Clock::default();
        clock.drift(-500_000, Timestamp(1_000_000));
        assert_eq!(clock.local(Timestamp(3_000_000)), Timestamp(2_000_000));
        clock.drift(1_000_000, Timestamp(3_000_000));
        assert_eq!(clock.local(Timestamp(3_000_001)), Timestamp(2_000_002));
        for local in 2_000_000..2_000_100 {
            let world = clock.world(Timestamp(local));
            assert!(clock.local(world) >= Timestamp(local));
        }
    }

    #[test]
    fn the_wall_clock_is_off_by_its_skew_alone() {
        let mut clock = Clock::default();
        let right = clock.unix_ms_at_zero(Timestamp(5_000_000));
        clock.step(-7_000_000);
        assert_eq!(clock.unix_ms_at_zero(Timestamp(5_000_000)), right - 7_000);
    }
}
