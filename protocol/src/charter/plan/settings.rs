//! A plan's text turned into the settings that the codec, the rules and the outer step take.
//!
//! Everything that [`Plan::validate`] accepts is accepted there as well.

use super::{AggregationRule, CodecKind, OuterRule, Plan, PlanError};
use crate::codec::{Codec, Limits};
use crate::fragments::Fragments;
use crate::layout::Layout;
use crate::outer::Outer;
use crate::rule::{Caps, Rule};

impl CodecKind {
    /// The codec, with the chunk and the kept values of the sparse ones.
    pub const fn codec(self, chunk: u32, keep: u32) -> Codec {
        match self {
            Self::F32 => Codec::F32,
            Self::Int8 => Codec::Int8,
            Self::TopK2Bit => Codec::TopK2Bit { chunk, keep },
            Self::Bf16 => Codec::Bf16,
            Self::Int4 => Codec::Int4,
            Self::Demo => Codec::Demo { chunk, keep },
        }
    }
}

impl Plan {
    /// The codec of every payload.
    pub fn codec(&self) -> Codec {
        let exchange = &self.exchange;
        exchange.codec.codec(exchange.chunk, exchange.keep)
    }

    /// Checks a valid plan against the layout that the trainer makes of its model: same number of
    /// parameters, and every payload of the codec within the limit, framing included.
    ///
    /// # Errors
    /// Which of these fails.
    pub fn validate_layout(&self, layout: &Layout) -> Result<(), PlanError> {
        let (expected, found) = (self.model.parameters(), layout.parameters() as u64);
        if expected != found {
            return Err(PlanError::Layout { expected, found });
        }
        let found = self.exchange.max_payload_bytes;
        for fragment in Fragments::of_plan(self, layout)?.all() {
            self.codec().check(&fragment.layout)?;
            let needed = self.codec().max_payload_bytes(&fragment.layout);
            if found < needed {
                return Err(PlanError::Payload { needed, found });
            }
        }
        Ok(())
    }

    /// What a decoded update is held against.
    pub fn limits(&self) -> Limits {
        Limits {
            max_abs: self.exchange.max_abs.to_f32(),
            max_norm: f64::from(self.exchange.max_norm.to_f32()),
            max_payload_bytes: self.exchange.max_payload_bytes,
        }
    }

    /// The share of the residual added to the next update; `None` is no error feedback.
    pub fn feedback(&self) -> Option<f32> {
        self.exchange.error_feedback.map(|beta| beta.to_f32())
    }

    /// The aggregation rule.
    ///
    /// # Panics
    /// Where more than 255 clipping iterations are asked for, which [`Self::validate`] refuses.
    pub fn aggregation(&self) -> Rule {
        let (liars, keep) = (self.exchange.assumed_liars, self.exchange.multi_krum_keep);
        match self.exchange.rule {
            AggregationRule::Mean => Rule::Mean,
            AggregationRule::MeanOfSenders => Rule::MeanOfSenders,
            AggregationRule::TrimmedMean => Rule::TrimmedMean { liars },
            AggregationRule::Median => Rule::Median,
            AggregationRule::Krum => Rule::Krum { liars },
            AggregationRule::MultiKrum => Rule::MultiKrum { liars, keep },
            AggregationRule::GeometricMedian => Rule::GeometricMedian,
            AggregationRule::CenteredClip => Rule::CenteredClip {
                iterations: u8::try_from(self.exchange.clip_iterations)
                    .expect("a valid plan has at most 16 iterations"),
            },
        }
    }

    /// How much one member may count.
    ///
    /// # Panics
    /// Where the cap is negative, which [`Self::validate`] refuses.
    pub fn caps(&self) -> Caps {
        let share = self.exchange.weight_cap.billionths();
        let max_share_billionths = u64::try_from(share).expect("a valid cap is above 0");
        Caps {
            max_share_billionths,
            median_norm: self.exchange.clip_to_median_norm,
        }
    }

