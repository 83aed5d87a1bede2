//! The page that `archipel status` prints: no line is wider than 80 columns, unless a word is.

use crate::{
    control::status::{MemberLine, Status},
    demo::figures::{bytes, plain, wrapped},
};
use std::fmt::Write;

/// Columns of a page.
const WIDTH: usize = 80;
/// Columns of a title, with the spaces around it.
const TITLE: usize = 14;

/// Rows of a title and a text beside it.
struct Page(String);

impl Page {
    fn line(&mut self, title: &str, text: &str) {
        let mut title = plain(title);
        let rows = wrapped(&plain(text), WIDTH - TITLE);
        if rows.is_empty() {
            let _ = writeln!(self.0, " {title}");
        }
        for row in rows {
            // Writing to a string does not fail.
            let _ = writeln!(self.0, " {title:<12} {row}");
            title.clear();
        }
    }
}

/// Everything that a node says of itself.
pub(super) fn page(status: &Status) -> String {
    let mut page = Page(String::new());
    identity(&mut page, status);
    progress(&mut page, status);
    for (title, text) in [
        ("NOT SIGNING", &status.not_signing),
        ("NOT TRAINING", &status.not_training),
    ] {
        if let Some(text) = text {
            page.line(title, text);
        }
    }
    for member in &status.members {
        page.line(&member.name, &member_text(status, member));
        for attempt in &member.attempts {
            let (address, answer) = (&attempt.address, &attempt.answer);
            let ago = attempt.seconds_ago;
            page.line("", &format!("{address}: {answer} ({ago} s ago)"));
        }
    }
    for missed in &status.missed {
        let (round, name, why) = (missed.round, &missed.name, &missed.why);
        page.line("missed", &format!("round {round}: {name}: {why}"));
    }
    for text in &status.incidents {
        page.line("incident", text);
    }
    page.0
}

fn identity(page: &mut Page, status: &Status) {
    let running = match status.running {
        true => "",
        false => "  (the node does not run; this is what it said last)",
    };
    page.line("member", &format!("{}{running}", status.name));
    page.line("key", &status.member.to_string());
    page.line("run", &status.run_id.to_string());
    for text in &status.listening {
        page.line("listens on", text);
    }
}

fn progress(page: &mut Page, status: &Status) {
    let (round, rounds) = (status.round, status.rounds);
    let mut now = format!("{round} of {rounds}, {}", status.phase);
    if let Some(line) = status.training.as_ref().filter(|_| status.phase == "train") {
        let (step, steps, loss) = (line.step, line.steps, line.loss_nats);
        let _ = write!(now, ": step {step} of {steps}, {loss:.3} nats per token");
    }
    page.line("round", &now);
    if let Some(waiting) = &status.waiting {
        page.line("waiting", waiting.text.trim_start_matches("waiting "));
    }
    let root = status.root.map(|root| root.to_string());
    page.line("state", &root.unwrap_or("none certified yet".to_owned()));
    if let Some((round, bits)) = status.evaluated {
        let text = format!("state {round}: {bits:.4} bits per byte");
        page.line("measured", &text);
    }
    let (epoch, quorum, tolerance) = (status.epoch, status.quorum, &status.tolerance);
    page.line("epoch", &format!("{epoch}, quorum {quorum}; {tolerance}"));
    if status.running && status.reach.voters > 0 {
        let reach = &status.reach;
        let short = match reach.is_short_of(quorum) && status.phase != "done" {
            true => format!(": TOO FEW, {quorum} are needed to certify anything"),
            false => String::new(),
        };
        let (connected, voters) = (reach.connected, reach.voters);
        page.line(
            "here",
            &format!("{connected} of {voters} voting members{short}"),
        );
    }
    let (sent, received) = (bytes(status.bytes_sent), bytes(status.bytes_received));
    page.line("traffic", &format!("{sent} sent, {received} received"));
}

/// A member's link, update and cuts.
fn member_text(status: &Status, member: &MemberLine) -> String {
    let mut text = format!("{}, {}", member.seat, link(status, member));
    if let Some(update) = update(member).filter(|_| status.running) {
        let _ = write!(text, "; {update}");
    }
    if member.cuts > 0 {
        let _ = write!(text, "; in {} of {} cuts", member.counted, member.cuts);
    }
    if member.refused > 0 {
        let _ = write!(text, "; {} refused", member.refused);
    }
    text
}

/// How a member is reached.
pub(in crate::commands) fn link(status: &Status, member: &MemberLine) -> String {
    match (member.connected, member.round_trip_ms) {
        _ if member.id == status.member => "this node".to_owned(),
        (true, Some(ms)) => format!("connected, {ms} ms"),
        (true, None) => "connected".to_owned(),
        (false, _) => "not connected".to_owned(),
    }
}

/// How far a member's update of the round is; nothing outside a round.
pub(in crate::commands) fn update(member: &MemberLine) -> Option<&'static str> {
    Some(match member.update.as_str() {
        "none" => "no update yet",
        "announced" => "update on its way",
        "held" => "update here",
        "invalid" => "update not valid",
        "twice" => "two updates announced",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::commands) use tests::two_of_four;
