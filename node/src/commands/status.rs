//! `archipel status`.

mod page;

#[cfg(test)]
pub(super) use page::two_of_four;
pub(super) use page::{link, update};

use crate::{
    cli::{args::StatusArgs, read_text},
    control::{Answer, ControlError, Request, STATUS_FILE, Status, ask},
};
use anyhow::{Context, bail};
use archipel_protocol::ids::Round;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How often a node is asked while a round is waited for.
const EVERY: Duration = Duration::from_millis(300);
/// How long nothing is said meanwhile.
const SILENCE: Duration = Duration::from_secs(9);
/// How long a node may take to open its socket.
const START: Duration = Duration::from_secs(15);
/// The most bytes of a kept status.
const MAX_STATUS_BYTES: usize = 1 << 20;

/// `archipel status`: asks the node, or reads what it left when it stopped.
///
/// # Errors
/// A folder in which no node has ever run, or a node that does not answer.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let status = match args.until_round {
        Some(round) => until(&args.dir, Round(round))?,
        None => now(&args.dir)?,
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&status)?),
        false => print!("{}", page::page(&status)),
    }
    Ok(())
}

/// What a node says, or said last.
fn now(dir: &Path) -> anyhow::Result<Status> {
    match running(dir) {
        Ok(Some(status)) => Ok(status),
        Ok(None) => kept_status(dir)?.with_context(|| not_running(dir)),
        Err(error) => Err(error),
    }
}

/// What a node says; nothing if none runs.
fn running(dir: &Path) -> anyhow::Result<Option<Status>> {
    match ask(dir, &Request::Status) {
        Ok(Answer::Status(status)) => Ok(Some(*status)),
        Ok(_) => bail!("expected a status, the node answered something else"),
        Err(ControlError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn not_running(dir: &Path) -> String {
    let dir = dir.to_owned();
    ControlError::NotRunning { dir }.to_string()
}

/// Waits until the node holds the state of a round, and says now and then how far it is.
fn until(dir: &Path, wanted: Round) -> anyhow::Result<Status> {
    let began = Instant::now();
    let (mut seen, mut spoke) = (false, began);
    loop {
        match running(dir)? {
            Some(status) if status.root.is_some() && status.round >= wanted => return Ok(status),
            Some(status) if status.phase == "done" => bail!(
                "expected round {wanted}, and the run is over after round {}",
                status.round
            ),
            Some(status) => {
                seen = true;
                if spoke.elapsed() >= SILENCE {
                    spoke = Instant::now();
                    let waiting = status.waiting.map_or(status.phase, |line| line.text);
                    eprintln!("round {} of {}: {waiting}", status.round, status.rounds);
                }
            }
            // A node that has just been started opens its socket within seconds.
            None if seen || began.elapsed() > START => bail!("{}", not_running(dir)),
            None => {}
        }
        std::thread::sleep(EVERY);
    }
}

/// What a node that does not run said last; `None` where none ever ran.
pub(super) fn kept_status(dir: &Path) -> anyhow::Result<Option<Status>> {
    let path = dir.join(STATUS_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path, MAX_STATUS_BYTES)?;
    let status: Status = serde_json::from_str(&text)
        .with_context(|| format!("{}: remove it and start the node", path.display()))?;
    let mut members = status.members;
    for member in &mut members {
        (member.connected, member.round_trip_ms) = (false, None);
        member.attempts.clear();
    }
    Ok(Some(Status {
        running: false,
        waiting: None,
        members,
        ..status
    }))
}
