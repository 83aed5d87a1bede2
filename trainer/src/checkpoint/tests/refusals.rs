//! One test for each way in which a file is no checkpoint of the model.

use super::*;

/// A file of the tiny model in its parts.
struct Parts {
    header: String,
    data: Vec<u8>,
}

fn parts() -> Parts {
    let bytes = fs::read(&saved().path).expect("a file");
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = String::from_utf8(bytes[8..end].to_vec()).expect("JSON");
    let data = bytes[end..].to_vec();
    Parts { header, data }
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let length = (self.header.len() as u64).to_le_bytes();
        [&length, self.header.as_bytes(), &self.data].concat()
    }

    /// Changes one part of the header, which must be there.
    fn edit(mut self, from: &str, to: &str) -> Self {
        assert!(self.header.contains(from), "{from} in {}", self.header);
        self.header = self.header.replacen(from, to, 1);
        self
    }

    fn refusal(&self) -> String {
        refusal(&self.bytes())
    }
}

/// What is said of a file with these bytes.
fn refusal(bytes: &[u8]) -> String {
    let saved = saved();
    fs::write(&saved.path, bytes).expect("a file");
    let refused = read_checkpoint(&saved.path, &saved.layout);
    refused.expect_err("a damaged file").to_string()
}

fn assert_refused(parts: &Parts, expected: &str) {
    let found = parts.refusal();
    assert!(found.contains(expected), "{found}, not: {expected}");
    assert!(found.contains("model.safetensors: "), "{found}");
}

/// The first tensor of the file as its header describes it.
const FIRST: &str =
    r#""model.embed_tokens.weight":{"data_offsets":[0,16384],"dtype":"F32","shape":[256,16]}"#;
/// The norm that follows it.
const NORM: &str = concat!(
    r#""model.layers.0.input_layernorm.weight":"#,
    r#"{"data_offsets":[16384,16448],"dtype":"F32","shape":[16]}"#
);

#[test]
fn the_parts_of_a_whole_file_are_read() {
    let saved = saved();
    let parts = parts();
    assert!(parts.header.contains(FIRST) && parts.header.contains(NORM));
    fs::write(&saved.path, parts.bytes()).expect("a file");
    read_checkpoint(&saved.path, &saved.layout).expect("the same file again");
}

#[test]
fn an_empty_file() {
    let found = refusal(&[]);
    assert!(
        found.contains("a header of 0 bytes in a file of 0"),
        "{found}"
    );
}

#[test]
fn a_header_longer_than_the_limit() {
    let found = refusal(&[&[0xff; 8][..], &parts().data].concat());
    assert!(found.contains("at most 16777216 are read"), "{found}");
}

#[test]
fn a_header_longer_than_the_file() {
    let found = refusal(&[&4096u64.to_le_bytes()[..], &[b' '; 100]].concat());
    assert!(
        found.contains("a header of 4096 bytes in a file of 108"),
        "{found}"
    );
}

#[test]
fn a_header_that_is_no_json() {
    let mut parts = parts();
    parts.header = "{]".to_owned();
    assert_refused(&parts, "not a safetensors header");
    parts.header = "[1, 2]".to_owned();
    assert_refused(&parts, "expected an object of tensors");
}

#[test]
fn a_header_nested_without_end() {
    let mut parts = parts();
    parts.header = "[".repeat(1 << 20);
    assert_refused(&parts, "not a safetensors header");
    parts.header = format!("{{\"a\":{}", "[".repeat(1 << 20));
    assert_refused(&parts, "not a safetensors header");
}

#[test]
fn a_header_with_more_tensors_than_a_model_has() {
    let mut parts = parts();
    let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let all: Vec<String> = (0..=16_384).map(|n| format!("\"{n}\":{empty}")).collect();
    parts.header = format!("{{{}}}", all.join(","));
    assert_refused(&parts, "16385 tensors, expected at most 16384");
}

#[test]
fn a_name_that_is_there_twice() {
    let twice = format!("{FIRST},{FIRST}");
    assert_refused(
        &parts().edit(FIRST, &twice),
        "model.embed_tokens.weight is there twice",
    );
    let metadata = r#"{"__metadata__":{},"#;
    let parts = parts().edit("{", metadata);
    assert_refused(&parts, "duplicate field `__metadata__`");
}

