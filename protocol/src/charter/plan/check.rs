//! The rules a plan must obey before anybody signs it.
//!
//! Every number has a documented range, because each becomes a size, a duration or a factor on
//! every member's machine.

use super::{
    AggregationRule, CodecKind, DataPlan, ExchangePlan, InnerOptimizer, InnerPlan, MixtureEntry,
    ModelPlan, OuterPlan, OuterRule, Plan, PlanError, TimingPlan, Tokenizer,
};
use crate::{charter::Decimal, layout::MAX_PARAMETERS, rule::Rule};

const MAX_WIDTH: u64 = 1 << 20;
const MAX_STEPS: u64 = 1 << 40;
const DAY_MS: u64 = 86_400_000;
/// A member keeps what residuals need for a few rounds more than this.
const MAX_FRAGMENTS: u32 = 12;
const MAX_MANIFESTS: usize = 4096;
const MAX_MIXTURE: usize = 256;
const MAX_NAME_BYTES: usize = 64;
/// The most tensors a state may list, so that its manifest goes into one message: half of the
/// message for hashes of 32 bytes, the other half for the longest list of members.
const MAX_HASHES: u64 = 1024;

impl Plan {
    /// Checks every rule, for a federation of `voters` voting members of whom `quorum` decide.
    ///
    /// # Errors
    /// The first rule that the plan breaks, in the order of the file.
    pub fn validate(&self, voters: usize, quorum: usize) -> Result<(), PlanError> {
        whole("rounds", self.rounds, 1, MAX_STEPS)?;
        numerics_class(&self.numerics_class)?;
        model(&self.model)?;
        match self.tokenizer {
            Tokenizer::Bytes if self.model.vocabulary != 256 => {
                return Err(PlanError::Vocabulary {
                    found: self.model.vocabulary,
                });
            }
            Tokenizer::Bytes | Tokenizer::Hf(_) => {}
        }
        inner(&self.inner)?;
        outer(&self.outer)?;
        pace(&self.outer, &self.inner)?;
        exchange(&self.exchange, voters, quorum)?;
        soundness(self, quorum)?;
        let (needed, found) = (self.payload_bytes(), self.exchange.max_payload_bytes);
        if found < needed {
            return Err(PlanError::Payload { needed, found });
        }
        let found = self.hashes_per_state();
        if found > MAX_HASHES {
            return Err(PlanError::Hashes {
                tensors: self.model.tensors(),
                found,
                limit: MAX_HASHES,
            });
        }
        timing(&self.timing)?;
        data(&self.data, self.model.context)
    }
}

fn numerics_class(class: &str) -> Result<(), PlanError> {
    if is_name(class) {
        return Ok(());
    }
    let found = class.chars().take(MAX_NAME_BYTES).collect();
    Err(PlanError::NumericsClass { found })
}

/// Whether a text is 1 to 64 of `a-z 0-9 - _ .`.
fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

fn model(plan: &ModelPlan) -> Result<(), PlanError> {
    whole("model.vocabulary", plan.vocabulary, 1, MAX_WIDTH)?;
    whole("model.d_model", plan.d_model, 1, MAX_WIDTH)?;
    whole("model.layers", plan.layers, 1, 1024u32)?;
    whole("model.heads", plan.heads, 1, MAX_WIDTH)?;
    whole("model.kv_heads", plan.kv_heads, 1, MAX_WIDTH)?;
    whole("model.ffn", plan.ffn, 1, MAX_WIDTH)?;
    whole("model.context", plan.context, 1, MAX_WIDTH)?;
    multiple("model.d_model", plan.d_model, "model.heads", plan.heads)?;
    multiple("model.heads", plan.heads, "model.kv_heads", plan.kv_heads)?;
    let width = plan.d_model / plan.heads;
    if !width.is_multiple_of(2) {
        return Err(PlanError::OddHead { found: width });
    }
    decimal(
        "model.rope_base",
        plan.rope_base,
        (BILLION, 1_000_000_000 * BILLION),
    )?;
    decimal("model.norm_epsilon", plan.norm_epsilon, (1, BILLION / 10))?;
    let found = plan.parameters();
    if found > MAX_PARAMETERS {
        return Err(PlanError::Parameters {
            found,
            limit: MAX_PARAMETERS,
        });
    }
    Ok(())
}

