//! `archipel generate`.

use super::{model, tokenizer::tokenizer_of};
use crate::cli::args::GenerateArgs;
use archipel_protocol::random::derive_key;
use archipel_trainer::{
    Engine, LlamaEngine, Sampling, data::Tokenizer, generate as continue_tokens,
};
use std::{io::Write, path::Path};

/// `archipel generate`: the prompt and what follows it, on stdout.
///
/// # Errors
/// A folder without a model, or a setting that makes no sense.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let tokenizer = tokenizer_of(&args.checkpoint, args.tokenizer.as_deref())?;
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: usize::from(args.top_k),
        tokens: tokenizer.vocabulary(),
        seed: derive_key("archipel/generate/v1", &[&args.seed.to_be_bytes()]),
    };
    let count = args.tokens as usize;
    let text = continued(&args.checkpoint, &args.prompt, count, &sampling, &tokenizer)?;
    let mut out = std::io::stdout().lock();
    out.write_all(args.prompt.as_bytes())?;
    out.write_all(&text)?;
    Ok(out.write_all(b"\n")?)
}

/// What the model of a folder writes after `prompt`, in so many tokens.
pub(super) fn continued(
    dir: &Path,
    prompt: &str,
    count: usize,
    sampling: &Sampling,
    tokenizer: &Tokenizer,
) -> anyhow::Result<Vec<u8>> {
    let model = model::load(dir)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut engine = LlamaEngine::new(&model.config, threads)?;
    engine.load(&model.parameters)?;
    let mut prompt = tokenizer.encode(prompt)?;
    if prompt.is_empty() {
        // Nothing said is a document's beginning.
        prompt.push(tokenizer.boundary());
    }
    let tokens = continue_tokens(&mut engine, &prompt, count, sampling)?;
    // Some tokenizers write a word's first token otherwise at a text's beginning.
    let (before, mut all) = (tokenizer.decode(&prompt)?, prompt);
    all.extend_from_slice(&tokens);
    let text = tokenizer.decode(&all)?;
    match text.strip_prefix(before.as_slice()) {
        Some(rest) => Ok(rest.to_vec()),
        None => Ok(tokenizer.decode(&tokens)?),
    }
}
