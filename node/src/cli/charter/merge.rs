//! `archipel charter merge`: one charter of copies that members signed side by side.

use super::document::CharterFile;
use super::report_signatures;
use crate::cli::text;
use anyhow::{Context, bail};
use archipel_protocol::charter::{Charter, CharterError, SignedCharter};
use archipel_protocol::crypto::Ed25519Verifier;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most differences that are told.
const MOST_TOLD: usize = 8;
/// The most characters of a value that is told.
const MOST_CHARACTERS: usize = 40;

/// Join the signatures of copies that were signed side by side.
///
/// The copies are one charter: they differ in signatures, comments and addresses alone. Comments
/// and addresses are those of the first.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct MergeArgs {
    /// The copies, two or more.
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    pub files: Vec<PathBuf>,
    /// The file to write; it must not exist [default: the first copy, in place].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub(super) fn run(args: &MergeArgs) -> anyhow::Result<()> {
    let Some((first, others)) = args.files.split_first() else {
        bail!("expected two charter files or more, found none");
    };
    let mut merged = CharterFile::open(first)?;
    sound(merged.signed(), first)?;
    for path in others {
        let copy = CharterFile::open(path)?;
        same_run(&merged, &copy)?;
        sound(copy.signed(), path)?;
        join(&mut merged, copy.signed(), path);
    }
    let out = args.out.as_deref().unwrap_or(first);
    match args.out {
        Some(_) => merged.save_as(out)?,
        None => merged.save()?,
    }
    let signed = merged.signed();
    eprintln!(
        "{} has {} of run {}.",
        out.display(),
        text::plural(signed.signatures.len(), "signature"),
        signed.run_id()
    );
    report_signatures(signed, out);
    Ok(())
}

/// Takes over what the other copy was signed with.
fn join(merged: &mut CharterFile, copy: &SignedCharter, path: &Path) {
    for signature in &copy.signatures {
        if !merged.signed().signatures.contains(signature) {
            merged.put_signature(signature);
        }
    }
    let theirs = copy.charter.members.iter();
    for (mine, theirs) in merged.signed().charter.members.iter().zip(theirs) {
        if mine.addresses != theirs.addresses {
            eprintln!(
                "{} lists other addresses of {}: kept are those of {}.",
                path.display(),
                mine.name,
                merged.path().display()
            );
        }
    }
}

/// Refuses a copy with a signature that is not of its own text. Missing ones are no fault.
fn sound(signed: &SignedCharter, path: &Path) -> anyhow::Result<()> {
    match signed.verify(&Ed25519Verifier) {
        Ok(()) | Err(CharterError::MissingSignatures { .. }) => Ok(()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Refuses the copy of another run, and says where the two differ.
fn same_run(first: &CharterFile, other: &CharterFile) -> anyhow::Result<()> {
    let (mine, theirs) = (first.signed(), other.signed());
    if mine.run_id() == theirs.run_id() {
        return Ok(());
    }
    let (one, two) = (first.path().display(), other.path().display());
    let differ = differences(&mine.charter, &theirs.charter);
    let mut told = String::new();
    for difference in differ.iter().take(MOST_TOLD) {
        told.push_str(&format!("\n  {difference}"));
    }
    if let Some(more @ 1..) = differ.len().checked_sub(MOST_TOLD) {
        told.push_str(&format!(
            "\n  and {}",
            text::plural(more, "other difference")
        ));
    }
    bail!(
        "expected copies of one charter, found two: {one} is of run {}, {two} of run {}. They \
         differ in{told}\nDecide which one is meant; whoever signed the other signs that one",
        mine.run_id().short(),
        theirs.run_id().short()
    )
}

/// Where two charters differ in what is hashed, one line each.
fn differences(one: &Charter, two: &Charter) -> Vec<String> {
    let (mine, theirs) = (values(one), values(two));
    let absent = || "absent".to_owned();
    let fields: std::collections::BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
    let mut told = Vec::new();
    for field in fields {
        let (a, b) = (mine.get(field), theirs.get(field));
        if a != b {
            let a = a.map_or_else(absent, |a| cut(a));
            let b = b.map_or_else(absent, |b| cut(b));
            told.push(format!("{field}: {a}, and {b}"));
        }
    }
    let order = |charter: &Charter| -> Vec<_> { charter.members.iter().map(|m| m.id).collect() };
    if told.is_empty() && order(one) != order(two) {
        told.push("the order of charter.members".to_owned());
    }
    told
}

/// Every value that is hashed, by its place; members by their names.
fn values(charter: &Charter) -> BTreeMap<String, String> {
    fn walk(value: &serde_json::Value, at: String, found: &mut BTreeMap<String, String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, field) in fields {
                    walk(field, format!("{at}.{name}"), found);
                }
            }
            serde_json::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, format!("{at}[{index}]"), found);
                }
            }
            serde_json::Value::Null => {}
            value => drop(found.insert(at, value.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    let mut bare = charter.clone();
    for member in std::mem::take(&mut bare.members) {
        let at = format!("member {}", printable(&member.name));
        found.insert(format!("{at}: key"), member.id.to_string());
        found.insert(
            format!("{at}: role"),
            super::role_name(member.role).to_owned(),
        );
    }
    let value = serde_json::to_value(&bare).unwrap_or_default();
    walk(&value, "charter".to_owned(), &mut found);
    found
}

/// A value, short enough for a line.
fn cut(value: &str) -> String {
    let value = printable(value);
    match value.chars().count() {
        0..=MOST_CHARACTERS => value,
        _ => value.chars().take(MOST_CHARACTERS).collect::<String>() + "…",
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