#[test]
fn a_field_that_is_there_twice_or_unknown() {
    let twice = NORM.replace("\"shape\":[16]", "\"shape\":[16],\"shape\":[16]");
    assert_refused(&parts().edit(NORM, &twice), "duplicate field `shape`");
    let other = NORM.replace("\"shape\":[16]", "\"shape\":[16],\"strides\":[1]");
    assert_refused(&parts().edit(NORM, &other), "unknown field `strides`");
}

#[test]
fn a_shape_whose_size_overflows() {
    let huge = NORM.replace("[16]", "[4294967296,4294967296]");
    let parts = parts().edit(NORM, &huge);
    assert_refused(&parts, "[4294967296, 4294967296], which is no size at all");
}

#[test]
fn a_shape_that_does_not_fill_its_place() {
    let wide = NORM.replace("[16]", "[17]");
    let parts = parts().edit(NORM, &wide);
    assert_refused(&parts, "lies in 64 bytes, its shape and type take 68");
}

#[test]
fn a_place_that_ends_before_it_begins() {
    let turned = NORM.replace("[16384,16448]", "[16448,16384]");
    assert_refused(&parts().edit(NORM, &turned), "lies in -64 bytes");
    let largest = NORM.replace("[16384,16448]", "[18446744073709551615,0]");
    assert_refused(
        &parts().edit(NORM, &largest),
        "lies in -18446744073709551615",
    );
}

#[test]
fn two_tensors_that_overlap() {
    let early = NORM.replace("[16384,16448]", "[16380,16444]");
    let parts = parts().edit(NORM, &early);
    assert_refused(&parts, "begins at byte 16380, inside the tensor before it");
}

#[test]
fn a_gap_between_tensors() {
    let late = NORM.replace("[16384,16448]", "[16388,16452]");
    let parts = parts().edit(NORM, &late);
    assert_refused(&parts, "begins at byte 16388, expected 16384");
}

#[test]
fn places_at_the_end_of_all_numbers() {
    let far = NORM.replace(
        "[16384,16448]",
        "[18446744073709551551,18446744073709551615]",
    );
    assert_refused(&parts().edit(NORM, &far), "bytes between tensors");
}

#[test]
fn a_file_that_was_cut() {
    let mut parts = parts();
    parts.data.truncate(parts.data.len() - 4);
    assert_refused(&parts, "it was cut off or changed");
}

#[test]
fn trailing_bytes() {
    let mut parts = parts();
    parts.data.push(0);
    assert_refused(&parts, "it was cut off or changed");
}

#[test]
fn a_tensor_that_is_missing() {
    let parts = parts().edit("lm_head.weight", "lm_tail.weight");
    assert_refused(&parts, "lm_head.weight is missing");
}

#[test]
fn a_tensor_that_the_model_does_not_have() {
    let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let bias = format!("\"model.layers.0.self_attn.q_proj.bias\":{empty},");
    let parts = parts().edit(FIRST, &format!("{bias}{FIRST}"));
    assert_refused(&parts, "q_proj.bias is no tensor of this model");
}

#[test]
fn a_shape_of_another_model() {
    let turned = FIRST.replace("[256,16]", "[16,256]");
    let parts = parts().edit(FIRST, &turned);
    assert_refused(&parts, "has the shape [16, 256], expected [256, 16]");
}

#[test]
fn a_type_that_is_not_read() {
    let whole = NORM.replace("F32", "I32");
    assert_refused(
        &parts().edit(NORM, &whole),
        "is I32, expected F32, BF16 or F16",
    );
    let unknown = NORM.replace("F32", "F31");
    assert_refused(&parts().edit(NORM, &unknown), "unknown variant `F31`");
}

#[test]
fn a_value_that_is_not_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut parts = parts();
        parts.data[4..8].copy_from_slice(&value.to_le_bytes());
        assert_refused(
            &parts,
            "model.embed_tokens.weight has a value that is not finite",
        );
    }
}