    /// How the aggregate moves the parameters.
    pub fn outer_step(&self) -> Outer {
        let lr = self.outer.lr.to_f32();
        match self.outer.rule {
            OuterRule::Nesterov => Outer::Nesterov {
                lr,
                momentum: self.outer.momentum.to_f32(),
            },
            OuterRule::Plain => Outer::Plain { lr },
            OuterRule::DelayedNesterov => Outer::DelayedNesterov {
                lr,
                momentum: self.outer.momentum.to_f32(),
                period: self.outer.period,
                position: 0,
            },
            OuterRule::Sign => Outer::Sign { lr },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charter::Decimal;
    use crate::layout::TensorSpec;

    /// Plans at the ends of what is valid.
    fn extremes() -> Vec<Plan> {
        let tiny = Decimal::from_billionths(1);
        let mut low = Plan::sparse();
        (low.exchange.chunk, low.exchange.keep) = (16, 1);
        (low.exchange.max_abs, low.exchange.max_norm) = (tiny, tiny);
        (low.outer.lr, low.exchange.error_feedback) = (tiny, Some(tiny));
        let mut high = Plan::nano();
        high.outer.momentum = Decimal::from_billionths(999_999_000);
        high.exchange.rule = AggregationRule::CenteredClip;
        high.exchange.clip_iterations = 16;
        (high.exchange.chunk, high.exchange.keep) = (65_536, 65_536);
        high.exchange.weight_cap = Decimal::from_billionths(250_000_000);
        let mut chosen = Plan::nano();
        chosen.exchange.rule = AggregationRule::MultiKrum;
        (
            chosen.exchange.assumed_liars,
            chosen.exchange.multi_krum_keep,
        ) = (1, 4);
        chosen.exchange.minimum_updates = 7;
        vec![Plan::nano(), Plan::sparse(), low, high, chosen]
    }

    #[test]
    fn what_a_valid_plan_says_is_accepted_where_it_is_used() {
        let spec = TensorSpec {
            name: "w".to_owned(),
            shape: vec![64, 128],
        };
        let layout = Layout::new(vec![spec]).expect("one tensor is a layout");
        for plan in extremes() {
            assert_eq!(plan.validate(10, 7), Ok(()));
            assert_eq!(plan.codec().check(&layout), Ok(()));
            assert_eq!(plan.aggregation().check(), Ok(()));
            assert_eq!(plan.outer_step().check_settings(), Ok(()));
            let limits = plan.limits();
            assert!(limits.max_abs > 0.0 && limits.max_norm > 0.0 && limits.max_norm.is_finite());
            assert!((1..=1_000_000_000).contains(&plan.caps().max_share_billionths));
            assert!(plan.feedback().is_none_or(|beta| beta > 0.0 && beta <= 1.0));
        }
    }

    #[test]
    fn a_layout_must_have_the_plans_size_and_its_payload_room() {
        let flat = |parameters: u64| {
            let shape = vec![u32::try_from(parameters).expect("a small model")];
            Layout::new(vec![TensorSpec {
                name: "w".to_owned(),
                shape,
            }])
            .expect("a layout")
        };
        let mut plan = Plan::sparse();
        plan.exchange.codec = CodecKind::F32;
        let parameters = plan.model.parameters();
        assert_eq!(plan.validate_layout(&flat(parameters)), Ok(()));
        let other = PlanError::Layout {
            expected: parameters,
            found: parameters + 1,
        };
        assert_eq!(plan.validate_layout(&flat(parameters + 1)), Err(other));
        // Room for the values, none for the framing: valid by itself, refused with the layout.
        plan.exchange.max_payload_bytes = plan.payload_bytes();
        assert_eq!(plan.validate(4, 3), Ok(()));
        let refused = plan.validate_layout(&flat(parameters));
        assert!(
            matches!(refused, Err(PlanError::Payload { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn settings_carry_the_plans_numbers() {
        let plan = Plan::sparse();
        assert_eq!(plan.codec(), Codec::TOP_K);
        assert_eq!(plan.outer_step(), Outer::Plain { lr: 1.0 });
        assert_eq!(plan.feedback(), Some(0.95));
        assert_eq!(
            Plan::nano().outer_step(),
            Outer::Nesterov {
                lr: 0.7,
                momentum: 0.9
            }
        );
        assert_eq!((plan.limits().max_abs, plan.caps()), (100.0, Caps::NONE));
    }

    #[test]
    fn a_full_payload_passes_the_length_it_is_said_to_have() {
        let spec = TensorSpec {
            name: "w".to_owned(),
            shape: vec![4096, 16],
        };
        let layout = Layout::new(vec![spec]).expect("one tensor is a layout");
        for codec in CodecKind::ALL {
            let mut plan = Plan::nano();
            plan.exchange.codec = codec;
            let said = plan.exchange.payload_bytes(layout.parameters() as u64);
            let most = plan.codec().max_payload_bytes(&layout);
            assert!(
                said <= most && most < said + said / 10 + 128,
                "{said} of {most}"
            );
        }
    }
}
