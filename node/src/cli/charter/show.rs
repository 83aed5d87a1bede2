//! `archipel charter show`: the charter in words, and what it asks of a site.

use super::offer::{DEFAULT_GFLOPS, Offer, Term, speed as speed_of};
use super::{Standing, names, role_name, unsigned, voting};
use crate::cli::read_charter;
use crate::cli::text::{bytes, duration, grouped, plural, wrapped};
use crate::driver::HOLDOUT_FILE;
use archipel_protocol::charter::plan::{
    AggregationRule, InnerOptimizer, InnerPlan, MixtureEntry, OuterRule, Tokenizer,
};
use archipel_protocol::charter::{Charter, FaultModel, Plan, SignedCharter};
use archipel_protocol::crypto::Ed25519Verifier;
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The widest a page gets, and how wide it is where nobody says.
const WIDTH: usize = 100;
/// The narrowest: a run's id beside its label.
const MIN_WIDTH: usize = 80;
/// Columns of a label and the space after it.
const INDENT: usize = 16;

/// Show a charter, and what it asks of a site.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ShowArgs {
    /// The charter file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What this site computes, in 10^9 operations a second; the default is a guess for two
    /// processor cores.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_GFLOPS, value_parser = speed)]
    pub gflops: f64,
    /// Threads that this site trains with [default: all cores of this machine].
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::config::MAX_THREADS)))]
    pub threads: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (1e-3..=1e12).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.001 to 1000000000000".to_owned()),
    }
}

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let signed = read_charter(&args.file)?;
    let machine = (args.gflops, args.threads.map_or_else(cores, usize::from));
    if args.json {
        println!("{}", object(&signed, machine));
    } else {
        let columns = console::Term::stdout().size_checked();
        let width = columns.map_or(WIDTH, |(_, columns)| usize::from(columns));
        print!("{}", page(&signed, machine, width.clamp(MIN_WIDTH, WIDTH)));
    }
    Ok(())
}

/// Cores of this machine.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a site computes with: 10⁹ operations a second, and threads.
type Machine = (f64, usize);

/// A page as it grows.
struct Page {
    text: String,
    width: usize,
}

/// How many votes are needed, and what that withstands, in one sentence.
pub(super) fn agreement(charter: &Charter) -> String {
    let voters = voting(charter).count();
    if voters == 0 {
        return "nobody votes yet".to_owned();
    }
    let faults = charter.faults();
    let some = plural(faults, "member");
    let (model, withstands) = match (charter.fault_model, faults) {
        (FaultModel::Byzantine, 0) => (
            "byzantine",
            "below four voting members this tolerates nobody: when one stops, all wait, and a \
             liar can stop the run"
                .to_owned(),
        ),
        (FaultModel::Byzantine, _) => ("byzantine", format!("{some} may lie or stop")),
        (FaultModel::Crash, 0) => (
            "crash",
            "nobody may stop, and nobody is protected from a liar".to_owned(),
        ),
        (FaultModel::Crash, _) => (
            "crash",
            format!("{some} may stop, and nobody is protected from a liar"),
        ),
    };
    format!(
        "{model}, {} of {} needed; {withstands}",
        charter.quorum(),
        plural(voters, "vote")
    )
}

/// What signing means for a site, in one sentence.
pub(super) fn summary(charter: &Charter, file: &Path) -> String {
    let offer = Offer::new(charter, DEFAULT_GFLOPS, cores());
    format!(
        "A member gives about {} of memory and {} of disk, and receives about {} a day, for {} \
         rounds: see `archipel charter show {}`.",
        bytes(offer.memory_bytes()),
        bytes(offer.disk_bytes()),
        bytes(offer.received_bytes_a_day()),
        grouped(offer.rounds),
        file.display()
    )
}

/// The whole page, no wider than `width` unless a name or address is longer.
fn page(signed: &SignedCharter, machine: Machine, width: usize) -> String {
    let mut page = Page {
        text: String::new(),
        width,
    };
    head(&mut page, signed);
    members(&mut page, signed);
    plan(&mut page, &signed.charter.plan);
    if signed.charter.plan.validate(usize::MAX, usize::MAX).is_ok() {
        offer(&mut page, &signed.charter, machine);
    }
    page.text
}

