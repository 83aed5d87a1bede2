//! The small sections: `[stop]`, `[crypto]`, `[learning]`, `[heal]`, `[check]`, `[sweep]`.

use super::{
    CheckSpec, Crypto, Expect, Heal, LearningSpec, Limits, LossBand, Mode, Stop, Sweep,
    error::Problem,
    reading::{Field, Read, Table, cut},
};
use archipel_protocol::charter::plan::CodecKind;
use std::path::PathBuf;

/// Keys of `[stop]`.
pub(super) const STOP_KEYS: [&str; 3] = ["rounds", "sim_time", "wall_time"];
/// Keys of `[crypto]`.
pub(super) const CRYPTO_KEYS: [&str; 3] = ["mode", "verify", "sign"];
/// Keys of `[learning]`.
pub(super) const LEARNING_KEYS: [&str; 9] = [
    "parameters",
    "heterogeneity",
    "noise",
    "condition",
    "learning_rate",
    "data",
    "evaluate_bytes",
    "same_draws",
    "evaluate_every",
];
/// Keys of `[heal]`.
pub(super) const HEAL_KEYS: [&str; 2] = ["at", "within"];
/// Keys of `[check]`.
pub(super) const CHECK_KEYS: [&str; 6] = [
    "invariants",
    "off",
    "paranoid",
    "loss_band",
    "expect",
    "limits",
];
/// Keys of `check.loss_band`.
pub(super) const BAND_KEYS: [&str; 3] = ["max_relative", "seeds", "baseline"];
/// Keys of `check.limits`.
pub(super) const LIMIT_KEYS: [&str; 5] = [
    "memory",
    "queue",
    "disk_round",
    "bytes_round",
    "messages_second",
];
/// Keys of `[sweep]`.
pub(super) const SWEEP_KEYS: [&str; 2] = ["codec", "bandwidth"];

/// Every invariant that a report may name.
pub const INVARIANTS: [&str; 25] = {
    let mut names = [""; 25];
    let mut at = 0;
    while at < names.len() {
        names[at] = MEANINGS[at].0;
        at += 1;
    }
    names
};
/// Every invariant, and what it says.
#[rustfmt::skip]
const MEANINGS: [(&str, &str); 25] = [
    ("S1", "no two honest members certify different roots for one round"),
    ("S2", "a certified round never changes; rounds only rise"),
    ("S3", "a counted update was announced, signed, and matched its hash"),
    ("S4", "an honest update held by a quorum before the deadline is in the cut, or in an explicit \
        carried or refused record"),
    ("S5", "an update is counted at most once"),
    ("S6", "every fold is what the checker computes itself, bit for bit"),
    ("S7", "the outer state is equal on all honest members"),
    ("S8", "every log is append-only and agrees with all checkpoints it signed"),
    ("S9", "an honest member never equivocates, crashes and upgrades included"),
    ("S10", "no honest member is evicted"),
    ("S11", "tokens and weights are conserved"),
    ("S12", "a minority never certifies"),
    ("L1", "after the heal all honest members reach one round within k rounds"),
    ("L2", "a joiner catches up within k rounds"),
    ("L3", "a straggler delays a round by at most the deadline"),
    ("L4", "an equivocator is known to all within k rounds"),
    ("R1", "memory of a member stays below its limit"),
    ("R2", "messages waiting for a member stay below their limit"),
    ("R3", "bytes written to disk a round stay below their limit"),
    ("R4", "control bytes sent a round stay below their limit"),
    ("R5", "messages sent a second stay below their limit"),
    ("C1", "the loss stays in its band"),
    ("C2", "the loss and the parameters are numbers"),
    ("C3", "the loss does not run away from where it began"),
    ("D1", "the same scenario and seed give the same digest"),
];
/// What an invariant says; of anything else that ends a run, that it is none.
pub fn invariant_meaning(name: &str) -> &'static str {
    let found = MEANINGS.iter().find(|(known, _)| *known == name);
    found.map_or(
        "the run itself failed, no invariant of the protocol",
        |(_, meaning)| meaning,
    )
}
/// Names of the codecs, as in a plan.
const CODECS: [(&str, &str); 6] = {
    let mut names = [("", ""); 6];
    let mut at = 0;
    while at < names.len() {
        let name = CodecKind::ALL[at].name();
        names[at] = (name, name);
        at += 1;
    }
    names
};

