//! Finds text that every machine which built Archipel has: the Rust sources in Cargo's registry.
//!
//! Crates of `Cargo.lock` in name order, whole files, up to 32 MiB. Files longer than 256 KiB are
//! left out, as nearly all of them are generated bindings; so are files that were there before,
//! byte for byte, as they would put held-out text into the training text.

use super::{
    Document,
    source::{Text, list, read_bounded},
};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// Where the default text ends, in bytes.
pub(super) const LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// Longer files are taken for generated, in bytes.
const FILE_LIMIT_BYTES: usize = 256 * 1024;
/// Less than this is not worth the name of a corpus, in bytes.
const LEAST_BYTES: usize = 1024 * 1024;

/// The crates of `Cargo.lock`, one `name-version` a line, in name order.
const CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.txt"));

/// The sources, or `None` where there are none or too few.
pub(super) fn sources() -> Option<Text> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))?;
    sources_in(&home.join("registry/src"), CRATES)
}

pub(super) fn sources_in(registries: &Path, crates: &str) -> Option<Text> {
    let mut registries: Vec<PathBuf> = fs::read_dir(registries)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    registries.sort();
    let mut taken = Taken::default();
    for name in crates.lines() {
        if let Some(folder) = registries
            .iter()
            .map(|at| at.join(name))
            .find(|at| at.is_dir())
            && !taken.add_crate(name, &folder)
        {
            break;
        }
    }
    let (first, last) = (taken.crates.first()?, taken.crates.last()?);
    let source = format!(
        "Rust sources of {} crates in Cargo's registry, {first} to {last}",
        taken.crates.len()
    );
    (taken.bytes >= LEAST_BYTES).then_some(Text {
        documents: taken.documents,
        dealable: false,
        source,
    })
}

#[derive(Default)]
struct Taken {
    documents: Vec<Document>,
    crates: Vec<String>,
    bytes: usize,
    seen: BTreeSet<[u8; 32]>,
}

impl Taken {
    /// Adds a crate's sources; false where the limit is reached.
    fn add_crate(&mut self, name: &str, folder: &Path) -> bool {
        let mut files = Vec::new();
        // A folder that cannot be listed to its end gives what was listed.
        let _ = list(folder, name, 0, &|file| file.ends_with(".rs"), &mut files);
        let before = self.documents.len();
        for (file, path) in files {
            let Ok((bytes, true)) = read_bounded(&path, FILE_LIMIT_BYTES) else {
                continue;
            };
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            if self.bytes + text.len() > LIMIT_BYTES {
                self.note(name, before);
                return false;
            }
            if !text.is_empty() && self.seen.insert(*blake3::hash(text.as_bytes()).as_bytes()) {
                self.bytes += text.len();
                self.documents.push(Document { name: file, text });
            }
        }
        self.note(name, before);
        true
    }

    fn note(&mut self, name: &str, before: usize) {
        if self.documents.len() > before {
            self.crates.push(name.to_owned());
        }
    }
}