fn head(out: &mut Page, signed: &SignedCharter) {
    let charter = &signed.charter;
    line(out, "federation", &printable(&charter.name));
    line(out, "run", &signed.run_id().to_string());
    line(out, "agreement", &agreement(charter));
    let votes = plural(charter.amendment_votes(), "vote");
    line(
        out,
        "amendments",
        &format!("{votes} of {}", voting(charter).count()),
    );
    let state = match signed.verify(&Ed25519Verifier) {
        Ok(()) => "whole, and signed by all voting members".to_owned(),
        Err(error) => format!("not ready: {error}"),
    };
    line(out, "state", &state);
    let missing = unsigned(signed);
    if !missing.is_empty() {
        line(out, "to sign", &printable(&names(&missing)));
    }
}

fn members(out: &mut Page, signed: &SignedCharter) {
    let members = &signed.charter.members;
    out.text.push_str(if members.is_empty() {
        "\nMembers: none yet\n"
    } else {
        "\nMembers\n"
    });
    let width = members
        .iter()
        .map(|member| member.name.len())
        .max()
        .unwrap_or(0);
    for member in members {
        let signature = match Standing::of(signed, member) {
            Standing::Signed => "signed",
            Standing::Void => "void",
            Standing::Missing => "-",
        };
        let (name, role) = (printable(&member.name), role_name(member.role));
        let (key, addresses) = (member.id.short(), printable(&member.addresses.join(" ")));
        let row = format!("  {name:width$}  {role:8}  {key}  {signature:6}  {addresses}");
        let _ = writeln!(out.text, "{}", row.trim_end());
    }
}

fn plan(out: &mut Page, plan: &Plan) {
    out.text.push_str("\nPlan\n");
    let (model, inner, timing) = (&plan.model, &plan.inner, &plan.timing);
    let parameters = grouped(model.parameters());
    let shape = format!(
        "P = {parameters} parameters: {} of width {}, context {}, vocabulary {} ({})",
        plural(model.layers as usize, "layer"),
        model.d_model,
        model.context,
        model.vocabulary,
        match plan.tokenizer {
            Tokenizer::Bytes => "bytes".to_owned(),
            Tokenizer::Hf(hash) => format!("tokenizer.json {}", hash.short()),
        }
    );
    line(out, "  model", &shape);
    let tokens = grouped(plan.tokens_per_round());
    let steps = format!(
        "{} of {} each: {tokens} tokens a round, {}",
        plural(usize::try_from(inner.steps).unwrap_or(usize::MAX), "step"),
        plural(inner.batch_sequences as usize, "sequence"),
        optimizer(inner)
    );
    line(out, "  inner steps", &steps);
    line(out, "  outer step", &outer(plan));
    line(out, "  updates", &updates(plan));
    line(
        out,
        "  run",
        &format!(
            "{} rounds in {}",
            grouped(plan.rounds),
            printable(&plan.numerics_class)
        ),
    );
    let wait = match timing.wait_all {
        true => "for all active members, without a deadline".to_owned(),
        false => format!(
            "{} to {} a round",
            duration(timing.deadline_floor_ms as f64 / 1e3),
            duration(timing.deadline_ceiling_ms as f64 / 1e3)
        ),
    };
    line(out, "  waiting", &wait);
    let manifests = plural(plan.data.manifests.len(), "manifest");
    let held_out = match plan.data.holdout {
        Some(hash) => {
            format!(
                "{} held out ({}): each member puts a copy of the file into its folder as \
                 {HOLDOUT_FILE}",
                bytes(plan.data.holdout_bytes),
                hash.short()
            )
        }
        None => "nothing held out: the members report no common evaluation".to_owned(),
    };
    line(out, "  data", &format!("{manifests}, {held_out}"));
    if !plan.data.mixture.is_empty() {
        line(out, "  mixture", &mixture(&plan.data.mixture));
    }
}

