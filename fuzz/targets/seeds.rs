//! Writes inputs that decode: `seeds FOLDER` makes one folder a target below it.

use archipel_fuzz::{
    samples::{Samples, frames, outlines, payloads, residuals},
    update::Kind,
};
use serde_json::Value;
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: seeds FOLDER")?;
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/vectors");
    let golden = |name: &str| -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&fs::read_to_string(
            vectors.join(name),
        )?)?)
    };
    let all: [(&str, Samples); 12] = [
        ("f32", payloads(Kind::F32)),
        ("bf16", payloads(Kind::Bf16)),
        ("int8", payloads(Kind::Int8)),
        ("int4", payloads(Kind::Int4)),
        ("topk_2bit", payloads(Kind::TopK2Bit)),
        ("demo", payloads(Kind::Demo)),
        (
            "message",
            listed(&golden("messages.json")?, "messages", "bytes"),
        ),
        (
            "charter",
            vec![text(&golden("charter.json")?["toml"]).into_bytes()],
        ),
        ("record", log(&golden("records.json")?)),
        ("outline", outlines()),
        ("compressed", frames()),
        ("residual", residuals()),
    ];
    for (target, samples) in all {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (number, sample) in samples.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), sample)?;
        }
        println!("{target}: {} seeds", samples.len());
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text in the vectors").to_owned()
}

/// The hexadecimal `field` of every entry of a list.
fn listed(golden: &Value, list: &str, field: &str) -> Samples {
    let entries = golden[list].as_array().expect("a list in the vectors");
    let bytes = |entry: &Value| {
        let digits = text(&entry[field]);
        let pairs = (0..digits.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    };
    entries.iter().map(bytes).collect()
}

/// The whole log, and its beginning.
fn log(golden: &Value) -> Samples {
    let mut whole = Vec::new();
    let mut parts = Vec::new();
    for record in listed(golden, "records", "record") {
        whole.extend((record.len() as u16).to_be_bytes());
        whole.extend(record);
        parts.push(whole.clone());
    }
    parts
}
