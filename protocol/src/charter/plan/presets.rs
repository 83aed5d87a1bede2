//! Plans to start from: from one core of a laptop to sites with accelerators, complete enough to
//! edit.
//!
//! All are Llama-shaped decoders on bytes, and differ in size and in how members exchange. Up to
//! `small` whole updates travel in one byte a value; `base` and `1b` send sparse ones, as
//! SparseLoCo does (arXiv 2508.15706). Steps are chosen so that four members together see about
//! twenty tokens a parameter (arXiv 2203.15556) from `small` on. With a tokenizer of your own, set
//! `tokenizer` and `model.vocabulary`; the embedding then adds vocabulary · d parameters.

use super::{
    AggregationRule, BaseRule, CodecKind, DataPlan, ExchangePlan, InnerOptimizer, InnerPlan,
    ModelPlan, OuterPlan, OuterRule, Plan, TimingPlan, Tokenizer,
};
use crate::charter::Decimal;

impl Plan {
    /// The names that [`Self::preset`] knows.
    pub const PRESETS: [&'static str; 7] =
        ["nano", "micro", "small", "base", "1b", "demo", "sparse"];

    /// The plan of that name, without data.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "nano" => Some(Self::nano()),
            "micro" => Some(Self::micro()),
            "small" => Some(Self::small()),
            "base" => Some(Self::base()),
            "1b" => Some(Self::billion()),
            "demo" => Some(Self::demo()),
            "sparse" => Some(Self::sparse()),
            _ => None,
        }
    }

    /// 0.2 M parameters, the smallest plan that trains something: seconds a round on one core.
    pub fn nano() -> Self {
        Self {
            rounds: 20,
            numerics_class: "cpu-fma-1".to_owned(),
            tokenizer: Tokenizer::Bytes,
            model: ModelPlan {
                vocabulary: 256,
                d_model: 64,
                layers: 3,
                heads: 4,
                kv_heads: 4,
                ffn: 192,
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
                micro_batch: 4,
                steps: 30,
                steps_by_speed: false,
                reset_optimizer: false,
                rewarm_steps: 0,
                segment_steps: 10,
                muon: None,
            },
            outer: OuterPlan {
                rule: OuterRule::Nesterov,
                lr: decimal("0.7"),
                momentum: decimal("0.9"),
                ..whole_rounds()
            },
            exchange: exchange(),
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

    /// 1 M parameters: some seconds a round on a few cores.
    pub fn micro() -> Self {
        let mut plan = Self::nano();
        plan.shape((128, 4), (4, 4), 448, 128);
        plan.rate("0.002", "0.99");
        plan.pace(40, 50, (16, 4));
        plan.timing.deadline_ceiling_ms = 10 * MINUTE_MS;
        plan
    }

    /// 15 M parameters: minutes a round on a server's cores.
    pub fn small() -> Self {
        let mut plan = Self::nano();
        plan.shape((384, 9), (6, 3), 1024, 512);
        plan.rate("0.001", "0.95");
        plan.pace(100, 50, (32, 4));
        plan.exchange.max_payload_bytes = 32 << 20;
        plan.wait((30_000, 60 * MINUTE_MS));
        plan
    }

    /// 125 M parameters, sparse updates of 2.5 MB: for sites with an accelerator each.
    pub fn base() -> Self {
        let mut plan = Self::nano();
        plan.shape((768, 20), (12, 4), 2048, 1024);
        plan.rate("0.0006", "0.95");
        plan.pace(320, 30, (64, 4));
        plan.send_sparse();
        plan.wait((10_000, 120 * MINUTE_MS));
        plan
    }

    /// 1.1 G parameters, sparse updates of 21 MB: for sites with several accelerators each.
    pub fn billion() -> Self {
        let mut plan = Self::nano();
        plan.shape((2048, 24), (32, 8), 5632, 2048);
        plan.rate("0.0004", "0.95");
        plan.pace(700, 30, (128, 2));
        plan.send_sparse();
        plan.exchange.max_payload_bytes = 64 << 20;
        plan.wait((60_000, 720 * MINUTE_MS));
        plan
    }

    /// [`Self::nano`] as SparseLoCo has it (arXiv 2508.15706): sparse updates with error feedback
    /// and a plain outer step. For runs of hundreds of rounds.
    pub fn sparse() -> Self {
        let mut plan = Self::nano();
        plan.send_sparse();
        plan
    }

    /// The plan of the demo: 0.13 M parameters, and an outer step that suits few rounds.
    ///
    /// Momentum 0.9 needs more than twenty rounds to pay, and so does a codec that sends one value
    /// in 64: `docs/decisions` has what was measured.
    pub fn demo() -> Self {
        let mut plan = Self::nano();
        (plan.model.layers, plan.model.ffn) = (2, 176);
        plan.inner.micro_batch = 16;
        plan.outer = OuterPlan {
            rule: OuterRule::Nesterov,
            lr: decimal("0.8"),
            momentum: decimal("0.5"),
            ..whole_rounds()
        };
        plan
    }

    /// Width and layers; heads and key heads; feed-forward width; context.
    fn shape(&mut self, size: (u32, u32), heads: (u32, u32), ffn: u32, context: u32) {
        let model = &mut self.model;
        (model.d_model, model.layers) = size;
        (model.heads, model.kv_heads) = heads;
        (model.ffn, model.context) = (ffn, context);
    }

    fn rate(&mut self, lr: &'static str, beta2: &'static str) {
        (self.inner.lr, self.inner.beta2) = (decimal(lr), decimal(beta2));
    }

    /// Rounds, inner steps a round, and sequences a batch and a micro-batch. A twentieth of all
    /// steps warms up.
    fn pace(&mut self, rounds: u64, steps: u64, sequences: (u32, u32)) {
        self.rounds = rounds;
        let inner = &mut self.inner;
        (inner.batch_sequences, inner.micro_batch) = sequences;
        (inner.steps, inner.segment_steps) = (steps, 10);
        inner.total_steps = rounds * steps;
        inner.warmup_steps = inner.total_steps / 20;
    }

    fn send_sparse(&mut self) {
        self.outer = whole_rounds();
        self.exchange.codec = CodecKind::TopK2Bit;
        self.exchange.error_feedback = Some(decimal("0.95"));
    }

    /// Allowance for fetching, and the longest deadline; delays of links between continents.
    fn wait(&mut self, (fetch_ms, ceiling_ms): (u64, u64)) {
        let timing = &mut self.timing;
        (timing.delta_ms, timing.resend_ms) = (1_000, 2_000);
        (timing.fetch_ms, timing.deadline_floor_ms) = (fetch_ms, fetch_ms);
        timing.deadline_ceiling_ms = ceiling_ms;
    }
}

const MINUTE_MS: u64 = 60_000;

/// A plain step in which a round exchanges the whole model and nobody trains meanwhile.
fn whole_rounds() -> OuterPlan {
    OuterPlan {
        rule: OuterRule::Plain,
        lr: Decimal::ONE,
        momentum: Decimal::ZERO,
        period: 1,
        fragments: 1,
        delay: 0,
        alpha: Decimal::ZERO,
    }
}

/// Whole updates in one byte a value, and their mean.
fn exchange() -> ExchangePlan {
    ExchangePlan {
        codec: CodecKind::Int8,
        chunk: 4096,
        keep: 64,
        error_feedback: None,
        max_carried: 1,
        rule: AggregationRule::Mean,
        clip_iterations: 3,
        assumed_liars: 0,
        multi_krum_keep: 0,
        clip_to_median_norm: false,
        weight_cap: Decimal::ONE,
        max_abs: decimal("100"),
        max_norm: decimal("10000"),
        max_payload_bytes: 16 << 20,
        minimum_updates: 1,
        base_rule: BaseRule::Current,
    }
}

fn decimal(text: &'static str) -> Decimal {
    text.parse().expect("presets hold well-formed decimals")
}
