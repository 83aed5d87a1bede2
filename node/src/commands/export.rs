//! `archipel checkpoint export`.

use super::model::{self, SHAPE_FILE, Shape, WEIGHTS_FILE};
use crate::cli::{
    args::{ExportArgs, Format},
    replace_file,
};
use anyhow::{Context, bail};
use archipel_trainer::{CheckpointInfo, write_checkpoint};
use serde_json::json;

/// `archipel checkpoint export`.
///
/// # Errors
/// A folder without a certified state, or one that cannot be written.
pub fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let model = model::load(&args.dir)?;
    let Some((round, root)) = model.state else {
        bail!(
            "{}: expected a member's folder, found a checkpoint: it is exported already",
            args.dir.display()
        );
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let info = CheckpointInfo {
        round: Some(round.to_string()),
        root: Some(root.to_string()),
    };
    let weights = args.out.join(WEIGHTS_FILE);
    write_checkpoint(&weights, &model.layout, &model.parameters, &info)?;
    if args.format == Format::Hf {
        let mut shape = serde_json::to_value(Shape::of(&model.config))?;
        let fixed = json!({
            "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "torch_dtype": "float32",
            "attention_bias": false, "mlp_bias": false,
            "bos_token_id": 0, "eos_token_id": null,
        });
        if let (Some(shape), Some(fixed)) = (shape.as_object_mut(), fixed.as_object()) {
            shape.extend(fixed.clone());
        }
        replace_file(
            &args.out.join(SHAPE_FILE),
            &serde_json::to_string_pretty(&shape)?,
        )?;
    }
    println!("state {round}, root {root}: {}", weights.display());
    Ok(())
}
