//! Why a report could not be written or read.

use std::{io, path::PathBuf};

/// Why a report could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written.
    #[error("cannot write {path}: {source}; free some space, or choose another --out")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}; expected a folder that `archipel-sim run` wrote")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than any that is written.
    #[error("{path} has {found} bytes, expected at most {most}: it is no report of archipel-sim")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// A report is not what this version writes.
    #[error("{path} is not a report of this version ({source}): run the scenario again")]
    Json {
        /// Which.
        path: PathBuf,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// A line of a trace is not what was expected.
    #[error("{path}, line {line}: {source}; the trace is damaged, run the scenario again")]
    TraceLine {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// A line of a trace is longer than any that is written.
    #[error("{path}, line {line} is longer than {most} bytes: it is no trace of archipel-sim")]
    LongLine {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The limit.
        most: usize,
    },
}
