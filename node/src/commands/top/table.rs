//! Draws a node's status as lines of text for a terminal's size: a pure function.
//!
//! Columns give way to the width: first how often a member was counted, then its update. What does
//! not fit the height is left out from the bottom: incidents, then missed cuts, then members.

use crate::{
    commands::status::{link, update},
    control::status::{MemberLine, Status},
    demo::{
        figures::{bytes, cut, left, plain, right, wrapped},
        table::Paint,
    },
};

/// Names longer than this are cut.
const LONGEST_NAME: usize = 16;
/// Columns of a link: what came of an address that does not answer.
const LINK: usize = 26;

/// Wider than any line.
const WIDE: usize = 10_000;

/// The status as at most `height` lines of at most `width` columns.
pub(super) fn render(status: &Status, width: usize, height: usize, paint: Paint) -> Vec<String> {
    let mut lines = heading(status, width, paint);
    lines.push(String::new());
    lines.push(paint.dim(&cut(&titles(status, width), width)));
    let room = height.saturating_sub(lines.len() + 1);
    let members = members(status, width, paint);
    let mut below = notes(status, width, paint);
    // Members first; whatever room is left is for what happened, the newest of it.
    let shown = members.len().min(room);
    lines.extend(members.into_iter().take(shown));
    let rest = room - shown;
    if rest > 1 && !below.is_empty() {
        lines.push(String::new());
        let from = below.len().saturating_sub(rest - 1);
        lines.extend(below.drain(from..));
    }
    if lines.len() + 1 < height {
        lines.push(String::new());
    }
    lines.push(paint.dim(&cut(" Ctrl-C ends this view; the node goes on", width)));
    lines
}

fn heading(status: &Status, width: usize, paint: Paint) -> Vec<String> {
    let (name, run) = (plain(&status.name), status.run_id.short());
    let (round, rounds, phase) = (status.round, status.rounds, &status.phase);
    let bits = status.evaluated.map_or(String::new(), |(round, bits)| {
        format!("  state {round}: {bits:.3} bits/B")
    });
    let name = paint.bold(&name);
    let first = format!(" {name}  run {run}  round {round} of {rounds}, {phase}{bits}");
    let mut lines = vec![cut(&first, width)];
    let (sent, received) = (bytes(status.bytes_sent), bytes(status.bytes_received));
    let (connected, voters, quorum) = (status.reach.connected, status.reach.voters, status.quorum);
    let here = format!("{connected} of {voters} voting members here, {quorum} decide");
    let here = match status.reach.is_short_of(quorum) && status.phase != "done" {
        true => paint.bad(&here),
        false => here,
    };
    let second = format!(
        " epoch {}: {here}; {sent} sent, {received} received",
        status.epoch
    );
    lines.push(cut(&second, width));
    let rows = wrapped(&plain(&now(status)), width.saturating_sub(1));
    let rows = rows
        .iter()
        .take(2)
        .map(|row| cut(&format!(" {row}"), width));
    lines.extend(rows);
    lines
}

/// For whom it waits, or what it does, or why it does not.
fn now(status: &Status) -> String {
    let training = status.training.as_ref().filter(|_| status.phase == "train");
    match (&status.not_signing, &status.waiting, training) {
        (Some(text), ..) => format!("NOT SIGNING: {text}"),
        (_, Some(waiting), _) => waiting.text.clone(),
        (_, None, Some(line)) => {
            let (step, steps, loss) = (line.step, line.steps, line.loss_nats);
            format!("training: step {step} of {steps}, loss {loss:.3} nats per token")
        }
        _ if status.phase == "follow" => {
            "this member has no vote: it watches the others, and holds the state it has".to_owned()
        }
        _ if status.phase == "done" => "the run is over; it serves the last state".to_owned(),
        _ => format!("{}: waits for nobody", status.phase),
    }
}

/// Widths of the name, and which of the later columns there is room for.
fn columns(status: &Status, width: usize) -> (usize, bool, bool) {
    let names = status.members.iter();
    let longest = names.map(|member| console::measure_text_width(&member.name));
    let name = longest.max().unwrap_or(6).clamp(6, LONGEST_NAME);
    let base = 1 + name + 2 + 9 + 2 + LINK;
    (name, width >= base + 2 + 14, width >= base + 2 + 14 + 2 + 9)
}

fn titles(status: &Status, width: usize) -> String {
    let (name, updates, cuts) = columns(status, width);
    let mut line = format!(
        " {}  {}  {}",
        left("member", name),
        left("seat", 9),
        left("link", LINK)
    );
    if updates {
        line += &format!("  {}", left("this round", 14));
    }
    if cuts {
        line += &format!("  {}", right("counted", 9));
    }
    line.trim_end().to_owned()
}

/// A row a member, and a row for each further address that did not answer.
fn members(status: &Status, width: usize, paint: Paint) -> Vec<String> {
    let (name, updates, cuts) = columns(status, width);
    let mut lines = Vec::new();
    for member in &status.members {
        let shown = left(&link(status, member), LINK);
        let shown = match (member.connected, member.seat.as_str()) {
            (true, _) => paint.good(&shown),
            (false, "voting") => paint.bad(&shown),
            (false, _) => paint.dim(&shown),
        };
        let (who, seat) = (left(&plain(&member.name), name), left(&member.seat, 9));
        let mut line = format!(" {who}  {seat}  {shown}");
        if updates {
            let text = update(member).unwrap_or("–");
            line += &format!("  {}", left(text, 14));
        }
        if cuts {
            line += &format!("  {}", right(&counted(member), 9));
        }
        lines.push(cut(line.trim_end(), width));
        for attempt in &member.attempts {
            let text = format!("{}: {}", attempt.address, attempt.answer);
            let indent = " ".repeat(name + 5);
            lines.push(paint.dim(&cut(&format!("{indent}{}", plain(&text)), width)));
        }
    }
    lines
}

fn counted(member: &MemberLine) -> String {
    match member.cuts {
        0 => "–".to_owned(),
        cuts => format!("{}/{cuts}", member.counted),
    }
}

/// What happened: who missed which cut, and incidents.
fn notes(status: &Status, width: usize, paint: Paint) -> Vec<String> {
    let missed = status.missed.iter().map(|line| {
        let (round, name, why) = (line.round, &line.name, &line.why);
        format!("round {round}: {name} missed the cut: {why}")
    });
    let mut notes: Vec<String> = missed.map(|text| format!(" · {}", plain(&text))).collect();
    if let Some(text) = &status.not_training {
        notes.push(format!(" ! not training: {}", plain(text)));
    }
    let incidents = status.incidents.iter();
    notes.extend(incidents.map(|text| paint.bad(&format!(" ! {}", plain(text)))));
    notes.iter().map(|line| cut(line, width)).collect()
}

/// The same as lines that stay, for a pipe or a file.
pub(super) fn plain_lines(status: &Status) -> Vec<String> {
    let paint = Paint { colour: false };
    let mut lines = heading(status, WIDE, paint);
    let away = status.members.iter().filter(|member| !member.connected);
    for member in away.filter(|member| member.seat == "voting") {
        let attempts = member.attempts.iter();
        let answers = attempts.map(|attempt| format!("{}: {}", attempt.address, attempt.answer));
        let answers: Vec<String> = answers.collect();
        let text = format!(
            "   {} is not connected; {}",
            member.name,
            answers.join(", ")
        );
        lines.push(plain(text.trim_end_matches("; ")));
    }
    lines
}

#[cfg(test)]
mod tests;
