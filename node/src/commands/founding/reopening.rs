//! Going on with a federation that the demo founded before.

use super::run_of;
use crate::{
    cli::read_charter,
    commands::status::kept_status,
    config::{CHARTER_FILE, CONFIG_FILE},
    demo::{DemoArgs, FoundedRun, MemberSetup, corpus::order1_entropy, figures::bytes},
    driver::HOLDOUT_FILE,
};
use anyhow::{Context, bail};
use std::{fs, path::Path};

/// Finds the members of a demo's folder; `None` where there are none.
pub(super) fn reopen(dir: &Path, args: &DemoArgs) -> anyhow::Result<Option<FoundedRun>> {
    let members = members(dir)?;
    let Some(first) = members.first() else {
        return Ok(None);
    };
    let charter = read_charter(&first.dir.join(CHARTER_FILE))?.charter;
    let holdout = first.dir.join(HOLDOUT_FILE);
    let heldout = fs::read(&holdout).with_context(|| holdout.display().to_string())?;
    let text = format!("as before; {} held out", bytes(heldout.len() as u64));
    let mut run = run_of(&charter, members, text, order1_entropy(&heldout));
    for member in &run.members {
        let Some(status) = kept_status(&member.dir)? else {
            continue;
        };
        if status.round >= run.first_round {
            run.first_round = status.round;
            let measured = status.evaluated.filter(|(round, _)| *round == status.round);
            run.first_bits_per_byte = measured.map(|(_, bits)| bits);
        }
    }
    if run.first_round >= run.rounds {
        bail!(
            "the run in {} is over: its plan has {} rounds, and a plan does not change; found \
             another federation in a new folder, with more --rounds",
            dir.display(),
            run.rounds
        );
    }
    if args.rounds.is_some_and(|rounds| rounds != run.rounds.0) {
        tracing::info!("the run ends with round {}, as its plan says", run.rounds);
    }
    Ok(Some(run))
}

/// The members' folders, in the order of their numbers.
pub(super) fn members(dir: &Path) -> anyhow::Result<Vec<MemberSetup>> {
    let mut found: Vec<(u64, MemberSetup)> = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix("member-")
            .and_then(|text| text.parse().ok());
        let (Some(number), true) = (number, folder.join(CONFIG_FILE).exists()) else {
            continue;
        };
        let name = name.into_owned();
        found.push((number, MemberSetup { name, dir: folder }));
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, member)| member).collect())
}

/// The name of one more member.
pub(super) fn next_name(members: &[MemberSetup]) -> String {
    let numbers = members.iter().filter_map(|member| {
        let number = member.name.strip_prefix("member-")?;
        number.parse::<u64>().ok()
    });
    format!("member-{}", numbers.max().unwrap_or_default() + 1)
}
