//! Models as `transformers` keeps them: a Llama's `config.json`, and the byte tokenizer's files.
//!
//! What is read is what the engine computes, and nothing else: a model with one part that it does
//! not have would load, and answer wrongly. So every key that changes what a Llama computes is
//! looked at, and any value but the one computed here is refused with its name. Keys that say how a
//! model was trained, or how text is drawn from it, are passed over.

mod config;
mod tokenizer;

pub use config::{ShapeError, config_json, generation_json, read_config};
pub use tokenizer::{byte_tokenizer_json, is_byte_tokenizer, tokenizer_config_json};

/// The file of a model's shape.
pub const CONFIG_FILE: &str = "config.json";
/// The file that says how `transformers` draws text.
pub const GENERATION_FILE: &str = "generation_config.json";
/// A tokenizer, as the `tokenizers` library writes it.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The file that says which class of `transformers` takes the tokenizer.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// The most bytes of a `config.json`.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;
/// The most bytes of a tokenizer, or of a file about one.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
