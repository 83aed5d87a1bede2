//! Turns text files and folders into token shards, a held-out part and a manifest.
//!
//! Every file is a document: [`DOCUMENT_BOUNDARY`], then its bytes. The last part of each
//! document's bytes is held out, so that the held-out text covers every source in proportion.

use super::manifest::{FORMAT, MANIFEST_FILE, Manifest, Skipped, TOKENIZER};
use super::walk::{Found, Walk};
use super::write::{ShardWriter, write_manifest};
use super::{DOCUMENT_BOUNDARY, DataClass, DataError, io};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 1 << 18;

/// What the manifest says about the data, and how it is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareOptions {
    /// The data's name.
    pub name: String,
    /// Who may see it; sovereign unless its owner says otherwise.
    pub class: DataClass,
    /// Its language.
    pub language: String,
    /// Its licence.
    pub licence: String,
    /// Where it comes from.
    pub provenance: String,
    /// Part of each document that is held out, 1 to 50 percent.
    pub held_out_percent: u8,
    /// The most bytes of one shard.
    pub shard_bytes: u64,
    /// The most bytes of text taken in all; documents that would pass it are skipped.
    pub max_bytes: u64,
    /// Extensions of the files taken from folders, without the dot; none at all takes every file.
    pub extensions: Vec<String>,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            class: DataClass::Sovereign,
            language: "unknown".to_owned(),
            licence: "unknown".to_owned(),
            provenance: "unknown".to_owned(),
            held_out_percent: 10,
            shard_bytes: 256 << 20,
            max_bytes: u64::MAX,
            extensions: Vec::new(),
        }
    }
}

/// How far a preparation is.
#[derive(Clone, Copy, Debug)]
pub struct PrepareProgress<'a> {
    /// The file just looked at.
    pub path: &'a Path,
    /// Documents taken so far.
    pub documents: u64,
    /// Bytes of text taken so far.
    pub bytes: u64,
}

/// Prepares `sources` into the folder `out`, which is created if it is absent.
///
/// # Errors
/// A source that cannot be read, a link that leaves its folder, an `out` that is in use or within
/// a source, no text, a full disk. Without an error there is a manifest; with one there is none.
pub fn prepare(
    sources: &[PathBuf],
    out: &Path,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(&PrepareProgress<'_>),
) -> Result<Manifest, DataError> {
    check(options)?;
    fs::create_dir_all(out).map_err(io("create", out))?;
    refuse_out(sources, out)?;
    let mut job = Job {
        options,
        writer: ShardWriter::create(out, options.shard_bytes)?,
        documents: 0,
        bytes: 0,
        skipped: Skipped::default(),
        files: 0,
    };
    for source in sources {
        job.take_source(source, progress)?;
    }
    let manifest = job.finish()?;
    write_manifest(out, &manifest)?;
    Ok(manifest)
}

struct Job<'a> {
    options: &'a PrepareOptions,
    writer: ShardWriter,
    documents: u64,
    bytes: u64,
    skipped: Skipped,
    files: u64,
}

