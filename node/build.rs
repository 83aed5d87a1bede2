//! Carries into the binary what `archipel demo` needs where there is nothing else to read: the
//! names of the crates in `Cargo.lock`, and our own sources and documents, compressed.
//!
//! Deterministic: files go in path order, and nothing of the machine enters. Needs no network.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The text that is carried: documents, and the crates whose change rebuilds this one anyway.
const PLACES: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "README.md",
    "docs",
    "node",
    "protocol",
    "trainer",
];

/// Bound on the text carried, before compression. What comes later in path order is left out.
const LIMIT_BYTES: usize = 4 * 1024 * 1024;

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(required("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(required("OUT_DIR")?);
    let workspace = manifest.parent().unwrap_or(&manifest);
    println!("cargo::rerun-if-changed=build.rs");
    write_crates(&workspace.join("Cargo.lock"), &out.join("crates.txt"))?;
    write_sources(workspace, &out.join("sources.zst"))
}

fn required(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}, which cargo sets: {error}")))
}

/// Writes one `name-version` a line for every crate of the lock that a registry serves.
///
/// Outside the workspace there is no lock, and the list is empty.
fn write_crates(lock: &Path, to: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = match fs::read_to_string(lock) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut crates: Vec<String> = text
        .split("[[package]]")
        .filter_map(registry_crate)
        .collect();
    crates.sort();
    fs::write(to, crates.join("\n"))
}

fn registry_crate(package: &str) -> Option<String> {
    let field = |key: &str| {
        package
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_suffix('"'))
    };
    field("source = \"registry+")?;
    Some(format!(
        "{}-{}",
        field("name = \"")?,
        field("version = \"")?
    ))
}

/// Writes our own text: for each file the lengths of name and text (u32, big endian), name, text.
fn write_sources(workspace: &Path, to: &Path) -> io::Result<()> {
    let mut plain = Vec::new();
    for place in PLACES {
        let path = workspace.join(place);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
            gather(&path, place, &mut plain)?;
        }
    }
    let mut encoder = zstd::Encoder::new(fs::File::create(to)?, 19)?;
    encoder.write_all(&plain)?;
    encoder.finish()?.flush()
}

fn gather(path: &Path, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
    if path.is_dir() {
        let mut names: Vec<String> = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(io::Result::transpose)
            .collect::<io::Result<_>>()?;
        names.sort();
        for inner in names
            .iter()
            .filter(|inner| !inner.starts_with('.') && *inner != "target")
        {
            gather(&path.join(inner), &format!("{name}/{inner}"), into)?;
        }
        return Ok(());
    }
    if !name.ends_with(".rs") && !name.ends_with(".md") {
        return Ok(());
    }
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(());
    };
    if into.len() + 8 + name.len() + text.len() > LIMIT_BYTES {
        return Ok(());
    }
    for length in [name.len(), text.len()] {
        let length = u32::try_from(length).expect("the limit is far below 4 GiB");
        into.extend_from_slice(&length.to_be_bytes());
    }
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(text.as_bytes());
    Ok(())
}
