//! The trace of a run, and the slice of it that leads to a violation.
//!
//! A run is traced by running it again: it goes the same way. Kept are the last lines before the
//! end, as many as memory allows, so that traces of long runs stay small.
//!
//! The slice follows causes backwards (Lamport, "Time, clocks, and the ordering of events",
//! 1978): from the violation, what the member did and received; from each message received, what
//! its sender had done before sending it. What no message carried to the violation is left out.

use super::words;
use crate::{
    report::{
        ReportError, Violation,
        trace::{TraceReader, TraceWriter},
        units,
    },
    seen::{Moment, Seen},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
};

/// Lines of a trace where nobody wants more.
pub const LINES: usize = 100_000;
/// Lines of a slice.
const SLICE: usize = 40;
/// Characters of a line of a slice.
const COLUMNS: usize = 140;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in virtual microseconds.
    pub at_us: u64,
    /// To whom, by position.
    pub member: u32,
    /// Its name.
    pub name: String,
    /// `sent`, `delivered`, `told`, …
    pub kind: String,
    /// What.
    pub text: String,
    /// The message's sender, by position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// What tells the message from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u64>,
}

/// The newest lines of a run.
#[derive(Clone)]
pub struct Tracer {
    lines: Arc<Mutex<VecDeque<Line>>>,
    names: Arc<Vec<String>>,
    most: usize,
}

impl Tracer {
    /// Keeps the last `most` lines. `names` are the members', of one federation.
    pub fn new(names: Vec<String>, most: usize) -> Self {
        Self {
            lines: Arc::default(),
            names: Arc::new(names),
            most,
        }
    }

    /// Notes an event.
    pub fn see(&self, moment: Moment, seen: &Seen<'_>) {
        let Some((kind, text)) = words::line(seen) else {
            return;
        };
        let parcel = match seen {
            Seen::Sent { parcel, .. } | Seen::Delivered { parcel } => Some(parcel),
            _ => None,
        };
        let name = |member: u32| self.names[member as usize % self.names.len()].clone();
        let mut text = text;
        if let Some(parcel) = parcel
            && kind == "delivered"
        {
            text = format!("from {}: {text}", name(parcel.from));
        }
        let line = Line {
            at_us: moment.now.0,
            member: moment.member,
            name: name(moment.member),
            kind: kind.to_owned(),
            text,
            from: parcel.map(|parcel| parcel.from),
            tag: parcel.map(|parcel| parcel.tag),
        };
        let mut lines = self.lines.lock().expect("no line panics");
        if lines.len() == self.most {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines kept, in order.
    pub fn lines(&self) -> Vec<Line> {
        let lines = self.lines.lock().expect("no line panics");
        lines.iter().cloned().collect()
    }
}

/// Writes a trace.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, lines: &[Line]) -> Result<(), ReportError> {
    let mut trace = TraceWriter::create(path)?;
    lines.iter().try_for_each(|line| trace.line(line))?;
    trace.finish()
}

/// Reads a trace: the last lines of it.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Line>, ReportError> {
    let mut lines = VecDeque::new();
    for line in TraceReader::<Line>::open(path)? {
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line?);
    }
    Ok(lines.into())
}

/// What led to a violation: one text a line, the newest last. What one member was told several
/// times over is one line.
pub fn slice(lines: &[Line], violation: &Violation) -> Vec<String> {
    let mut concerned: BTreeSet<u32> = match violation.member {
        Some(member) => [member].into(),
        None => lines.iter().map(|line| line.member).collect(),
    };
    let mut wanted: BTreeSet<(u32, u64)> = BTreeSet::new();
    let mut kept: Vec<(&Line, usize)> = Vec::new();
    let mut places: BTreeMap<(u32, &str, &str), usize> = BTreeMap::new();
    let until = lines.iter().rposition(|line| line.at_us <= violation.at_us);
    for line in lines[..until.map_or(0, |until| until + 1)].iter().rev() {
        if let ("sent", Some(tag)) = (line.kind.as_str(), line.tag)
            && wanted.remove(&(line.member, tag))
        {
            concerned.insert(line.member);
        }
        if !concerned.contains(&line.member) || line.kind == "sent" {
            continue;
        }
        if let (Some(from), Some(tag)) = (line.from, line.tag) {
            wanted.insert((from, tag));
        }
        let said = line.from.and_then(|_| line.text.split_once(": "));
        let said = said.map_or(line.text.as_str(), |(_, said)| said);
        match places.get(&(line.member, &line.kind, said)) {
            Some(place) => kept[*place].1 += 1,
            None if kept.len() == SLICE => break,
            None => {
                places.insert((line.member, &line.kind, said), kept.len());
                kept.push((line, 1));
            }
        }
    }
    kept.reverse();
    kept.into_iter()
        .map(|(line, times)| shown(line, times))
        .collect()
}

fn shown(line: &Line, times: usize) -> String {
    let (clock, name, kind) = (units::clock(line.at_us), &line.name, &line.kind);
    let times = match times {
        1 => String::new(),
        _ => format!(" (the last of {times})"),
    };
    let text = format!("{clock}  {name:<12} {kind:<10} {}{times}", line.text);
    let text = units::plain(&text);
    match text.char_indices().nth(COLUMNS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_us: u64, member: u32, kind: &str, message: Option<(u32, u64)>) -> Line {
        Line {
            at_us,
            member,
            name: format!("m{member}"),
            kind: kind.to_owned(),
            text: format!("event {at_us}"),
            from: message.map(|(from, _)| from),
            tag: message.map(|(_, tag)| tag),
        }
    }

    fn violation(member: Option<u32>) -> Violation {
        Violation {
            invariant: "S1".to_owned(),
            at_us: 60,
            round: 1,
            member,
            text: String::new(),
        }
    }

    #[test]
    fn a_slice_has_what_messages_carried_and_nothing_else() {
        let lines = [
            line(10, 1, "told", None),
            line(20, 1, "sent", Some((1, 7))),
            line(30, 1, "told", None),
            line(35, 2, "told", None),
            line(40, 0, "delivered", Some((1, 7))),
            line(50, 0, "told", None),
            line(70, 0, "told", None),
        ];
        let slice = slice(&lines, &violation(Some(0)));
        let events: Vec<&str> = slice.iter().map(|l| &l[l.len() - 8..]).collect();
        assert_eq!(events, ["event 10", "event 40", "event 50"]);
    }

    #[test]
    fn a_slice_of_nobody_in_particular_has_everybody() {
        let lines = [line(10, 1, "told", None), line(20, 2, "told", None)];
        assert_eq!(slice(&lines, &violation(None)).len(), 2);
    }
}
