//! What a fold, a root and a log must be, worked out a second time.
//!
//! The checker holds members against this. It is written from `protocol/SPEC.md` and shares
//! nothing with the code it checks: of the protocol it uses the types that carry data (plan,
//! layout, tensors, blocks, ids) and none of the functions that compute. It is plain and scalar,
//! one value after the other, and allocates as it likes; it has to be right, and fast enough for
//! models of a few thousand parameters.
//!
//! - [`refold`]: base state, payloads and tokens to the next state's tensors, bitwise.
//! - [`Standing`]: members, activity and schedule, carried along by final blocks, and the root.
//! - [`LogReader`]: a log of records, from its bytes.
//! - [`decode`]: a payload to one value a parameter.
//!
//! Signatures are not checked here.

mod aggregate;
mod chain;
mod decode;
mod difference;
mod fragment;
mod outer;
mod record;
mod root;
mod sight;
mod standing;
mod sums;

#[cfg(test)]
mod tests;

pub use chain::{LogError, LogReader, check_prefix};
pub use decode::{PayloadError, decode};
pub use difference::Difference;
pub use record::{Commit, Content, Received, Record, RecordError};
pub use root::{memory_digest, root_of, root_of_manifest};
pub use standing::{Standing, StandingError};

use archipel_protocol::{
    charter::{
        Plan,
        plan::{AggregationRule, CodecKind, ExchangePlan, OuterRule},
    },
    ids::{BlobHash, Round},
    layout::Layout,
    state::Tensors,
    suspicion::Sight,
};
use fragment::Part;

/// What a fold must give; compare with [`Self::check_tensors`] and [`Self::check_record`].
#[derive(Clone, Debug)]
pub struct Refolded {
    /// The next state's vectors.
    pub tensors: Tensors,
    /// The weight of every update, in the order given.
    pub weights: Vec<u64>,
    /// How each update looks beside the others, in the order given.
    pub sights: Vec<Sight>,
    /// BLAKE3 of the aggregate's little-endian bytes; zero where nothing was folded.
    pub aggregate: BlobHash,
    /// True where a cut that was not empty changed nothing.
    pub voided: bool,
}

/// Why there is nothing to compare a fold or a root with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// A payload of the cut is none: nobody may hold it, so it cannot be in a cut.
    #[error("payload {position} of the cut is not valid: {source}")]
    Payload {
        /// Position in the cut.
        position: usize,
        /// What is wrong with it.
        source: PayloadError,
    },
    /// The plan is not one that a charter may have.
    #[error("{setting} is {found}, which no valid plan has")]
    Plan {
        /// Which setting.
        setting: &'static str,
        /// Its value, in billionths where it is a decimal.
        found: i64,
    },
    /// A vector of a state is not as long as the plan and the layout say.
    #[error("{vector} has {found} values or tensors, expected {expected}")]
    Length {
        /// Which vector.
        vector: &'static str,
        /// What the layout has.
        expected: usize,
        /// What was found.
        found: usize,
    },
    /// The previous aggregate of a state is not finite, which no fold leaves behind.
    #[error("value {position} of the previous aggregate is {found}")]
    Aggregate {
        /// Position in the flat vector.
        position: usize,
        /// The value.
        found: f32,
    },
}

/// Folds payloads, given in voter order with the tokens of each, into a state.
///
/// # Errors
/// Where payload, plan or base state break a rule, so that no honest member could have folded.
pub fn refold(
    plan: &Plan,
    layout: &Layout,
    round: Round,
    base: &Tensors,
    updates: &[(u64, &[u8])],
) -> Result<Refolded, ReferenceError> {
    check_plan(plan)?;
    check_base(plan, layout, base)?;
    let part = fragment::part(layout, plan.outer.fragments, round.0);
    let part = part.ok_or(ReferenceError::Plan {
        setting: "outer.fragments",
        found: i64::from(plan.outer.fragments),
    })?;
    let mut decoded = Vec::with_capacity(updates.len());
    for (position, (_, payload)) in updates.iter().enumerate() {
        let values = decode(&plan.exchange, &part.layout, payload);
        decoded.push(values.map_err(|source| ReferenceError::Payload { position, source })?);
    }
    let tokens: Vec<u64> = updates.iter().map(|(tokens, _)| *tokens).collect();
    let sparse = plan.exchange.codec == CodecKind::TopK2Bit;
    let (folded, sights) = match decoded.is_empty() {
        true => (None, Vec::new()),
        false => (
            folded(plan, &part, base, &decoded, &tokens),
            sight::sights(&part.of(base), &decoded, sparse),
        ),
    };
    let folded = folded.unwrap_or_else(|| Refolded {
        tensors: base.clone(),
        weights: vec![0; updates.len()],
        sights: Vec::new(),
        aggregate: BlobHash::default(),
        voided: !updates.is_empty(),
    });
    Ok(Refolded { sights, ..folded })
}

