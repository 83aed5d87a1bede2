//! One more member of a running demo: its folder, and the others' votes.

use super::{
    DATA_FOLDER, Ports, furnish, key,
    reopening::{members, next_name},
};
use crate::{
    config::CHARTER_FILE,
    control::{Answer, ControlError, Open, Proposal, Request, ask},
    demo::MemberSetup,
    driver::HOLDOUT_FILE,
};
use anyhow::{Context, bail};
use archipel_protocol::ids::{Digest, Round};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long the members may take to hear of the amendment.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often they are asked whether they have.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Makes the folder, proposes the admission through one member, and votes through the others.
///
/// The new member trains on the first member's text, with batches of its own: data is drawn by
/// member and round.
pub(super) fn admit(dir: &Path, round: Round) -> anyhow::Result<MemberSetup> {
    let others = members(dir)?;
    let first = others.first().context("a demo has members")?;
    let name = next_name(&others);
    let folder = dir.join(&name);
    let key = key(&name, None)?;
    let ports = Ports::reserve(1)?;
    let listen = ports.addresses(0)?;
    furnish(&folder, &name, &key, listen.clone(), others.len())?;
    for file in [CHARTER_FILE, HOLDOUT_FILE] {
        fs::copy(first.dir.join(file), folder.join(file)).with_context(|| file.to_owned())?;
    }
    copy_folder(&first.dir.join(DATA_FOLDER), &folder.join(DATA_FOLDER))?;
    drop(ports);
    let proposal = Request::Propose(Proposal::Admit {
        id: key.member(),
        name: name.clone(),
        addresses: listen,
    });
    let digest = propose(&others, &proposal)?;
    let votes = vote(&others, digest)?;
    tracing::debug!("round {round}: {votes} members consent to {name}");
    Ok(MemberSetup { name, dir: folder })
}

/// Proposes through the first member that runs.
fn propose(members: &[MemberSetup], request: &Request) -> anyhow::Result<Digest> {
    for member in members {
        match ask(&member.dir, request) {
            Ok(Answer::Proposed(digest)) => return Ok(digest),
            Ok(_) => bail!("{} answered something else to a proposal", member.name),
            Err(ControlError::NotRunning { .. }) => {}
            Err(error) => return Err(error).context(member.name.clone()),
        }
    }
    bail!("no member runs that could propose the admission")
}

/// Votes through every member that runs, as soon as it has heard of the amendment.
fn vote(members: &[MemberSetup], digest: Digest) -> anyhow::Result<usize> {
    let (began, mut votes, mut needed) = (Instant::now(), 1, usize::MAX);
    let mut silent: Vec<&MemberSetup> = members.iter().collect();
    while votes < needed && !silent.is_empty() {
        if began.elapsed() > PATIENCE {
            let patience = PATIENCE.as_secs();
            bail!("{votes} of {needed} consents came in {patience} s: are enough members up?");
        }
        let mut waiting = Vec::new();
        for member in silent {
            match open_at(member, digest) {
                Ok(Some(open)) => {
                    needed = open.needed;
                    ask(&member.dir, &Request::Vote(digest))?;
                    votes = votes.max(open.consents + 1);
                }
                Ok(None) | Err(ControlError::NotRunning { .. }) => waiting.push(member),
                Err(error) => return Err(error).context(member.name.clone()),
            }
        }
        silent = waiting;
        if !silent.is_empty() {
            thread::sleep(ASK_EVERY);
        }
    }
    Ok(votes)
}

fn open_at(member: &MemberSetup, digest: Digest) -> Result<Option<Open>, ControlError> {
    match ask(&member.dir, &Request::Amendments)? {
        Answer::Amendments(open) => Ok(open.into_iter().find(|open| open.amendment == digest)),
        _ => Ok(None),
    }
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        fs::copy(&path, to.join(name)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
