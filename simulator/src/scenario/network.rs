//! `[network]`: latencies between members, jitter, loss, and how rates are shared.

use super::{
    BandwidthModel, MemberSpec, NetworkSpec,
    error::Problem,
    groups::Members,
    reading::{Field, Read, Table},
    regions::{HALF_P90_P50_US, LatencyTable, TABLES},
};
use archipel_protocol::charter::Plan;

/// The keys of `[network]`.
pub(super) const KEYS: [&str; 9] = [
    "latency",
    "jitter",
    "loss",
    "duplicate",
    "bandwidth_model",
    "tcp",
    "compress",
    "payload",
    "state",
];
/// The keys of a latency matrix.
pub(super) const MATRIX_KEYS: [&str; 3] = ["regions", "round_trip", "one_way"];

/// One way between any two members where the scenario says nothing: a campus.
const DEFAULT_LATENCY_US: u64 = 1_000;
/// Most regions that a matrix may have.
const MAX_REGIONS: u64 = 64;

/// What a matrix looks like.
const ROWS: &str = "round_trip = [[\"1ms\", \"25ms\"], [\"25ms\", \"1ms\"]]";

/// Bytes that a payload or a state is on the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as it is.
    Real,
    /// As long as the plan's model would make it.
    Plan,
    /// So long.
    Bytes(u64),
}

/// What `[network]` says, before the plan is known.
pub(super) struct Links {
    /// All but the lengths.
    pub spec: NetworkSpec,
    payload: Length,
    state: Length,
}

impl Links {
    /// The section with the lengths that follow from the plan.
    pub fn with(self, plan: &Plan) -> NetworkSpec {
        let length = |length, of_plan: u64| match length {
            Length::Real => None,
            Length::Plan => Some(of_plan),
            Length::Bytes(bytes) => Some(bytes),
        };
        NetworkSpec {
            payload_bytes: length(self.payload, plan.payload_bytes()),
            // Parameters and momentum.
            state_bytes: length(self.state, plan.dense_bytes().saturating_mul(2)),
            ..self.spec
        }
    }
}

/// Reads the section, or its defaults.
pub(super) fn read(table: Option<&Table<'_>>, members: &Members) -> Read<Links> {
    let field = |key: &str| table.and_then(|table| table.field(key));
    if let Some(table) = table {
        table.only(&KEYS)?;
    }
    let latency_us = match field("latency") {
        None => vec![vec![DEFAULT_LATENCY_US; members.specs.len()]; members.specs.len()],
        Some(field) => latency(&field, members)?,
    };
    let share = |key| field(key).map_or(Ok(0.0), |field| field.share());
    let models = [
        ("maxmin", BandwidthModel::Maxmin),
        ("fifo", BandwidthModel::Fifo),
    ];
    let spec = NetworkSpec {
        latency_us,
        jitter_us: field("jitter").map_or(Ok(0), |field| jitter(&field))?,
        loss: share("loss")?,
        duplicate: share("duplicate")?,
        bandwidth_model: field("bandwidth_model").map_or(Ok(BandwidthModel::Maxmin), |field| {
            field.one_of("bandwidth model", &models)
        })?,
        tcp: field("tcp").map_or(Ok(true), |field| field.flag())?,
        compress: field("compress").map_or(Ok(false), |field| field.flag())?,
        payload_bytes: None,
        state_bytes: None,
    };
    Ok(Links {
        spec,
        payload: field("payload").map_or(Ok(Length::Real), |field| length(&field))?,
        state: field("state").map_or(Ok(Length::Real), |field| length(&field))?,
    })
}

fn length(field: &Field<'_>) -> Read<Length> {
    match field.as_text() {
        Some("real") => Ok(Length::Real),
        Some("plan") => Ok(Length::Plan),
        _ => field.size().map(Length::Bytes),
    }
}

fn jitter(field: &Field<'_>) -> Read<u64> {
    match field.as_text() {
        Some("half-p90-p50") => Ok(HALF_P90_P50_US),
        _ => field.time_us(),
    }
}

