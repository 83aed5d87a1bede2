use super::*;
use crate::config::{ModelConfig, tiny};
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut value = config_json(&tiny());
    change(&mut value);
    value.to_string()
}

#[test]
fn a_shape_survives_its_file() {
    let tied = ModelConfig {
        tied: true,
        rope_base: 500_000.0,
        norm_eps: 1e-6,
        ..tiny()
    };
    for config in [tiny(), tied] {
        let text = config_json(&config).to_string();
        assert_eq!(read_config(&text).expect("a shape"), config);
    }
    let text = config_json(&tiny()).to_string();
    assert!(text.contains("\"rms_norm_eps\":0.00001,"), "{text}");
}

#[test]
fn what_a_file_leaves_out_has_the_default_of_transformers() {
    let text = r#"{"model_type": "llama", "vocab_size": 300, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": null, "unheard_of": [1, 2]}"#;
    let config = read_config(text).expect("a shape");
    assert_eq!((config.kv_heads, config.context), (4, 2048));
    assert_eq!((config.rope_base, config.norm_eps), (10_000.0, 1e-6));
    assert!(!config.tied);
}

#[test]
fn the_rotary_base_is_read_from_either_place() {
    let parameters = json!({"rope_theta": 5e5, "rope_type": "default"});
    let inner = with(|v| {
        v["rope_theta"] = Value::Null;
        v["rope_parameters"] = parameters.clone();
    });
    assert_eq!(read_config(&inner).expect("a shape").rope_base, 5e5);
    let both = with(|v| v["rope_parameters"] = parameters);
    let refused = read_config(&both).expect_err("two bases").to_string();
    let expected = "rope_theta: expected 500000, as in rope_parameters, found 10000";
    assert!(refused.contains(expected), "{refused}");
    let old = with(|v| v["rope_scaling"] = json!({"type": "default"}));
    assert_eq!(read_config(&old).expect("a shape"), tiny());
}

#[test]
fn models_that_are_not_computed_are_refused_by_key() {
    let linear = json!({"rope_type": "linear", "factor": 2.0});
    let partial = json!({"rope_type": "default", "partial_rotary_factor": 0.5});
    let cases = [
        ("model_type", json!("mistral"), "expected \"llama\""),
        (
            "architectures",
            json!(["LlamaForSequenceClassification"]),
            "expected [\"LlamaForCausalLM\"]",
        ),
        (
            "hidden_act",
            json!("gelu"),
            "expected \"silu\", found \"gelu\"",
        ),
        ("attention_bias", json!(true), "expected false, found true"),
        ("mlp_bias", json!(true), "expected false, found true"),
        ("rope_scaling", linear.clone(), "expected null"),
        ("rope_parameters", linear, "expected rope_type \"default\""),
        ("rope_parameters", partial, "for whole heads"),
        ("rope_parameters", json!(1), "expected an object, found 1"),
        ("sliding_window", json!(4096), "expected null, found 4096"),
        ("use_sliding_window", json!(true), "expected false"),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            "expected \"full_attention\" for every layer",
        ),
        ("partial_rotary_factor", json!(0.5), "expected 1.0"),
        ("num_experts", json!(8), "expected no such key"),
        ("num_local_experts", json!(8), "expected no such key"),
        ("quantization_config", json!({}), "call dequantize()"),
        ("final_logit_softcapping", json!(30.0), "expected null"),
        ("head_dim", json!(8), "expected 4, which is hidden_size"),
        ("hidden_size", json!(-1), "expected a whole number"),
        (
            "hidden_size",
            json!(18),
            "heads (4) must divide d_model (18)",
        ),
        ("vocab_size", Value::Null, "expected a whole number"),
        ("vocab_size", json!(u64::MAX), "expected a whole number"),
        ("tie_word_embeddings", json!(1), "expected true or false"),
        ("rms_norm_eps", json!("x"), "expected a number"),
        ("rms_norm_eps", json!(0), "norm_eps must be in"),
    ];
    for (key, value, expected) in cases {
        let text = with(|config| config[key] = value.clone());
        let refused = read_config(&text).expect_err(expected).to_string();
        assert!(refused.contains(expected), "{key}: {refused}");
        let own = ["d_model (18)", "norm_eps must"]
            .iter()
            .any(|own| refused.contains(own));
        assert!(own || refused.starts_with(key), "{key}: {refused}");
    }
    for text in ["", "[]", "{\"model_type\": }", "{}"] {
        read_config(text).expect_err("no shape");
    }
    let long = with(|config| config["hidden_act"] = json!("x".repeat(10_000)));
    let refused = read_config(&long).expect_err("no activation").to_string();
    assert!(refused.len() < 300, "{refused}");
}

#[test]
fn every_byte_has_a_character_of_its_own_and_its_value_as_id() {
    let json = byte_tokenizer_json();
    let vocabulary = json["model"]["vocab"].as_object().expect("a vocabulary");
    let mut ids: Vec<u64> = vocabulary.values().filter_map(Value::as_u64).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..256).collect::<Vec<u64>>());
    for (character, byte) in [("a", 0x61), ("Ġ", 0x20), ("Ċ", 0x0a), ("Ā", 0), ("ÿ", 0xff)] {
        assert_eq!(vocabulary[character], byte, "{character}");
    }
    assert!(is_byte_tokenizer(&json));
    for pointer in [
        "/model/vocab/a",
        "/pre_tokenizer/add_prefix_space",
        "/added_tokens",
    ] {
        let mut other = byte_tokenizer_json();
        *other.pointer_mut(pointer).expect("a part of it") = json!([1]);
        assert!(!is_byte_tokenizer(&other), "{pointer}");
    }
    assert!(!is_byte_tokenizer(&json!(null)));
    // The last of the substitutes stands for the soft hyphen.
    assert_eq!(vocabulary["Ń"], 0xad);
}