fn inner(plan: &InnerPlan) -> Result<(), PlanError> {
    decimal("inner.lr", plan.lr, (1, BILLION))?;
    decimal("inner.beta1", plan.beta1, (0, BELOW_ONE))?;
    decimal("inner.beta2", plan.beta2, (0, BELOW_ONE))?;
    decimal("inner.epsilon", plan.epsilon, (1, BILLION))?;
    decimal("inner.weight_decay", plan.weight_decay, (0, BILLION))?;
    decimal("inner.clip_norm", plan.clip_norm, (1, 1_000_000 * BILLION))?;
    whole("inner.total_steps", plan.total_steps, 1, MAX_STEPS)?;
    whole("inner.warmup_steps", plan.warmup_steps, 0, plan.total_steps)?;
    decimal("inner.min_lr_ratio", plan.min_lr_ratio, (0, BILLION))?;
    whole("inner.batch_sequences", plan.batch_sequences, 1, 65_536u32)?;
    whole(
        "inner.micro_batch",
        plan.micro_batch,
        1,
        plan.batch_sequences,
    )?;
    let (batch, micro) = (plan.batch_sequences, plan.micro_batch);
    multiple("inner.batch_sequences", batch, "inner.micro_batch", micro)?;
    whole("inner.steps", plan.steps, 1, 1_000_000u32)?;
    whole("inner.segment_steps", plan.segment_steps, 1, plan.steps)?;
    whole("inner.rewarm_steps", plan.rewarm_steps, 0, plan.steps)?;
    match (plan.optimizer, &plan.muon) {
        (InnerOptimizer::AdamW | InnerOptimizer::Sgd, None) => Ok(()),
        (InnerOptimizer::Muon, Some(muon)) => {
            decimal("inner.muon.lr", muon.lr, (1, BILLION))?;
            decimal("inner.muon.momentum", muon.momentum, (0, BELOW_ONE))?;
            whole("inner.muon.steps", muon.steps, 1, 10u32)
        }
        (InnerOptimizer::AdamW | InnerOptimizer::Sgd, Some(_)) => Err(PlanError::MuonWithoutUse),
        (InnerOptimizer::Muon, None) => Err(PlanError::MuonMissing),
    }
}

fn outer(plan: &OuterPlan) -> Result<(), PlanError> {
    decimal("outer.lr", plan.lr, (1, 10 * BILLION))?;
    decimal("outer.momentum", plan.momentum, (0, BELOW_ONE))?;
    if !plan.rule.keeps_momentum() && plan.momentum != Decimal::ZERO {
        return Err(PlanError::PlainMomentum {
            found: plan.momentum,
        });
    }
    whole("outer.period", plan.period, 1, 1024u32)?;
    if plan.rule != OuterRule::DelayedNesterov && plan.period != 1 {
        return Err(PlanError::PeriodWithoutUse { found: plan.period });
    }
    whole("outer.fragments", plan.fragments, 1, MAX_FRAGMENTS)?;
    decimal("outer.alpha", plan.alpha, (0, BILLION))
}

/// How rounds and inner steps go together.
fn pace(plan: &OuterPlan, inner: &InnerPlan) -> Result<(), PlanError> {
    whole("outer.delay", plan.delay, 0, inner.steps - 1)?;
    if inner.steps_by_speed && plan.carries_on() {
        return Err(PlanError::SpeedWhileCarrying);
    }
    Ok(())
}