impl Job<'_> {
    fn take_source(
        &mut self,
        source: &Path,
        progress: &mut dyn FnMut(&PrepareProgress<'_>),
    ) -> Result<(), DataError> {
        let mut walk = Walk::new(source, &self.options.extensions)?;
        while let Some(found) = walk.next()? {
            self.files += 1;
            match found {
                Found::NotFile => self.skipped.not_files += 1,
                Found::File(path) => {
                    self.take_file(&path)?;
                    let (documents, bytes) = (self.documents, self.bytes);
                    progress(&PrepareProgress {
                        path: &path,
                        documents,
                        bytes,
                    });
                }
            }
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path) -> Result<(), DataError> {
        let length = fs::metadata(path).map_err(io("look at", path))?.len();
        if length > self.options.max_bytes - self.bytes {
            self.skipped.beyond_limit += 1;
            return Ok(());
        }
        match inspect(path)? {
            Kind::NotUtf8 => self.skipped.not_utf8 += 1,
            Kind::Binary => self.skipped.binary += 1,
            Kind::Text { bytes: 0 } => self.skipped.empty += 1,
            Kind::Text { bytes } if bytes != length => {
                return Err(DataError::Changing {
                    path: path.to_owned(),
                });
            }
            Kind::Text { bytes } => {
                self.copy(path, bytes)?;
                self.documents += 1;
                self.bytes += bytes;
            }
        }
        Ok(())
    }

    /// Copies a document of `length` bytes, its last part to the held-out shard.
    fn copy(&mut self, path: &Path, length: u64) -> Result<(), DataError> {
        let percent = u128::from(self.options.held_out_percent);
        let held_out = (u128::from(length) * percent / 100) as u64;
        let mut training = length - held_out;
        let mut rest = length;
        self.writer.train(&[DOCUMENT_BOUNDARY])?;
        if held_out > 0 {
            self.writer.hold_out(&[DOCUMENT_BOUNDARY])?;
        }
        let mut file = File::open(path).map_err(io("open", path))?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let count = file.read(&mut block).map_err(io("read", path))?;
            if count == 0 && rest == 0 {
                return Ok(());
            }
            if count == 0 || count as u64 > rest {
                return Err(DataError::Changing {
                    path: path.to_owned(),
                });
            }
            let first = training.min(count as u64);
            let (train, hold) = block[..count].split_at(first as usize);
            self.writer.train(train)?;
            self.writer.hold_out(hold)?;
            training -= first;
            rest -= count as u64;
        }
    }

    fn finish(self) -> Result<Manifest, DataError> {
        if self.documents == 0 {
            return Err(DataError::NoText { files: self.files });
        }
        let (training, held_out) = self.writer.finish()?;
        if held_out.tokens == 0 {
            let percent = self.options.held_out_percent;
            return Err(DataError::NothingHeldOut {
                bytes: self.bytes,
                percent,
            });
        }
        let options = self.options.clone();
        Ok(Manifest {
            format: FORMAT.to_owned(),
            tokenizer: TOKENIZER.to_owned(),
            name: options.name,
            class: options.class,
            language: options.language,
            licence: options.licence,
            provenance: options.provenance,
            documents: self.documents,
            skipped: self.skipped,
            training_tokens: training.iter().map(|shard| shard.tokens).sum(),
            training,
            held_out,
        })
    }
}

/// What a file holds.
enum Kind {
    Text { bytes: u64 },
    NotUtf8,
    Binary,
}

/// Reads a file through once, block by block.
fn inspect(path: &Path) -> Result<Kind, DataError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut carried, mut bytes) = (0, 0u64);
    loop {
        let count = file.read(&mut block[carried..]).map_err(io("read", path))?;
        if count == 0 {
            return Ok(if carried == 0 {
                Kind::Text { bytes }
            } else {
                Kind::NotUtf8
            });
        }
        bytes += count as u64;
        let filled = carried + count;
        if block[carried..filled].contains(&DOCUMENT_BOUNDARY) {
            return Ok(Kind::Binary);
        }
        carried = match std::str::from_utf8(&block[..filled]) {
            Ok(_) => 0,
            // A character cut in two by the block's end is judged with the next block.
            Err(error) if error.error_len().is_none() => {
                block.copy_within(error.valid_up_to()..filled, 0);
                filled - error.valid_up_to()
            }
            Err(_) => return Ok(Kind::NotUtf8),
        };
    }
}

fn check(options: &PrepareOptions) -> Result<(), DataError> {
    let percent = u64::from(options.held_out_percent);
    if !(1..=50).contains(&percent) {
        let (field, expected) = ("held_out_percent", "in 1..=50");
        return Err(DataError::Option {
            field,
            expected,
            found: percent,
        });
    }
    if options.shard_bytes < 4096 {
        let (field, expected, found) = ("shard_bytes", "4096 or more", options.shard_bytes);
        return Err(DataError::Option {
            field,
            expected,
            found,
        });
    }
    Ok(())
}

fn refuse_out(sources: &[PathBuf], out: &Path) -> Result<(), DataError> {
    if out.join(MANIFEST_FILE).exists() {
        return Err(DataError::OutInUse {
            out: out.to_owned(),
        });
    }
    let real_out = fs::canonicalize(out).map_err(io("find", out))?;
    for source in sources {
        let real_source = fs::canonicalize(source).map_err(io("find", source))?;
        if real_out.starts_with(&real_source) {
            let (out, source_path) = (out.to_owned(), source.clone());
            return Err(DataError::OutInsideSource { out, source_path });
        }
    }
    Ok(())
}
