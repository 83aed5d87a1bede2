//! `[network]`: latencies by region where members lie in regions, else by member.

use super::{
    super::{
        BandwidthModel, Scenario,
        network::of_table,
        regions::TABLES,
        units::{size_text, time_text},
    },
    Text,
};
use toml::Value;

/// Where members are.
pub(super) struct Regions {
    /// Each member's.
    pub names: Vec<String>,
    latency: Latency,
}

/// How latencies are written.
enum Latency {
    /// The same between any two.
    One(u64),
    /// A table that is built in.
    Named(&'static str),
    /// The first member of each region.
    Matrix(Vec<usize>),
}

/// The regions that a scenario's latencies go by.
pub(super) fn regions(scenario: &Scenario) -> Regions {
    let us = &scenario.network.latency_us;
    let names: Vec<String> = scenario.members.iter().map(|m| m.region.clone()).collect();
    let first = us[0][0];
    if us.iter().flatten().all(|us| *us == first) {
        let latency = Latency::One(first);
        return Regions { names, latency };
    }
    let named = TABLES
        .iter()
        .find(|table| of_table(table, &names).as_ref() == Some(us));
    if let Some(table) = named {
        let latency = Latency::Named(table.name);
        return Regions { names, latency };
    }
    if let Some(firsts) = by_name(us, &names) {
        let latency = Latency::Matrix(firsts);
        return Regions { names, latency };
    }
    let of: Vec<usize> = (0..us.len()).map(|at| like(us, at)).collect();
    let mut firsts = of.clone();
    firsts.sort_unstable();
    firsts.dedup();
    let number = |at| 1 + firsts.iter().take_while(|first| **first != at).count();
    Regions {
        names: of
            .iter()
            .map(|at| format!("region-{}", number(*at)))
            .collect(),
        latency: Latency::Matrix(firsts),
    }
}

/// The first member of each region, where every latency follows from the names of two regions.
fn by_name(us: &[Vec<u64>], names: &[String]) -> Option<Vec<usize>> {
    let first = |name: &String| names.iter().position(|other| other == name);
    let of: Vec<usize> = names.iter().map(first).collect::<Option<_>>()?;
    let all = || (0..us.len()).flat_map(|from| (0..us.len()).map(move |to| (from, to)));
    let follows = all().all(|(from, to)| us[from][to] == us[of[from]][of[to]]);
    let mut firsts = of.clone();
    firsts.sort_unstable();
    firsts.dedup();
    (follows && names.iter().all(|name| !name.is_empty())).then_some(firsts)
}

/// The first member that is as far from and to everybody as this one.
fn like(us: &[Vec<u64>], at: usize) -> usize {
    let same = |other: &usize| us[*other] == us[at] && us.iter().all(|row| row[*other] == row[at]);
    (0..at).find(same).unwrap_or(at)
}

impl Text {
    pub(super) fn network(&mut self, scenario: &Scenario, regions: &Regions) {
        let network = &scenario.network;
        self.heading("[network]");
        self.key("jitter", time_text(network.jitter_us));
        self.key("loss", network.loss);
        self.key("duplicate", network.duplicate);
        let model = match network.bandwidth_model {
            BandwidthModel::Maxmin => "maxmin",
            BandwidthModel::Fifo => "fifo",
        };
        self.key("bandwidth_model", model);
        self.key("tcp", network.tcp);
        self.key("compress", network.compress);
        let length = |bytes: Option<u64>| bytes.map_or("real".to_owned(), size_text);
        self.key("payload", length(network.payload_bytes));
        self.key("state", length(network.state_bytes));
        match &regions.latency {
            Latency::One(us) => self.key("latency", time_text(*us)),
            Latency::Named(name) => self.key("latency", format!("table:{name}")),
            Latency::Matrix(firsts) => self.matrix(&network.latency_us, &regions.names, firsts),
        }
    }

    fn matrix(&mut self, us: &[Vec<u64>], names: &[String], firsts: &[usize]) {
        self.heading("[network.latency]");
        let names = firsts.iter().map(|at| Value::from(names[*at].as_str()));
        self.key("regions", names.collect::<Vec<Value>>());
        self.line("one_way = [");
        for from in firsts {
            let row = firsts
                .iter()
                .map(|to| Value::from(time_text(us[*from][*to])));
            let row = Value::from(row.collect::<Vec<Value>>());
            self.line(format_args!("  {row},"));
        }
        self.line("]");
    }
}
