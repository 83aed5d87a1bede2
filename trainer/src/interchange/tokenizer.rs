//! The byte tokenizer in the format of the `tokenizers` library.
//!
//! A byte-level BPE without merges: its pre-tokenizer writes each byte as one character of an
//! alphabet in which every byte has a visible one, and the vocabulary maps that character to the
//! byte's value. So a token's id is its byte, and decoding joins bytes back into UTF-8.

use serde_json::{Map, Value, json};

/// The `tokenizer.json` whose 256 tokens are the bytes.
pub fn byte_tokenizer_json() -> Value {
    let alphabet = alphabet();
    let vocabulary: Map<String, Value> = (0..=255u8)
        .map(|byte| (alphabet[usize::from(byte)].to_string(), json!(byte)))
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
            "use_regex": false,
        },
        "post_processor": null,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
            "use_regex": false,
        },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocabulary, "merges": [],
        },
    })
}

/// Whether a `tokenizer.json` is the byte tokenizer, perhaps written again by another program.
pub fn is_byte_tokenizer(json: &Value) -> bool {
    let own = byte_tokenizer_json();
    let same = |pointer: &str| json.pointer(pointer) == own.pointer(pointer);
    [
        "/model/type",
        "/model/vocab",
        "/model/merges",
        "/normalizer",
    ]
    .iter()
    .all(|pointer| same(pointer))
        && same("/pre_tokenizer/type")
        && same("/pre_tokenizer/add_prefix_space")
        && same("/added_tokens")
}

/// The `tokenizer_config.json` of any tokenizer that is a `tokenizer.json`, for windows of
/// `context` tokens. No token begins or ends a text.
pub fn tokenizer_config_json(context: u32) -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
        "model_max_length": context,
    })
}

/// The character of each byte: itself where it is visible in Latin-1, else the next one from
/// U+0100 on. The alphabet of GPT-2, which the `tokenizers` library calls byte-level.
fn alphabet() -> [char; 256] {
    let visible = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut substitutes = (0x100..).filter_map(char::from_u32);
    std::array::from_fn(|byte| match byte as u8 {
        byte if visible(byte) => char::from(byte),
        _ => substitutes.next().expect("characters follow U+0100"),
    })
}