fn exchange(plan: &ExchangePlan, voters: usize, quorum: usize) -> Result<(), PlanError> {
    let found = plan.chunk;
    let power_of_four = found.is_power_of_two() && found.trailing_zeros().is_multiple_of(2);
    if !power_of_four || !(16..=65_536).contains(&found) {
        return Err(PlanError::Chunk { found });
    }
    if plan.codec == CodecKind::Demo {
        whole("exchange.chunk", plan.chunk, 16, 4096u32)?;
    }
    whole("exchange.keep", plan.keep, 1, plan.chunk)?;
    if let Some(beta) = plan.error_feedback {
        decimal("exchange.error_feedback", beta, (1, BILLION))?;
    }
    whole("exchange.max_carried", plan.max_carried, 0, 16u32)?;
    whole("exchange.clip_iterations", plan.clip_iterations, 1, 16u32)?;
    decimal("exchange.weight_cap", plan.weight_cap, (1, BILLION))?;
    let shares = i128::from(plan.weight_cap.billionths()) * voters.max(1) as i128;
    if shares < i128::from(BILLION) {
        return Err(PlanError::WeightCap {
            voters,
            found: plan.weight_cap,
        });
    }
    decimal(
        "exchange.max_abs",
        plan.max_abs,
        (1, 1_000_000_000 * BILLION),
    )?;
    decimal(
        "exchange.max_norm",
        plan.max_norm,
        (1, 9_000_000_000 * BILLION),
    )?;
    whole(
        "exchange.max_payload_bytes",
        plan.max_payload_bytes,
        1,
        MAX_STEPS,
    )?;
    let found = plan.minimum_updates;
    if found == 0 || found as usize > quorum {
        return Err(PlanError::MinimumUpdates {
            quorum,
            voters,
            found,
        });
    }
    Ok(())
}

/// Refuses rules that could not keep what they promise; `rule` and `codec` are the plan's.
fn soundness(plan: &Plan, quorum: usize) -> Result<(), PlanError> {
    let exchange = &plan.exchange;
    liars_and_keep(exchange, plan.aggregation())?;
    let (rule, codec) = (plan.aggregation().name(), plan.codec().name());
    let (little, some) = (exchange.codec.keeps_a_share(), exchange.codec.lists_some());
    match exchange.rule {
        AggregationRule::TrimmedMean | AggregationRule::Median if little => {
            return Err(PlanError::DisjointCoordinates { rule, codec });
        }
        AggregationRule::Krum | AggregationRule::MultiKrum if little => {
            return Err(PlanError::DisjointNeighbours { rule, codec });
        }
        AggregationRule::MeanOfSenders if !some => {
            return Err(PlanError::SendersOfAll { codec });
        }
        _ => {}
    }
    let (needed, found) = (plan.aggregation().least_updates(), exchange.minimum_updates);
    if u64::from(found) < needed {
        return Err(PlanError::RuleMinimum {
            rule,
            liars: exchange.assumed_liars,
            needed,
            quorum,
            found,
        });
    }
    Ok(())
}

fn liars_and_keep(plan: &ExchangePlan, rule: Rule) -> Result<(), PlanError> {
    let name = rule.name();
    let (liars, keep) = (plan.assumed_liars, plan.multi_krum_keep);
    let takes_liars = matches!(
        plan.rule,
        AggregationRule::TrimmedMean | AggregationRule::Krum | AggregationRule::MultiKrum
    );
    match (takes_liars, liars) {
        (true, 0) => return Err(PlanError::NoLiars { rule: name }),
        (false, found) if found > 0 => {
            return Err(PlanError::LiarsWithoutUse { rule: name, found });
        }
        _ => {}
    }
    match (plan.rule, keep) {
        (AggregationRule::MultiKrum, 0) => Err(PlanError::NoKeep),
        (AggregationRule::MultiKrum, _) | (_, 0) => Ok(()),
        (_, found) => Err(PlanError::KeepWithoutUse { rule: name, found }),
    }
}

