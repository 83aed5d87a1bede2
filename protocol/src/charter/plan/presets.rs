//! Plans to start from: small enough for a laptop, complete enough to edit.

use super::{
    AggregationRule, BaseRule, CodecKind, DataPlan, ExchangePlan, InnerOptimizer, InnerPlan,
    ModelPlan, OuterPlan, OuterRule, Plan, TimingPlan, Tokenizer,
};
use crate::charter::Decimal;

impl Plan {
    /// The names that [`Self::preset`] knows.
    pub const PRESETS: [&'static str; 3] = ["nano", "demo", "sparse"];

    /// The plan of that name, without data.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "nano" => Some(Self::nano()),
            "demo" => Some(Self::demo()),
            "sparse" => Some(Self::sparse()),
            _ => None,
        }
    }

    /// The smallest plan that trains something: dense updates, seconds a round on one core.
    pub fn nano() -> Self {
        Self {
            rounds: 20,
            numerics_class: "cpu-f32".to_owned(),
            tokenizer: Tokenizer::Bytes,
            model: ModelPlan {
                vocabulary: 256,
                d_model: 64,
                layers: 2,
                heads: 4,
                kv_heads: 4,
                ffn: 176,
                context: 64,
                tied: false,
                rope_base: decimal("10000"),
                norm_epsilon: decimal("0.00001"),
            },
            inner: InnerPlan {
                optimizer: InnerOptimizer::AdamW,
                lr: decimal("0.003"),
                beta1: decimal("0.9"),
                beta2: decimal("0.99"),
                epsilon: decimal("0.00000001"),
                weight_decay: decimal("0.1"),
                clip_norm: decimal("1"),
                warmup_steps: 30,
                total_steps: 600,
                min_lr_ratio: decimal("0.1"),
                batch_sequences: 16,
                micro_batch: 16,
                steps: 30,
                segment_steps: 10,
            },
            outer: OuterPlan {
                rule: OuterRule::Nesterov,
                lr: decimal("0.7"),
                momentum: decimal("0.9"),
            },
            exchange: ExchangePlan {
                codec: CodecKind::Int8,
                chunk: 4096,
                keep: 64,
                error_feedback: None,
                max_carried: 1,
                rule: AggregationRule::Mean,
                clip_iterations: 3,
                weight_cap: Decimal::ONE,
                max_abs: decimal("100"),
                max_norm: decimal("10000"),
                max_payload_bytes: 16 << 20,
                minimum_updates: 1,
                base_rule: BaseRule::Current,
            },
            timing: TimingPlan {
                delta_ms: 500,
                fetch_ms: 2_000,
                deadline_floor_ms: 2_000,
                deadline_ceiling_ms: 60_000,
                deadline_mad_factor: decimal("3"),
                wait_all: false,
                resend_ms: 1_000,
                hold_batch_ms: 20,
            },
            data: DataPlan::default(),
        }
    }

    /// [`Self::nano`] as SparseLoCo has it (arXiv 2508.15706): sparse updates with error feedback
    /// and a plain outer step. For runs of hundreds of rounds.
    pub fn sparse() -> Self {
        let mut plan = Self::nano();
        plan.outer = OuterPlan {
            rule: OuterRule::Plain,
            lr: Decimal::ONE,
            momentum: Decimal::ZERO,
        };
        plan.exchange.codec = CodecKind::TopK2Bit;
        plan.exchange.error_feedback = Some(decimal("0.95"));
        plan
    }

    /// The plan of the demo: [`Self::nano`] with an outer step that suits few rounds.
    ///
    /// Momentum 0.9 needs more than twenty rounds to pay, and so does a codec that sends one value
    /// in 64: `docs/decisions` has what was measured.
    pub fn demo() -> Self {
        let mut plan = Self::nano();
        plan.outer = OuterPlan {
            rule: OuterRule::Nesterov,
            lr: decimal("0.8"),
            momentum: decimal("0.5"),
        };
        plan
    }
}

fn decimal(text: &'static str) -> Decimal {
    text.parse().expect("presets hold well-formed decimals")
}
