//! A scenario as a scenario file: every default filled in, every draw of a fault made.
//!
//! What fuzzing draws and shrinking leaves has no file of its own. This writes one that
//! [`super::parse`] takes back, with units, so that people change a number and run it again. It
//! plays the same: members, links, plan and fault windows are those of the scenario, in their
//! order. Only what reports sort by may be another name: a group whose members are not alike is
//! written as a group a member.

mod faults;
mod network;

use super::{
    Crypto, Expect, Heal, MemberSpec, Mode, SCHEMA, Scenario,
    plan::SECTIONS,
    units::{bit_rate_text, byte_rate_text, size_text, time_text},
};
use crate::schedule::{Schedule, When};
use std::fmt::{Display, Write as _};
use toml::Value;

/// Columns of the claim's lines.
const COLUMNS: usize = 96;

impl Scenario {
    /// Writes the scenario as a file that [`super::parse`] reads, its faults as scheduled.
    pub fn to_text(&self, schedule: &Schedule) -> String {
        let mut text = Text::default();
        text.head(self);
        text.stop(self);
        text.plan(self);
        text.crypto(self.crypto);
        let regions = network::regions(self);
        text.groups(&self.members, &regions.names);
        text.network(self, &regions);
        text.learning(self);
        text.heal(self.heal.as_ref());
        text.check(self);
        text.sweep(self);
        text.faults(self, schedule);
        text.out
    }
}

