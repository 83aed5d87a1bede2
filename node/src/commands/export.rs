//! `archipel checkpoint export`.

use super::model::{self, Model, Tokens};
use crate::{
    cli::{
        args::{ExportArgs, Format},
        replace_file,
    },
    config::CHARTER_FILE,
};
use anyhow::{Context, bail};
use archipel_trainer::{
    CheckpointInfo, WEIGHTS_FILE,
    interchange::{
        CONFIG_FILE, GENERATION_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, byte_tokenizer_json,
        config_json, generation_json, tokenizer_config_json,
    },
    write_checkpoint,
};
use serde_json::Value;
use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

/// What an export may write.
const WRITTEN: [&str; 5] = [
    WEIGHTS_FILE,
    CONFIG_FILE,
    GENERATION_FILE,
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
];

/// `archipel checkpoint export`.
///
/// # Errors
/// A folder without a certified state, or one that cannot be written.
pub fn export(args: &ExportArgs) -> anyhow::Result<()> {
    if !args.force {
        agree_to_overwrite(&args.out, asked_person)?;
    }
    let model = model::load(&args.dir)?;
    let Some((round, root)) = model.state else {
        bail!(
            "{}: expected a member's folder, found a checkpoint: it is exported already",
            args.dir.display()
        );
    };
    prepare(&args.out)?;
    if args.format == Format::Hf {
        if let Some(missing) = write_tokenizer(&args.out, &model)? {
            eprintln!("note: {missing}");
        }
        write_json(&args.out.join(GENERATION_FILE), &generation_json())?;
        write_json(&args.out.join(CONFIG_FILE), &config_json(&model.config))?;
    }
    let info = CheckpointInfo {
        round: Some(round.to_string()),
        root: Some(root.to_string()),
    };
    // The weights come last: where they are, everything that describes them is as well.
    let weights = args.out.join(WEIGHTS_FILE);
    write_checkpoint(&weights, &model.layout, &model.parameters, &info)?;
    println!("state {round}, root {root}: {}", weights.display());
    Ok(())
}

/// Refuses to write over files that are there, unless whoever is asked agrees.
fn agree_to_overwrite(
    out: &Path,
    ask: impl FnOnce(&str) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut there = WRITTEN.into_iter().filter(|name| out.join(name).exists());
    let found = match there.next() {
        None => return Ok(()),
        Some(WEIGHTS_FILE) => format!("{} holds a checkpoint already", out.display()),
        Some(first) => format!("{} holds a {first} already", out.display()),
    };
    match ask(&found)? {
        true => Ok(()),
        false => bail!("{found}: nothing was written. Name another --out, or give --force"),
    }
}

/// Asks on the terminal; without one there is nobody who could agree.
fn asked_person(found: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("{found}. Write over it? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Makes the folder of a checkpoint; a member's folder is none.
pub(super) fn prepare(out: &Path) -> anyhow::Result<()> {
    if out.join(CHARTER_FILE).exists() {
        bail!(
            "{}: expected a folder for a checkpoint, found a member's, with its {CHARTER_FILE}: \
             name another folder",
            out.display()
        );
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))
}

/// Writes a JSON file as people read it.
pub(super) fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    Ok(replace_file(path, &text)?)
}

/// Writes the tokenizer's files, or says why there are none.
fn write_tokenizer(out: &Path, model: &Model) -> anyhow::Result<Option<String>> {
    let path = out.join(TOKENIZER_FILE);
    match &model.tokens {
        Tokens::Bytes => write_json(&path, &byte_tokenizer_json())?,
        Tokens::Hf { file, text: None } => {
            return Ok(Some(format!(
                "no {}: put a copy of the tokenizer there that the charter names, and export \
                 again, or transformers loads the model without one",
                file.display()
            )));
        }
        Tokens::Hf {
            text: Some(text), ..
        } => replace_file(&path, text)?,
    }
    let described = tokenizer_config_json(model.config.context);
    write_json(&out.join(TOKENIZER_CONFIG_FILE), &described)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_written_over_only_if_somebody_agrees() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("model");
        let nobody = |_: &str| -> anyhow::Result<bool> { panic!("nobody is to be asked") };
        agree_to_overwrite(&out, nobody).expect("nothing is there");
        fs::create_dir(&out).expect("ours");
        fs::write(out.join("notes.txt"), "mine").expect("ours");
        agree_to_overwrite(&out, nobody).expect("nothing of a checkpoint is there");
        fs::write(out.join(WEIGHTS_FILE), "old").expect("ours");
        let refused = agree_to_overwrite(&out, |_| Ok(false)).expect_err("no");
        let text = refused.to_string();
        assert!(
            text.contains("a checkpoint already") && text.contains("--force"),
            "{text}"
        );
        let mut said = String::new();
        let agree = |found: &str| {
            found.clone_into(&mut said);
            Ok(true)
        };
        agree_to_overwrite(&out, agree).expect("somebody agreed");
        assert!(said.contains("a checkpoint already"), "{said}");
    }
}
