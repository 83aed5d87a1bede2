//! A plan's numbers in the units of the engine.

use crate::{AdamWConfig, ModelConfig, MuonConfig};
use archipel_protocol::charter::plan::{DataPlan, InnerOptimizer, InnerPlan, ModelPlan, MuonPlan};

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
            muon: inner.muon.as_ref().map(MuonConfig::from),
            sgd: inner.optimizer == InnerOptimizer::Sgd,
            rewarm_steps: inner.rewarm_steps,
        }
    }
}

impl From<&MuonPlan> for MuonConfig {
    fn from(muon: &MuonPlan) -> Self {
        Self {
            lr: muon.lr.to_f32(),
            momentum: muon.momentum.to_f32(),
            iterations: muon.steps,
        }
    }
}

/// The sectors of a plan's data and their weights, as an inner plan has them.
pub fn mixture(data: &DataPlan) -> Vec<(String, u64)> {
    let entries = data.mixture.iter();
    entries
        .map(|entry| {
            (
                entry.sector.clone(),
                entry.weight.billionths().unsigned_abs(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use archipel_protocol::charter::plan::MixtureEntry;
    use archipel_protocol::charter::{Decimal, Plan};

    #[test]
    fn what_a_plan_says_of_muon_and_sectors_reaches_the_engine() {
        let mut plan = Plan::nano();
        assert_eq!(AdamWConfig::from(&plan.inner).muon, None);
        assert_eq!(mixture(&plan.data), Vec::new());
        plan.inner.optimizer = InnerOptimizer::Muon;
        plan.inner.muon = Some(MuonPlan {
            lr: "0.02".parse().expect("a decimal"),
            momentum: "0.95".parse().expect("a decimal"),
            steps: 5,
        });
        let (sector, weight) = ("law".to_owned(), Decimal::ONE);
        plan.data.mixture = vec![MixtureEntry { sector, weight }];
        let muon = AdamWConfig::from(&plan.inner).muon.expect("the plan's");
        assert_eq!((muon.lr, muon.momentum, muon.iterations), (0.02, 0.95, 5));
        assert_eq!(mixture(&plan.data), [("law".to_owned(), 1_000_000_000)]);
        assert!(!AdamWConfig::from(&plan.inner).sgd);
        (plan.inner.optimizer, plan.inner.muon) = (InnerOptimizer::Sgd, None);
        assert!(AdamWConfig::from(&plan.inner).sgd);
    }
}
