//! Runs the commands of documents by the letter, each document in an empty folder of its own.
//!
//! `run-docs PROGRAMS FILE…`: `PROGRAMS` is the folder with `archipel` and `archipel-sim`, which
//! comes first on PATH. Says for each document how long it took, and ends with 1 if a command
//! failed or did not reach what the document promises.

use anyhow::{Context, bail, ensure};
use archipel_tests::documents::{script, unreached};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((programs, documents)) = arguments.split_first().filter(|(_, d)| !d.is_empty()) else {
        eprintln!("usage: run-docs PROGRAMS FILE…");
        return 2.into();
    };
    let mut failed = 0;
    for document in documents {
        let began = Instant::now();
        let shown = document.display();
        match run(programs, document) {
            Ok(false) => println!("{shown}: nothing to run"),
            Ok(true) => println!("{shown}: passed in {} s", began.elapsed().as_secs()),
            Err(error) => {
                println!("{shown}: FAILED: {error:#}");
                failed += 1;
            }
        }
    }
    u8::from(failed > 0).into()
}

/// Runs one document; false if it has no commands.
fn run(programs: &Path, document: &Path) -> anyhow::Result<bool> {
    let markdown = fs::read_to_string(document).context("the document cannot be read")?;
    let Some(script) = script(&markdown) else {
        return Ok(false);
    };
    let (folder, printed) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let repository = repository.canonicalize()?;
    std::os::unix::fs::symlink(&repository, folder.path().join("archipel"))?;
    let programs = programs.canonicalize().context("the folder of programs")?;
    ensure!(
        programs.join("archipel").exists(),
        "expected archipel in {}: build it with `cargo build --release`",
        programs.display()
    );
    let before = strays(&repository)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)))?;
    let status = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(folder.path())
        .env("PATH", path)
        .env("PRINTED", printed.path())
        .env_remove("REPO")
        .stdin(Stdio::null())
        .status()
        .context("bash")?;
    if !status.success() {
        bail!("its commands ended with {status}");
    }
    let left = strays(&repository)?;
    ensure!(
        left == before,
        "its commands changed the clone; `git status` says:\n{left}"
    );
    let said = |line: usize| {
        let file = printed.path().join(line.to_string());
        String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
    };
    let missing = unreached(&markdown, said);
    if let Some((line, text)) = missing.first() {
        let before = missing.len();
        bail!("line {line} promises {text:?}, which was not printed ({before} such lines)");
    }
    Ok(true)
}

/// What in the clone is not as it was committed, and not ignored.
fn strays(repository: &Path) -> anyhow::Result<String> {
    let status = Command::new("git")
        .args(["status", "--porcelain"])
        .current_dir(repository)
        .output()
        .context("git")?;
    Ok(String::from_utf8_lossy(&status.stdout).into_owned())
}
