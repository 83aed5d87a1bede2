//! Reads experiments.

use crate::{
    pairs::Pairs,
    scenario::{self, Scenario, ScenarioError},
};
use archipel_protocol::crypto::holds_secret_key;
use serde::Deserialize;
use std::path::Path;
use toml::{Table, Value};

/// The most arms, and the most seeds of each.
const MOST: usize = 256;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What it is to show, and where its bounds come from.
    pub claim: String,
    /// Runs of every arm, with seeds from 1 on.
    pub seeds: u64,
    /// Rounds of every run, in place of what it says itself.
    #[serde(skip)]
    pub rounds: Option<u64>,
    /// The scenario that all arms begin with.
    base: Table,
    /// The variants.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
    /// What has to hold between them.
    #[serde(rename = "check", default)]
    pub checks: Vec<Check>,
}

/// A variant of the scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Arm {
    /// What tables call it.
    pub name: String,
    /// Members average without the protocol, or not at all.
    pub pairs: Option<Pairs>,
    /// What it changes: tables are merged, anything else is replaced.
    #[serde(flatten)]
    changes: Table,
}

/// A bound on the mean last loss of an arm.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The arm that is bounded.
    pub arm: String,
    /// The arm that it is held against.
    pub against: String,
    /// The bound.
    #[serde(flatten)]
    pub wanted: Wanted,
}

/// What has to hold of two arms.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The loss is at most so many percent above the other's.
    AtMostPercent(f64),
    /// The perplexity, e^loss in nats a byte, is at most so many percent above the other's.
    PerplexityAtMostPercent(f64),
    /// The loss is above the other's by at least so many standard deviations of the difference,
    /// seed by seed.
    WorseBySigma(f64),
    /// Each member sends at most one part in so many of the other arm's bytes.
    FewerBytes(f64),
    /// Each member's payload bytes a round are within so many percent of what the plan's codec and
    /// the number of members come to; of the other arm nothing is asked.
    BytesWithinPercent(f64),
    /// The spread of replicas falls so many times from its peak; of the other arm nothing is asked.
    SpreadFalls(f64),
}

/// Why something is no experiment.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not written as an experiment.
    #[error("{file}: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// An arm is no scenario.
    #[error("arm {arm}: {source}")]
    Arm {
        /// The arm.
        arm: String,
        /// What is wrong with it.
        #[source]
        source: ScenarioError,
    },
}

impl Experiment {
    /// Reads the experiment at a path.
    ///
    /// # Errors
    /// The first thing in it that is not as it should be.
    pub fn load(path: &Path) -> Result<Self, ExperimentError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(source) => Err(ExperimentError::Unreadable { file, source }),
        }
    }

    /// Reads an experiment; `file` is what it is called in errors.
    ///
    /// # Errors
    /// The first thing in it that is not as it should be: every arm has to be a scenario.
    pub fn parse(text: &str, file: &str) -> Result<Self, ExperimentError> {
        let refuse = |reason: String| ExperimentError::Malformed {
            file: file.to_owned(),
            reason,
        };
        if holds_secret_key(text.as_bytes()) {
            let problem = "expected an experiment, found a secret key, of which nothing is shown";
            return Err(refuse(problem.to_owned()));
        }
        let read: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if read.arms.is_empty() || read.arms.len() > MOST {
            let found = read.arms.len();
            return Err(refuse(format!("expected 1 to {MOST} arms, found {found}")));
        }
        if !(1..=MOST as u64).contains(&read.seeds) {
            let found = read.seeds;
            return Err(refuse(format!("expected 1 to {MOST} seeds, found {found}")));
        }
        for (index, arm) in read.arms.iter().enumerate() {
            if read.arms[..index]
                .iter()
                .any(|other| other.name == arm.name)
            {
                return Err(refuse(format!("two arms are called {}", arm.name)));
            }
            read.scenario(index, 1)?;
        }
        for name in read
            .checks
            .iter()
            .flat_map(|check| [&check.arm, &check.against])
        {
            if !read.arms.iter().any(|arm| arm.name == *name) {
                return Err(refuse(format!("a check names {name}, which is no arm")));
            }
        }
        Ok(read)
    }

    /// What losses are measured in, in words.
    pub fn unit(&self) -> &'static str {
        match self.base.get("mode").and_then(Value::as_str) {
            Some("train") => "bits a byte",
            _ => "mean squared distance",
        }
    }

    /// The scenario of an arm with a seed.
    ///
    /// # Errors
    /// Where what the arm changes makes no scenario.
    pub fn scenario(&self, arm: usize, seed: u64) -> Result<Scenario, ExperimentError> {
        let Arm { name, changes, .. } = &self.arms[arm];
        let mut whole = self.base.clone();
        merge(&mut whole, changes);
        if let Some(rounds) = self.rounds {
            let mut stop = Table::new();
            stop.insert(
                "rounds".to_owned(),
                Value::Integer(i64::try_from(rounds).unwrap_or(i64::MAX)),
            );
            let changes = [("stop".to_owned(), Value::Table(stop))];
            merge(&mut whole, &changes.into_iter().collect());
        }
        let title = format!("{}-{arm}", self.name);
        for (key, value) in [("schema", "archipel-scenario/1"), ("name", &title)] {
            whole.insert(key.to_owned(), Value::String(value.to_owned()));
        }
        let text = format!("# Claim: an arm of {}.\n{whole}", self.name);
        match scenario::parse(&text, &format!("{}, arm {name}", self.name)) {
            Ok(scenario) => Ok(Scenario { seed, ..scenario }),
            Err(source) => Err(ExperimentError::Arm {
                arm: name.clone(),
                source,
            }),
        }
    }
}

