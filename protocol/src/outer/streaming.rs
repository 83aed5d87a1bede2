//! When fragments of a model are taken and applied, after Streaming DiLoCo
//! (<https://arxiv.org/abs/2501.18512>).
//!
//! The layout is cut into fragments of whole tensors. In every cycle of `steps` inner steps each
//! fragment has one moment of its own at which it is synchronised, evenly spread; `delay` steps
//! before, its pseudo-gradient is taken, so that training goes on while it travels. What comes back
//! is blended into what was trained meanwhile: `θ ← α·θ + (1 − α)·θ̃`. One fragment without delay
//! and with α = 0 is DiLoCo.
//!
//! This is the schedule and the arithmetic. No plan asks for it yet: a state would have to hold the
//! pseudo-gradients that are on their way, so that a joiner folds the same.

use crate::layout::Layout;
use std::ops::Range;

/// A schedule of fragments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streaming {
    /// Fragments of the model, 1 or more.
    pub fragments: u32,
    /// Inner steps in which each fragment is synchronised once; a multiple of `fragments`.
    pub steps: u64,
    /// Inner steps from taking a pseudo-gradient to applying what came of it; below `steps`.
    pub delay: u64,
    /// Share of what was trained meanwhile that stays, from 0 to 1.
    pub alpha: f32,
}

/// Why a schedule is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum StreamingError {
    /// Steps do not divide.
    #[error("expected steps that {fragments} fragments divide evenly, 1 or more, found {steps}")]
    Steps {
        /// Fragments of the model.
        fragments: u32,
        /// Steps found.
        steps: u64,
    },
    /// A fragment would be applied after it is taken again.
    #[error("expected a delay below the {steps} steps of a cycle, found {found}")]
    Delay {
        /// Steps of a cycle.
        steps: u64,
        /// Delay found.
        found: u64,
    },
    /// A share is none.
    #[error("expected an alpha from 0 to 1, found {found}")]
    Alpha {
        /// Alpha found.
        found: f32,
    },
    /// There are not as many tensors.
    #[error("expected at least {fragments} tensors, one a fragment, found {found}")]
    Tensors {
        /// Fragments of the model.
        fragments: u32,
        /// Tensors of the layout.
        found: usize,
    },
}

