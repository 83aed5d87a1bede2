//! A plan's numbers in the units of the engine.

use crate::{AdamWConfig, ModelConfig};
use archipel_protocol::charter::plan::{InnerPlan, ModelPlan};

impl From<&ModelPlan> for ModelConfig {
    fn from(model: &ModelPlan) -> Self {
        Self {
            vocabulary: model.vocabulary,
            d_model: model.d_model,
            layers: model.layers,
            heads: model.heads,
            kv_heads: model.kv_heads,
            ffn: model.ffn,
            context: model.context,
            tied: model.tied,
            rope_base: model.rope_base.to_f32(),
            norm_eps: model.norm_epsilon.to_f32(),
        }
    }
}

impl From<&InnerPlan> for AdamWConfig {
    fn from(inner: &InnerPlan) -> Self {
        Self {
            lr: inner.lr.to_f32(),
            beta1: inner.beta1.to_f32(),
            beta2: inner.beta2.to_f32(),
            epsilon: inner.epsilon.to_f32(),
            weight_decay: inner.weight_decay.to_f32(),
            clip_norm: inner.clip_norm.to_f32(),
            warmup_steps: inner.warmup_steps,
            total_steps: inner.total_steps,
            min_lr_ratio: inner.min_lr_ratio.to_f32(),
            muon: None,
        }
    }
}
