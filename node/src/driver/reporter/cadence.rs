//! When something that lasts is told: once it has lasted for a while, and now and then after that.

use std::time::{Duration, Instant};

/// Tells a condition that lasts, without flooding whoever reads.
#[derive(Debug)]
pub(super) struct Cadence<K> {
    patience: Duration,
    again: Duration,
    present: Option<Present<K>>,
}

#[derive(Debug)]
struct Present<K> {
    condition: K,
    since: Instant,
    told: Option<Instant>,
}

impl<K: PartialEq> Cadence<K> {
    /// Tells a condition after it has lasted for `patience`, and every `again` while it lasts.
    pub fn new(patience: Duration, again: Duration) -> Self {
        Self {
            patience,
            again,
            present: None,
        }
    }

    /// True if this condition, which holds at `now`, is to be told now.
    pub fn is_due(&mut self, condition: K, now: Instant) -> bool {
        let fresh = Present {
            condition,
            since: now,
            told: None,
        };
        let present = match &mut self.present {
            Some(present) if present.condition == fresh.condition => present,
            other => other.insert(fresh),
        };
        let due = match present.told {
            None => now.duration_since(present.since) >= self.patience,
            Some(told) => now.duration_since(told) >= self.again,
        };
        if due {
            present.told = Some(now);
        }
        due
    }

    /// The condition is over. True if it had been told.
    pub fn end(&mut self) -> bool {
        let ended = self.present.take();
        ended.is_some_and(|present| present.told.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_it_has_lasted_and_again_later() {
        let mut cadence = Cadence::new(Duration::from_secs(3), Duration::from_secs(60));
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let table = [
            ("it begins", 0, 'a', false),
            ("not for long enough", 2, 'a', false),
            ("long enough", 3, 'a', true),
            ("told a moment ago", 4, 'a', false),
            ("told long ago", 63, 'a', true),
            ("another one begins", 64, 'b', false),
            ("long enough", 67, 'b', true),
        ];
        for (why, seconds, condition, expected) in table {
            assert_eq!(cadence.is_due(condition, at(seconds)), expected, "{why}");
        }
        assert!(cadence.end(), "it was told");
        assert!(!cadence.end(), "there is none");
        assert!(!cadence.is_due('b', at(68)), "it begins anew");
        assert!(!cadence.end(), "it was not told");
    }
}
