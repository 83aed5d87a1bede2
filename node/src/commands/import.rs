//! `archipel checkpoint import`.

use super::{
    export::{prepare, write_json},
    model::{Tokens, load_checkpoint},
};
use crate::cli::{args::ImportArgs, read_text, replace_file};
use crate::demo::figures::grouped;
use anyhow::bail;
use archipel_trainer::{
    CheckpointInfo, WEIGHTS_FILE,
    interchange::{
        CONFIG_FILE, GENERATION_FILE, MAX_TOKENIZER_BYTES, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE,
        config_json,
    },
    write_checkpoint,
};

/// What is taken over as it is, where it is there.
const COPIED: [&str; 4] = [
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    GENERATION_FILE,
];

/// `archipel checkpoint import`.
///
/// # Errors
/// A folder that holds no Llama as `transformers` writes it, or one with a part that the engine
/// does not compute; a folder that has a checkpoint already. Nothing is written then.
pub fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let weights = args.out.join(WEIGHTS_FILE);
    if weights.exists() {
        bail!(
            "{} exists and is not overwritten: name another folder",
            weights.display()
        );
    }
    let model = load_checkpoint(&args.source)?;
    let mut copies = Vec::new();
    for name in COPIED {
        let path = args.source.join(name);
        if path.exists() {
            copies.push((name, read_text(&path, MAX_TOKENIZER_BYTES)?));
        }
    }
    prepare(&args.out)?;
    for (name, text) in &copies {
        replace_file(&args.out.join(name), text)?;
    }
    write_json(&args.out.join(CONFIG_FILE), &config_json(&model.config))?;
    let info = CheckpointInfo::default();
    write_checkpoint(&weights, &model.layout, &model.parameters, &info)?;
    let config = &model.config;
    println!(
        "{} parameters: {} layers of width {}, {} heads, {} key heads, vocabulary {}, context {}; \
         {}: {}",
        grouped(model.layout.parameters() as u64),
        config.layers,
        config.d_model,
        config.heads,
        config.kv_heads,
        config.vocabulary,
        config.context,
        match model.tokens {
            Tokens::Bytes => "tokens are bytes",
            Tokens::Hf { text: Some(_), .. } => "tokens are those of its tokenizer.json",
            Tokens::Hf { text: None, .. } => "no tokenizer.json",
        },
        weights.display()
    );
    Ok(())
}