fn optimizer(inner: &InnerPlan) -> String {
    let mut said = kind(inner);
    if inner.reset_optimizer {
        said += ", afresh every round";
    }
    if inner.rewarm_steps > 0 {
        said += &format!(
            ", warming up in {}",
            plural(inner.rewarm_steps as usize, "step")
        );
    }
    if inner.steps_by_speed {
        said += "; fewer steps for who is slow";
    }
    said
}

fn kind(inner: &InnerPlan) -> String {
    match &inner.muon {
        None if inner.optimizer == InnerOptimizer::Sgd => format!("sgd at {}", inner.lr),
        None => format!("adamw at {}", inner.lr),
        Some(muon) => format!(
            "muon at {} for hidden matrices, momentum {}, {}; adamw at {} for the rest",
            muon.lr,
            muon.momentum,
            plural(muon.steps as usize, "iteration"),
            inner.lr
        ),
    }
}

/// Each sector with its share.
fn mixture(entries: &[MixtureEntry]) -> String {
    let share = |entry: &MixtureEntry| entry.weight.billionths() as f64;
    let all: f64 = entries.iter().map(share).sum();
    let each = entries.iter().map(|entry| {
        let percent = 100.0 * share(entry) / all;
        format!("{} {percent:.1} %", printable(&entry.sector))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn outer(plan: &Plan) -> String {
    let outer = &plan.outer;
    let (lr, momentum) = (outer.lr, outer.momentum);
    let mut said = match outer.rule {
        OuterRule::Nesterov => format!("nesterov at {lr}, momentum {momentum}"),
        OuterRule::Plain => format!("plain at {lr}"),
        OuterRule::DelayedNesterov => {
            let turns = plural(outer.period as usize, "turn");
            format!("delayed-nesterov at {lr}, momentum {momentum} in {turns}")
        }
        OuterRule::Sign => format!("sign at {lr}"),
    };
    if outer.fragments > 1 {
        said += &format!("; {} fragments in turn", outer.fragments);
    }
    if outer.carries_on() {
        let steps = plural(outer.delay as usize, "step");
        said += &format!("; {steps} ahead of the result, own share {}", outer.alpha);
    }
    said
}

fn updates(plan: &Plan) -> String {
    let exchange = &plan.exchange;
    let (liars, keep) = (exchange.assumed_liars, exchange.multi_krum_keep);
    let rule = match exchange.rule {
        AggregationRule::Mean => "mean".to_owned(),
        AggregationRule::CenteredClip => "centered_clip".to_owned(),
        AggregationRule::MeanOfSenders => "mean_of_senders".to_owned(),
        AggregationRule::TrimmedMean => format!("trimmed_mean, {liars} from each end,"),
        AggregationRule::Median => "median".to_owned(),
        AggregationRule::Krum => format!("krum against {}", plural(liars as usize, "liar")),
        AggregationRule::MultiKrum => format!(
            "multi_krum against {}, {keep} kept,",
            plural(liars as usize, "liar")
        ),
        AggregationRule::GeometricMedian => "geometric_median".to_owned(),
    };
    let clipped = match exchange.clip_to_median_norm {
        true => "norms cut to the median, ",
        false => "",
    };
    let codec = match (exchange.codec.keeps_a_share(), exchange.codec.name()) {
        (false, name) => name.to_owned(),
        (true, name) => format!("{name}, {} of {}", exchange.keep, exchange.chunk),
    };
    let feedback = match exchange.error_feedback {
        Some(beta) => format!(", error feedback {beta}"),
        None => String::new(),
    };
    let minimum = plural(exchange.minimum_updates as usize, "update");
    format!("{codec}{feedback}; {clipped}{rule} of at least {minimum}")
}

fn offer(out: &mut Page, charter: &Charter, (gflops, threads): Machine) {
    let offer = Offer::new(charter, gflops, threads);
    out.text
        .push_str("\nWhat each voting member gives (P parameters, sizes in bytes)\n");
    line(out, "  speed", &speed_of(&charter.plan, gflops));
    line(out, "  memory", &bytes(offer.memory_bytes()));
    terms(out, &offer.memory);
    line(out, "  disk", &bytes(offer.disk_bytes()));
    terms(out, &offer.disk);
    let network = format!(
        "{} received a round = (members - 1) · payload; sent: one payload at the least, as much \
         as received on average",
        bytes(offer.received_bytes)
    );
    line(out, "  network", &network);
    let payload = format!(
        "payload {} = {}",
        bytes(offer.payload_bytes),
        offer.payload_formula
    );
    line(out, "", &payload);
    let day = format!(
        "{} received = a round's · min(rounds, 86400 / seconds a round)",
        bytes(offer.received_bytes_a_day())
    );
    line(out, "  bytes a day", &day);
    let hours = format!(
        "{} in all = {} · {} rounds, computing alone",
        duration(offer.run_seconds()),
        duration(offer.seconds),
        grouped(offer.rounds)
    );
    line(out, "  time", &hours);
    let speed = format!(
        "at {gflops} · 10^9 operations a second (--gflops) for {:.3e} operations a round; sites \
         compute at the same time and wait for the slowest, within the deadline",
        offer.flop as f64
    );
    line(out, "", &speed);
}

/// A text of somebody else's, without the power to move the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn terms(out: &mut Page, terms: &[Term]) {
    for term in terms.iter().filter(|term| term.bytes > 0) {
        let text = format!("{}: {}", term.what, term.formula);
        let mut rows = wrapped(&text, out.width - INDENT).into_iter();
        let (size, first) = (bytes(term.bytes), rows.next().unwrap_or_default());
        let _ = writeln!(out.text, "    {size:>9}   {first}");
        for row in rows {
            let _ = writeln!(out.text, "{:INDENT$}{row}", "");
        }
    }
}

/// A label and a text, wrapped beside it.
fn line(out: &mut Page, label: &str, text: &str) {
    let mut rows = wrapped(text, out.width - INDENT).into_iter();
    let _ = writeln!(out.text, "{label:15} {}", rows.next().unwrap_or_default());
    for row in rows {
        let _ = writeln!(out.text, "{:15} {row}", "");
    }
}

fn object(signed: &SignedCharter, (gflops, threads): Machine) -> serde_json::Value {
    let charter = &signed.charter;
    let problem = signed
        .verify(&Ed25519Verifier)
        .err()
        .map(|error| error.to_string());
    let offer = Offer::new(charter, gflops, threads);
    let missing: Vec<&str> = unsigned(signed).iter().map(|m| m.name.as_str()).collect();
    json!({
        "name": charter.name,
        "run_id": signed.run_id(),
        "plan_hash": charter.plan.hash(),
        "fault_model": charter.fault_model,
        "voters": charter.voters().len(),
        "quorum": charter.quorum(),
        "faults": charter.faults(),
        "ready": problem.is_none(),
        "problem": problem,
        "unsigned": missing,
        "parameters": charter.plan.model.parameters(),
        "rounds": charter.plan.rounds,
        "gives": {
            "memory_bytes": offer.memory_bytes(),
            "disk_bytes": offer.disk_bytes(),
            "payload_bytes": offer.payload_bytes,
            "received_bytes_a_round": offer.received_bytes,
            "received_bytes_a_day": offer.received_bytes_a_day(),
            "seconds_a_round": offer.seconds,
            "seconds_in_all": offer.run_seconds(),
            "gflops": gflops,
            "threads": threads,
            "terms": {
                "memory": terms_of(&offer.memory),
                "disk": terms_of(&offer.disk),
            },
        },
    })
}

/// The parts of a sum.
fn terms_of(terms: &[Term]) -> serde_json::Value {
    let each = terms
        .iter()
        .map(|term| json!({ "what": term.what, "formula": term.formula, "bytes": term.bytes }));
    each.collect()
}

#[cfg(test)]
mod tests;
