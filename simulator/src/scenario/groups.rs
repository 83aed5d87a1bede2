//! `[[group]]`: who takes part, and who is meant by a name.

use super::{
    Compute, MemberSpec,
    error::Problem,
    nearest::nearest,
    reading::{Field, Read, Source, Table, cut},
};
use archipel_protocol::ledger::MAX_VOTERS;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of `[[group]]`.
pub(super) const KEYS: [&str; 7] = [
    "name",
    "count",
    "region",
    "compute",
    "net",
    "disk",
    "failure_domain",
];
/// The keys of `compute`.
pub(super) const COMPUTE_KEYS: [&str; 4] = ["step", "spread", "slow", "codec"];
/// The keys of `compute.slow`.
pub(super) const SLOW_KEYS: [&str; 2] = ["probability", "factor"];
/// The keys of `net`.
pub(super) const NET_KEYS: [&str; 3] = ["up", "down", "queue"];
/// The keys of `disk`.
pub(super) const DISK_KEYS: [&str; 2] = ["write", "fsync"];

/// The most groups of a scenario.
const MAX_GROUPS: usize = 64;
/// The longest name: with its number it must fit a charter's names.
pub(super) const MAX_NAME: usize = 48;
/// The largest factor of a slow round or member.
pub(super) const MAX_FACTOR: f64 = 1_000_000.0;

/// A member where its group says nothing: a machine in a data centre.
const DEFAULT: MemberSpec = MemberSpec {
    name: String::new(),
    group: String::new(),
    region: String::new(),
    failure_domain: None,
    compute: Compute {
        step_us: 100_000,
        spread: 0.1,
        slow_probability: 0.0,
        slow_factor: 1.0,
        codec_rate: 1_000_000_000,
    },
    up: 125_000_000,
    down: 125_000_000,
    queue: 4 << 20,
    disk_write: 500_000_000,
    fsync_us: 8_000,
    joins_later: false,
};

/// The members of one federation, and the names that mean some of them.
pub(super) struct Members<'a> {
    source: &'a Source<'a>,
    /// In the order of the file.
    pub specs: Vec<MemberSpec>,
    /// Line of each one's group.
    lines: Vec<usize>,
    /// Positions by name of member, group or failure domain, within a federation.
    by_name: BTreeMap<String, BTreeSet<u32>>,
    /// Copies of the federation.
    pub federations: u32,
}

impl<'a> Members<'a> {
    /// Reads all groups.
    pub fn read(source: &'a Source<'a>, root: &Table<'a>, federations: u32) -> Read<Self> {
        let tables = root.tables("group")?;
        if tables.is_empty() {
            return root.refuse(Problem::NoGroup);
        }
        if tables.len() > MAX_GROUPS {
            let (found, limit) = (tables.len() as u64, MAX_GROUPS as u64);
            return root.refuse(Problem::TooMany { found, limit });
        }
        let mut members = Self {
            source,
            specs: Vec::new(),
            lines: Vec::new(),
            by_name: BTreeMap::new(),
            federations,
        };
        let mut taken = BTreeMap::new();
        for table in &tables {
            members.add_group(table, &mut taken)?;
        }
        members.add_domains(&tables, &taken)?;
        Ok(members)
    }

    /// Positions of the members meant, over all federations, in order.
    pub fn resolve(&self, field: &Field<'_>) -> Read<Vec<u32>> {
        const NAMES: &str = "\"all\", the name of a group, a member or a failure domain, or a \
             list of those";
        let parts = match field.is_list() {
            true => field.list(NAMES)?,
            false => vec![field.clone()],
        };
        let (mut found, mut exact) = (BTreeSet::new(), BTreeSet::new());
        for part in &parts {
            let name = part.text(NAMES)?;
            if let Some((name, federation)) = name.split_once('@')
                && let Some(positions) = self.by_name.get(name)
            {
                let federation = self.federation(part, federation)?;
                let size = self.specs.len() as u32;
                exact.extend(positions.iter().map(|at| federation * size + at));
            } else if name == "all" {
                found.extend(0..self.specs.len() as u32);
            } else if let Some(positions) = self.by_name.get(name) {
                found.extend(positions);
            } else {
                return part.refuse(Problem::Name {
                    key: part.key.clone(),
                    what: "member, group or failure domain",
                    found: cut(name),
                    meant: nearest(name, self.by_name.keys().map(String::as_str)),
                    known: self.names(),
                });
            }
        }
        if found.is_empty() && exact.is_empty() {
            return field.contradicts("names nobody: name someone, or \"all\"");
        }
        exact.extend(self.in_all_federations(&found));
        Ok(exact.into_iter().collect())
    }

