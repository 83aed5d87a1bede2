//! Loads a model from a member's folder, or from an exported checkpoint.

use super::status::kept_status;
use crate::{
    cli::{read_charter, read_text},
    config::CHARTER_FILE,
    control::{Answer, Request, ask},
    driver::{STATES_FOLDER, States, model_of},
};
use anyhow::{Context, bail};
use archipel_protocol::{
    charter::plan::Tokenizer,
    ids::{BlobHash, Root, Round},
    layout::Layout,
};
use archipel_trainer::{
    INDEX_FILE, ModelConfig, WEIGHTS_FILE,
    interchange::{
        CONFIG_FILE, MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES, TOKENIZER_FILE, is_byte_tokenizer,
        read_config,
    },
    layout, read_checkpoint,
};
use std::path::{Path, PathBuf};

/// A model with its weights.
pub(super) struct Model {
    /// Its shape.
    pub config: ModelConfig,
    /// Its layout.
    pub layout: Layout,
    /// Its weights.
    pub parameters: Vec<f32>,
    /// How its tokens become text.
    pub tokens: Tokens,
    /// The certified state that it is, where it comes from a member's folder.
    pub state: Option<(Round, Root)>,
}

/// How a model's tokens become text.
pub(super) enum Tokens {
    /// A token is a byte.
    Bytes,
    /// Those of a `tokenizer.json`.
    Hf {
        /// Where it is, or should be.
        file: PathBuf,
        /// Its content, where it is there.
        text: Option<String>,
    },
}

/// Loads the model of a folder.
///
/// # Errors
/// A folder that is neither a member's with a state nor a checkpoint's.
pub(super) fn load(dir: &Path) -> anyhow::Result<Model> {
    if weights(dir).exists() {
        return load_checkpoint(dir);
    }
    if dir.join(CHARTER_FILE).exists() {
        return load_state(dir);
    }
    bail!(
        "{}: expected a member's folder ({CHARTER_FILE} and {STATES_FOLDER}) or a checkpoint's \
         ({WEIGHTS_FILE} and {CONFIG_FILE}), found neither",
        dir.display()
    )
}

/// The file of a checkpoint's weights, or the index of its shards where it has several.
fn weights(dir: &Path) -> PathBuf {
    let (whole, index) = (dir.join(WEIGHTS_FILE), dir.join(INDEX_FILE));
    if index.exists() && !whole.exists() {
        index
    } else {
        whole
    }
}

/// Loads a Llama as `transformers` writes it, or as it was exported here.
///
/// # Errors
/// A folder without shape or weights, or with any that the engine does not compute.
pub(super) fn load_checkpoint(dir: &Path) -> anyhow::Result<Model> {
    let path = dir.join(CONFIG_FILE);
    let text = read_text(&path, MAX_CONFIG_BYTES).with_context(|| {
        format!("a checkpoint needs its {CONFIG_FILE}: export it with --format hf")
    })?;
    let config = read_config(&text).with_context(|| path.display().to_string())?;
    let layout = layout(&config).with_context(|| path.display().to_string())?;
    let tokens = tokens_of(dir, &config)?;
    let (parameters, _) = read_checkpoint(&weights(dir), &layout)?;
    Ok(Model {
        config,
        layout,
        parameters,
        tokens,
        state: None,
    })
}

/// A checkpoint's tokens: bytes where its tokenizer is the byte tokenizer, or where there is none
/// and the vocabulary is that of bytes.
fn tokens_of(dir: &Path, config: &ModelConfig) -> anyhow::Result<Tokens> {
    let file = dir.join(TOKENIZER_FILE);
    if !file.exists() {
        return Ok(match config.vocabulary {
            256 => Tokens::Bytes,
            _ => Tokens::Hf { file, text: None },
        });
    }
    let text = read_text(&file, MAX_TOKENIZER_BYTES)?;
    let json = serde_json::from_str(&text)
        .with_context(|| format!("{}: expected a tokenizer in JSON", file.display()))?;
    Ok(match is_byte_tokenizer(&json) {
        true => Tokens::Bytes,
        false => Tokens::Hf {
            file,
            text: Some(text),
        },
    })
}

/// A plan's tokens. Its tokenizer may be missing in the folder, and must not be another.
fn tokens_of_plan(dir: &Path, tokenizer: Tokenizer) -> anyhow::Result<Tokens> {
    let Tokenizer::Hf(expected) = tokenizer else {
        return Ok(Tokens::Bytes);
    };
    let file = dir.join(TOKENIZER_FILE);
    if !file.exists() {
        return Ok(Tokens::Hf { file, text: None });
    }
    let text = read_text(&file, MAX_TOKENIZER_BYTES)?;
    let found = BlobHash(*blake3::hash(text.as_bytes()).as_bytes());
    if found != expected {
        bail!(
            "{}: expected the tokenizer {expected}, which the charter names, found {found}: take \
             the file that the charter was made with",
            file.display()
        );
    }
    Ok(Tokens::Hf {
        file,
        text: Some(text),
    })
}

fn load_state(dir: &Path) -> anyhow::Result<Model> {
    let signed = read_charter(&dir.join(CHARTER_FILE))?;
    let plan = &signed.charter.plan;
    let config = model_of(plan);
    let layout = layout(&config)?;
    let tokens = tokens_of_plan(dir, plan.tokenizer)?;
    let folder = dir.join(STATES_FOLDER);
    let states = States::open(folder.clone(), signed.run_id(), layout.clone())
        .with_context(|| "no state is there yet: run the node first")?;
    let newest = certified(dir)?;
    let root = newest.filter(|root| states.contains(root));
    if let (Some(newest), None) = (newest, root) {
        states.odd().iter().for_each(|odd| eprintln!("note: {odd}"));
        eprintln!(
            "note: the newest certified state, {}, is not whole here: this is an older one. Start \
             the node, and it takes that state from the other members",
            newest.short()
        );
    }
    let Some(root) = root.or_else(|| states.latest()) else {
        bail!(
            "{}: expected a state, found none: run the node first",
            folder.display()
        );
    };
    let checked = states.check(&root)?;
    if !checked.damaged.is_empty() {
        bail!(
            "{}/{root}.state: {} tensors have other bytes than were written: start the node, and \
             it takes this state from the other members, or copy the file of this name from one",
            folder.display(),
            checked.damaged.len()
        );
    }
    Ok(Model {
        config,
        layout,
        parameters: checked.tensors.parameters,
        tokens,
        state: Some((checked.manifest.round, root)),
    })
}

/// The certified state that the node of a folder holds, or held when it stopped.
fn certified(dir: &Path) -> anyhow::Result<Option<Root>> {
    if let Ok(Answer::Status(status)) = ask(dir, &Request::Status) {
        return Ok(status.root);
    }
    Ok(kept_status(dir)?.and_then(|status| status.root))
}
