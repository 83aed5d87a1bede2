//! What a plan asks of one voting member, computed from the plan alone.
//!
//! Every number comes with its formula: a site that doubts one can compute it again. The terms are
//! what the node keeps, each at its largest; `node/tests/footprint.rs` measures processes and
//! folders of real federations and holds these sums against them.

use crate::cli::text::duration;
use archipel_protocol::charter::plan::{AggregationRule, CodecKind};
use archipel_protocol::charter::{Charter, Plan};

/// A guess for two processor cores, in 10^9 operations a second.
pub(crate) const DEFAULT_GFLOPS: f64 = 20.0;
/// Sixteen cores, by that guess: what needs more than this is not for processors.
const SERVER_GFLOPS: f64 = 8.0 * DEFAULT_GFLOPS;

/// How long a round of a plan takes, and whether it is for processors at all, in one sentence.
pub(crate) fn speed(plan: &Plan, gflops: f64) -> String {
    let flop = plan.model.training_flop(plan.tokens_per_round()) as f64;
    let seconds = flop / (gflops * 1e9);
    let ceiling = plan.timing.deadline_ceiling_ms as f64 / 1e3;
    let (round, deadline) = (duration(seconds), duration(ceiling));
    let measure = match gflops == DEFAULT_GFLOPS {
        true => "two processor cores, by a guess".to_owned(),
        false => format!("{gflops} · 10^9 operations a second"),
    };
    let takes = format!("with {measure}, a round takes {round} of computing");
    if flop / (SERVER_GFLOPS * 1e9) > ceiling {
        format!(
            "This plan is made for accelerators: {takes}, and its deadline comes after {deadline} \
             at the latest."
        )
    } else if seconds > ceiling && !plan.timing.wait_all {
        format!(
            "Too slow for this plan: {takes}, and its deadline comes after {deadline} at the \
             latest, so that such a site's updates are not counted."
        )
    } else {
        format!("W{}.", &takes[1..])
    }
}

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
    /// What lies on disk at the most; prepared data comes on top.
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
    /// Computes what `charter` asks of a member that computes `gflops` · 10⁹ operations a second
    /// on so many threads.
    pub fn new(charter: &Charter, gflops: f64, threads: usize) -> Self {
        let (plan, members) = (&charter.plan, charter.voters().len() as u64);
        let flop = plan.model.training_flop(plan.tokens_per_round());
        let payload_bytes = plan.payload_bytes();
        Self {
            memory: memory(plan, members, threads as u64),
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

/// Memory of a node that has nothing to do yet: its program, its threads, its connections.
const PROCESS_BYTES: u64 = 24 << 20;
/// Memory of a connection to another member, with what is on its way.
const PEER_BYTES: u64 = 2 << 20;
/// Rows whose logits are held at once.
const HEAD_ROWS: u64 = 256;
/// Above this length the allocator gives a vector back as soon as it is free.
const KEPT_VECTOR_BYTES: u64 = 32 << 20;

fn memory(plan: &Plan, members: u64, threads: u64) -> Vec<Term> {
    let dense = plan.dense_bytes();
    let times = |count: u64| dense.saturating_mul(count);
    let states = 1 + state_copies(plan);
    let (formula, updates) = match plan.exchange.codec.lists_some() {
        true => ("8 · P · keep / chunk · members", sparse_bytes(plan)),
        false => ("4 · P · members", dense),
    };
    // A round's training and its fold take turns: what the larger needs is enough for both.
    let fold = times(2 * states).saturating_add(updates.saturating_mul(members));
    let whole = if is_made_whole(plan.exchange.rule) {
        dense
    } else {
        0
    };
    let longest = [dense, plan.payload_bytes()].into_iter();
    let kept = longest.filter(|bytes| *bytes <= KEPT_VECTOR_BYTES).max();
    vec![
        term("the process", "24 MiB", PROCESS_BYTES),
        term(
            "connections",
            "2 MiB · (members - 1)",
            PEER_BYTES.saturating_mul(members.saturating_sub(1)),
        ),
        term(
            "training",
            "16 · P: weights, gradient, two moments",
            times(4),
        ),
        term(
            "gradients of micro-batches",
            "4 · P · threads",
            times(threads),
        ),
        term(
            "activations",
            "threads · micro-batch · context · (values kept) · 4",
            activations(plan).saturating_mul(threads),
        ),
        term(
            "two states, as they are folded and evaluated",
            "8 · P · (1 + outer and rule state)",
            times(2 * states),
        ),
        term(
            "decoded updates of a cut",
            formula,
            updates.saturating_mul(members).saturating_add(whole),
        ),
        term(
            "training beyond that",
            "20 · P for packed weights, start and moments, less the two above",
            times(5).saturating_sub(fold.saturating_add(whole)),
        ),
        term(
            "freed vectors that the allocator keeps",
            "8 · (4 · P, or a payload, whichever is at most 32 MiB)",
            kept.unwrap_or(0).saturating_mul(KEPT_VECTORS),
        ),
        term("write-ahead log", "as on disk", log_bytes(plan, members)),
    ]
}

/// Freed vectors of a model's length that the allocator keeps for the next ones.
const KEPT_VECTORS: u64 = 8;

/// Bytes of a decoded update that lists some coordinates.
fn sparse_bytes(plan: &Plan) -> u64 {
    let exchange = &plan.exchange;
    let kept = u128::from(plan.model.parameters()) * u128::from(exchange.keep)
        / u128::from(exchange.chunk.max(1));
    u64::try_from(kept * 8).unwrap_or(u64::MAX)
}

/// Whether an aggregate stands in memory as a whole.
fn is_made_whole(rule: AggregationRule) -> bool {
    !matches!(rule, AggregationRule::Mean | AggregationRule::MeanOfSenders)
}

/// Bytes that a micro-batch leaves for the backward pass, and takes in it.
///
/// A token keeps 5 · d + (d + 2 · kv) + 3 · ffn + 2 · heads + 2 values a block; the gradient of a
/// block goes through 2 · d + (d + 2 · kv) + 3 · ffn more, the stream and what the head reads
/// through 2 · d. Logits of 256 rows stand at once.
fn activations(plan: &Plan) -> u64 {
    let wide = |value: u32| u128::from(value);
    let model = &plan.model;
    let d = wide(model.d_model);
    let heads = wide(model.heads.max(1));
    let read = d + 2 * (d / heads) * wide(model.kv_heads) + 3 * wide(model.ffn);
    let block = 5 * d + read + 2 * heads + 2;
    let token = wide(model.layers) * block + read + 4 * d;
    let tokens = wide(plan.inner.micro_batch) * wide(model.context);
    let logits = u128::from(HEAD_ROWS).min(tokens) * wide(model.vocabulary);
    u64::try_from(token.saturating_mul(tokens).saturating_add(logits) * 4).unwrap_or(u64::MAX)
}

/// States on disk: the first, the three latest, and one that is being written.
const STATES: u64 = 5;
/// Rounds whose optimizer states and residuals are kept.
const OWN_ROUNDS: u64 = 4;
/// Bytes of the write-ahead log in a round, whoever takes part, and for each voting member.
const LOG_BASE: u64 = 1400;
const LOG_MEMBER: u64 = 1100;
/// Length at which the write-ahead log is made short again.
const LOG_LIMIT: u64 = 16 << 20;
/// Index, configuration, status.
const SMALL_FILES: u64 = 128 << 10;

fn disk(plan: &Plan, members: u64) -> Vec<Term> {
    let dense = plan.dense_bytes();
    let times = |count: u64| dense.saturating_mul(count);
    let residual = u64::from(plan.exchange.error_feedback.is_some());
    let own = u64::from(plan.outer.carries_on());
    let fragments = u64::from(plan.outer.fragments.max(1));
    let rounds = (OWN_ROUNDS.max(fragments + 1) + 1).min(plan.rounds);
    let payloads = (plan.payload_bytes() / fragments)
        .saturating_mul(members)
        .saturating_mul(rounds);
    let states = STATES.min(plan.rounds.saturating_add(1));
    let own_rounds = OWN_ROUNDS.min(plan.rounds);
    vec![
        term(
            "states: the first, three latest, one to come",
            "5 · 4 · P · (1 + outer and rule state)",
            times(states * (1 + state_copies(plan))),
        ),
        term(
            "optimizer of the last four rounds",
            "4 · (8 · P, and 4 · P each for a residual and for own parameters)",
            times(own_rounds * (2 + residual + own)),
        ),
        term("a snapshot, and the next", "2 · 12 · P", times(2 * 3)),
        term(
            "payloads of the last rounds",
            "payload · members · (5, or fragments + 2)",
            payloads,
        ),
        term(
            "write-ahead log",
            "(1400 + 1100 · members + 32 · tensors of a state) · rounds, at most 16 MiB",
            log_bytes(plan, members),
        ),
        term(
            "records, kept for ever",
            "(1450 + 340 · members) · rounds",
            plan.rounds
                .saturating_mul(1450 + members.saturating_mul(340)),
        ),
        term("index and small files", "128 KiB", SMALL_FILES),
        term("held-out bytes", "holdout_bytes", plan.data.holdout_bytes),
    ]
}

/// Bytes of the write-ahead log: about as many every round, until it is made short again.
fn log_bytes(plan: &Plan, members: u64) -> u64 {
    let round = LOG_BASE + members.saturating_mul(LOG_MEMBER) + 32 * plan.hashes_per_state();
    plan.rounds.saturating_mul(round).min(LOG_LIMIT)
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
        let offer = Offer::new(&charter, 10.0, 2);
        // 64 gaps in Rice code of 4096 take 512 bits at most, and two bits each beside.
        assert_eq!(offer.payload_bytes, parameters * (512 + 128) / 4096 / 8);
        assert_eq!(offer.received_bytes, 3 * offer.payload_bytes);
        let (read, tokens) = (64 + 2 * 64 + 3 * 192, 64 * 4);
        let values = 3 * (5 * 64 + read + 2 * 4 + 2) + read + 4 * 64;
        let activations = 4 * (tokens * values + 256 * 256);
        let log = 20 * (LOG_BASE + 4 * LOG_MEMBER + 32 * 30);
        // A round's training is more than its fold here: 20 P.
        let expected = (24 << 20) + (6 << 20) + (16 + 2 * 4 + 20 + 4 * KEPT_VECTORS) * parameters;
        assert_eq!(offer.memory_bytes(), expected + 2 * activations + log);
        let payloads = 5 * 4 * offer.payload_bytes;
        let records = 20 * (1450 + 4 * 340);
        let expected = (20 + 4 * (8 + 4) + 24) * parameters + payloads + records;
        assert_eq!(offer.disk_bytes(), expected + log + (128 << 10));
        let seconds = 20.0 * offer.flop as f64 / 1e10;
        assert!((offer.run_seconds() / seconds - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_day_holds_no_more_than_the_run() {
        let mut plan = Plan::nano();
        plan.rounds = 1 << 40;
        let long = Offer::new(&charter(4, plan), 1.0, 1);
        let day = long.received_bytes as f64 * 86_400.0 / long.seconds;
        assert!((long.received_bytes_a_day() as f64 - day).abs() <= 1.0);
        let short = Offer::new(&charter(4, Plan::nano()), 1e9, 1);
        assert_eq!(short.received_bytes_a_day(), 20 * short.received_bytes);
    }

    #[test]
    fn a_long_run_keeps_no_more_than_a_short_one_but_for_its_records() {
        let disk = |rounds| {
            let mut plan = Plan::nano();
            plan.rounds = rounds;
            Offer::new(&charter(4, plan), 1.0, 1).disk_bytes()
        };
        assert_eq!(disk(200_000) - disk(100_000), 100_000 * (1450 + 4 * 340));
        assert!(disk(1) < disk(6), "what is not there yet takes no room");
    }

    #[test]
    fn richer_states_and_more_threads_take_more() {
        let plain = Offer::new(&charter(4, Plan::sparse()), 1.0, 1);
        let mut plan = Plan::sparse();
        plan.exchange.rule = AggregationRule::CenteredClip;
        let clipped = Offer::new(&charter(4, plan), 1.0, 1);
        let parameters = Plan::sparse().model.parameters();
        assert!(clipped.memory_bytes() > plain.memory_bytes());
        // The log has the hashes of the aggregate as well.
        let more = 20 * parameters + 20 * 32 * 30;
        assert_eq!(clipped.disk_bytes() - plain.disk_bytes(), more);
        let wide = Offer::new(&charter(4, Plan::sparse()), 1.0, 3);
        let more = 2 * (4 * parameters + activations(&Plan::sparse()));
        assert_eq!(wide.memory_bytes() - plain.memory_bytes(), more);
    }
}