    /// The federation that stands after `@`, from 0.
    fn federation(&self, field: &Field<'_>, number: &str) -> Read<u32> {
        match number.parse::<u32>() {
            Ok(number) if (1..=self.federations).contains(&number) => Ok(number - 1),
            _ => field.outside("@1", format!("@{}", self.federations), format!("@{number}")),
        }
    }

    /// Positions of everybody.
    pub fn everybody(&self) -> Vec<u32> {
        self.in_all_federations(&(0..self.specs.len() as u32).collect())
    }

    /// The name of the member at a position of the world.
    pub fn name_of(&self, position: u32) -> String {
        self.specs[position as usize % self.specs.len()]
            .name
            .clone()
    }

    /// Marks members that a fault starts.
    pub fn join_later(&mut self, positions: &[u32]) {
        let members = self.specs.len();
        for position in positions {
            self.specs[*position as usize % members].joins_later = true;
        }
    }

    /// An error of a member whose region a table lacks.
    pub fn refuse_region<T>(&self, spec: &MemberSpec, regions: &[&str]) -> Read<T> {
        let at = self.specs.iter().position(|other| other.name == spec.name);
        let line = at.map_or(1, |at| self.lines[at]);
        if spec.region.is_empty() {
            let problem = Problem::NoRegion {
                group: spec.group.clone(),
                example: regions.first().copied().unwrap_or_default().to_owned(),
            };
            return self.source.refuse(line, problem);
        }
        let problem = Problem::Name {
            key: "group.region".to_owned(),
            what: "region",
            found: cut(&spec.region),
            meant: nearest(&spec.region, regions.iter().copied()),
            known: regions.iter().map(|name| (*name).to_owned()).collect(),
        };
        self.source.refuse(line, problem)
    }

    /// Names of groups and domains; members are too many to list.
    fn names(&self) -> Vec<String> {
        let member = |name: &&String| self.specs.iter().any(|spec| spec.name == **name);
        let groups: BTreeSet<&String> = self.specs.iter().map(|spec| &spec.group).collect();
        let shown = self.by_name.keys();
        let shown = shown.filter(|name| groups.contains(name) || !member(name));
        ["all".to_owned()]
            .into_iter()
            .chain(shown.cloned())
            .collect()
    }

    fn in_all_federations(&self, positions: &BTreeSet<u32>) -> Vec<u32> {
        let size = self.specs.len() as u32;
        let of = |federation: u32| positions.iter().map(move |at| federation * size + at);
        (0..self.federations).flat_map(of).collect()
    }

    fn add_group(&mut self, table: &Table<'a>, taken: &mut BTreeMap<String, usize>) -> Read<()> {
        let name_field = table.need("name", "name = \"eu\"")?;
        let name = spelled(&name_field)?;
        let table = table.clone().named(format!("[[group]] {name:?}"));
        table.only(&KEYS)?;
        let limit = MAX_VOTERS as u64;
        let count = table
            .field("count")
            .map_or(Ok(1), |field| field.whole(1, limit))?;
        let found = self.specs.len() as u64 + count;
        if found > limit {
            return table.refuse(Problem::TooMany { found, limit });
        }
        let spec = member(&table, name)?;
        claim(&name_field, name, table.line, taken)?;
        for number in 1..=count {
            let own = match count {
                1 => name.to_owned(),
                _ => format!("{name}-{number}"),
            };
            if count > 1 {
                claim(&name_field, &own, table.line, taken)?;
            }
            let position = self.specs.len() as u32;
            for key in [name, &own] {
                let positions = self.by_name.entry(key.to_owned()).or_default();
                positions.insert(position);
            }
            self.lines.push(table.line);
            self.specs.push(MemberSpec {
                name: own,
                ..spec.clone()
            });
        }
        Ok(())
    }

