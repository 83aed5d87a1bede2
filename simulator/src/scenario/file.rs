//! A scenario read from its file.
//!
//! Nothing is ignored: every key is known or refused, every number has its unit and its range,
//! and what the mode cannot do is an error. Errors name the line and what was meant.

use super::{
    FaultSpec, Heal, Mode, Scenario, Stop,
    error::{Problem, ScenarioError},
    faults,
    groups::Members,
    nearest::nearest,
    network, plan,
    reading::{Field, Read, Source, Table, cut},
    sections, timing,
    units::time_text,
};
use crate::schedule::{When, expand};
use archipel_protocol::{charter::FaultModel, crypto::holds_secret_key};
use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};
use toml::de::DeTable;

/// The first line of every scenario.
pub const SCHEMA: &str = "archipel-scenario/1";
/// The keys of the file itself.
pub(super) const KEYS: [&str; 16] = [
    "schema",
    "name",
    "seed",
    "mode",
    "fault_model",
    "federations",
    "stop",
    "plan",
    "crypto",
    "group",
    "network",
    "learning",
    "fault",
    "heal",
    "check",
    "sweep",
];

/// The most bytes of a scenario.
const MAX_BYTES: u64 = 256 << 10;
/// The most copies of the groups.
const MAX_FEDERATIONS: u64 = 1_024;
/// The most windows that churn may become.
const MAX_WINDOWS: u64 = 200_000;

/// Reads the scenario at a path.
///
/// # Errors
/// The first thing in it that is not as it should be.
pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    load_with_text(path).map(|(scenario, _)| scenario)
}

/// Reads the scenario at a path, and keeps its text.
///
/// # Errors
/// The first thing in it that is not as it should be.
pub fn load_with_text(path: &Path) -> Result<(Scenario, String), ScenarioError> {
    let name = path.display().to_string();
    let text = text_of(path, &name)?;
    parse(&text, &name).map(|scenario| (scenario, text))
}

fn text_of(path: &Path, name: &str) -> Read<String> {
    let refuse = |line, problem| Source::new(name, "").refuse(line, problem);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let problem = match error.kind() {
            ErrorKind::NotFound => Problem::Absent {
                meant: nearest(name, super::packs().iter().map(|pack| pack.name)),
            },
            ErrorKind::IsADirectory => Problem::Folder {
                file: name.trim_end_matches('/').to_owned(),
            },
            kind => Problem::Unreadable { kind },
        };
        return refuse(1, problem);
    }
    let (limit, found) = (MAX_BYTES, bytes.len() as u64);
    if found > limit {
        return refuse(1, Problem::TooLong { limit, found });
    }
    String::from_utf8(bytes).or_else(|error| {
        let good = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..good].iter().filter(|byte| **byte == b'\n').count();
        refuse(line, Problem::NoText { found: bytes[good] })
    })
}

/// The text of a scenario with another seed; the rest stays as a person wrote it.
///
/// # Panics
/// Where the text is no scenario.
pub fn with_seed(text: &str, seed: u64) -> String {
    let entries = DeTable::parse(text).expect("the text was read before");
    let of = |key| entries.get_ref().get(key).map(|value| value.span());
    let (place, value) = match (of("seed"), of("name")) {
        (Some(seed_at), _) => (seed_at, seed.to_string()),
        (None, Some(name)) => (name.end..name.end, format!("\nseed = {seed}")),
        (None, None) => unreachable!("a scenario has a name"),
    };
    let (before, after) = (&text[..place.start], &text[place.end..]);
    format!("{before}{value}{after}")
}

/// Reads a scenario; `file` is what it is called in errors.
///
/// # Errors
/// The first thing in it that is not as it should be.
pub fn parse(text: &str, file: &str) -> Result<Scenario, ScenarioError> {
    let source = Source::new(file, text);
    let found = text.len() as u64;
    if found > MAX_BYTES {
        let limit = MAX_BYTES;
        return source.refuse(1, Problem::TooLong { limit, found });
    }
    if holds_secret_key(text.as_bytes()) {
        return source.refuse(1, Problem::SecretKey);
    }
    let entries = match DeTable::parse(text) {
        Ok(entries) => entries,
        Err(error) => {
            let line = error.span().map_or(1, |span| source.line(span.start));
            let message = error.message().trim_end().to_owned();
            return source.refuse(line, Problem::Malformed { message });
        }
    };
    let root = Table::root(&source, entries.get_ref());
    let machine = ["claim", "members", "faults"];
    if machine.iter().all(|key| root.field(key).is_some()) {
        return source.refuse(1, Problem::Resolved);
    }
    root.only(&KEYS)?;
    schema(&root)?;
    scenario(&source, &root, text)
}

fn schema(root: &Table<'_>) -> Read<()> {
    let field = root.need("schema", "schema = \"archipel-scenario/1\"")?;
    field.one_of("schema", &[(SCHEMA, ())])
}