/// A file that grows.
#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn line(&mut self, line: impl Display) {
        writeln!(self.out, "{line}").expect("a text grows");
    }

    fn heading(&mut self, heading: &str) {
        self.line(format_args!("\n{heading}"));
    }

    fn key(&mut self, key: &str, value: impl Into<Value>) {
        self.line(format_args!("{key} = {}", value.into()));
    }

    fn head(&mut self, scenario: &Scenario) {
        let claim = match scenario.claim.trim() {
            "" => "none was given.",
            claim => claim,
        };
        let mut line = "# Claim:".to_owned();
        for word in claim.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.line(&line);
                line = "#".to_owned();
            }
            line = format!("{line} {word}");
        }
        self.line(line);
        self.line(
            "\n# Every default is filled in and every draw is made: `archipel-sim run` plays this \
             file as\n# it stands. Change what you like; docs/scenarios.md says what each key \
             means.",
        );
        self.key("schema", SCHEMA);
        self.key("name", scenario.name.as_str());
        self.key("seed", whole(scenario.seed));
        let mode = match scenario.mode {
            Mode::Protocol => "protocol",
            Mode::Train => "train",
        };
        self.key("mode", mode);
        self.key("fault_model", plain(&scenario.fault_model));
        if scenario.federations > 1 {
            self.key("federations", i64::from(scenario.federations));
        }
    }

    fn stop(&mut self, scenario: &Scenario) {
        let stop = &scenario.stop;
        self.heading("[stop]");
        if let Some(rounds) = stop.rounds {
            self.key("rounds", whole(rounds));
        }
        if let Some(us) = stop.sim_us {
            self.key("sim_time", time_text(us));
        }
        if let Some(us) = stop.wall_us {
            self.key("wall_time", time_text(us));
        }
    }

    /// The charter's tables. What follows from the world, as timing does, stands here as it is.
    fn plan(&mut self, scenario: &Scenario) {
        let plan = toml::Table::try_from(&scenario.plan).expect("a plan has a TOML form");
        self.heading("# What is trained: the fields of a charter, whose units are in their names.");
        self.line("[plan]");
        for key in ["numerics_class", "tokenizer"] {
            self.key(key, plan[key].clone());
        }
        for section in SECTIONS {
            self.heading(&format!("[plan.{section}]"));
            let fields = plan[section].as_table().expect("the sections are tables");
            for (key, value) in fields {
                self.key(key, value.clone());
            }
            if section == "exchange" && scenario.plan.exchange.error_feedback.is_none() {
                self.key("error_feedback", false);
            }
        }
    }

    fn crypto(&mut self, crypto: Crypto) {
        self.heading("[crypto]");
        match crypto {
            Crypto::Real => self.key("mode", "real"),
            Crypto::Cost { verify_us, sign_us } => {
                self.key("mode", "cost");
                self.key("verify", time_text(verify_us));
                self.key("sign", time_text(sign_us));
            }
        }
    }

    fn groups(&mut self, members: &[MemberSpec], regions: &[String]) {
        let mut at = 0;
        while at < members.len() {
            let count = alike(members, regions, at);
            let name = match count {
                1 => &members[at].name,
                _ => &members[at].group,
            };
            self.heading("[[group]]");
            self.key("name", name.as_str());
            if count > 1 {
                self.key("count", count as i64);
            }
            self.member(&members[at], &regions[at]);
            at += count;
        }
    }

    fn member(&mut self, member: &MemberSpec, region: &str) {
        if !region.is_empty() {
            self.key("region", region);
        }
        if let Some(domain) = &member.failure_domain {
            self.key("failure_domain", domain.as_str());
        }
        let compute = &member.compute;
        let (step, spread) = (time_text(compute.step_us), Value::Float(compute.spread));
        let codec = byte_rate_text(compute.codec_rate);
        let (probability, factor) = (compute.slow_probability, compute.slow_factor);
        let slow = match (probability, factor) {
            (0.0, 1.0) => String::new(),
            _ => format!(
                ", slow = {{ probability = {}, factor = {} }}",
                Value::Float(probability),
                Value::Float(factor)
            ),
        };
        self.line(format_args!(
            "compute = {{ step = \"{step}\", spread = {spread}, codec = \"{codec}\"{slow} }}"
        ));
        let (up, down) = (bit_rate_text(member.up), bit_rate_text(member.down));
        let queue = size_text(member.queue);
        self.line(format_args!(
            "net = {{ up = \"{up}\", down = \"{down}\", queue = \"{queue}\" }}"
        ));
        let (write, fsync) = (
            byte_rate_text(member.disk_write),
            time_text(member.fsync_us),
        );
        self.line(format_args!(
            "disk = {{ write = \"{write}\", fsync = \"{fsync}\" }}"
        ));
    }

    fn learning(&mut self, scenario: &Scenario) {
        let learning = &scenario.learning;
        self.heading("[learning]");
        match scenario.mode {
            Mode::Protocol => {
                self.key("parameters", i64::from(learning.parameters));
                self.key("heterogeneity", learning.heterogeneity);
                self.key("noise", learning.noise);
                self.key("condition", learning.condition);
                self.key("learning_rate", learning.learning_rate);
            }
            Mode::Train => {
                if let Some(folder) = &learning.data {
                    self.key("data", folder.display().to_string());
                }
                self.key("evaluate_bytes", i64::from(learning.evaluate_bytes));
                self.key("same_draws", learning.same_draws);
            }
        }
        self.key("evaluate_every", whole(learning.evaluate_every));
    }

    fn heal(&mut self, heal: Option<&Heal>) {
        let Some(heal) = heal else { return };
        self.heading("[heal]");
        self.key("at", moment(heal.at));
        self.key("within", format!("{} rounds", heal.within_rounds));
    }

    fn check(&mut self, scenario: &Scenario) {
        let check = &scenario.check;
        self.heading("[check]");
        self.key("off", check.off.clone());
        self.key("paranoid", check.paranoid);
        let expect = match &check.expect {
            Expect::Pass => "pass".to_owned(),
            Expect::Fail(name) => format!("fail:{name}"),
        };
        self.key("expect", expect);
        if let Some(band) = check.loss_band {
            let (widest, seeds) = (Value::Float(band.max_relative), band.seeds);
            self.line(format_args!(
                "loss_band = {{ max_relative = {widest}, seeds = {seeds} }}"
            ));
        }
        let limits = &check.limits;
        self.heading("[check.limits]");
        self.key("memory", size_text(limits.memory_bytes));
        self.key("queue", whole(limits.queue));
        self.key("disk_round", size_text(limits.disk_bytes_round));
        self.key("bytes_round", size_text(limits.bytes_round));
        self.key("messages_second", whole(limits.messages_second));
    }

    fn sweep(&mut self, scenario: &Scenario) {
        let Some(sweep) = &scenario.sweep else { return };
        self.heading("[sweep]");
        if !sweep.codec.is_empty() {
            self.key("codec", sweep.codec.clone());
        }
        if !sweep.bandwidth.is_empty() {
            let rates = sweep.bandwidth.iter().map(|rate| bit_rate_text(*rate));
            self.key("bandwidth", rates.collect::<Vec<String>>());
        }
    }
}

/// How many members from here on are one group that the format numbers by itself.
fn alike(members: &[MemberSpec], regions: &[String], at: usize) -> usize {
    let first = &members[at];
    let of_group = members.iter().filter(|other| other.group == first.group);
    let count = of_group.count();
    let mut whole = members[at..].iter().take(count).enumerate();
    let fits = |(number, other): (usize, &MemberSpec)| {
        let named = MemberSpec {
            name: format!("{}-{}", first.group, number + 1),
            joins_later: other.joins_later,
            ..first.clone()
        };
        *other == named && regions[at + number] == regions[at]
    };
    match members.len() - at >= count && whole.all(fits) {
        true => count,
        false => 1,
    }
}

/// A moment as a scenario writes it.
fn moment(when: When) -> String {
    match when {
        When::At(us) => time_text(us),
        When::Round(round, 0) => format!("round:{round}"),
        When::Round(round, us) => format!("round:{round}+{}", time_text(us)),
    }
}

/// A whole number; those of scenarios are below 2⁶³.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The name of a plain variant.
fn plain(value: &impl serde::Serialize) -> Value {
    Value::try_from(value).expect("a name is plain data")
}