fn timing(plan: &TimingPlan) -> Result<(), PlanError> {
    whole("timing.delta_ms", plan.delta_ms, 1, 600_000u32)?;
    whole("timing.fetch_ms", plan.fetch_ms, 0, DAY_MS)?;
    whole(
        "timing.deadline_ceiling_ms",
        plan.deadline_ceiling_ms,
        1,
        7 * DAY_MS,
    )?;
    whole(
        "timing.deadline_floor_ms",
        plan.deadline_floor_ms,
        1,
        plan.deadline_ceiling_ms,
    )?;
    decimal(
        "timing.deadline_mad_factor",
        plan.deadline_mad_factor,
        (0, 100 * BILLION),
    )?;
    whole("timing.resend_ms", plan.resend_ms, 10, 600_000u32)?;
    whole("timing.hold_batch_ms", plan.hold_batch_ms, 0, plan.delta_ms)
}

fn data(plan: &DataPlan, context: u32) -> Result<(), PlanError> {
    let (present, bytes) = (plan.holdout.is_some(), plan.holdout_bytes);
    if present != (bytes > 0) {
        return Err(PlanError::Holdout { present, bytes });
    }
    if present {
        whole(
            "data.holdout_bytes",
            bytes,
            u64::from(context) + 1,
            1u64 << 32,
        )?;
    }
    let found = plan.manifests.len();
    if found > MAX_MANIFESTS {
        return Err(PlanError::Manifests {
            limit: MAX_MANIFESTS,
            found,
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, manifest) in plan.manifests.iter().enumerate() {
        if !seen.insert((&manifest.member, manifest.hash)) {
            return Err(PlanError::RepeatedManifest { index });
        }
    }
    mixture(&plan.mixture)
}

fn mixture(entries: &[MixtureEntry]) -> Result<(), PlanError> {
    let found = entries.len();
    if found > MAX_MIXTURE {
        return Err(PlanError::Mixture {
            limit: MAX_MIXTURE,
            found,
        });
    }
    for (index, entry) in entries.iter().enumerate() {
        if !is_name(&entry.sector) {
            let found = entry.sector.chars().take(MAX_NAME_BYTES).collect();
            return Err(PlanError::Sector { index, found });
        }
        decimal(
            "data.mixture.weight",
            entry.weight,
            (1, 1_000_000 * BILLION),
        )?;
    }
    match entries
        .windows(2)
        .position(|two| two[0].sector >= two[1].sector)
    {
        None => Ok(()),
        Some(before) => Err(PlanError::MixtureOrder {
            index: before + 1,
            before: entries[before].sector.clone(),
            found: entries[before + 1].sector.clone(),
        }),
    }
}

/// Billionths in one.
const BILLION: i64 = 1_000_000_000;
/// The largest factor that is still below one as an `f32`, rounded down: 0.999999.
const BELOW_ONE: i64 = 999_999_000;

fn whole(
    field: &'static str,
    found: impl Into<u64>,
    low: u64,
    high: impl Into<u64>,
) -> Result<(), PlanError> {
    let (found, high) = (found.into(), high.into());
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(PlanError::Whole {
        field,
        low,
        high,
        found,
    })
}

fn decimal(field: &'static str, found: Decimal, range: (i64, i64)) -> Result<(), PlanError> {
    let low = Decimal::from_billionths(range.0);
    let high = Decimal::from_billionths(range.1);
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(PlanError::Decimal {
        field,
        low,
        high,
        found,
    })
}

fn multiple(
    field: &'static str,
    found: u32,
    divisor_field: &'static str,
    divisor: u32,
) -> Result<(), PlanError> {
    if found.is_multiple_of(divisor) {
        return Ok(());
    }
    Err(PlanError::Multiple {
        field,
        found,
        divisor_field,
        divisor,
    })
}
