//! `[[fault]]`: each window of a schedule as a fault of the kind that does the same.

use super::{
    super::{
        Scenario,
        faults::MAX_FAULTS,
        units::{bit_rate_text, time_text},
    },
    Text, moment,
};
use crate::schedule::{Effect, Links, Schedule, Window};
use std::collections::BTreeSet;
use toml::Value;

/// A kind of fault, and its keys.
type Written = (&'static str, Vec<(&'static str, Value)>);

impl Scenario {
    /// The windows of a schedule in words, one a line, by the names of members and kinds.
    pub fn fault_lines(&self, schedule: &Schedule) -> Vec<String> {
        let line = |window: &Window| {
            let (kind, keys) = written(self, &window.effect, window.for_us);
            let keys = keys.iter().map(|(key, value)| format!(", {key} {value}"));
            let lasts = window.for_us.map(|us| format!(", for {}", time_text(us)));
            format!(
                "{}: {kind}{}, at {}{}",
                window.fault,
                keys.collect::<String>(),
                moment(window.at),
                lasts.unwrap_or_default()
            )
        };
        schedule.windows.iter().map(line).collect()
    }
}

impl Text {
    pub(super) fn faults(&mut self, scenario: &Scenario, schedule: &Schedule) {
        let windows = &schedule.windows;
        let mut taken = BTreeSet::new();
        for window in windows.iter().take(MAX_FAULTS) {
            self.fault(scenario, window, &mut taken);
        }
        if windows.len() > MAX_FAULTS {
            let more = windows.len() - MAX_FAULTS;
            self.line(format_args!(
                "\n# {more} more faults, which are too many for a scenario, are in schedule.toml."
            ));
        }
    }

    fn fault(&mut self, scenario: &Scenario, window: &Window, taken: &mut BTreeSet<String>) {
        let (kind, keys) = written(scenario, &window.effect, window.for_us);
        self.heading("[[fault]]");
        self.key("id", id(&window.fault, taken));
        self.key("kind", kind);
        for (key, value) in keys {
            self.key(key, value);
        }
        self.key("at", moment(window.at));
        let lasts = super::super::faults::may_last(kind);
        if let (Some(us), true) = (window.for_us, lasts) {
            self.key("for", time_text(us));
        }
    }
}

/// A name that no other fault has: those of one fault are numbered.
fn id(fault: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = |number: usize| match number {
        1 => fault.to_owned(),
        _ => format!("{}-w{number}", &fault[..fault.len().min(40)]),
    };
    let free = (1..).map(numbered).find(|name| !taken.contains(name));
    let free = free.expect("there are more numbers than faults");
    taken.insert(free.clone());
    free
}

/// The kind that does what an effect does, and its keys.
fn written(scenario: &Scenario, effect: &Effect, for_us: Option<u64>) -> Written {
    of_links(scenario, effect).unwrap_or_else(|| of_member(scenario, effect, for_us))
}

