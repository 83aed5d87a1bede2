//! Where windows may begin: anywhere, or within sectors that are drawn by weight.
//!
//! A number below the sum of weights picks the sector, in the plan's order; a number below the
//! sector's windows picks one of them, in token order. Both come from the step's stream, in that
//! order, so that a draw is a function of plan, key, step and the data's sectors. A window never
//! leaves a range of its sector. Sectors that the data lacks, or has no window of, are left out,
//! as if the plan did not name them.

use crate::data::TokenSource;
use crate::engine::EngineError;
use archipel_protocol::random::Stream;
use std::ops::Range;

/// The windows of a source.
pub(super) enum Places {
    /// Any of so many.
    Anywhere(u64),
    /// Those of some sectors.
    Sectors(Vec<Sector>),
}

/// The windows of a sector.
pub(super) struct Sector {
    weight: u64,
    /// Where windows may begin.
    starts: Vec<Range<u64>>,
}

impl Places {
    /// The windows of `span` tokens that a mixture allows; an empty one allows all.
    pub(super) fn of(
        data: &dyn TokenSource,
        mixture: &[(String, u64)],
        span: u64,
    ) -> Result<Self, EngineError> {
        let found = data.len();
        if found < span {
            let expected = span;
            return Err(EngineError::TooLittleData { expected, found });
        }
        if mixture.is_empty() {
            return Ok(Self::Anywhere(found - span + 1));
        }
        let sectors = mixture.iter().filter(|(_, weight)| *weight > 0);
        let sectors = sectors.map(|(name, weight)| Sector::of(data, name, *weight, span));
        let sectors: Vec<Sector> = sectors.filter(|sector| !sector.starts.is_empty()).collect();
        if sectors.is_empty() {
            let mut found: Vec<String> = Vec::new();
            for range in data.sectors() {
                if !found.contains(&range.sector) {
                    found.push(range.sector.clone());
                }
            }
            let wanted = mixture.iter().map(|(name, _)| name.clone()).collect();
            return Err(EngineError::NoSector {
                span,
                wanted,
                found,
            });
        }
        Ok(Self::Sectors(sectors))
    }

    /// Where the next window begins.
    pub(super) fn draw(&self, stream: &mut Stream) -> u64 {
        let sectors = match self {
            Self::Anywhere(starts) => return stream.below(*starts),
            Self::Sectors(sectors) => sectors,
        };
        let mut at = stream.below(sectors.iter().map(|sector| sector.weight).sum());
        let drawn = sectors.iter().find(|sector| {
            let within = at < sector.weight;
            at = at.saturating_sub(sector.weight);
            within
        });
        let drawn = drawn.expect("the draw lies below the sum of weights");
        let length = |range: &Range<u64>| range.end - range.start;
        let mut at = stream.below(drawn.starts.iter().map(length).sum());
        for range in &drawn.starts {
            if at < length(range) {
                return range.start + at;
            }
            at -= length(range);
        }
        unreachable!("the draw lies below the number of windows")
    }
}

impl Sector {
    fn of(data: &dyn TokenSource, name: &str, weight: u64, span: u64) -> Self {
        let ranges = data.sectors().iter().filter(|range| range.sector == name);
        let starts = ranges.filter_map(|range| {
            let last = range.tokens.end.checked_sub(span)?;
            (range.tokens.start <= last).then(|| range.tokens.start..last + 1)
        });
        Self {
            weight,
            starts: starts.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{MemorySource, SectorRange};

    /// Law at 0..40 and 60..64, press at 40..60, and health in too few tokens for a window.
    fn data() -> MemorySource {
        let range = |sector: &str, tokens| SectorRange {
            sector: sector.to_owned(),
            tokens,
        };
        let sectors = vec![
            range("law", 0..40),
            range("press", 40..60),
            range("law", 60..64),
            range("health", 64..67),
        ];
        MemorySource::of_tokens((0..67).collect()).with_sectors(sectors)
    }

    fn mixture(weights: &[(&str, u64)]) -> Vec<(String, u64)> {
        weights
            .iter()
            .map(|(name, w)| ((*name).to_owned(), *w))
            .collect()
    }

    fn draws(weights: &[(&str, u64)], count: usize) -> Vec<u64> {
        let places = Places::of(&data(), &mixture(weights), 4).expect("windows");
        let mut stream = Stream::new([3; 32]);
        (0..count).map(|_| places.draw(&mut stream)).collect()
    }

    #[test]
    fn without_a_mixture_the_stream_alone_decides() {
        let mut stream = Stream::new([3; 32]);
        let expected: Vec<u64> = (0..100).map(|_| stream.below(64)).collect();
        assert_eq!(draws(&[], 100), expected);
    }

    #[test]
    fn sectors_are_drawn_by_weight_and_windows_evenly_within_them() {
        let (mut law, mut press) = ([0u32; 64], [0u32; 64]);
        for at in draws(&[("law", 3_000_000_000), ("press", 1_000_000_000)], 40_000) {
            match at {
                0..=36 | 60 => law[at as usize] += 1,
                40..=56 => press[at as usize] += 1,
                _ => panic!("a window at {at} leaves its sector"),
            }
        }
        let near = |count: u32, expected: f64| {
            let error = (f64::from(count) - expected).abs();
            assert!(
                error < 6.0 * expected.sqrt(),
                "{count} instead of {expected}"
            );
        };
        near(law.iter().sum(), 30_000.0);
        (0..=36)
            .chain([60])
            .for_each(|at| near(law[at], 30_000.0 / 38.0));
        (40..=56).for_each(|at| near(press[at], 10_000.0 / 17.0));
    }

    #[test]
    fn sectors_without_a_window_or_a_weight_are_as_if_not_named() {
        let all = [
            ("health", 7),
            ("law", 3),
            ("energy", 5),
            ("press", 2),
            ("x", 0),
        ];
        assert_eq!(draws(&all, 500), draws(&[("law", 3), ("press", 2)], 500));
        assert!(
            draws(&[("law", 0), ("press", 1)], 500)
                .iter()
                .all(|at| (40..60).contains(at))
        );
    }

    #[test]
    fn a_mixture_of_absent_sectors_is_refused_with_both_lists() {
        let wanted = mixture(&[("energy", 1), ("health", 1)]);
        let error = Places::of(&data(), &wanted, 4)
            .err()
            .expect("none is there");
        let text = error.to_string();
        assert!(text.contains("the sectors energy, health;"), "{text}");
        assert!(
            text.contains("its sectors are law, press, health"),
            "{text}"
        );
        let untold = MemorySource::of_tokens(vec![0; 10]);
        let error = Places::of(&untold, &wanted, 4).err().expect("no sectors");
        assert!(
            error.to_string().contains("its sectors are none"),
            "{error}"
        );
    }

    #[test]
    fn less_data_than_a_window_is_refused() {
        let refused = Places::of(&data(), &[], 68).err().expect("67 tokens");
        assert!(
            matches!(refused, EngineError::TooLittleData { .. }),
            "{refused}"
        );
    }
}