/// The most rounds of a run.
const MAX_ROUNDS: u64 = 1 << 40;
/// The most parameters of the quadratic.
const MAX_PARAMETERS: u64 = 1 << 22;
/// The least learning rate of the quadratic.
const LEAST_RATE: f64 = 1e-9;
/// The most points of a sweep.
const MAX_SWEEP: usize = 64;
/// Largest values of the resource invariants, where the scenario says nothing.
const LIMITS: Limits = Limits {
    memory_bytes: 256 << 20,
    queue: 100_000,
    disk_bytes_round: 1 << 30,
    bytes_round: 64 << 20,
    messages_second: 100_000,
};

/// Reads `[stop]`.
pub(super) fn stop(root: &Table<'_>) -> Read<Stop> {
    let mut stop = Stop::default();
    let Some(table) = root.table("stop")? else {
        return root.refuse(Problem::NoStop);
    };
    table.only(&STOP_KEYS)?;
    if let Some(field) = table.field("rounds") {
        stop.rounds = Some(field.whole(1, MAX_ROUNDS)?);
    }
    if let Some(field) = table.field("sim_time") {
        stop.sim_us = Some(field.some_time_us()?);
    }
    if let Some(field) = table.field("wall_time") {
        stop.wall_us = Some(field.some_time_us()?);
    }
    if stop == Stop::default() {
        return table.refuse(Problem::NoStop);
    }
    Ok(stop)
}

/// Reads `[crypto]`.
pub(super) fn crypto(root: &Table<'_>) -> Read<Crypto> {
    let Some(table) = root.table("crypto")? else {
        return Ok(COST);
    };
    table.only(&CRYPTO_KEYS)?;
    let mode = table.field("mode").map_or(Ok(true), |field| {
        field.one_of("crypto mode", &[("cost", true), ("real", false)])
    })?;
    let (verify, sign) = (table.field("verify"), table.field("sign"));
    if !mode {
        return match verify.or(sign) {
            Some(field) => field.contradicts(
                "mode = \"real\" charges no virtual time: remove it, or take mode = \"cost\"",
            ),
            None => Ok(Crypto::Real),
        };
    }
    let time =
        |field: Option<Field<'_>>, default| field.map_or(Ok(default), |field| field.time_us());
    Ok(Crypto::Cost {
        verify_us: time(verify, 100)?,
        sign_us: time(sign, 40)?,
    })
}

/// What signing costs where the scenario says nothing.
const COST: Crypto = Crypto::Cost {
    verify_us: 100,
    sign_us: 40,
};

