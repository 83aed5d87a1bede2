//! `config.json`: a shape, and the promise that nothing else is computed.

use crate::config::{ConfigError, ModelConfig};
use serde_json::{Map, Value, json};

/// The most characters of a value that an error repeats.
const SHOWN: usize = 64;
/// Vocabularies, widths and the like where a file leaves them out, as `transformers` has them.
const DEFAULT_CONTEXT: u32 = 2048;
const DEFAULT_EPSILON: f64 = 1e-6;
const DEFAULT_BASE: f64 = 10_000.0;

/// Why a `config.json` is refused.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The text is not a JSON object.
    #[error("expected a JSON object of a model's shape: {0}")]
    Json(#[from] serde_json::Error),
    /// A key is missing that has no default.
    #[error("{key}: expected {expected}, found nothing: is this the model's own config.json?")]
    Missing {
        /// The key.
        key: &'static str,
        /// What stands there.
        expected: &'static str,
    },
    /// A value has another type.
    #[error("{key}: expected {expected}, found {found}: correct it")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there.
        expected: &'static str,
        /// What was found, cut after 64 characters.
        found: String,
    },
    /// The model computes something that the engine does not.
    #[error("{key}: expected {expected}, found {found}: {way_out}")]
    NotComputed {
        /// The key.
        key: &'static str,
        /// The value that is computed.
        expected: String,
        /// What was found, cut after 64 characters.
        found: String,
        /// What can be done.
        way_out: &'static str,
    },
    /// The sizes are no model.
    #[error(transparent)]
    Shape(#[from] ConfigError),
}

/// A key, the values of it that the engine computes (absent and null among them), how to say so,
/// and the way out.
type Rule = (&'static str, fn(&Value) -> bool, &'static str, &'static str);

const RETRAIN: &str = "no setting removes this part; take a model without it";
const RULES: [Rule; 13] = [
    (
        "architectures",
        |value| *value == json!(["LlamaForCausalLM"]),
        "[\"LlamaForCausalLM\"]",
        "only this class of transformers is read; save the model as one",
    ),
    (
        "hidden_act",
        |value| ["silu", "swish"].iter().any(|name| value == name),
        "\"silu\"",
        RETRAIN,
    ),
    ("attention_bias", is_false, "false", RETRAIN),
    ("mlp_bias", is_false, "false", RETRAIN),
    (
        "rope_scaling",
        |value| rope_type(value) == Some("default"),
        "null",
        "positions are not scaled here; take the model as it was before its context was stretched",
    ),
    ("sliding_window", |_| false, "null", RETRAIN),
    ("use_sliding_window", is_false, "false", RETRAIN),
    (
        "layer_types",
        |value| {
            let full = |kind: &Value| kind == "full_attention";
            value.as_array().is_some_and(|all| all.iter().all(full))
        },
        "\"full_attention\" for every layer",
        RETRAIN,
    ),
    ("partial_rotary_factor", is_one, "1.0", RETRAIN),
    ("num_experts", |_| false, "no such key", RETRAIN),
    ("num_local_experts", |_| false, "no such key", RETRAIN),
    (
        "quantization_config",
        |_| false,
        "no such key",
        "load the model with transformers, call dequantize(), and save that",
    ),
    ("final_logit_softcapping", |_| false, "null", RETRAIN),
];

/// Reads a Llama's shape.
///
/// `rope_theta` stands by itself (transformers 4) or in `rope_parameters` (transformers 5). What a
/// file leaves out has the default of `transformers`.
///
/// # Errors
/// A text that is no object, a key without value, or a model that the engine does not compute.
pub fn read_config(text: &str) -> Result<ModelConfig, ShapeError> {
    let map: Map<String, Value> = serde_json::from_str(text)?;
    let kind = map.get("model_type").ok_or(ShapeError::Missing {
        key: "model_type",
        expected: "\"llama\"",
    })?;
    let way_out = "only Llama's architecture is computed; others need their own conversion";
    if kind != "llama" {
        return Err(not_computed("model_type", "\"llama\"", kind, way_out));
    }
    for (key, computed, expected, way_out) in RULES {
        if let Some(value) = present(&map, key).filter(|value| !computed(value)) {
            return Err(not_computed(key, expected, value, way_out));
        }
    }
    let heads = size(&map, "num_attention_heads", None)?;
    let config = ModelConfig {
        vocabulary: size(&map, "vocab_size", None)?,
        d_model: size(&map, "hidden_size", None)?,
        layers: size(&map, "num_hidden_layers", None)?,
        heads,
        kv_heads: size(&map, "num_key_value_heads", Some(heads))?,
        ffn: size(&map, "intermediate_size", None)?,
        context: size(&map, "max_position_embeddings", Some(DEFAULT_CONTEXT))?,
        tied: switch(&map, "tie_word_embeddings")?,
        rope_base: rope_base(&map)?,
        norm_eps: number(&map, "rms_norm_eps", DEFAULT_EPSILON)?,
    };
    config.validate()?;
    let (key, width) = ("head_dim", config.head_width());
    match present(&map, key) {
        Some(found) if *found != width => Err(not_computed(
            key,
            &format!("{width}, which is hidden_size / num_attention_heads"),
            found,
            RETRAIN,
        )),
        _ => Ok(config),
    }
}

/// The `config.json` of a shape, for `transformers` 4 and 5.
pub fn config_json(config: &ModelConfig) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "bos_token_id": null,
        "dtype": "float32",
        "eos_token_id": null,
        "head_dim": config.head_width(),
        "hidden_act": "silu",
        "hidden_size": config.d_model,
        "intermediate_size": config.ffn,
        "max_position_embeddings": config.context,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "pad_token_id": null,
        "rms_norm_eps": shortest(config.norm_eps),
        "rope_theta": shortest(config.rope_base),
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
    })
}

