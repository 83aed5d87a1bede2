//! `[[fault]]`: what goes wrong, to whom, and when.
//!
//! A kind is a row of [`KINDS`]; [`effects`] turns members into effects, [`links`] pairs of them.

mod effects;
mod links;

use super::{
    FaultDetail, FaultSpec,
    error::Problem,
    groups::{Members, spelled},
    reading::{Read, Table},
};
use crate::schedule::When;
use std::collections::BTreeMap;

/// The keys that every fault may have.
pub(super) const COMMON_KEYS: [&str; 4] = ["id", "kind", "at", "for"];
/// Keys of `correlate`.
pub(super) const CORRELATE_KEYS: [&str; 2] = ["within", "probability"];
/// The most faults of a scenario.
pub(super) const MAX_FAULTS: usize = 1_000;

/// How `for` goes with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// It may be there; without it the fault lasts to the end, or to the heal.
    May,
    /// It must be there.
    Must,
    /// It happens at once, or takes as long as its other keys say.
    Never,
}

/// A kind of fault.
pub(super) struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The keys it has besides the common ones.
    pub keys: &'static [&'static str],
    lasting: Lasting,
}

const fn kind(name: &'static str, lasting: Lasting, keys: &'static [&'static str]) -> Kind {
    Kind {
        name,
        keys,
        lasting,
    }
}

/// Every kind of fault there is.
#[rustfmt::skip]
pub(super) const KINDS: [Kind; 38] = {
    use Lasting::{May, Must, Never};
    [
        kind("latency", May, &["targets", "sides", "from", "to", "direction", "add"]),
        kind("jitter-burst", May, &["targets", "sides", "from", "to", "direction", "up_to"]),
        kind("loss", May, &["targets", "sides", "from", "to", "direction", "probability"]),
        kind("burst-loss", May, &[
            "targets", "sides", "from", "to", "direction", "enter", "leave", "probability",
        ]),
        kind("duplicate", May, &["targets", "sides", "from", "to", "direction", "probability"]),
        kind("reorder", May, &[
            "targets", "sides", "from", "to", "direction", "probability", "by",
        ]),
        kind("corrupt", May, &["targets", "sides", "from", "to", "direction", "probability"]),
        kind("bandwidth", May, &["targets", "rate"]),
        kind("asymmetric-bandwidth", May, &["targets", "up", "down"]),
        kind("blackhole", May, &["targets", "sides", "from", "to"]),
        kind("half-open", May, &["targets", "sides", "from", "to", "direction"]),
        kind("reset", Never, &["targets", "sides", "from", "to", "direction"]),
        kind("relay-only", May, &["targets", "from", "to", "direction", "through"]),
        kind("partition", May, &["sides", "direction"]),
        kind("isolate", May, &["targets", "direction"]),
        kind("bridge", May, &["sides", "through"]),
        kind("swizzle", Must, &["targets", "sides", "every"]),
        kind("crash", May, &["targets"]),
        kind("crash-loop", Never, &["targets", "times", "up", "down"]),
        kind("pause", May, &["targets"]),
        kind("slow", May, &["targets", "factor"]),
        kind("churn", May, &["targets", "up", "down", "correlate"]),
        kind("join-storm", Never, &["targets"]),
        kind("leave-all-but-k", May, &["targets", "k"]),
        kind("skew", May, &["targets", "by"]),
        kind("drift", May, &["targets", "ppm"]),
        kind("step-back", Never, &["targets", "by"]),
        kind("torn-write", May, &["targets"]),
        kind("lost-fsync", May, &["targets"]),
        kind("bitrot", Never, &["targets"]),
        kind("full", May, &["targets"]),
        kind("rollback", Never, &["targets", "by"]),
        kind("rolling-upgrade", Never, &["targets", "every", "down"]),
        kind("mixed-config", May, &["targets", "factor"]),
        kind("byzantine", May, &["targets", "behaviour", "strength"]),
        kind("leave", May, &["targets"]),
        kind("expel", May, &["targets"]),
        kind("bit-flip", Never, &["targets"]),
    ]
};

/// Whether a fault of this kind may have `for`.
pub(super) fn may_last(kind: &str) -> bool {
    let of_name = |known: &&Kind| known.name == kind;
    KINDS
        .iter()
        .find(of_name)
        .is_some_and(|kind| kind.lasting != Lasting::Never)
}

/// A fault that is being read.
struct Reader<'r, 'a> {
    table: Table<'a>,
    members: &'r Members<'a>,
    kind: &'static Kind,
    for_us: Option<u64>,
}

/// Reads all faults. Members that a fault starts are marked.
pub(super) fn read<'a>(root: &Table<'a>, members: &mut Members<'a>) -> Read<Vec<FaultSpec>> {
    let tables = root.tables("fault")?;
    if tables.len() > MAX_FAULTS {
        let (found, limit) = (tables.len() as u64, MAX_FAULTS as u64);
        return root.refuse(Problem::TooMany { found, limit });
    }
    let mut ids = BTreeMap::new();
    let mut faults = Vec::with_capacity(tables.len());
    for table in tables {
        let id = table.need("id", "id = \"cut\"")?;
        let name = spelled(&id)?;
        if let Some(first) = ids.insert(name.to_owned(), id.line) {
            return id.refuse(Problem::Duplicate {
                key: id.key.clone(),
                found: name.to_owned(),
                first,
            });
        }
        let fault = fault(&table, name, members)?;
        if fault.kind == "join-storm" {
            members.join_later(&fault.targets);
        }
        faults.push(fault);
    }
    Ok(faults)
}