/// The fold of a cut that is not empty, without sights; nothing where it is void.
fn folded(
    plan: &Plan,
    part: &Part,
    whole: &Tensors,
    updates: &[Vec<f32>],
    tokens: &[u64],
) -> Option<Refolded> {
    let exchange = &plan.exchange;
    let base = &part.of(whole);
    if (updates.len() as u64) < updates_needed(exchange) {
        return None;
    }
    let clip = exchange.clip_to_median_norm || exchange.rule == AggregationRule::CenteredClip;
    let (scales, equal) = (aggregate::scales(updates, clip), vec![1; updates.len()]);
    let (values, weights) = match exchange.rule {
        AggregationRule::Mean | AggregationRule::MeanOfSenders => {
            let share = u64::try_from(exchange.weight_cap.billionths()).ok()?;
            let weights = aggregate::capped_weights(tokens, share);
            let sparse = exchange.codec == CodecKind::TopK2Bit;
            let values = match exchange.rule {
                AggregationRule::Mean => aggregate::mean(updates, &scales, &weights),
                _ => aggregate::mean_of_senders(updates, &scales, &weights, sparse),
            };
            (values?, weights)
        }
        AggregationRule::TrimmedMean => (
            aggregate::trimmed_mean(updates, &scales, exchange.assumed_liars as usize),
            equal,
        ),
        AggregationRule::Median => (aggregate::median(updates, &scales), equal),
        AggregationRule::Krum | AggregationRule::MultiKrum => {
            let liars = exchange.assumed_liars as usize;
            let keep = match exchange.rule {
                AggregationRule::MultiKrum => exchange.multi_krum_keep as usize,
                _ => 1,
            };
            aggregate::krum(updates, &scales, liars, keep)
        }
        AggregationRule::GeometricMedian => (aggregate::geometric_median(updates, &scales), equal),
        AggregationRule::CenteredClip => {
            // Among several fragments, one of zeros alone was not exchanged yet.
            let moved = plan.outer.fragments == 1 || base.aggregate.iter().any(|v| *v != 0.0);
            let known = moved && !base.aggregate.is_empty();
            let previous = known.then_some(base.aggregate.as_slice());
            let iterations = exchange.clip_iterations;
            let values = aggregate::centered_clip(updates, &scales, previous, iterations);
            (values, equal)
        }
    };
    let (parameters, momentum) = outer::step(&plan.outer, part.turn, base, &values)?;
    let hash = root::content_hash(&values);
    let aggregate = match exchange.rule {
        AggregationRule::CenteredClip => values,
        _ => Vec::new(),
    };
    let folded = Tensors {
        parameters,
        momentum,
        aggregate,
    };
    Some(Refolded {
        tensors: part.put(whole, &folded),
        weights,
        sights: Vec::new(),
        aggregate: hash,
        voided: false,
    })
}

/// The fewest updates of a cut that is not void.
fn updates_needed(exchange: &ExchangePlan) -> u64 {
    let (f, m) = (exchange.assumed_liars, exchange.multi_krum_keep);
    let (f, m) = (u64::from(f), u64::from(m));
    match exchange.rule {
        AggregationRule::TrimmedMean => 2 * f + 1,
        AggregationRule::Krum => 2 * f + 3,
        AggregationRule::MultiKrum => u64::max(2 * f + 3, f + 2 + m),
        _ => 1,
    }
}

fn check_plan(plan: &Plan) -> Result<(), ReferenceError> {
    let billion = 1_000_000_000;
    let multi_krum = plan.exchange.rule == AggregationRule::MultiKrum;
    let settings = [
        (
            "exchange.multi_krum_keep",
            i64::from(plan.exchange.multi_krum_keep),
            i64::from(multi_krum)..=i64::from(u32::MAX),
        ),
        (
            "exchange.clip_iterations",
            i64::from(plan.exchange.clip_iterations),
            1..=16,
        ),
        (
            "exchange.weight_cap",
            plan.exchange.weight_cap.billionths(),
            1..=billion,
        ),
        ("outer.lr", plan.outer.lr.billionths(), 1..=10 * billion),
        ("outer.period", i64::from(plan.outer.period), 1..=1024),
        ("outer.fragments", i64::from(plan.outer.fragments), 1..=12),
        (
            "outer.momentum",
            plan.outer.momentum.billionths(),
            0..=billion - 1000,
        ),
    ];
    for (setting, found, allowed) in settings {
        if !allowed.contains(&found) {
            return Err(ReferenceError::Plan { setting, found });
        }
    }
    Ok(())
}

fn check_base(plan: &Plan, layout: &Layout, base: &Tensors) -> Result<(), ReferenceError> {
    let all = layout.parameters();
    let momenta = match plan.outer.rule {
        OuterRule::Nesterov | OuterRule::DelayedNesterov => all,
        OuterRule::Plain | OuterRule::Sign => 0,
    };
    let kept = match (plan.exchange.rule, base.aggregate.len()) {
        (AggregationRule::CenteredClip, 1..) => all,
        _ => 0,
    };
    let lengths = [
        ("parameters", all, base.parameters.len()),
        ("momentum", momenta, base.momentum.len()),
        ("aggregate", kept, base.aggregate.len()),
    ];
    for (vector, expected, found) in lengths {
        if found != expected {
            return Err(ReferenceError::Length {
                vector,
                expected,
                found,
            });
        }
    }
    let mut values = base.aggregate.iter().copied().enumerate();
    match values.find(|(_, value)| !value.is_finite()) {
        Some((position, found)) => Err(ReferenceError::Aggregate { position, found }),
        None => Ok(()),
    }
}