    /// Failure domains become names as well, unless they are taken for something else.
    fn add_domains(&mut self, tables: &[Table<'a>], taken: &BTreeMap<String, usize>) -> Read<()> {
        for field in tables
            .iter()
            .filter_map(|table| table.field("failure_domain"))
        {
            let name = spelled(&field)?;
            if let Some(first) = taken.get(name) {
                return field.refuse(Problem::Duplicate {
                    key: field.key.clone(),
                    found: name.to_owned(),
                    first: *first,
                });
            }
        }
        for (position, spec) in self.specs.iter().enumerate() {
            if let Some(domain) = &spec.failure_domain {
                let positions = self.by_name.entry(domain.clone()).or_default();
                positions.insert(position as u32);
            }
        }
        Ok(())
    }
}

fn claim(
    field: &Field<'_>,
    name: &str,
    line: usize,
    taken: &mut BTreeMap<String, usize>,
) -> Read<()> {
    match taken.insert(name.to_owned(), line) {
        None => Ok(()),
        Some(first) => field.refuse(Problem::Duplicate {
            key: field.key.clone(),
            found: name.to_owned(),
            first,
        }),
    }
}

/// A name of letters, digits and hyphens.
pub(super) fn spelled<'a>(field: &Field<'a>) -> Read<&'a str> {
    let name = field.text("a name in quotes")?;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(letter);
    if fits && name != "all" {
        return Ok(name);
    }
    field.refuse(Problem::Spelling {
        key: field.key.clone(),
        found: cut(name),
    })
}

fn member(table: &Table<'_>, group: &str) -> Read<MemberSpec> {
    let mut spec = MemberSpec {
        group: group.to_owned(),
        ..DEFAULT
    };
    if let Some(field) = table.field("region") {
        spec.region = field.text("the name of a region in quotes")?.to_owned();
    }
    if let Some(field) = table.field("failure_domain") {
        spec.failure_domain = Some(spelled(&field)?.to_owned());
    }
    if let Some(table) = table.table("compute")? {
        spec.compute = compute(&table)?;
    }
    if let Some(table) = table.table("net")? {
        table.only(&NET_KEYS)?;
        let rate = |key, default| table.field(key).map_or(Ok(default), |field| field.rate());
        (spec.up, spec.down) = (rate("up", spec.up)?, rate("down", spec.down)?);
        let queue = table.field("queue");
        spec.queue = queue.map_or(Ok(spec.queue), |field| field.size())?;
    }
    if let Some(table) = table.table("disk")? {
        table.only(&DISK_KEYS)?;
        let write = table.field("write");
        spec.disk_write = write.map_or(Ok(spec.disk_write), |field| field.rate())?;
        let fsync = table.field("fsync");
        spec.fsync_us = fsync.map_or(Ok(spec.fsync_us), |field| field.time_us())?;
    }
    Ok(spec)
}

fn compute(table: &Table<'_>) -> Read<Compute> {
    table.only(&COMPUTE_KEYS)?;
    let mut compute = DEFAULT.compute;
    if let Some(field) = table.field("step") {
        compute.step_us = field.some_time_us()?;
    }
    if let Some(field) = table.field("spread") {
        compute.spread = field.real(0.0, 0.99)?;
    }
    if let Some(field) = table.field("codec") {
        compute.codec_rate = field.rate()?;
    }
    if let Some(table) = table.table("slow")? {
        table.only(&SLOW_KEYS)?;
        let probability = table.need("probability", "probability = 0.1")?;
        compute.slow_probability = probability.share()?;
        compute.slow_factor = table
            .need("factor", "factor = 3.0")?
            .real(1.0, MAX_FACTOR)?;
    }
    Ok(compute)
}
