//! The folder of a run: what is needed to run it again, and what came of it.
//!
//! `scenario.toml` is the scenario as a person wrote it, with the seed that was played, or as
//! [`Scenario::to_text`] writes it: it can be edited and run. `resolved.toml` has every default
//! filled in, in the units of the machine, and `schedule.toml` the faults with every draw made;
//! these two are what a replay plays. `versions.json` says with what.

use super::Point;
use crate::{
    report::{Findings, ReportError, folder as report, sweep},
    scenario::{Scenario, ScenarioError},
    schedule::{self, Schedule, ScheduleError},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Why the folder of a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A report cannot be written or read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The scenario in it is none.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The schedule in it is none.
    #[error("{path}: {source}")]
    Schedule {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: ScheduleError,
    },
}

/// Writes the folder of a run, creating it where absent.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(
    dir: &Path,
    scenario: &Scenario,
    schedule: &Schedule,
    findings: &Findings,
) -> Result<(), FolderError> {
    begin(dir, scenario, schedule, &findings.scenario)?;
    Ok(report::write(dir, findings)?)
}

/// Writes what is known before a run: enough to run it again. `text` is the scenario as a file.
///
/// # Errors
/// Where a file cannot be written.
pub fn begin(
    dir: &Path,
    scenario: &Scenario,
    schedule: &Schedule,
    text: &str,
) -> Result<(), FolderError> {
    fs::create_dir_all(dir).map_err(|source| ReportError::Write {
        path: dir.to_owned(),
        source,
    })?;
    let path = dir.join("schedule.toml");
    let windows = schedule::to_text(schedule).map_err(|source| FolderError::Schedule {
        path: path.clone(),
        source,
    })?;
    report::write_whole(&path, windows.as_bytes())?;
    report::write_whole(&dir.join("scenario.toml"), text.as_bytes())?;
    let resolved = scenario.to_resolved();
    report::write_whole(&dir.join("resolved.toml"), resolved.as_bytes())?;
    let versions = serde_json::to_vec_pretty(&versions()).expect("plain JSON");
    Ok(report::write_whole(&dir.join("versions.json"), &versions)?)
}

/// Writes what came of a sweep: the folder of every run under `sweep`, all of them in `sweep.csv`
/// and every loss in `sweep-losses.csv`.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_sweep(dir: &Path, points: &[Point]) -> Result<(), FolderError> {
    if points.is_empty() {
        return Ok(());
    }
    for Point {
        scenario,
        schedule,
        findings,
    } in points
    {
        let findings = Findings {
            scenario: scenario.to_text(schedule),
            ..findings.clone()
        };
        let dir = dir.join("sweep").join(&scenario.name);
        write(&dir, scenario, schedule, &findings)?;
    }
    let mut rows = Vec::with_capacity(points.len());
    for point in points {
        let members = point.scenario.members.iter();
        let rate = members.map(|member| member.up.min(member.down)).min();
        let name = point.scenario.name.clone();
        rows.push((name, rate.unwrap_or(0), &point.findings));
    }
    report::write_whole(&dir.join("sweep.csv"), sweep::table(&rows).as_bytes())?;
    let losses = sweep::losses(&rows);
    Ok(report::write_whole(
        &dir.join("sweep-losses.csv"),
        losses.as_bytes(),
    )?)
}

/// Reads what a run played.
///
/// # Errors
/// Where a file is absent, or not what [`begin`] writes.
pub fn read(dir: &Path) -> Result<(Scenario, Schedule), FolderError> {
    let path = dir.join("resolved.toml");
    let text = text_of(&path)?;
    let scenario = Scenario::from_resolved(&text, &path.display().to_string())?;
    let path = dir.join("schedule.toml");
    let text = text_of(&path)?;
    let schedule =
        schedule::from_text(&text).map_err(|source| FolderError::Schedule { path, source })?;
    Ok((scenario, schedule))
}

fn text_of(path: &Path) -> Result<String, ReportError> {
    fs::read_to_string(path).map_err(|source| ReportError::Read {
        path: path.to_owned(),
        source,
    })
}

/// With what a run was made.
fn versions() -> serde_json::Value {
    json!({
        "schema": "archipel-versions/1",
        "archipel-sim": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "optimised": !cfg!(debug_assertions),
        "language_model": cfg!(feature = "lm"),
    })
}
