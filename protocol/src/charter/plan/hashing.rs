//! The canonical layout of a plan, and its hash.
//!
//! Fields follow each other in the order written here. Whole numbers have their own width,
//! decimals are i64 billionths, truth values and enumerations one byte, texts and lists a u32
//! length, and what may be absent a byte 0 or 1 before it.

use super::{
    AggregationRule, BaseRule, DataClass, DataPlan, ExchangePlan, InnerOptimizer, InnerPlan,
    ModelPlan, OuterPlan, OuterRule, Plan, TimingPlan, Tokenizer,
};
use crate::{charter::Decimal, encoding::Canonical, ids::Digest};

/// The version of this layout.
const LAYOUT_VERSION: u16 = 4;

impl Plan {
    /// Appends the canonical layout of this plan.
    pub fn canonical(&self, out: &mut Canonical) {
        out.u16(LAYOUT_VERSION)
            .u64(self.rounds)
            .text(&self.numerics_class);
        match self.tokenizer {
            Tokenizer::Bytes => out.u8(1),
            Tokenizer::Hf(hash) => out.u8(2).raw(&hash.0),
        };
        model(&self.model, out);
        inner(&self.inner, out);
        outer(&self.outer, out);
        exchange(&self.exchange, out);
        timing(&self.timing, out);
        data(&self.data, out);
    }

    /// The hash of this plan, in a domain of its own.
    pub fn hash(&self) -> Digest {
        let mut out = Canonical::new("archipel/plan/v1");
        self.canonical(&mut out);
        out.digest()
    }
}

fn model(plan: &ModelPlan, out: &mut Canonical) {
    out.u32(plan.vocabulary).u32(plan.d_model).u32(plan.layers);
    out.u32(plan.heads)
        .u32(plan.kv_heads)
        .u32(plan.ffn)
        .u32(plan.context);
    out.u8(u8::from(plan.tied));
    decimals(out, &[plan.rope_base, plan.norm_epsilon]);
}

fn inner(plan: &InnerPlan, out: &mut Canonical) {
    out.u8(match plan.optimizer {
        InnerOptimizer::AdamW => 1,
        InnerOptimizer::Muon => 2,
        InnerOptimizer::Sgd => 3,
    });
    decimals(out, &[plan.lr, plan.beta1, plan.beta2, plan.epsilon]);
    decimals(out, &[plan.weight_decay, plan.clip_norm]);
    out.u64(plan.warmup_steps).u64(plan.total_steps);
    decimals(out, &[plan.min_lr_ratio]);
    out.u32(plan.batch_sequences).u32(plan.micro_batch);
    out.u64(plan.steps).u64(plan.segment_steps);
    out.u8(u8::from(plan.steps_by_speed));
    out.u8(u8::from(plan.reset_optimizer))
        .u64(plan.rewarm_steps);
    match &plan.muon {
        None => out.u8(0),
        Some(muon) => {
            decimals(out.u8(1), &[muon.lr, muon.momentum]);
            out.u32(muon.steps)
        }
    };
}

fn outer(plan: &OuterPlan, out: &mut Canonical) {
    out.u8(match plan.rule {
        OuterRule::Nesterov => 1,
        OuterRule::Plain => 2,
        OuterRule::DelayedNesterov => 3,
        OuterRule::Sign => 4,
    });
    decimals(out, &[plan.lr, plan.momentum]);
    out.u32(plan.period).u32(plan.fragments).u64(plan.delay);
    decimals(out, &[plan.alpha]);
}

fn exchange(plan: &ExchangePlan, out: &mut Canonical) {
    out.u8(plan.codec.codec(plan.chunk, plan.keep).id());
    out.u32(plan.chunk).u32(plan.keep);
    match plan.error_feedback {
        None => out.u8(0),
        Some(beta) => out.u8(1).i64(beta.billionths()),
    };
    out.u32(plan.max_carried);
    out.u8(match plan.rule {
        AggregationRule::Mean => 1,
        AggregationRule::CenteredClip => 2,
        AggregationRule::MeanOfSenders => 3,
        AggregationRule::TrimmedMean => 4,
        AggregationRule::Median => 5,
        AggregationRule::Krum => 6,
        AggregationRule::MultiKrum => 7,
        AggregationRule::GeometricMedian => 8,
    });
    out.u32(plan.clip_iterations);
    out.u32(plan.assumed_liars).u32(plan.multi_krum_keep);
    out.u8(u8::from(plan.clip_to_median_norm));
    decimals(out, &[plan.weight_cap, plan.max_abs, plan.max_norm]);
    out.u64(plan.max_payload_bytes).u32(plan.minimum_updates);
    out.u8(match plan.base_rule {
        BaseRule::Current => 1,
    });
}

fn timing(plan: &TimingPlan, out: &mut Canonical) {
    out.u64(plan.delta_ms).u64(plan.fetch_ms);
    out.u64(plan.deadline_floor_ms)
        .u64(plan.deadline_ceiling_ms);
    decimals(out, &[plan.deadline_mad_factor]);
    out.u8(u8::from(plan.wait_all));
    out.u64(plan.resend_ms).u64(plan.hold_batch_ms);
}

fn data(plan: &DataPlan, out: &mut Canonical) {
    match &plan.holdout {
        None => out.u8(0),
        Some(hash) => out.u8(1).raw(&hash.0),
    };
    out.u64(plan.holdout_bytes).u32(plan.manifests.len() as u32);
    for manifest in &plan.manifests {
        match &manifest.member {
            None => out.u8(0),
            Some(name) => out.u8(1).text(name),
        };
        out.raw(&manifest.hash.0);
        out.u8(match manifest.class {
            DataClass::Public => 1,
            DataClass::Shared => 2,
            DataClass::Sovereign => 3,
        });
    }
    out.u32(plan.mixture.len() as u32);
    for entry in &plan.mixture {
        out.text(&entry.sector).i64(entry.weight.billionths());
    }
}

fn decimals(out: &mut Canonical, values: &[Decimal]) {
    for value in values {
        out.i64(value.billionths());
    }
}
