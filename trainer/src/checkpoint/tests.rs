use super::*;
use crate::config::{initial_params, layout, tiny};
use std::fs;
use tempfile::TempDir;

struct Saved {
    _dir: TempDir,
    path: PathBuf,
    layout: Layout,
    params: Vec<f32>,
}

fn saved() -> Saved {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model.safetensors");
    let layout = layout(&tiny()).expect("a shape");
    let params = initial_params(&tiny(), [1; 32]).expect("a shape");
    write_checkpoint(&path, &layout, &params, &info()).expect("a checkpoint");
    Saved {
        _dir: dir,
        path,
        layout,
        params,
    }
}

fn info() -> CheckpointInfo {
    CheckpointInfo {
        round: Some("12".into()),
        root: Some("ab".repeat(32)),
    }
}

#[test]
fn a_checkpoint_reads_back_and_others_can_read_it() {
    let saved = saved();
    let read = read_checkpoint(&saved.path, &saved.layout).expect("a checkpoint");
    assert_eq!(read, (saved.params.clone(), info()));

    let bytes = fs::read(&saved.path).expect("a file");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("the library reads it");
    let tensor = tensors
        .tensor("model.layers.1.mlp.down_proj.weight")
        .expect("a tensor");
    assert_eq!(tensor.shape(), [16, 24]);
    let first = f32::from_le_bytes(tensor.data()[..4].try_into().expect("four bytes"));
    let at = saved
        .layout
        .tensors()
        .iter()
        .position(|t| t.name.contains("1.mlp.down"));
    assert_eq!(
        first,
        saved.params[saved.layout.offset(at.expect("the tensor"))]
    );

    write_checkpoint(&saved.path, &saved.layout, &saved.params, &info()).expect("a checkpoint");
    assert_eq!(
        fs::read(&saved.path).expect("a file"),
        bytes,
        "equal states give equal files"
    );
    let left = fs::read_dir(saved.path.parent().expect("a folder"))
        .expect("a folder")
        .count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn tensors_may_lie_in_another_order() {
    let saved = saved();
    let mut views = std::collections::BTreeMap::new();
    for (index, spec) in saved.layout.tensors().iter().enumerate() {
        let values = &saved.params[saved.layout.range(index)];
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let shape: Vec<usize> = spec.shape.iter().map(|size| *size as usize).collect();
        views.insert(spec.name.clone(), (shape, bytes));
    }
    let views = views.iter().map(|(name, (shape, bytes))| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a view"))
    });
    let bytes = safetensors::serialize(views, None).expect("a file");
    fs::write(&saved.path, bytes).expect("a file");
    let (params, info) = read_checkpoint(&saved.path, &saved.layout).expect("a checkpoint");
    assert_eq!((params, info), (saved.params, CheckpointInfo::default()));
}

#[test]
fn files_of_other_models_and_damaged_files_are_refused() {
    let saved = saved();
    let bytes = fs::read(&saved.path).expect("a file");
    let header_end = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = String::from_utf8(bytes[8..header_end].to_vec()).expect("JSON");
    let with_header = |header: &str| {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(&bytes[header_end..]);
        file
    };
    let with = |at: usize, value: &[u8]| {
        let mut file = bytes.clone();
        file[at..at + value.len()].copy_from_slice(value);
        file
    };
    let cases: [(Vec<u8>, &str); 9] = [
        (Vec::new(), "a header of 0 bytes in a file of 0"),
        (
            with(0, &u64::MAX.to_le_bytes()),
            "at most 16777216 are read",
        ),
        (
            with(0, &(bytes.len() as u64).to_le_bytes()),
            "this is no checkpoint",
        ),
        (with_header("{]"), "not a safetensors header"),
        (
            bytes[..bytes.len() - 4].to_vec(),
            "it was cut off or changed",
        ),
        ([&bytes[..], &[0; 4]].concat(), "it was cut off or changed"),
        (
            with_header(&header.replace("lm_head", "ml_head")),
            "lm_head.weight is missing",
        ),
        (
            with_header(&header.replace("[24,16]", "[16,24]")),
            "expected F32 [24, 16]",
        ),
        (
            with(header_end + 4, &f32::NAN.to_le_bytes()),
            "a value that is not finite",
        ),
    ];
    for (file, expected) in cases {
        fs::write(&saved.path, file).expect("a file");
        let refused = read_checkpoint(&saved.path, &saved.layout);
        let message = refused.expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}, not: {expected}");
    }
}

#[test]
fn a_larger_model_is_another_model() {
    let saved = saved();
    let tied = layout(&crate::ModelConfig {
        tied: true,
        ..tiny()
    })
    .expect("a shape");
    let refused = read_checkpoint(&saved.path, &tied);
    assert!(
        matches!(refused, Err(CheckpointError::Extra { .. })),
        "{refused:?}"
    );
    let refused = write_checkpoint(&saved.path, &tied, &saved.params, &info());
    assert!(
        matches!(refused, Err(CheckpointError::Length { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let saved = saved();
    let folder = saved
        .path
        .parent()
        .expect("a folder")
        .join("absent/model.safetensors");
    let refused = write_checkpoint(&folder, &saved.layout, &saved.params, &info());
    assert!(
        matches!(
            refused,
            Err(CheckpointError::Io {
                action: "write",
                ..
            })
        ),
        "{refused:?}"
    );
    read_checkpoint(&saved.path, &saved.layout).expect("the old file");
}