/// One way by member and member, in microseconds.
fn latency(field: &Field<'_>, members: &Members) -> Read<Vec<Vec<u64>>> {
    if field.is_table() {
        return matrix(&field.table()?, members);
    }
    let name = field.as_text().and_then(|text| text.strip_prefix("table:"));
    let Some(name) = name else {
        let one_way = field.time_us()?;
        return Ok(vec![
            vec![one_way; members.specs.len()];
            members.specs.len()
        ]);
    };
    let Some(table) = TABLES.iter().find(|table| table.name == name) else {
        return field.unknown("latency table", name, TABLES.iter().map(|table| table.name));
    };
    let rows = places(members, &table.regions)?;
    Ok(by_place(&rows, |from, to| one_way_us(table, from, to)))
}

/// One way by member and member of a table that is built in; none where it lacks a region.
pub(super) fn of_table(table: &LatencyTable, regions: &[String]) -> Option<Vec<Vec<u64>>> {
    let place = |name: &String| table.regions.iter().position(|known| known == name);
    let rows: Vec<usize> = regions.iter().map(place).collect::<Option<_>>()?;
    Some(by_place(&rows, |from, to| one_way_us(table, from, to)))
}

fn one_way_us(table: &LatencyTable, from: usize, to: usize) -> u64 {
    u64::from(table.round_trip_ms[from][to]) * 1_000 / 2
}

/// A matrix of one's own.
fn matrix(table: &Table<'_>, members: &Members) -> Read<Vec<Vec<u64>>> {
    table.only(&MATRIX_KEYS)?;
    let names = "names of regions, for example [\"lab\", \"ward\"]";
    let field = table.need("regions", "regions = [\"lab\", \"ward\"]")?;
    let regions = field.list(names)?;
    if regions.is_empty() || regions.len() as u64 > MAX_REGIONS {
        return field.outside(1, MAX_REGIONS, regions.len());
    }
    let regions: Vec<&str> = regions
        .iter()
        .map(|region| region.text(names))
        .collect::<Read<_>>()?;
    let (field, halves) = match (table.field("round_trip"), table.field("one_way")) {
        (Some(field), None) => (field, 2),
        (None, Some(field)) => (field, 1),
        (Some(field), Some(_)) => return field.contradicts("give round_trip or one_way, not both"),
        (None, None) => (table.need("round_trip", ROWS)?, 2),
    };
    let mut times = Vec::with_capacity(regions.len());
    let rows = field.list("rows of times")?;
    for row in of_length(&field, rows, regions.len())? {
        let cells = row.list("a row of times")?;
        let cells = of_length(&row, cells, regions.len())?;
        let cells = cells.iter().map(|cell| Ok(cell.time_us()? / halves));
        times.push(cells.collect::<Read<Vec<u64>>>()?);
    }
    let rows = places(members, &regions)?;
    Ok(by_place(&rows, |from, to| times[from][to]))
}

fn of_length<'a>(
    field: &Field<'a>,
    found: Vec<Field<'a>>,
    expected: usize,
) -> Read<Vec<Field<'a>>> {
    if found.len() == expected {
        return Ok(found);
    }
    field.refuse(Problem::Matrix {
        key: field.key.clone(),
        expected,
        found: found.len(),
    })
}

/// Each member's row.
fn places(members: &Members, regions: &[&str]) -> Read<Vec<usize>> {
    let place = |spec: &MemberSpec| match regions.iter().position(|name| *name == spec.region) {
        Some(place) => Ok(place),
        None => members.refuse_region(spec, regions),
    };
    members.specs.iter().map(place).collect()
}

fn by_place(places: &[usize], us: impl Fn(usize, usize) -> u64) -> Vec<Vec<u64>> {
    let row = |from: &usize| places.iter().map(|to| us(*from, *to)).collect();
    places.iter().map(row).collect()
}