/// Reads `[learning]`.
pub(super) fn learning(root: &Table<'_>, mode: Mode) -> Read<LearningSpec> {
    let mut learning = LearningSpec::default();
    let Some(table) = root.table("learning")? else {
        return Ok(learning);
    };
    table.only(&LEARNING_KEYS)?;
    let foreign: (&[&str], _, _) = match mode {
        Mode::Protocol => (
            &["data", "evaluate_bytes", "same_draws"],
            "train",
            "a quadratic reads no text",
        ),
        Mode::Train => (
            &[
                "parameters",
                "heterogeneity",
                "noise",
                "condition",
                "learning_rate",
            ],
            "protocol",
            "they describe the quadratic; a language model has plan.model, plan.inner and data",
        ),
    };
    let (keys, needed, why) = foreign;
    if let Some(field) = keys.iter().find_map(|key| table.field(key)) {
        let (key, found) = (field.key.clone(), field.plain().to_string());
        let found = cut(&found);
        return field.refuse(Problem::Mode {
            key,
            found,
            needed,
            why,
        });
    }
    if let Some(field) = table.field("parameters") {
        let found = field.whole(2, MAX_PARAMETERS)?;
        learning.parameters = u32::try_from(found).expect("the range fits");
    }
    if let Some(field) = table.field("heterogeneity") {
        learning.heterogeneity = field.real(0.0, 1_000.0)?;
    }
    if let Some(field) = table.field("noise") {
        learning.noise = field.real(0.0, 1_000.0)?;
    }
    if let Some(field) = table.field("condition") {
        learning.condition = field.real(1.0, 1e6)?;
    }
    if let Some(field) = table.field("learning_rate") {
        learning.learning_rate = field.real(LEAST_RATE, 1.0)?;
    }
    if let Some(field) = table.field("evaluate_bytes") {
        let found = field.whole(16, 65_536)?;
        learning.evaluate_bytes = u32::try_from(found).expect("the range fits");
    }
    if let Some(field) = table.field("same_draws") {
        learning.same_draws = field.flag()?;
    }
    if let Some(field) = table.field("data") {
        learning.data = Some(PathBuf::from(field.text("a folder in quotes")?));
    }
    if let Some(field) = table.field("evaluate_every") {
        learning.evaluate_every = field.whole(1, MAX_ROUNDS)?;
    }
    Ok(learning)
}

/// Reads `[heal]`.
pub(super) fn heal<'a>(root: &Table<'a>) -> Read<Option<(Heal, Field<'a>)>> {
    let Some(table) = root.table("heal")? else {
        return Ok(None);
    };
    table.only(&HEAL_KEYS)?;
    let at = table.need("at", "at = \"round:120\"")?;
    let within = match table.field("within") {
        None => 5,
        Some(field) => rounds(&field)?,
    };
    let heal = Heal {
        at: at.when()?,
        within_rounds: within,
    };
    Ok(Some((heal, at)))
}

/// `"5 rounds"`.
fn rounds(field: &Field<'_>) -> Read<u64> {
    const ROUNDS: &str = "a number of rounds from 1 to 100000, for example \"5 rounds\"";
    let text = field.text(ROUNDS)?;
    let number = text.strip_suffix(" rounds").or(text.strip_suffix(" round"));
    let number = number.and_then(|number| number.parse().ok());
    match number.filter(|number| (1..=100_000).contains(number)) {
        Some(number) => Ok(number),
        None => field.refuse(Problem::Unit {
            key: field.key.clone(),
            expected: ROUNDS,
            found: cut(text),
            hint: "",
        }),
    }
}

/// Reads `[check]`.
pub(super) fn check(root: &Table<'_>) -> Read<CheckSpec> {
    let mut check = CheckSpec {
        off: Vec::new(),
        paranoid: false,
        loss_band: None,
        expect: Expect::Pass,
        limits: LIMITS,
    };
    let Some(table) = root.table("check")? else {
        return Ok(check);
    };
    table.only(&CHECK_KEYS)?;
    check.off = off(&table)?;
    if let Some(field) = table.field("paranoid") {
        check.paranoid = field.flag()?;
    }
    if let Some(table) = table.table("loss_band")? {
        check.loss_band = Some(loss_band(&table)?);
    }
    if let Some(field) = table.field("expect") {
        check.expect = expect(&field)?;
        if let Expect::Fail(name) = &check.expect
            && check.off.contains(name)
        {
            return field.contradicts(format!("{name} is switched off: switch it on"));
        }
    }
    if let Some(table) = table.table("limits")? {
        check.limits = limits(&table)?;
    }
    Ok(check)
}

/// The invariants that are switched off.
fn off(table: &Table<'_>) -> Read<Vec<String>> {
    let mut on: Vec<&str> = INVARIANTS.to_vec();
    if let Some(field) = table.field("invariants")
        && field.as_text() != Some("all")
    {
        on = invariants(&field)?;
    }
    if let Some(field) = table.field("off") {
        let without = invariants(&field)?;
        on.retain(|name| !without.contains(name));
    }
    let off = INVARIANTS.iter().filter(|name| !on.contains(name));
    Ok(off.map(|name| (*name).to_owned()).collect())
}

