//! The folder that a run leaves: HTML, JSON and CSV.
//!
//! Each file is written beside its place and renamed into it: whoever stops a run, or a second
//! run into the same folder, finds every file whole or as it was.

use super::{Findings, ReportError, csv, html, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Writes `report.html`, `report.json` and the CSV tables into `dir`, creating it where absent.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &Path, findings: &Findings) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| unwritten(dir, source))?;
    write_whole(&dir.join("report.json"), &json::render(findings))?;
    for (name, content) in csv::tables(findings) {
        write_whole(&dir.join(name), content.as_bytes())?;
    }
    write_whole(&dir.join("report.html"), html::render(findings).as_bytes())
}

/// Writes one file so that it is whole, or as it was before.
///
/// # Errors
/// Where it cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // The first error is the one to tell; what is left over is removed where that works.
        let _ = fs::remove_file(&beside);
        unwritten(path, source)
    })
}

fn unwritten(path: &Path, source: std::io::Error) -> ReportError {
    let path = path.to_owned();
    ReportError::Write { path, source }
}
