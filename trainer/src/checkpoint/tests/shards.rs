//! What `transformers` writes: narrow types, shards with an index, tied heads.

use super::*;
use crate::ModelConfig;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use serde_json::json;
use std::collections::BTreeMap;

type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// The tensors of a vector in one type.
fn tensors(layout: &Layout, params: &[f32], dtype: Dtype) -> BTreeMap<String, Tensor> {
    let bytes = |value: &f32| match dtype {
        Dtype::BF16 => bf16::from_f32(*value).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(*value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    let each = layout.tensors().iter().enumerate().map(|(index, spec)| {
        let shape = spec.shape.iter().map(|size| *size as usize).collect();
        let values = &params[layout.range(index)];
        let tensor = (dtype, shape, values.iter().flat_map(bytes).collect());
        (spec.name.clone(), tensor)
    });
    each.collect()
}

fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name, view.expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("a file")).expect("a file");
}

#[test]
fn narrow_types_are_read_as_they_are() {
    let saved = saved();
    for dtype in [Dtype::F32, Dtype::BF16, Dtype::F16] {
        write(&saved.path, &tensors(&saved.layout, &saved.params, dtype));
        let (read, _) = read_checkpoint(&saved.path, &saved.layout).expect("a checkpoint");
        let narrow = |value: &f32| match dtype {
            Dtype::BF16 => bf16::from_f32(*value).to_f32(),
            Dtype::F16 => f16::from_f32(*value).to_f32(),
            _ => *value,
        };
        let expected: Vec<f32> = saved.params.iter().map(narrow).collect();
        assert_eq!(read, expected, "{dtype:?}");
    }
}

#[test]
fn infinities_of_narrow_types_are_refused() {
    let saved = saved();
    for (dtype, bits) in [(Dtype::F16, 0x7c00u16), (Dtype::BF16, 0x7f80)] {
        let mut tensors = tensors(&saved.layout, &saved.params, dtype);
        let norm = tensors.get_mut("model.norm.weight").expect("a tensor");
        norm.2[..2].copy_from_slice(&bits.to_le_bytes());
        write(&saved.path, &tensors);
        let refused = read_checkpoint(&saved.path, &saved.layout);
        assert!(
            matches!(&refused, Err(CheckpointError::NotFinite { tensor, .. })
                if tensor == "model.norm.weight"),
            "{refused:?}"
        );
    }
}

fn tied() -> (Saved, Layout, Vec<f32>) {
    let config = ModelConfig {
        tied: true,
        ..tiny()
    };
    let layout = layout(&config).expect("a shape");
    let params = initial_params(&config, [2; 32]).expect("a shape");
    (saved(), layout, params)
}

#[test]
fn a_tied_head_is_read_with_and_without_its_copy() {
    let (saved, layout, params) = tied();
    let mut tensors = tensors(&layout, &params, Dtype::F32);
    write(&saved.path, &tensors);
    assert_eq!(
        read_checkpoint(&saved.path, &layout).expect("a model").0,
        params
    );
    let embedding = tensors["model.embed_tokens.weight"].clone();
    tensors.insert("lm_head.weight".to_owned(), embedding);
    write(&saved.path, &tensors);
    assert_eq!(
        read_checkpoint(&saved.path, &layout).expect("a model").0,
        params
    );
    let head = tensors.get_mut("lm_head.weight").expect("the head");
    let last = head.2.len() - 4;
    head.2[last..].copy_from_slice(&1.0f32.to_le_bytes());
    write(&saved.path, &tensors);
    let refused = read_checkpoint(&saved.path, &layout).expect_err("two heads");
    assert!(
        refused
            .to_string()
            .contains("set tie_word_embeddings to false")
    );
}

#[test]
fn rotary_frequencies_of_old_files_are_passed_over() {
    let saved = saved();
    let mut tensors = tensors(&saved.layout, &saved.params, Dtype::F32);
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned();
    tensors.insert(name, (Dtype::F32, vec![2], vec![0; 8]));
    write(&saved.path, &tensors);
    let (read, _) = read_checkpoint(&saved.path, &saved.layout).expect("a model");
    assert_eq!(read, saved.params);
}

