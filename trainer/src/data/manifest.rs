//! The manifest of prepared data: what it is, whose, and the hash of every shard.
//!
//! Version 2. A source's shards hold its tokens alone, little endian, 1, 2 or 4 bytes each as the
//! vocabulary needs; sources follow each other, so that a source's tokens are one range of the
//! whole, and a sector's the ranges of its sources. Folders of version 1 are prepared again.

mod fault;
mod skipped;

pub use fault::ManifestFault;
pub use skipped::Skipped;

use super::{DataError, Filters, SectorRange, io};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The manifest's name in a data folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The only version written and read.
pub(super) const FORMAT: &str = "archipel-data/2";
/// The tokenizer whose tokens are bytes.
pub(super) const BYTES: &str = "bytes";
/// The tokenizer of a `tokenizer.json`, of which the folder has a copy.
pub(super) const HF: &str = "hf";
/// A tokenizer that is not known: another program made the tokens.
pub(super) const EXTERNAL: &str = "external";
/// The most bytes of a manifest: some hundred thousand shards.
const MAX_MANIFEST_BYTES: u64 = 32 << 20;

/// Who may see the data; what comes later in this list is seen by fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Tokens.
    pub tokens: u64,
}

/// Which tokenizer made the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerId {
    /// `bytes`, `hf` or `external`.
    pub kind: String,
    /// BLAKE3 of its `tokenizer.json`, in hexadecimal; with `hf` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// Tokens there are; each lies below.
    pub vocabulary: u32,
    /// The token before every document of text; absent with `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<u32>,
}

impl TokenizerId {
    /// The byte tokenizer.
    pub fn bytes() -> Self {
        Self {
            kind: BYTES.to_owned(),
            blake3: None,
            vocabulary: 256,
            boundary: Some(u32::from(super::DOCUMENT_BOUNDARY)),
        }
    }

    /// A tokenizer of which only the size is known.
    pub(super) fn external(vocabulary: u32) -> Self {
        Self {
            kind: EXTERNAL.to_owned(),
            blake3: None,
            vocabulary,
            boundary: None,
        }
    }

    /// Whether every token is a byte.
    pub fn is_bytes(&self) -> bool {
        self.kind == BYTES
    }

    /// Bytes of a token in a shard: the fewest of 1, 2 and 4 that hold every token.
    pub fn token_bytes(&self) -> u8 {
        match self.vocabulary {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        }
    }

    fn check(&self) -> Result<(), ManifestFault> {
        let expected = match self.kind.as_str() {
            BYTES if *self != Self::bytes() => "256 tokens, boundary 0 and no hash",
            HF if self.blake3.is_none() => "the hash of its file",
            HF if self.boundary.is_none_or(|token| token >= self.vocabulary) => {
                "a boundary within its vocabulary"
            }
            EXTERNAL if self.blake3.is_some() || self.boundary.is_some() => "no hash, no boundary",
            EXTERNAL | HF if self.vocabulary == 0 => "a token at least",
            BYTES | HF | EXTERNAL => return Ok(()),
            _ => {
                let found = self.kind.clone();
                return Err(ManifestFault::UnknownTokenizer { found });
            }
        };
        let kind = self.kind.clone();
        Err(ManifestFault::Tokenizer { kind, expected })
    }
}

/// The tokens of a source that are trained on, or those held out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    /// Position of its first token among those of all sources.
    pub start: u64,
    /// Tokens.
    pub tokens: u64,
    /// Bytes of text that the tokens stand for, boundaries not counted; absent where another
    /// program made the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its shards, in order.
    pub shards: Vec<ShardFile>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its name, for people.
    pub name: String,
    /// The part of life it speaks of.
    pub sector: String,
    /// Its language, for people.
    pub language: String,
    /// Its licence, for people.
    pub licence: String,
    /// Where it comes from, for people.
    pub provenance: String,
    /// Who may see it.
    pub class: DataClass,
    /// Documents taken.
    pub documents: u64,
    /// What was not taken.
    pub skipped: Skipped,
    /// The tokens that are trained on.
    pub training: PartEntry,
    /// The tokens that are never trained on.
    pub held_out: PartEntry,
}

/// What a folder of prepared data holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `archipel-data/2`.
    pub format: String,
    /// The data's name, for people.
    pub name: String,
    /// Who may see all of it: those who may see every source.
    pub class: DataClass,
    /// What made the tokens.
    pub tokenizer: TokenizerId,
    /// Bytes of a token in the shards: 1, 2 or 4, little endian.
    pub token_bytes: u8,
    /// Part of each document that is held out, in percent.
    pub held_out_percent: u8,
    /// Which documents were left out.
    pub filters: Filters,
    /// Whether documents taken before were left out.
    pub deduplicated: bool,
    /// The sources, in token order.
    pub sources: Vec<SourceEntry>,
}

