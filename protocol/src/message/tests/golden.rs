//! Every message of the tests as bytes, in a file that other implementations can read.

use super::*;
use serde_json::Value;
use std::fmt::Write as _;

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[test]
fn messages_match_the_golden_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/messages.json");
    let listed = |message: &Message| {
        let bytes = hexadecimal(&message.to_bytes());
        json!({"kind": message.kind(), "bytes": bytes})
    };
    let actual = json!({
        "about": "Messages of protocol/SPEC.md, section Messages, at least one of every kind. \
                  'bytes' is hexadecimal: version, kind, body. Signers are Ed25519 keys of the \
                  secrets 01..01 to 04..04.",
        "messages": messages().iter().map(listed).collect::<Vec<_>>(),
    });
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&actual).expect("JSON") + "\n";
        std::fs::write(path, text).expect("the vectors folder is writable");
    }
    let text = std::fs::read_to_string(path).expect("vectors/messages.json exists");
    let golden: Value = serde_json::from_str(&text).expect("the vector is JSON");
    let advice = "run with UPDATE_VECTORS=1 if the format was meant to change";
    assert_eq!(actual, golden, "{advice}");
}
