//! The manifest of prepared data: what it is, whose, and the hash of every shard.

use super::{DataError, ManifestFault, io};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The manifest's name in a data folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The only version written and read.
pub(super) const FORMAT: &str = "archipel-data/1";
/// The only tokenizer written and read.
pub(super) const TOKENIZER: &str = "bytes";
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Who may see the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataClass {
    /// Everyone may replay it.
    Public,
    /// Served to members only, under the owner's licence.
    Shared,
    /// Never leaves its site.
    #[default]
    Sovereign,
}

/// One file of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardFile {
    /// Name within the folder.
    pub file: String,
    /// BLAKE3 of the whole file, in hexadecimal.
    pub blake3: String,
    /// Tokens, which are bytes.
    pub tokens: u64,
}

/// Files that were looked at and not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Files that are not UTF-8.
    pub not_utf8: u64,
    /// Files with a zero byte.
    pub binary: u64,
    /// Files without content.
    pub empty: u64,
    /// Symbolic links that stay in their folder, pipes, sockets and devices.
    pub not_files: u64,
    /// Files that would have passed the limit on bytes.
    pub beyond_limit: u64,
}

/// What a folder of prepared data holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `archipel-data/1`.
    pub format: String,
    /// `bytes`.
    pub tokenizer: String,
    /// The data's name, for people.
    pub name: String,
    /// Who may see it.
    pub class: DataClass,
    /// Its language, for people.
    pub language: String,
    /// Its licence, for people.
    pub licence: String,
    /// Where it comes from, for people.
    pub provenance: String,
    /// Documents taken.
    pub documents: u64,
    /// Files not taken.
    pub skipped: Skipped,
    /// Tokens of all training shards.
    pub training_tokens: u64,
    /// The training shards, in order.
    pub training: Vec<ShardFile>,
    /// The held-out tokens, which are never trained on.
    pub held_out: ShardFile,
}

impl Manifest {
    /// Reads and checks the manifest of the folder `dir`.
    ///
    /// # Errors
    /// A file that is missing, too large, or no manifest of this version.
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(MANIFEST_FILE);
        let file = File::open(&path).map_err(io("open", &path))?;
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_MANIFEST_BYTES + 1);
        limited.read_to_end(&mut bytes).map_err(io("read", &path))?;
        Self::parse(&bytes).map_err(|reason| DataError::Manifest { path, reason })
    }

    /// The hash plans name data by: BLAKE3 of the manifest's canonical JSON, in hexadecimal.
    pub fn hash(&self) -> String {
        blake3::hash(&self.to_json()).to_hex().to_string()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest has string keys only");
        json.push(b'\n');
        json
    }

    fn parse(bytes: &[u8]) -> Result<Self, ManifestFault> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let (limit, found) = (MAX_MANIFEST_BYTES, bytes.len() as u64);
            return Err(ManifestFault::TooLarge { limit, found });
        }
        let manifest: Self = serde_json::from_slice(bytes)?;
        let known = [
            ("format", FORMAT, &manifest.format),
            ("tokenizer", TOKENIZER, &manifest.tokenizer),
        ];
        for (field, expected, found) in known {
            if expected != found {
                let found = found.clone();
                return Err(ManifestFault::Unknown {
                    field,
                    expected,
                    found,
                });
            }
        }
        manifest.check_shards()?;
        Ok(manifest)
    }

    /// Names are fixed, so that no manifest can point outside its folder.
    fn check_shards(&self) -> Result<(), ManifestFault> {
        let expected = (0..self.training.len()).map(shard_name);
        let expected = expected.chain([HELD_OUT_FILE.to_owned()]);
        let shards = self.training.iter().chain([&self.held_out]);
        for (index, (expected, shard)) in expected.zip(shards).enumerate() {
            if shard.file != expected {
                let found = shard.file.clone();
                return Err(ManifestFault::ShardName {
                    index,
                    expected,
                    found,
                });
            }
        }
        let total = self
            .training
            .iter()
            .try_fold(0u64, |sum, shard| sum.checked_add(shard.tokens));
        match total {
            Some(total) if total == self.training_tokens => Ok(()),
            found => {
                let (expected, found) = (self.training_tokens, found.unwrap_or(u64::MAX));
                Err(ManifestFault::Total { expected, found })
            }
        }
    }
}

/// The name of the held-out shard.
pub(super) const HELD_OUT_FILE: &str = "holdout.bin";

/// The name of training shard `index`.
pub(super) fn shard_name(index: usize) -> String {
    format!("train-{index:03}.bin")
}
