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
    ids::{Root, Round},
    layout::Layout,
};
use archipel_trainer::{ModelConfig, layout, read_checkpoint};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of weights in a checkpoint.
pub(super) const WEIGHTS_FILE: &str = "model.safetensors";
/// The file of the model's shape in a checkpoint.
pub(super) const SHAPE_FILE: &str = "config.json";
/// The most bytes of a shape.
const MAX_SHAPE_BYTES: usize = 1 << 20;

/// A model with its weights.
pub(super) struct Model {
    /// Its shape.
    pub config: ModelConfig,
    /// Its layout.
    pub layout: Layout,
    /// Its weights.
    pub parameters: Vec<f32>,
    /// The certified state that it is, where it comes from a member's folder.
    pub state: Option<(Round, Root)>,
}

/// A shape as `transformers` writes it. Other keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub model_type: String,
    pub vocab_size: u32,
    pub hidden_size: u32,
    pub intermediate_size: u32,
    pub num_hidden_layers: u32,
    pub num_attention_heads: u32,
    pub num_key_value_heads: u32,
    pub max_position_embeddings: u32,
    pub rms_norm_eps: f32,
    pub rope_theta: f32,
    pub tie_word_embeddings: bool,
}

impl Shape {
    pub fn of(config: &ModelConfig) -> Self {
        Self {
            model_type: "llama".to_owned(),
            vocab_size: config.vocabulary,
            hidden_size: config.d_model,
            intermediate_size: config.ffn,
            num_hidden_layers: config.layers,
            num_attention_heads: config.heads,
            num_key_value_heads: config.kv_heads,
            max_position_embeddings: config.context,
            rms_norm_eps: config.norm_eps,
            rope_theta: config.rope_base,
            tie_word_embeddings: config.tied,
        }
    }

    fn config(&self) -> ModelConfig {
        ModelConfig {
            vocabulary: self.vocab_size,
            d_model: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            ffn: self.intermediate_size,
            context: self.max_position_embeddings,
            tied: self.tie_word_embeddings,
            rope_base: self.rope_theta,
            norm_eps: self.rms_norm_eps,
        }
    }
}

/// Loads the model of a folder.
///
/// # Errors
/// A folder that is neither a member's with a state nor a checkpoint's.
pub(super) fn load(dir: &Path) -> anyhow::Result<Model> {
    if dir.join(WEIGHTS_FILE).exists() {
        return load_checkpoint(dir);
    }
    if dir.join(CHARTER_FILE).exists() {
        return load_state(dir);
    }
    bail!(
        "{}: expected a member's folder ({CHARTER_FILE} and {STATES_FOLDER}) or a checkpoint's \
         ({WEIGHTS_FILE} and {SHAPE_FILE}), found neither",
        dir.display()
    )
}

fn load_checkpoint(dir: &Path) -> anyhow::Result<Model> {
    let path = dir.join(SHAPE_FILE);
    let text = read_text(&path, MAX_SHAPE_BYTES)
        .with_context(|| format!("a checkpoint needs its {SHAPE_FILE}: export with --format hf"))?;
    let shape: Shape = serde_json::from_str(&text)
        .with_context(|| format!("{}: expected a Llama model's shape", path.display()))?;
    let config = shape.config();
    let layout = layout(&config).with_context(|| path.display().to_string())?;
    let (parameters, _) = read_checkpoint(&dir.join(WEIGHTS_FILE), &layout)?;
    Ok(Model {
        config,
        layout,
        parameters,
        state: None,
    })
}

fn load_state(dir: &Path) -> anyhow::Result<Model> {
    let signed = read_charter(&dir.join(CHARTER_FILE))?;
    let config = model_of(&signed.charter.plan);
    let layout = layout(&config)?;
    let folder = dir.join(STATES_FOLDER);
    let states = States::open(folder.clone(), signed.run_id(), layout.clone())
        .with_context(|| "no state is there yet: run the node first")?;
    let root = certified(dir)?.filter(|root| states.contains(root));
    let Some(root) = root.or_else(|| states.latest()) else {
        bail!(
            "{}: expected a state, found none: run the node first",
            folder.display()
        );
    };
    let checked = states.check(&root)?;
    if !checked.damaged.is_empty() {
        bail!(
            "{}/{root}.state: {} tensors have other bytes than were written: take another \
             member's copy",
            folder.display(),
            checked.damaged.len()
        );
    }
    Ok(Model {
        config,
        layout,
        parameters: checked.tensors.parameters,
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
