//! What a plan asks of one voting member, computed from the plan alone.
//!
//! Every number comes with its formula: a site that doubts one can compute it again. Memory and
//! disk are what the design keeps, not what was measured; the process itself comes on top.

use archipel_protocol::charter::plan::{AggregationRule, CodecKind};
use archipel_protocol::charter::{Charter, Plan};

/// One part of a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What it is.
    pub what: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// The result, in bytes.
    pub bytes: u64,
}

/// What one voting member gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What lies in memory while a round is trained and folded.
    pub memory: Vec<Term>,
    /// What lies on disk when the run ends.
    pub disk: Vec<Term>,
    /// Bytes of one payload.
    pub payload_bytes: u64,
    /// How they are computed.
    pub payload_formula: &'static str,
    /// Bytes of payloads received in a round with every member's update.
    pub received_bytes: u64,
    /// Floating-point operations of a round.
    pub flop: u128,
    /// Seconds of computing in a round, at the given speed.
    pub seconds: f64,
    /// Rounds of the run.
    pub rounds: u64,
}

impl Offer {
    /// Computes what `charter` asks of a member that computes `gflops` · 10⁹ operations a second.
    pub fn new(charter: &Charter, gflops: f64) -> Self {
        let (plan, members) = (&charter.plan, charter.voters().len() as u64);
        let flop = plan.model.training_flop(plan.tokens_per_round());
        let payload_bytes = plan.payload_bytes();
        Self {
            memory: memory(plan, members),
            disk: disk(plan, members),
            payload_bytes,
            payload_formula: match plan.exchange.codec {
                CodecKind::F32 => "4 · P",
                CodecKind::Int8 => "P + 4 · P / 256",
                CodecKind::Bf16 => "2 · P",
                CodecKind::Int4 => "P / 2 + 2 · P / 128",
                CodecKind::TopK2Bit | CodecKind::Demo => "P / chunk · (positions + 2 · keep) / 8",
            },
            received_bytes: payload_bytes.saturating_mul(members.saturating_sub(1)),
            flop,
            seconds: flop as f64 / (gflops * 1e9),
            rounds: plan.rounds,
        }
    }

    /// Bytes of memory in all.
    pub fn memory_bytes(&self) -> u64 {
        total(&self.memory)
    }

    /// Bytes on disk in all.
    pub fn disk_bytes(&self) -> u64 {
        total(&self.disk)
    }

    /// Seconds of computing in all rounds.
    pub fn run_seconds(&self) -> f64 {
        self.seconds * self.rounds as f64
    }

    /// Bytes received on the fullest day: a day's rounds, or the whole run's where it is shorter.
    pub fn received_bytes_a_day(&self) -> u64 {
        let rounds = (86_400.0 / self.seconds).min(self.rounds as f64);
        (self.received_bytes as f64 * rounds) as u64
    }
}

fn total(terms: &[Term]) -> u64 {
    terms
        .iter()
        .fold(0, |sum, term| sum.saturating_add(term.bytes))
}

/// Copies of the parameters' size that a state has beside the parameters.
fn state_copies(plan: &Plan) -> u64 {
    let momentum = u64::from(plan.outer.rule.keeps_momentum());
    let previous = u64::from(plan.exchange.rule == AggregationRule::CenteredClip);
    momentum + previous
}

fn memory(plan: &Plan, members: u64) -> Vec<Term> {
    let dense = plan.dense_bytes();
    let times = |count: u64| dense.saturating_mul(count);
    let residual = u64::from(plan.exchange.error_feedback.is_some());
    let (what, formula, updates) = match plan.exchange.codec {
        CodecKind::TopK2Bit => {
            let kept = u128::from(plan.model.parameters()) * u128::from(plan.exchange.keep)
                / u128::from(plan.exchange.chunk.max(1));
            let bytes = u64::try_from(kept * 8)
                .unwrap_or(u64::MAX)
                .saturating_mul(members);
            (
                "decoded updates of a cut",
                "8 · P · keep / chunk · members",
                bytes,
            )
        }
        CodecKind::F32 | CodecKind::Bf16 | CodecKind::Int8 | CodecKind::Int4 | CodecKind::Demo => (
            "decoded updates of a cut",
            "4 · P · members",
            times(members),
        ),
    };
    vec![
        term(
            "training",
            "16 · P: weights, gradient, two moments",
            times(4),
        ),
        term(
            "activations",
            "micro-batch · context · (values kept) · 4",
            activations(plan),
        ),
        term("the round's start and update", "8 · P", times(2)),
        term("residual", "4 · P with error feedback", times(residual)),
        term(
            "outer and rule state",
            "4 · P each",
            times(state_copies(plan)),
        ),
        term(what, formula, updates),
        term("sum of a fold", "8 · P", times(2)),
    ]
}