/// The tiny model in two shards with an index.
fn sharded() -> (Saved, PathBuf, BTreeMap<String, String>) {
    let saved = saved();
    let folder = saved.path.parent().expect("a folder").to_owned();
    fs::remove_file(&saved.path).expect("the file");
    let mut first = tensors(&saved.layout, &saved.params, Dtype::F32);
    let second = first.split_off("model.layers.1");
    let mut map = BTreeMap::new();
    for (name, part) in [
        ("model-1.safetensors", first),
        ("model-2.safetensors", second),
    ] {
        write(&folder.join(name), &part);
        map.extend(part.into_keys().map(|tensor| (tensor, name.to_owned())));
    }
    let path = folder.join(INDEX_FILE);
    index(&path, &map);
    (saved, path, map)
}

fn index(path: &Path, map: &BTreeMap<String, String>) {
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(path, index.to_string()).expect("a file");
}

#[test]
fn shards_are_read_through_their_index() {
    let (saved, path, _) = sharded();
    let (read, _) = read_checkpoint(&path, &saved.layout).expect("a checkpoint");
    assert_eq!(read, saved.params);
}

fn assert_refused(change: impl FnOnce(&mut BTreeMap<String, String>, &Path), expected: &str) {
    let (saved, path, mut map) = sharded();
    change(&mut map, path.parent().expect("a folder"));
    index(&path, &map);
    let refused = read_checkpoint(&path, &saved.layout)
        .expect_err(expected)
        .to_string();
    assert!(refused.contains(expected), "{refused}, not: {expected}");
}

const NORM: &str = "model.norm.weight";

#[test]
fn an_index_that_names_the_wrong_shard_is_refused() {
    assert_refused(
        |map, _| {
            map.insert(NORM.to_owned(), "model-1.safetensors".to_owned())
                .map_or((), drop)
        },
        "model-2.safetensors: model.norm.weight is not in the shard that the index names",
    );
}

#[test]
fn an_index_that_leaves_a_tensor_out_is_refused() {
    assert_refused(
        |map, _| map.remove(NORM).map_or((), drop),
        "model.norm.weight is not in the shard",
    );
}

#[test]
fn an_index_that_names_a_tensor_of_no_shard_is_refused() {
    assert_refused(
        |map, _| {
            map.insert("x".to_owned(), "model-1.safetensors".to_owned())
                .map_or((), drop)
        },
        "model-1.safetensors: x is not in the shard",
    );
}

#[test]
fn a_shard_that_is_missing_is_refused() {
    assert_refused(
        |_, folder| fs::remove_file(folder.join("model-2.safetensors")).expect("the shard"),
        "cannot open",
    );
}

#[test]
fn a_shard_outside_the_folder_is_refused() {
    for name in [
        "../model-2.safetensors",
        "/etc/x.safetensors",
        ".x.safetensors",
        "model.bin",
    ] {
        assert_refused(
            |map, _| {
                map.insert(NORM.to_owned(), name.to_owned())
                    .map_or((), drop)
            },
            "expected the name of a .safetensors file beside it",
        );
    }
}

#[test]
fn an_index_of_too_many_shards_is_refused() {
    let names = (0..1025).map(|n| (format!("t{n}"), format!("{n}.safetensors")));
    assert_refused(
        |map, _| map.extend(names),
        "1027 shards, at most 1024 are read",
    );
}

#[test]
fn an_index_that_is_none_is_refused() {
    let (saved, path, _) = sharded();
    for (text, expected) in [
        ("{", "not an index of shards"),
        ("{\"weight_map\": 3}", "not an index of shards"),
        ("{}", "missing field `weight_map`"),
        (
            "{\"weight_map\": {}}",
            "model.embed_tokens.weight is missing",
        ),
    ] {
        fs::write(&path, text).expect("a file");
        let refused = read_checkpoint(&path, &saved.layout)
            .expect_err(expected)
            .to_string();
        assert!(refused.contains(expected), "{refused}, not: {expected}");
    }
    fs::write(&path, vec![b' '; (16 << 20) + 1]).expect("a file");
    let refused = read_checkpoint(&path, &saved.layout)
        .expect_err("too long")
        .to_string();
    assert!(
        refused.contains("16777217 bytes, at most 16777216"),
        "{refused}"
    );
}