impl Manifest {
    /// Reads and checks the manifest of the folder `dir`.
    ///
    /// # Errors
    /// A file that is missing, too large, or no manifest of this version.
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(MANIFEST_FILE);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let dir = dir.to_owned();
                return Err(DataError::NotPrepared { dir });
            }
            opened => opened.map_err(io("open", &path))?,
        };
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_MANIFEST_BYTES + 1);
        limited.read_to_end(&mut bytes).map_err(io("read", &path))?;
        Self::parse(&bytes).map_err(|reason| DataError::Manifest { path, reason })
    }

    /// The hash plans name data by: BLAKE3 of the manifest's canonical JSON, in hexadecimal.
    pub fn hash(&self) -> String {
        blake3::hash(&self.to_json()).to_hex().to_string()
    }

    /// Documents of all sources.
    pub fn documents(&self) -> u64 {
        self.sum(|source| source.documents)
    }

    /// Tokens that are trained on.
    pub fn training_tokens(&self) -> u64 {
        self.sum(|source| source.training.tokens)
    }

    /// Tokens that are never trained on.
    pub fn held_out_tokens(&self) -> u64 {
        self.sum(|source| source.held_out.tokens)
    }

    /// The training tokens of each sector.
    pub fn training_sectors(&self) -> Vec<SectorRange> {
        self.sectors(|source| &source.training)
    }

    /// The held-out tokens of each sector.
    pub fn held_out_sectors(&self) -> Vec<SectorRange> {
        self.sectors(|source| &source.held_out)
    }

    /// The sectors' names, each once, in the order of their sources.
    pub fn sector_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for source in &self.sources {
            if !names.contains(&source.sector.as_str()) {
                names.push(&source.sector);
            }
        }
        names
    }

    /// Bytes of text that a sector's held-out tokens stand for, with the tokens; no bytes where
    /// another program made some of the tokens.
    pub fn held_out_of(&self, sector: &str) -> (u64, Option<u64>) {
        let of_sector = |source: &&SourceEntry| source.sector == sector;
        let parts = self.sources.iter().filter(of_sector).map(|s| &s.held_out);
        parts.fold((0, Some(0)), |(tokens, bytes), part| {
            let sum = bytes.zip(part.bytes).map(|(a, b)| a.saturating_add(b));
            (tokens + part.tokens, sum)
        })
    }

    fn sum(&self, count: impl Fn(&SourceEntry) -> u64) -> u64 {
        self.sources.iter().map(count).fold(0, u64::saturating_add)
    }

    /// Neighbours of one sector are one range.
    fn sectors(&self, part: impl Fn(&SourceEntry) -> &PartEntry) -> Vec<SectorRange> {
        let mut ranges: Vec<SectorRange> = Vec::new();
        for source in &self.sources {
            let PartEntry { start, tokens, .. } = *part(source);
            let end = start.saturating_add(tokens);
            match ranges.last_mut() {
                _ if tokens == 0 => {}
                Some(last) if last.sector == source.sector => last.tokens.end = end,
                _ => ranges.push(SectorRange {
                    sector: source.sector.clone(),
                    tokens: start..end,
                }),
            }
        }
        ranges
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest has string keys only");
        json.push(b'\n');
        json
    }

    /// Refuses to write what would not be read.
    pub(super) fn check_size(&self, dir: &Path) -> Result<(), DataError> {
        let (limit, found) = (MAX_MANIFEST_BYTES, self.to_json().len() as u64);
        if found <= limit {
            return Ok(());
        }
        Err(DataError::Manifest {
            path: dir.join(MANIFEST_FILE),
            reason: ManifestFault::TooLarge { limit, found },
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, ManifestFault> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let (limit, found) = (MAX_MANIFEST_BYTES, bytes.len() as u64);
            return Err(ManifestFault::TooLarge { limit, found });
        }
        // Another version has other fields, and is to be named before they are missed.
        let Version { format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(ManifestFault::Format {
                expected: FORMAT,
                found: format,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestFault> {
        self.tokenizer.check()?;
        let (expected, found) = (self.tokenizer.token_bytes(), self.token_bytes);
        if expected != found {
            return Err(ManifestFault::Width {
                vocabulary: self.tokenizer.vocabulary,
                expected,
                found,
            });
        }
        if let Some(index) = self.sources.iter().position(|s| s.class > self.class) {
            return Err(ManifestFault::Class { index });
        }
        self.check_part(|source| &source.training, shard_name)?;
        self.check_part(|source| &source.held_out, held_out_name)
    }

    /// Names are fixed, so that no manifest can point outside its folder; counts add up.
    fn check_part(
        &self,
        part: impl Fn(&SourceEntry) -> &PartEntry,
        name: fn(usize) -> String,
    ) -> Result<(), ManifestFault> {
        let (mut shards, mut end) = (0, 0u64);
        for (index, source) in self.sources.iter().enumerate() {
            let part = part(source);
            if part.start != end {
                let (expected, found) = (end, part.start);
                return Err(ManifestFault::Start {
                    index,
                    expected,
                    found,
                });
            }
            let mut sum = Some(0u64);
            for shard in &part.shards {
                let (index, expected, found) = (shards, name(shards), &shard.file);
                if *found != expected {
                    let found = found.clone();
                    return Err(ManifestFault::ShardName {
                        index,
                        expected,
                        found,
                    });
                }
                shards += 1;
                sum = sum.and_then(|sum| sum.checked_add(shard.tokens));
            }
            let total = sum.filter(|sum| *sum == part.tokens);
            let next = total.and_then(|tokens| end.checked_add(tokens));
            end = next.ok_or(ManifestFault::Total {
                expected: part.tokens,
                found: sum.unwrap_or(u64::MAX),
            })?;
        }
        Ok(())
    }
}

/// What every version of the manifest says.
#[derive(Deserialize)]
struct Version {
    format: String,
}

/// The name of held-out shard `index`.
pub(super) fn held_out_name(index: usize) -> String {
    format!("holdout-{index:03}.bin")
}

/// The name of training shard `index`.
pub(super) fn shard_name(index: usize) -> String {
    format!("train-{index:03}.bin")
}
