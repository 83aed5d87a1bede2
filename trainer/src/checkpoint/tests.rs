use super::*;
use crate::config::{initial_params, layout, tiny};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

mod refusals;
mod shards;

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
fn a_file_of_another_model_is_refused() {
    let saved = saved();
    let tied = layout(&crate::ModelConfig {
        tied: true,
        ..tiny()
    })
    .expect("a shape");
    let refused = read_checkpoint(&saved.path, &tied);
    assert!(
        matches!(refused, Err(CheckpointError::Untied { .. })),
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
