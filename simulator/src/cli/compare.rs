//! `archipel-sim compare`: several runs beside each other.

use crate::report::{compare::compare, folder::write_whole, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which folders.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folders that runs left, in the order in which they are to stand.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// Folder for compare.txt, compare.csv and compare.svg; beside the first run without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(super) fn command(args: &Args) -> anyhow::Result<u8> {
    let mut runs = Vec::new();
    for dir in &args.dirs {
        let findings = json::read(dir)?;
        let name = dir.file_name().unwrap_or(dir.as_os_str());
        runs.push((name.to_string_lossy().into_owned(), findings));
    }
    let beside = args.dirs[0].parent().unwrap_or(Path::new(""));
    let out = args.out.as_deref().unwrap_or(beside);
    let out = if out.as_os_str().is_empty() {
        Path::new(".")
    } else {
        out
    };
    fs::create_dir_all(out)?;
    let comparison = compare(&runs);
    super::say(comparison.table.trim_end());
    for (name, content) in [
        ("compare.txt", &comparison.table),
        ("compare.csv", &comparison.csv),
        ("compare.svg", &comparison.svg),
    ] {
        write_whole(&out.join(name), content.as_bytes())?;
    }
    super::say(format_args!(
        "written to {}",
        out.join("compare.{txt,csv,svg}").display()
    ));
    Ok(0)
}