fn invariants(field: &Field<'_>) -> Read<Vec<&'static str>> {
    let names = field.list("\"all\", or a list of invariants such as [\"S1\", \"L1\"]")?;
    names.iter().map(invariant).collect()
}

fn invariant(field: &Field<'_>) -> Read<&'static str> {
    let found = field.text("the name of an invariant in quotes")?;
    let known = INVARIANTS.iter().find(|name| **name == found);
    known.map_or_else(
        || field.unknown("invariant", found, INVARIANTS.into_iter()),
        |name| Ok(*name),
    )
}

fn expect(field: &Field<'_>) -> Read<Expect> {
    let text = field.text("\"pass\", or \"fail:S3\" with the invariant that must fire")?;
    let Some(name) = text.strip_prefix("fail:") else {
        return field
            .one_of("outcome", &[("pass", ())])
            .map(|()| Expect::Pass);
    };
    match INVARIANTS.contains(&name) {
        true => Ok(Expect::Fail(name.to_owned())),
        false => field.unknown("invariant", name, INVARIANTS.into_iter()),
    }
}

fn loss_band(table: &Table<'_>) -> Read<LossBand> {
    table.only(&BAND_KEYS)?;
    if let Some(field) = table.field("baseline") {
        field.one_of("baseline", &[("fault-free", ())])?;
    }
    let widest = table.need("max_relative", "max_relative = 0.02")?;
    let seeds = table
        .field("seeds")
        .map_or(Ok(5), |field| field.whole(1, 1_000))?;
    Ok(LossBand {
        max_relative: widest.real(0.0, 1_000.0)?,
        seeds: u32::try_from(seeds).expect("the range fits"),
    })
}

fn limits(table: &Table<'_>) -> Read<Limits> {
    table.only(&LIMIT_KEYS)?;
    let size = |key, default| table.field(key).map_or(Ok(default), |field| field.size());
    let whole = |key, default| {
        let field = table.field(key);
        field.map_or(Ok(default), |field| field.whole(1, 1 << 40))
    };
    Ok(Limits {
        memory_bytes: size("memory", LIMITS.memory_bytes)?,
        queue: whole("queue", LIMITS.queue)?,
        disk_bytes_round: size("disk_round", LIMITS.disk_bytes_round)?,
        bytes_round: size("bytes_round", LIMITS.bytes_round)?,
        messages_second: whole("messages_second", LIMITS.messages_second)?,
    })
}

/// Reads `[sweep]`.
pub(super) fn sweep(root: &Table<'_>) -> Read<Option<Sweep>> {
    let Some(table) = root.table("sweep")? else {
        return Ok(None);
    };
    table.only(&SWEEP_KEYS)?;
    let mut sweep = Sweep::default();
    if let Some(field) = table.field("codec") {
        let names = field.list("a list of codecs, for example [\"f32\", \"int8\"]")?;
        let names = names.iter().map(|field| field.one_of("codec", &CODECS));
        sweep.codec = names
            .map(|name| name.map(str::to_owned))
            .collect::<Read<_>>()?;
    }
    if let Some(field) = table.field("bandwidth") {
        let rates = field.list("a list of rates, for example [\"100Mbit\", \"1Gbit\"]")?;
        sweep.bandwidth = rates
            .iter()
            .map(|field| field.rate())
            .collect::<Read<_>>()?;
    }
    let points = sweep
        .codec
        .len()
        .max(1)
        .saturating_mul(sweep.bandwidth.len().max(1));
    if sweep == Sweep::default() || points > MAX_SWEEP {
        let key = "sweep".to_owned();
        let why = format!("expected codec, bandwidth or both, of at most {MAX_SWEEP} points");
        return table.refuse(Problem::Contradiction { key, why });
    }
    Ok(Some(sweep))
}
