//! `archipel status`.

use crate::{
    cli::{args::StatusArgs, read_text},
    control::{Answer, ControlError, Request, ask},
    demo::figures::bytes,
    driver::{STATUS_FILE, Status},
};
use anyhow::{Context, bail};
use std::{fmt::Write, path::Path};

/// The most bytes of a kept status.
const MAX_STATUS_BYTES: usize = 1 << 20;

/// `archipel status`: asks the node, or reads what it left when it stopped.
///
/// # Errors
/// A folder in which no node has ever run, or a node that does not answer.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let status = match ask(&args.dir, &Request::Status) {
        Ok(Answer::Status(status)) => *status,
        Ok(_) => bail!("expected a status, the node answered something else"),
        Err(error @ ControlError::NotRunning { .. }) => {
            kept_status(&args.dir)?.with_context(|| error.to_string())?
        }
        Err(error) => return Err(error.into()),
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&status)?),
        false => print!("{}", page(&status)),
    }
    Ok(())
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
    }
    Ok(Some(Status {
        running: false,
        members,
        ..status
    }))
}

fn page(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |title: &str, text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, " {title:<12} {text}");
    };
    let running = match status.running {
        true => "",
        false => "  (the node does not run; this is what it said last)",
    };
    line("member", format!("{}{running}", status.name));
    line("key", status.member.to_string());
    line("run", status.run_id.to_string());
    let (round, rounds) = (status.round, status.rounds);
    line("round", format!("{round} of {rounds}, {}", status.phase));
    let root = status.root.map(|root| root.to_string());
    line("state", root.unwrap_or("none certified yet".to_owned()));
    if let Some((round, bits)) = status.evaluated {
        line(
            "measured",
            format!("state {round}: {bits:.4} bits per byte"),
        );
    }
    line(
        "epoch",
        format!(
            "{}, quorum {}; {}",
            status.epoch, status.quorum, status.tolerance
        ),
    );
    for text in &status.listening {
        line("listens on", text.clone());
    }
    let (sent, received) = (bytes(status.bytes_sent), bytes(status.bytes_received));
    line("traffic", format!("{sent} sent, {received} received"));
    for (title, text) in [
        ("NOT SIGNING", &status.not_signing),
        ("NOT TRAINING", &status.not_training),
    ] {
        if let Some(text) = text {
            line(title, text.clone());
        }
    }
    for member in &status.members {
        let connected = match (member.connected, member.round_trip_ms) {
            (true, Some(ms)) => format!("connected, {ms} ms"),
            (true, None) => "connected".to_owned(),
            (false, _) => "not connected".to_owned(),
        };
        let refused = match member.refused {
            0 => String::new(),
            count => format!(", {count} refused"),
        };
        line(
            &member.name,
            format!("{}, {connected}{refused}", member.seat),
        );
    }
    for text in &status.incidents {
        line("incident", text.clone());
    }
    out
}