/// The `generation_config.json`: no token begins, ends or fills a text.
pub fn generation_json() -> Value {
    json!({
        "bos_token_id": null,
        "do_sample": true,
        "eos_token_id": null,
        "pad_token_id": null,
        "temperature": 0.8,
        "top_k": 40,
    })
}

/// The number that people write for this `f32`, not the nearest `f64` to its bits.
fn shortest(value: f32) -> f64 {
    let text = value.to_string();
    text.parse().unwrap_or_else(|_| f64::from(value))
}

fn is_false(value: &Value) -> bool {
    *value == false
}

fn is_one(value: &Value) -> bool {
    value.as_f64() == Some(1.0)
}

/// The kind of scaling; older files call it `type`.
fn rope_type(value: &Value) -> Option<&str> {
    let kind = value.get("rope_type").or_else(|| value.get("type"))?;
    kind.as_str()
}

/// The base of the rotary frequencies, from either place; they must not contradict each other.
fn rope_base(map: &Map<String, Value>) -> Result<f32, ShapeError> {
    let own = present(map, "rope_theta");
    let Some(parameters) = present(map, "rope_parameters") else {
        return number(map, "rope_theta", DEFAULT_BASE);
    };
    let key = "rope_parameters";
    let Some(inner) = parameters.as_object() else {
        return Err(value_error(key, "an object", parameters));
    };
    let scaled = present(inner, "rope_type").is_some_and(|kind| kind != "default");
    let partial = present(inner, "partial_rotary_factor").is_some_and(|factor| !is_one(factor));
    if scaled || partial {
        let expected = "rope_type \"default\" for whole heads";
        return Err(not_computed(key, expected, parameters, RULES[4].3));
    }
    let base = number(inner, "rope_theta", DEFAULT_BASE)?;
    match own {
        Some(_) if number(map, "rope_theta", DEFAULT_BASE)? != base => Err(not_computed(
            "rope_theta",
            &format!("{base}, as in rope_parameters"),
            own.unwrap_or(&Value::Null),
            "remove the one that is wrong",
        )),
        _ => Ok(base),
    }
}

/// The value of a key that is there and not null.
fn present<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn size(
    map: &Map<String, Value>,
    key: &'static str,
    default: Option<u32>,
) -> Result<u32, ShapeError> {
    let expected = "a whole number below 2^32";
    let Some(value) = present(map, key) else {
        return default.ok_or(ShapeError::Missing { key, expected });
    };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| value_error(key, expected, value))
}

fn number(map: &Map<String, Value>, key: &'static str, default: f64) -> Result<f32, ShapeError> {
    let value = present(map, key).map_or(Ok(default), |value| {
        let found = value.as_f64();
        found.ok_or_else(|| value_error(key, "a number", value))
    })?;
    Ok(value as f32)
}

fn switch(map: &Map<String, Value>, key: &'static str) -> Result<bool, ShapeError> {
    present(map, key).map_or(Ok(false), |value| {
        let found = value.as_bool();
        found.ok_or_else(|| value_error(key, "true or false", value))
    })
}

fn value_error(key: &'static str, expected: &'static str, found: &Value) -> ShapeError {
    let found = shown(found);
    ShapeError::Value {
        key,
        expected,
        found,
    }
}

fn not_computed(
    key: &'static str,
    expected: &str,
    found: &Value,
    way_out: &'static str,
) -> ShapeError {
    ShapeError::NotComputed {
        key,
        expected: expected.to_owned(),
        found: shown(found),
        way_out,
    }
}

/// A value's beginning.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN).collect()
}