fn fault(table: &Table<'_>, id: &str, members: &Members<'_>) -> Read<FaultSpec> {
    let field = table.need("kind", "kind = \"crash\"")?;
    let found = field.text("the name of a kind of fault in quotes")?;
    let Some(kind) = KINDS.iter().find(|kind| kind.name == found) else {
        return field.unknown("kind of fault", found, KINDS.iter().map(|kind| kind.name));
    };
    let table = table
        .clone()
        .named(format!("[[fault]] {id:?} of kind {found}"));
    let known = COMMON_KEYS.iter().chain(kind.keys).copied();
    table.only_of(known)?;
    let at = table
        .field("at")
        .map_or(Ok(When::At(0)), |field| field.when())?;
    let reader = Reader {
        for_us: lasting(&table, kind)?,
        table,
        members,
        kind,
    };
    let (targets, detail) = reader.detail()?;
    Ok(FaultSpec {
        id: id.to_owned(),
        kind: kind.name.to_owned(),
        line: reader.table.line,
        at,
        for_us: reader.for_us,
        targets,
        detail,
    })
}

fn lasting(table: &Table<'_>, kind: &Kind) -> Read<Option<u64>> {
    match (table.field("for"), kind.lasting) {
        (Some(field), Lasting::Never) => field.contradicts(format!(
            "{} happens at once, or lasts as its other keys say: remove it",
            kind.name
        )),
        (Some(field), _) => Ok(Some(field.some_time_us()?)),
        (None, Lasting::Must) => Ok(Some(table.need("for", "for = \"10m\"")?.some_time_us()?)),
        (None, _) => Ok(None),
    }
}

impl Reader<'_, '_> {
    /// Positions of the targets, and the rest.
    fn detail(&self) -> Read<(Vec<u32>, FaultDetail)> {
        let on_links = self.kind.keys.contains(&"sides") || self.kind.keys.contains(&"direction");
        match self.kind.name {
            "swizzle" => self.swizzle(),
            "relay-only" | "bridge" => self.relayed(),
            _ if on_links => self.on_links(),
            _ => self.on_members(),
        }
    }

    /// The members named by `targets`.
    fn targets(&self) -> Read<Vec<u32>> {
        let field = self.table.need("targets", "targets = \"all\"")?;
        self.members.resolve(&field)
    }

    /// The value of a probability.
    fn probability(&self, key: &'static str) -> Read<f64> {
        self.table.need(key, "probability = 0.05")?.share()
    }

    /// The value of a time that is not zero.
    fn time_us(&self, key: &'static str) -> Read<u64> {
        self.table.need(key, "by = \"50ms\"")?.some_time_us()
    }
}