/// Puts changes over a table: tables into tables, everything else in place of what was there.
fn merge(into: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (into.get_mut(key), change) {
            (Some(Value::Table(into)), Value::Table(changes)) => merge(into, changes),
            _ => {
                into.insert(key.clone(), change.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "small"
        claim = "that an arm changes what it says"
        seeds = 2
        [base]
        stop = { rounds = 3 }
        plan = { codec = "int8", inner_steps = 5 }
        [[base.group]]
        name = "m"
        count = 4
        [[arm]]
        name = "as it is"
        [[arm]]
        name = "whole values"
        plan = { codec = "f32" }
        [[check]]
        arm = "as it is"
        against = "whole values"
        at_most_percent = 0.3
    "#;

    #[test]
    fn an_arm_changes_what_it_names_and_nothing_else() {
        let read = Experiment::parse(TEXT, "small.toml").expect("it is one");
        let [first, second] = [0, 1].map(|arm| read.scenario(arm, 7).expect("a scenario"));
        assert_eq!((first.seed, first.plan.inner.steps), (7, 5));
        assert_eq!(read.unit(), "mean squared distance");
        assert_eq!(second.plan.exchange.codec.name(), "f32");
        assert_eq!(first.plan.exchange.codec.name(), "int8");
        assert_eq!(second.plan.inner.steps, 5);
        assert_eq!((first.stop.rounds, first.plan.rounds), (Some(3), 3));
        let shorter = Experiment {
            rounds: Some(2),
            ..read.clone()
        };
        let first = shorter.scenario(0, 7).expect("a scenario");
        assert_eq!((first.stop.rounds, first.plan.rounds), (Some(2), 2));
        assert_eq!(read.checks[0].wanted, Wanted::AtMostPercent(0.3));
    }

    #[test]
    fn what_is_no_experiment_is_refused_with_its_reason() {
        for (from, to, says) in [
            ("seeds = 2", "seeds = 0", "expected 1 to 256 seeds, found 0"),
            (
                "\"whole values\"\n        plan",
                "\"as it is\"\n        plan",
                "two arms",
            ),
            (
                "against = \"whole values\"",
                "against = \"nobody\"",
                "which is no arm",
            ),
            ("codec = \"f32\"", "codec = \"f33\"", "arm whole values"),
            ("at_most_percent", "at_most", "Wanted"),
        ] {
            let refused = Experiment::parse(&TEXT.replace(from, to), "small.toml");
            let text = refused.expect_err(says).to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
