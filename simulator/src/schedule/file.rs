//! A schedule as a file: TOML, one window a line, so that a person can drop or change one.
//!
//! ```toml
//! schema = "archipel-schedule/1"
//! windows = [
//!   { fault = "x", at = { at = 90000000 }, for_us = 500000, effect = { down = { member = 3 } } },
//!   { fault = "y", at = { round = [50, 0] }, effect = { pause = { member = 1 } } },
//! ]
//! ```

use super::{Schedule, Window};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The first line of every schedule.
const SCHEMA: &str = "archipel-schedule/1";
/// The most bytes of a schedule.
const MAX_BYTES: usize = 256 << 20;

/// Why a schedule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is too long.
    #[error("expected a schedule of at most {limit} bytes, found {found}: is it the right file?")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
        /// Bytes found.
        found: usize,
    },
    /// It is not TOML, or has other fields than a schedule.
    #[error("line {line}: expected a schedule in TOML: {message}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// It was written by another version.
    #[error("expected schema = \"{SCHEMA}\", found {found:?}: expand the scenario again")]
    Schema {
        /// The schema found.
        found: String,
    },
    /// A number is beyond what TOML holds.
    #[error("window {index} (from 0) has no TOML form: {message}")]
    Unwritable {
        /// Position of the window.
        index: usize,
        /// What the writer said.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    windows: Vec<Window>,
}

/// Writes a schedule.
///
/// # Errors
/// Where a number is 2⁶³ or more, or a probability is no number.
pub fn to_text(schedule: &Schedule) -> Result<String, ScheduleError> {
    let mut text = format!("schema = \"{SCHEMA}\"\nwindows = [\n");
    for (index, window) in schedule.windows.iter().enumerate() {
        let mut line = String::new();
        let written = window.serialize(toml::ser::ValueSerializer::new(&mut line));
        written.map_err(|error| ScheduleError::Unwritable {
            index,
            message: error.to_string(),
        })?;
        writeln!(text, "  {line},").expect("a text grows");
    }
    text.push_str("]\n");
    Ok(text)
}

/// Reads a schedule that [`to_text`] wrote, edited or not.
///
/// # Errors
/// What is not as it should be, and on which line.
pub fn from_text(text: &str) -> Result<Schedule, ScheduleError> {
    let (limit, found) = (MAX_BYTES, text.len());
    if found > limit {
        return Err(ScheduleError::TooLong { limit, found });
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.bytes().take(start);
        ScheduleError::Malformed {
            line: 1 + before.filter(|byte| *byte == b'\n').count(),
            message: error.message().trim_end().to_owned(),
        }
    })?;
    if file.schema != SCHEMA {
        let found = file.schema.chars().take(64).collect();
        return Err(ScheduleError::Schema { found });
    }
    Ok(Schedule {
        windows: file.windows,
    })
}