impl Streaming {
    /// Checks the settings.
    ///
    /// # Errors
    /// Which of them is out of range.
    pub fn check(&self) -> Result<(), StreamingError> {
        let (fragments, steps) = (self.fragments, self.steps);
        if fragments == 0 || steps == 0 || !steps.is_multiple_of(u64::from(fragments)) {
            return Err(StreamingError::Steps { fragments, steps });
        }
        if self.delay >= steps {
            let found = self.delay;
            return Err(StreamingError::Delay { steps, found });
        }
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(StreamingError::Alpha { found: self.alpha });
        }
        Ok(())
    }

    /// The fragment whose pseudo-gradient is taken after inner step `step`, counted from 1.
    pub fn taken_after(&self, step: u64) -> Option<u32> {
        self.applied_after(step + self.delay)
    }

    /// The fragment to which the result of its pseudo-gradient is applied after inner step `step`.
    pub fn applied_after(&self, step: u64) -> Option<u32> {
        let apart = self.steps / u64::from(self.fragments);
        if step == 0 || !step.is_multiple_of(apart) {
            return None;
        }
        Some(((step / apart - 1) % u64::from(self.fragments)) as u32)
    }

    /// The place of every fragment in the flat vector: whole tensors, in order, of about one size.
    ///
    /// # Errors
    /// Where there are fewer tensors than fragments.
    pub fn ranges(&self, layout: &Layout) -> Result<Vec<Range<usize>>, StreamingError> {
        let (fragments, found) = (self.fragments as usize, layout.tensors().len());
        if found < fragments {
            let fragments = self.fragments;
            return Err(StreamingError::Tensors { fragments, found });
        }
        let mut ranges = Vec::with_capacity(fragments);
        let (mut tensor, mut start) = (0, 0);
        for left in (1..=fragments).rev() {
            let share = (layout.parameters() - start).div_ceil(left);
            // One at the least, and as many as leave one for each fragment behind it.
            let most = found - (left - 1);
            let mut end = layout.range(tensor).end;
            tensor += 1;
            while tensor < most && (left == 1 || layout.range(tensor).end - start <= share) {
                end = layout.range(tensor).end;
                tensor += 1;
            }
            ranges.push(start..end);
            start = end;
        }
        Ok(ranges)
    }

    /// `local ← α·local + (1 − α)·global`, each operation rounded to `f32`.
    ///
    /// # Panics
    /// Where lengths differ.
    pub fn blend(&self, local: &mut [f32], global: &[f32]) {
        assert_eq!(local.len(), global.len(), "parts of one fragment");
        let rest = 1.0 - self.alpha;
        for (local, global) in local.iter_mut().zip(global) {
            *local = self.alpha * *local + rest * global;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Update,
        layout::TensorSpec,
        outer::Outer,
        rule::{Caps, Contribution, Rule, aggregate},
    };

    fn layout(lengths: &[u32]) -> Layout {
        let spec = |(index, length): (usize, &u32)| TensorSpec {
            name: format!("layer.{index}"),
            shape: vec![*length],
        };
        Layout::new(lengths.iter().enumerate().map(spec).collect()).expect("a layout")
    }

    /// Two members of two layers with one parameter each, from 3, under a gradient of 2 with rate
    /// 1: what member 0 has after each inner step.
    fn trained(streaming: Streaming) -> [Vec<f32>; 2] {
        streaming.check().expect("a schedule");
        let layout = layout(&[1, 1]);
        let ranges = streaming.ranges(&layout).expect("a tensor a fragment");
        let outer = Outer::Plain { lr: 2.0 };
        let (mut global, mut locals) = ([3.0f32; 2], [[3.0f32; 2]; 2]);
        let mut pending = [const { None }; 2];
        let mut seen = [Vec::new(), Vec::new()];
        for step in 1..=16 {
            for value in locals.as_flattened_mut() {
                *value -= 1.0 * 2.0;
            }
            for (seen, value) in seen.iter_mut().zip(locals[0]) {
                seen.push(value);
            }
            if let Some(fragment) = streaming.taken_after(step) {
                let range = ranges[fragment as usize].clone();
                let update = |local: &[f32; 2]| {
                    let pairs = global[range.clone()].iter().zip(&local[range.clone()]);
                    Update::dense(pairs.map(|(g, l)| g - l).collect()).expect("finite")
                };
                pending[fragment as usize] = Some(locals.each_ref().map(update));
            }
            let Some(fragment) = streaming.applied_after(step) else {
                continue;
            };
            let Some(updates) = pending[fragment as usize].take() else {
                continue;
            };
            let range = ranges[fragment as usize].clone();
            let cut = updates
                .each_ref()
                .map(|update| Contribution { tokens: 1, update });
            let mean = mean(&cut);
            outer
                .step(
                    &layout,
                    range.start,
                    &mut global[range.clone()],
                    &mut [],
                    &mean,
                )
                .expect("finite");
            for local in &mut locals {
                streaming.blend(&mut local[range.clone()], &global[range.clone()]);
            }
        }
        seen
    }

    fn mean(cut: &[Contribution<'_>]) -> Vec<f32> {
        let found = aggregate(Rule::Mean, cut, None, Caps::NONE);
        found.expect("a mean").values
    }

    /// Delay and alpha, and each layer after every step.
    type Run = ((u64, f32), [f32; 16], [f32; 16]);

    /// torchft's runs: synchronised every 6 steps, outer rate 2; delay, alpha, and what the two
    /// layers are after each of 16 steps.
    const GOLDEN: [Run; 6] = [
        (
            (0, 0.0),
            [
                1.0, -1.0, -3.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -35.0, -37.0, -39.0,
                -41.0, -43.0, -45.0, -59.0,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -23.0, -25.0, -27.0, -29.0, -31.0, -33.0, -47.0,
                -49.0, -51.0, -53.0,
            ],
        ),
        (
            (0, 0.5),
            [
                1.0, -1.0, -3.0, -8.0, -10.0, -12.0, -14.0, -16.0, -18.0, -24.5, -26.5, -28.5,
                -30.5, -32.5, -34.5, -40.25,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -17.0, -19.0, -21.0, -23.0, -25.0, -27.0, -32.0,
                -34.0, -36.0, -38.0,
            ],
        ),
        (
            (0, 1.0),
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
                -25.0, -27.0, -29.0,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
                -25.0, -27.0, -29.0,
            ],
        ),
        (
            (1, 0.0),
            [
                1.0, -1.0, -3.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -27.0, -29.0, -31.0,
                -33.0, -35.0, -37.0, -47.0,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -19.0, -21.0, -23.0, -25.0, -27.0, -29.0, -39.0,
                -41.0, -43.0, -45.0,
            ],
        ),
        (
            (1, 0.5),
            [
                1.0, -1.0, -3.0, -6.0, -8.0, -10.0, -12.0, -14.0, -16.0, -21.5, -23.5, -25.5,
                -27.5, -29.5, -31.5, -35.75,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -15.0, -17.0, -19.0, -21.0, -23.0, -25.0, -29.0,
                -31.0, -33.0, -35.0,
            ],
        ),
        (
            (1, 1.0),
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
                -25.0, -27.0, -29.0,
            ],
            [
                1.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0, -15.0, -17.0, -19.0, -21.0, -23.0,
                -25.0, -27.0, -29.0,
            ],
        ),
    ];

    #[test]
    fn the_golden_runs_are_reproduced() {
        for ((delay, alpha), first, second) in GOLDEN {
            let found = trained(Streaming {
                fragments: 2,
                steps: 6,
                delay,
                alpha,
            });
            assert_eq!(found, [first.to_vec(), second.to_vec()], "{delay}, {alpha}");
        }
    }

    #[test]
    fn every_fragment_is_taken_and_applied_once_a_cycle() {
        let streaming = Streaming {
            fragments: 4,
            steps: 20,
            delay: 7,
            alpha: 0.5,
        };
        let applied: Vec<_> = (1..=40)
            .filter_map(|s| streaming.applied_after(s))
            .collect();
        assert_eq!(applied, [0, 1, 2, 3, 0, 1, 2, 3]);
        for step in 20..=40 {
            if let Some(fragment) = streaming.applied_after(step) {
                assert_eq!(streaming.taken_after(step - 7), Some(fragment));
            }
        }
    }

    #[test]
    fn fragments_cover_the_layout_with_whole_tensors() {
        let layout = layout(&[100, 1, 1, 50, 50, 3, 90]);
        for fragments in 1..=7 {
            let streaming = Streaming {
                fragments,
                steps: 420,
                delay: 0,
                alpha: 0.0,
            };
            let ranges = streaming.ranges(&layout).expect("enough tensors");
            assert_eq!(ranges.len(), fragments as usize);
            assert_eq!(
                (ranges[0].start, ranges.last().map(|r| r.end)),
                (0, Some(295))
            );
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
            assert!(ranges.iter().all(|range| !range.is_empty()));
        }
        let many = Streaming {
            fragments: 8,
            steps: 8,
            delay: 0,
            alpha: 0.0,
        };
        let refused = StreamingError::Tensors {
            fragments: 8,
            found: 7,
        };
        assert_eq!(many.ranges(&layout), Err(refused));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let good = Streaming {
            fragments: 2,
            steps: 6,
            delay: 5,
            alpha: 1.0,
        };
        assert_eq!(good.check(), Ok(()));
        for bad in [
            Streaming {
                fragments: 0,
                ..good
            },
            Streaming { steps: 7, ..good },
            Streaming { delay: 6, ..good },
            Streaming { alpha: 1.5, ..good },
            Streaming {
                alpha: f32::NAN,
                ..good
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
