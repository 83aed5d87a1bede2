//! `archipel generate`.

use super::model::{self, Tokens};
use crate::cli::args::GenerateArgs;
use anyhow::bail;
use archipel_protocol::random::derive_key;
use archipel_trainer::{Engine, LlamaEngine, Sampling, generate as continue_text};
use std::{io::Write, path::Path};

/// `archipel generate`: the prompt and what follows it, on stdout.
///
/// # Errors
/// A folder without a model, or a setting that makes no sense.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: usize::from(args.top_k),
        seed: derive_key("archipel/generate/v1", &[&args.seed.to_be_bytes()]),
    };
    let prompt = args.prompt.as_bytes();
    let text = continued(&args.checkpoint, prompt, args.bytes as usize, &sampling)?;
    let mut out = std::io::stdout().lock();
    out.write_all(prompt)?;
    out.write_all(&text)?;
    Ok(out.write_all(b"\n")?)
}

/// What the model of a folder writes after `prompt`.
pub(super) fn continued(
    dir: &Path,
    prompt: &[u8],
    bytes: usize,
    sampling: &Sampling,
) -> anyhow::Result<Vec<u8>> {
    let model = model::load(dir)?;
    if let Tokens::Hf { file, .. } = &model.tokens {
        bail!(
            "{}: expected a model whose tokens are bytes, found one with the tokenizer {}: \
             generate with transformers, which loads this folder",
            dir.display(),
            file.display()
        );
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut engine = LlamaEngine::new(&model.config, threads)?;
    engine.load(&model.parameters)?;
    Ok(continue_text(&mut engine, prompt, bytes, sampling)?)
}