fn scenario(source: &Source<'_>, root: &Table<'_>, text: &str) -> Read<Scenario> {
    let name = root.need("name", "name = \"transatlantic-partition\"")?;
    let name = super::groups::spelled(&name)?;
    let modes = [("protocol", Mode::Protocol), ("train", Mode::Train)];
    let field = root.field("mode");
    let mode = field.map_or(Ok(Mode::Protocol), |field| field.one_of("mode", &modes))?;
    let models = [
        ("byzantine", FaultModel::Byzantine),
        ("crash", FaultModel::Crash),
    ];
    let field = root.field("fault_model");
    let fault_model = field.map_or(Ok(FaultModel::Byzantine), |field| {
        field.one_of("fault model", &models)
    })?;
    let field = root.field("federations");
    let federations = field.map_or(Ok(1), |field| field.whole(1, MAX_FEDERATIONS))?;
    let federations = u32::try_from(federations).expect("the range fits");
    let seed = root
        .field("seed")
        .map_or(Ok(1), |field| field.whole(0, i64::MAX as u64))?;
    let stop = sections::stop(root)?;
    let crypto = sections::crypto(root)?;
    let mut members = Members::read(source, root, federations)?;
    let draft = plan::read(root.table("plan")?, mode, stop.rounds)?;
    let network = network::read(root.table("network")?.as_ref(), &members)?.with(draft.plan());
    let learning = sections::learning(root, mode)?;
    let world = timing::World {
        members: &members.specs,
        network: &network,
        crypto,
        dense_bytes: network.payload_bytes.map_or_else(
            || 4 * u64::from(learning.parameters),
            |_| draft.plan().dense_bytes(),
        ),
        payload_bytes: network
            .payload_bytes
            .unwrap_or(4 * u64::from(learning.parameters)),
    };
    let plan = draft.finish(root, fault_model, &world)?;
    let faults = faults::read(root, &mut members)?;
    let heal = sections::heal(root)?;
    check_times(root, &stop, &faults, heal.as_ref())?;
    let scenario = Scenario {
        name: name.to_owned(),
        claim: claim(text).map_or_else(|| root.refuse(Problem::NoClaim), Ok)?,
        seed,
        mode,
        stop,
        plan,
        fault_model,
        crypto,
        federations,
        members: members.specs,
        network,
        learning,
        faults,
        heal: heal.map(|(heal, _)| heal),
        check: sections::check(root)?,
        sweep: sections::sweep(root)?,
    };
    check_churn(root, &scenario)?;
    Ok(scenario)
}

/// What stands after `# Claim:`, with the comment lines that follow it.
pub(super) fn claim(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find_map(|line| line.strip_prefix("# Claim:"))?;
    let more = lines.map_while(|line| line.strip_prefix("# "));
    let words = [first].into_iter().chain(more).map(str::trim);
    let claim = words.collect::<Vec<_>>().join(" ").trim().to_owned();
    (!claim.is_empty()).then_some(claim)
}

/// Nothing may begin after the end, and the heal comes after the faults.
fn check_times(
    root: &Table<'_>,
    stop: &Stop,
    faults: &[FaultSpec],
    heal: Option<&(Heal, Field<'_>)>,
) -> Read<()> {
    let after_stop = |when| match when {
        When::At(us) => stop.sim_us.is_some_and(|stop| us >= stop),
        When::Round(round, _) => stop.rounds.is_some_and(|stop| round >= stop),
    };
    let ends = match (stop.rounds, stop.sim_us) {
        (Some(rounds), _) => format!("stop.rounds = {rounds}"),
        (None, us) => format!("stop.sim_time = {:?}", time_text(us.unwrap_or_default())),
    };
    let refuse = |field: &Field<'_>| {
        field.refuse(Problem::AfterStop {
            key: field.key.clone(),
            found: cut(field.as_text().unwrap_or_default()),
            stop: ends.clone(),
        })
    };
    let tables = root.tables("fault")?;
    for (fault, table) in faults.iter().zip(&tables) {
        if let (true, Some(field)) = (after_stop(fault.at), table.field("at")) {
            return refuse(&field);
        }
    }
    let Some((heal, field)) = heal else {
        return Ok(());
    };
    if after_stop(heal.at) {
        return refuse(field);
    }
    match faults.iter().find(|fault| not_after(heal.at, fault.at)) {
        None => Ok(()),
        Some(fault) => field.refuse(Problem::HealTooEarly {
            fault: cut(&fault.id),
            fault_line: fault.line,
        }),
    }
}

/// Whether `heal` is certainly not after `fault`. A time and a round cannot be compared.
fn not_after(heal: When, fault: When) -> bool {
    match (heal, fault) {
        (When::At(heal), When::At(fault)) => heal <= fault,
        (When::Round(round, us), When::Round(of, after)) => (round, us) <= (of, after),
        _ => false,
    }
}

/// Churn has to end, and to stay within bounds.
fn check_churn(root: &Table<'_>, scenario: &Scenario) -> Read<()> {
    let tables = root.tables("fault")?;
    for (fault, table) in scenario.faults.iter().zip(&tables) {
        let Some(windows) = expand::expected_windows(scenario, fault) else {
            continue;
        };
        if windows > MAX_WINDOWS {
            let key = "fault.up".to_owned();
            let why = format!(
                "this churn would be about {windows} crashes, expected at most {MAX_WINDOWS}: \
                 lengthen up and down, name fewer targets, or give `for`, stop.sim_time or a \
                 heal at a time"
            );
            return table.refuse(Problem::Contradiction { key, why });
        }
    }
    Ok(())
}
