//! The tokenizer of a model: the one given, the one beside its weights, the run's, or bytes.

use crate::{
    cli::{read_charter, read_text},
    config::{CHARTER_FILE, NodeConfig},
    driver::PlannedTokenizer,
};
use anyhow::{Context, bail};
use archipel_trainer::{
    data::{TOKENIZER_FILE, Tokenizer, TokenizerId},
    interchange::{MAX_TOKENIZER_BYTES, is_byte_tokenizer},
};
use std::path::Path;

/// The tokenizer of the model in `dir`, a checkpoint's folder or a member's.
///
/// # Errors
/// A file that is no tokenizer, or a run's tokenizer that is not to be found.
pub(super) fn tokenizer_of(dir: &Path, given: Option<&Path>) -> anyhow::Result<Tokenizer> {
    let beside = dir.join(TOKENIZER_FILE);
    if let Some(path) = given {
        return Ok(Tokenizer::read(path, None)?);
    }
    if beside.exists() {
        return match is_bytes(&beside)? {
            true => Ok(Tokenizer::Bytes),
            false => Ok(Tokenizer::read(&beside, None)?),
        };
    }
    if !dir.join(CHARTER_FILE).exists() {
        return Ok(Tokenizer::Bytes);
    }
    let planned = planned(dir)?;
    let data = NodeConfig::load(dir).ok().and_then(|c| c.data_path(dir));
    let folders: Vec<&Path> = [data.as_deref(), Some(dir)].into_iter().flatten().collect();
    planned.load(&folders)
}

/// Refuses data whose tokens the model in `dir` would read otherwise than they were written.
///
/// # Errors
/// Data of another tokenizer, or of more tokens than the model has.
pub(super) fn check_data(dir: &Path, vocabulary: u32, data: &TokenizerId) -> anyhow::Result<()> {
    if dir.join(CHARTER_FILE).exists() {
        return planned(dir)?.check(data);
    }
    let beside = dir.join(TOKENIZER_FILE);
    if beside.exists() && is_bytes(&beside)? {
        if !data.is_bytes() {
            bail!(
                "expected data whose tokens are bytes, as the model's, found data of {}: prepare \
                 it again without --tokenizer",
                data.blake3.as_deref().unwrap_or(&data.kind)
            );
        }
    } else if beside.exists() {
        let bytes = std::fs::read(&beside)?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if data.blake3.as_deref() != Some(&found) {
            bail!(
                "expected data of the model's tokenizer {} ({found}), found data of {}: prepare \
                 it again with --tokenizer",
                beside.display(),
                data.blake3.as_deref().unwrap_or(&data.kind)
            );
        }
    }
    if data.vocabulary > vocabulary {
        bail!(
            "expected tokens below the model's vocabulary of {vocabulary}, found data of {} \
             tokens: prepare it with the model's tokenizer",
            data.vocabulary
        );
    }
    Ok(())
}

/// Whether a `tokenizer.json` is that of bytes, which exported checkpoints carry.
fn is_bytes(path: &Path) -> anyhow::Result<bool> {
    let text = read_text(path, MAX_TOKENIZER_BYTES)?;
    let json = serde_json::from_str(&text)
        .with_context(|| format!("{}: expected a tokenizer in JSON", path.display()))?;
    Ok(is_byte_tokenizer(&json))
}

fn planned(dir: &Path) -> anyhow::Result<PlannedTokenizer> {
    let signed = read_charter(&dir.join(CHARTER_FILE))?;
    Ok(PlannedTokenizer::of(&signed.charter.plan))
}
