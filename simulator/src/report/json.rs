//! `report.json`: the findings as they are, for programs and for [`compare`](super::compare).

use super::{Findings, ReportError};
use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

/// Most bytes of a `report.json` that is read.
const MOST_BYTES: u64 = 1 << 30;

/// The findings as JSON.
pub fn render(findings: &Findings) -> Vec<u8> {
    let mut out = serde_json::to_vec(findings).expect("findings have only keys that are text");
    out.push(b'\n');
    out
}

/// Reads `report.json` in the folder of a run.
///
/// # Errors
/// Where it is absent, not readable, or no report of this version.
pub fn read(dir: &Path) -> Result<Findings, ReportError> {
    let path = dir.join("report.json");
    let unread = |source| ReportError::Read {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(unread)?;
    let found = file.metadata().map_err(unread)?.len();
    if found > MOST_BYTES {
        let most = MOST_BYTES;
        return Err(ReportError::TooLarge { path, found, most });
    }
    let bytes = BufReader::new(file.take(MOST_BYTES));
    serde_json::from_reader(bytes).map_err(|source| ReportError::Json { path, source })
}
