//! Payloads that only a deliberate change of the format may change (`UPDATE_VECTORS=1`).

use super::*;
use serde_json::{Value, json};

const ABOUT: &str = "A payload of protocol/SPEC.md, section Payloads. 'layout' lists the tensors, \
                     packed in this order. 'values' are encoded with 'codec' to 'payload', which \
                     decodes to 'indices' (all of them where absent) and 'decoded'. Floats are \
                     hexadecimal bits, most significant first; the payload is hexadecimal bytes.";

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().map(|b| format!("{b:02x}")).collect()
}

fn floats(values: &[f32]) -> Vec<String> {
    values
        .iter()
        .map(|value| hex(value.to_be_bytes()))
        .collect()
}

fn read_floats(list: &Value) -> Vec<f32> {
    let read = |text: &Value| {
        let text = text.as_str().expect("a text of hexadecimal digits");
        f32::from_bits(u32::from_str_radix(text, 16).expect("hexadecimal digits"))
    };
    list.as_array().expect("a list").iter().map(read).collect()
}

/// The vector in `name`.json, after rewriting it where that is asked for.
fn check(name: &str, codec: Codec, shapes: &[&[u32]], values: &[f32]) {
    let layout = layout(shapes);
    let sent = payload(codec, &layout, values);
    let update = decode(codec, &sent, &layout, &WIDE).expect("our own payload");
    let tensors: Vec<Value> = layout
        .tensors()
        .iter()
        .map(|t| json!({ "name": t.name, "shape": t.shape }))
        .collect();
    let mut actual = json!({
        "about": ABOUT,
        "codec": codec.to_string(),
        "layout": tensors,
        "values": floats(values),
        "payload": hex(sent),
    });
    match update.entries() {
        Entries::Dense(values) => actual["decoded"] = json!(floats(values)),
        Entries::Sparse { indices, values } => {
            actual["indices"] = json!(indices);
            actual["decoded"] = json!(floats(values));
        }
    }
    let path = format!("{}/vectors/codec/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string(&actual).expect("JSON") + "\n";
        std::fs::write(&path, text).expect("the vectors folder is writable");
    }
    let text = std::fs::read_to_string(&path).expect("the vector exists");
    let golden: Value = serde_json::from_str(&text).expect("the vector is JSON");
    assert_eq!(
        bits(&read_floats(&golden["values"])),
        bits(values),
        "{name}: the test's values"
    );
    let advice = "run with UPDATE_VECTORS=1 if the format was meant to change";
    assert_eq!(golden, actual, "{name}: {advice}");
}

#[test]
fn f32_vector() {
    let values = [0.0, -0.0, 1.5, -2.25, f32::MIN_POSITIVE / 2.0, 1e20];
    check("f32", Codec::F32, &[&[4], &[1, 2]], &values);
}

#[test]
fn int8_vector() {
    let mut values = normal(21, 270);
    values[..4].copy_from_slice(&[0.0, -0.0, 1e-42, 0.004]);
    values.extend([0.0; 3]);
    check("int8", Codec::Int8, &[&[270], &[3]], &values);
}

#[test]
fn bf16_vector() {
    let values = [0.0, -0.0, 1.5, -2.25, 1.003_906_3, 1.011_718_8, 1e-40, 1e20];
    check("bf16", Codec::Bf16, &[&[6], &[1, 2]], &values);
}

#[test]
fn int4_vector() {
    let mut values = normal(24, 141);
    values[..4].copy_from_slice(&[0.0, -0.0, 1e-42, 0.004]);
    values.extend([0.0; 3]);
    check("int4", Codec::Int4, &[&[141], &[3]], &values);
}

#[test]
fn demo_vector() {
    let codec = Codec::Demo { chunk: 64, keep: 6 };
    let values = normal(25, 16 * 24 + 21 + 8);
    check("demo", codec, &[&[16, 24], &[21], &[8]], &values);
}

#[test]
fn topk_vector_of_small_chunks() {
    let mut values = normal(22, 96 + 21 + 16);
    values[117..].fill(0.0);
    values[40..44].fill(0.004);
    check("topk-2bit-small", SMALL, &[&[8, 12], &[21], &[16]], &values);
}

#[test]
fn topk_vector_of_full_chunks() {
    let values = normal(23, 64 * 128 + 100);
    check("topk-2bit", Codec::TOP_K, &[&[64, 128], &[100]], &values);
}

/// The whole format over tensors of every kind.
#[test]
fn payload_bytes_are_what_they_were() {
    let layout = layout(&[&[256, 64], &[64], &[100, 30], &[5, 5, 5]]);
    let values = normal(11, layout.parameters());
    let hash = |codec| {
        let hash = blake3::hash(&payload(codec, &layout, &values));
        hash.to_hex()[..16].to_owned()
    };
    let found = [
        Codec::F32,
        Codec::Int8,
        Codec::TOP_K,
        SMALL,
        Codec::Bf16,
        Codec::Int4,
        Codec::Demo {
            chunk: 4096,
            keep: 64,
        },
    ]
    .map(hash);
    let expected = [
        "061bcbb6add13ef7",
        "38ab7c09f03ec15c",
        "495c195408d1ef96",
        "939c798dea6f7e4c",
        "45d29422bdd12542",
        "62f81fd2fced5f3c",
        "3ecb93f40769e397",
    ];
    assert_eq!(found, expected);
}
