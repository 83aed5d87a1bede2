//! `archipel bench fold`: how fast a cut of decoded updates becomes the next state.

use super::memory;
use super::update::{Source, UpdateArgs};
use crate::cli::text::{bytes, grouped};
use archipel_protocol::{
    charter::{
        Plan,
        plan::{AggregationRule, CodecKind, OuterRule},
    },
    codec::{Limits, Update, decode, encode},
    measure,
};
use clap::Args;
use serde_json::json;
use std::time::Instant;

/// Fold a cut by several rules.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct FoldArgs {
    #[command(flatten)]
    update: UpdateArgs,
    /// Updates of the cut.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    members: u8,
    /// The codec that the updates came in: f32, bf16, int8, int4, topk-2bit or demo.
    #[arg(long, value_name = "NAME", default_value = "topk-2bit")]
    #[arg(value_parser = super::codec::named)]
    codec: CodecKind,
    /// Runs, whose median counts.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Print one JSON object a rule.
    #[arg(long)]
    json: bool,
}

const RULES: [AggregationRule; 2] = [AggregationRule::Mean, AggregationRule::CenteredClip];

pub(super) fn run(args: &FoldArgs) -> anyhow::Result<()> {
    let source = args.update.source()?;
    let (parameters, layout) = (source.values.len(), source.layout.clone());
    let mut plan = Plan::sparse();
    plan.exchange.codec = args.codec;
    (plan.outer.rule, plan.outer.lr) = (OuterRule::Plain, "1".parse()?);
    let updates = updates(&plan, source, args.members)?;
    if !args.json {
        println!(
            "{} updates of {} parameters in {}, folded into a state in memory",
            args.members,
            grouped(parameters as u64),
            args.codec.name()
        );
    }
    for rule in RULES {
        plan.exchange.rule = rule;
        let name = plan.aggregation().name();
        let began = Instant::now();
        let mut clock = || began.elapsed().as_nanos() as u64;
        let before = memory::begin();
        let found = measure::folding(&plan, &layout, &updates, args.runs as usize, &mut clock);
        let peak = memory::peak_since(before);
        let ratio = found.fold_ns as f64 / found.pass_ns.max(1) as f64;
        let milliseconds = |ns: u64| ns as f64 / 1e6;
        if args.json {
            let object = json!({
                "rule": name, "codec": args.codec.name(), "members": args.members,
                "parameters": parameters, "fold_ms": milliseconds(found.fold_ns),
                "pass_ms": milliseconds(found.pass_ns), "passes": ratio, "peak_bytes": peak,
            });
            println!("{object}");
            continue;
        }
        println!(
            "{name:14} {:8.1} ms, {ratio:6.1} times reading and writing the parameters once \
             ({:.1} ms); {} of memory",
            milliseconds(found.fold_ns),
            milliseconds(found.pass_ns),
            peak.map_or("-".to_owned(), bytes)
        );
    }
    Ok(())
}

/// The update of each member: the same values, from another place on for each.
fn updates(plan: &Plan, source: Source, members: u8) -> anyhow::Result<Vec<Update>> {
    let mut values = source.values;
    let one = |values: &[f32]| -> anyhow::Result<Update> {
        let codec = plan.codec();
        let limits = Limits {
            max_abs: f32::MAX,
            max_norm: f64::MAX,
            max_payload_bytes: u64::MAX,
        };
        let payload = encode(codec, &source.layout, values)?.payload;
        Ok(decode(codec, &payload, &source.layout, &limits)?)
    };
    let mut updates = Vec::new();
    for _ in 0..members {
        updates.push(one(&values)?);
        let shift = 9973 % values.len();
        values.rotate_left(shift);
    }
    Ok(updates)
}