fn of_links(scenario: &Scenario, effect: &Effect) -> Option<Written> {
    let of = |links: &Links| ends(scenario, links);
    let with = |links: &Links, more: &[(&'static str, Value)]| {
        let mut keys = of(links);
        keys.extend(more.iter().cloned());
        keys
    };
    let time = |us: &u64| Value::from(time_text(*us));
    let share = |share: &f64| Value::Float(*share);
    Some(match effect {
        Effect::Latency { links, add_us } => ("latency", with(links, &[("add", time(add_us))])),
        Effect::Jitter { links, up_to_us } => {
            ("jitter-burst", with(links, &[("up_to", time(up_to_us))]))
        }
        Effect::Loss { links, probability } => {
            ("loss", with(links, &[("probability", share(probability))]))
        }
        Effect::BurstLoss {
            links,
            enter,
            leave,
            probability,
        } => {
            let keys = [
                ("enter", enter),
                ("leave", leave),
                ("probability", probability),
            ];
            (
                "burst-loss",
                with(links, &keys.map(|(key, value)| (key, share(value)))),
            )
        }
        Effect::Duplicate { links, probability } => (
            "duplicate",
            with(links, &[("probability", share(probability))]),
        ),
        Effect::Reorder {
            links,
            probability,
            by_us,
        } => {
            let keys = [("probability", share(probability)), ("by", time(by_us))];
            ("reorder", with(links, &keys))
        }
        Effect::Corrupt { links, probability } => (
            "corrupt",
            with(links, &[("probability", share(probability))]),
        ),
        Effect::Cut { links } => (
            if links.both { "blackhole" } else { "half-open" },
            cut(of(links)),
        ),
        Effect::Reset { links } => ("reset", of(links)),
        Effect::Relay { links, through } => {
            let relay = name(scenario, *through);
            ("relay-only", with(links, &[("through", relay)]))
        }
        _ => return None,
    })
}

/// Which way a cut goes is in its kind.
fn cut(mut keys: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    keys.retain(|(key, _)| *key != "direction");
    keys
}

/// `from`, `to` and `direction` of links; nothing of all links.
fn ends(scenario: &Scenario, links: &Links) -> Vec<(&'static str, Value)> {
    let everybody = scenario.members.len() as u32 * scenario.federations;
    let all = |side: &[u32]| side.iter().copied().eq(0..everybody);
    if all(&links.from) && all(&links.to) {
        return Vec::new();
    }
    let side = |side: &[u32]| {
        let names = side.iter().map(|member| name(scenario, *member));
        Value::from(names.collect::<Vec<Value>>())
    };
    let direction = if links.both { "both" } else { "forward" };
    vec![
        ("from", side(&links.from)),
        ("to", side(&links.to)),
        ("direction", Value::from(direction)),
    ]
}

fn name(scenario: &Scenario, member: u32) -> Value {
    let size = scenario.members.len() as u32;
    let name = &scenario.members[(member % size) as usize].name;
    match scenario.federations {
        1 => Value::from(name.as_str()),
        _ => Value::from(format!("{name}@{}", 1 + member / size)),
    }
}

fn of_member(scenario: &Scenario, effect: &Effect, for_us: Option<u64>) -> Written {
    let targets = |member: &u32| ("targets", name(scenario, *member));
    let time = |us: &u64| Value::from(time_text(*us));
    let factor = |factor: &f64| ("factor", Value::Float(*factor));
    match effect {
        Effect::Bandwidth { member, up, down } => bandwidth(scenario, *member, *up, *down),
        Effect::Down { member } => ("crash", vec![targets(member)]),
        Effect::Pause { member } => ("pause", vec![targets(member)]),
        Effect::Slow { member, factor: by } => ("slow", vec![targets(member), factor(by)]),
        Effect::Join { member } => ("join-storm", vec![targets(member)]),
        Effect::Expel { member } => ("expel", vec![targets(member)]),
        Effect::Leave { member } => ("leave", vec![targets(member)]),
        Effect::ClockSkew { member, by_us } => {
            let sign = if *by_us < 0 { "-" } else { "" };
            let by = format!("{sign}{}", time_text(by_us.unsigned_abs()));
            ("skew", vec![targets(member), ("by", Value::from(by))])
        }
        Effect::ClockDrift { member, ppm } => {
            ("drift", vec![targets(member), ("ppm", (*ppm).into())])
        }
        Effect::ClockStepBack { member, by_us } => {
            ("step-back", vec![targets(member), ("by", time(by_us))])
        }
        Effect::TornWrite { member } => ("torn-write", vec![targets(member)]),
        Effect::LostFsync { member } => ("lost-fsync", vec![targets(member)]),
        Effect::Bitrot { member } => ("bitrot", vec![targets(member)]),
        Effect::DiskFull { member } => ("full", vec![targets(member)]),
        Effect::Rollback { member, by_us } => {
            ("rollback", vec![targets(member), ("by", time(by_us))])
        }
        Effect::BitFlip { member } => ("bit-flip", vec![targets(member)]),
        Effect::Upgrade { member } => {
            // It is the only one of its turn: how long until the next says nothing.
            let down = for_us.unwrap_or(1_000_000).max(1);
            let keys = [("every", time(&down)), ("down", time(&down))];
            let mut written = vec![targets(member)];
            written.extend(keys);
            ("rolling-upgrade", written)
        }
        Effect::MixedConfig { member, factor: by } => {
            ("mixed-config", vec![targets(member), factor(by)])
        }
        Effect::Byzantine {
            member,
            behaviour,
            strength,
        } => {
            let mut keys = vec![
                targets(member),
                ("behaviour", Value::from(behaviour.as_str())),
            ];
            keys.extend(strength.map(|strength| ("strength", Value::Float(strength))));
            ("byzantine", keys)
        }
        links => unreachable!("{links:?} is about links"),
    }
}

/// A change of neither rate is written as one to what the member has: a fault has to do something.
fn bandwidth(scenario: &Scenario, member: u32, up: Option<u64>, down: Option<u64>) -> Written {
    let own = &scenario.members[member as usize % scenario.members.len()];
    let (up, down) = match (up, down) {
        (None, None) => (Some(own.up), Some(own.down)),
        rates => rates,
    };
    let mut keys = vec![("targets", name(scenario, member))];
    let rate = |key, rate: Option<u64>| rate.map(|rate| (key, Value::from(bit_rate_text(rate))));
    keys.extend(rate("up", up));
    keys.extend(rate("down", down));
    ("asymmetric-bandwidth", keys)
}