/// Bytes that a micro-batch leaves for the backward pass.
///
/// A token keeps about 12 · d + 3 · ffn + heads · context values a block, and three times the
/// vocabulary for the loss.
fn activations(plan: &Plan) -> u64 {
    let wide = |value: u32| u128::from(value);
    let model = &plan.model;
    let block =
        12 * wide(model.d_model) + 3 * wide(model.ffn) + wide(model.heads) * wide(model.context);
    let token = wide(model.layers) * block + 3 * wide(model.vocabulary);
    let tokens = wide(plan.inner.micro_batch) * wide(model.context);
    u64::try_from(token.saturating_mul(tokens * 4)).unwrap_or(u64::MAX)
}

fn disk(plan: &Plan, members: u64) -> Vec<Term> {
    let dense = plan.dense_bytes();
    let times = |count: u64| dense.saturating_mul(count);
    let residual = u64::from(plan.exchange.error_feedback.is_some());
    let payloads = plan
        .payload_bytes()
        .saturating_mul(members)
        .saturating_mul(plan.rounds);
    // Four records a round; the longest lists every member with hashes and signatures.
    let records = plan
        .rounds
        .saturating_mul(1024 + members.saturating_mul(512));
    vec![
        term(
            "two states",
            "8 · P · (1 + outer and rule state)",
            times(2 * (1 + state_copies(plan))),
        ),
        term(
            "two snapshots",
            "2 · (12 · P, and 4 · P residual)",
            times(2 * (3 + residual)),
        ),
        term(
            "payloads, if all are kept",
            "payload · members · rounds",
            payloads,
        ),
        term(
            "records, about",
            "(1 KiB + 512 · members) · rounds",
            records,
        ),
    ]
}

fn term(what: &'static str, formula: &'static str, bytes: u64) -> Term {
    Term {
        what,
        formula,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::charter::tests::charter;

    #[test]
    fn sums_follow_their_formulas() {
        let charter = charter(4, Plan::sparse());
        let parameters = charter.plan.model.parameters();
        let offer = Offer::new(&charter, 10.0);
        // 64 gaps in Rice code of 4096 take 512 bits at most, and two bits each beside.
        assert_eq!(offer.payload_bytes, parameters * (512 + 128) / 4096 / 8);
        assert_eq!(offer.received_bytes, 3 * offer.payload_bytes);
        let tokens = 64 * 4;
        let values = 3 * (12 * 64 + 3 * 192 + 4 * 64) + 3 * 256;
        let decoded = 8 * (parameters * 64 / 4096) * 4;
        let expected = (16 + 8 + 4 + 8) * parameters + 4 * tokens * values + decoded;
        assert_eq!(offer.memory_bytes(), expected);
        let kept = 20 * (4 * offer.payload_bytes + 1024 + 4 * 512);
        assert_eq!(offer.disk_bytes(), (8 + 32) * parameters + kept);
        let seconds = 20.0 * offer.flop as f64 / 1e10;
        assert!((offer.run_seconds() / seconds - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_day_holds_no_more_than_the_run() {
        let mut plan = Plan::nano();
        plan.rounds = 1 << 40;
        let long = Offer::new(&charter(4, plan), 1.0);
        let day = long.received_bytes as f64 * 86_400.0 / long.seconds;
        assert!((long.received_bytes_a_day() as f64 - day).abs() <= 1.0);
        let short = Offer::new(&charter(4, Plan::nano()), 1e9);
        assert_eq!(short.received_bytes_a_day(), 20 * short.received_bytes);
    }

    #[test]
    fn richer_states_take_more() {
        let plain = Offer::new(&charter(4, Plan::sparse()), 1.0);
        let mut plan = Plan::sparse();
        plan.exchange.rule = AggregationRule::CenteredClip;
        let clipped = Offer::new(&charter(4, plan), 1.0);
        let parameters = Plan::sparse().model.parameters();
        assert_eq!(
            clipped.memory_bytes() - plain.memory_bytes(),
            4 * parameters
        );
        assert_eq!(clipped.disk_bytes() - plain.disk_bytes(), 8 * parameters);
    }
}
