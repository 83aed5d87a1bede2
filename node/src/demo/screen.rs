//! Shows progress: a table that redraws on a terminal, a plain line a round elsewhere, or JSON.
//!
//! Whatever the form, nothing is silent for ten seconds.

use super::{
    board::{Board, Note, NoteKind, Status},
    figures::{bytes, clock, plain, times},
    table::{LOWEST, NARROWEST, Paint, note_line, render},
};
use archipel_protocol::ids::Round;
use serde_json::json;
use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Duration,
};

/// Longest silence.
const SILENCE: Duration = Duration::from_secs(9);

/// Where progress goes, and in which form.
pub struct Screen {
    form: Form,
    out: Box<dyn Write + Send>,
    paint: Paint,
    /// Widths of the lines that are on the terminal now.
    drawn: Vec<usize>,
    /// Terminal width of the last frame.
    width: usize,
    /// The last round that has its line.
    told: Option<Round>,
    /// When something was last shown.
    spoke: Duration,
}

/// How progress looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table that redraws in place.
    Table,
    /// A plain line a round.
    Plain,
    /// One JSON object a line.
    Json,
}

impl Screen {
    /// The form that suits stdout.
    pub fn on_stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let form = match (json, terminal && size().is_some()) {
            (true, _) => Form::Json,
            (false, true) => Form::Table,
            (false, false) => Form::Plain,
        };
        Self::new(
            form,
            Box::new(io::stdout()),
            Paint {
                colour: colour && !json,
            },
        )
    }

    /// Shows progress in a given form.
    pub fn new(form: Form, out: Box<dyn Write + Send>, paint: Paint) -> Self {
        Self {
            form,
            out,
            paint,
            drawn: Vec::new(),
            width: 0,
            told: None,
            spoke: Duration::ZERO,
        }
    }

    /// The form it has.
    pub fn form(&self) -> Form {
        self.form
    }

    /// How it colours.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Columns there are for text.
    pub fn columns(&self) -> usize {
        if self.form == Form::Table {
            size().map_or(80, |(width, _)| width)
        } else {
            80
        }
    }

    /// Columns and lines of a table: one line less than the terminal has, for the cursor.
    pub fn size(&self) -> (usize, usize) {
        size().map_or((80, 23), |(width, height)| (width, height - 1))
    }

    /// Shows text that stays; not with `--json`.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.erase()?;
        if self.form != Form::Json {
            writeln!(self.out, "{text}")?;
        }
        self.out.flush()
    }

    /// Shows an object; only with `--json`.
    pub fn tell(&mut self, object: &serde_json::Value) -> io::Result<()> {
        if self.form == Form::Json {
            writeln!(self.out, "{object}")?;
        }
        self.out.flush()
    }

    /// Shows the last object of all; only with `--json`.
    pub fn tell_finished(&mut self, object: &super::ending::Finished) -> io::Result<()> {
        if self.form == Form::Json {
            writeln!(self.out, "{}", serde_json::to_string(object)?)?;
        }
        self.out.flush()
    }

    /// Shows that work without a board goes on, now and then.
    pub fn waiting(&mut self, what: &str, elapsed: Duration) -> io::Result<()> {
        if self.form == Form::Table {
            const FRAMES: [&str; 8] = ["⠹", "⢸", "⣰", "⣤", "⣆", "⡇", "⠏", "⠛"];
            let frame = FRAMES[(elapsed.as_millis() / 100 % 8) as usize];
            let line = format!(" {frame} {what} ({})", clock(elapsed));
            return self.draw(vec![super::figures::cut(&line, self.columns())]);
        }
        if elapsed.saturating_sub(self.spoke) >= SILENCE {
            self.spoke = elapsed;
            self.heartbeat(&format!("{what} ({})", clock(elapsed)), elapsed)?;
        }
        Ok(())
    }

    /// Time is counted from 0 again: the processes start.
    pub fn restart_clock(&mut self) {
        self.spoke = Duration::ZERO;
    }

    /// Shows a note where it does not stand in the table.
    pub fn note(&mut self, board: &Board, note: &Note) -> io::Result<()> {
        match self.form {
            Form::Table => return Ok(()),
            Form::Plain => writeln!(self.out, "{}", note_line(note, usize::MAX, self.paint))?,
            Form::Json => {
                let kind = match note.kind {
                    NoteKind::Kill => "kill",
                    NoteKind::Good => "good",
                    NoteKind::Incident => "incident",
                    NoteKind::Bad => "bad",
                };
                self.tell(&json!({
                    "event": "note", "kind": kind, "text": note.text,
                    "elapsed_ms": millis(note.at),
                }))?;
            }
        }
        self.spoke = board.elapsed;
        self.out.flush()
    }

    /// Brings what is shown up to date.
    pub fn update(&mut self, board: &Board, over: bool) -> io::Result<()> {
        if self.form == Form::Table {
            if let Some((width, height)) = size() {
                return self.draw(render(board, width, height - 1, self.paint));
            }
            return Ok(());
        }
        while let Some(round) = self.next_to_tell(board, over) {
            self.told = Some(round);
            self.spoke = board.elapsed;
            self.round(board, round)?;
        }
        if board.elapsed.saturating_sub(self.spoke) >= SILENCE && !over {
            self.spoke = board.elapsed;
            self.heartbeat(&summary(board), board.elapsed)?;
        }
        self.out.flush()
    }

    /// Leaves the terminal as it was found: with a cursor, below what is shown.
    pub fn close(&mut self) -> io::Result<()> {
        if self.form == Form::Table {
            write!(self.out, "\x1b[?25h")?;
            self.drawn.clear();
        }
        self.out.flush()
    }

    /// A state is told when every running member has it, or when the next one is there.
    fn next_to_tell(&self, board: &Board, over: bool) -> Option<Round> {
        let after = self.told.map_or(board.first, Round::next);
        let (&round, seen) = board.states.range(after..).next()?;
        let running = |row: &usize| board.rows[*row].status == Status::Running;
        let mut rows = (0..board.rows.len()).filter(running);
        let everybody = rows.all(|row| seen.roots.contains_key(&row));
        let complete = everybody && !seen.roots.is_empty() && seen.bits_per_byte.is_some();
        let passed = board.latest() > round;
        // The untrained state needs no certificate, only its measure.
        let untrained = round == board.first && seen.bits_per_byte.is_some();
        (complete || passed || over || untrained).then_some(round)
    }

    fn round(&mut self, board: &Board, round: Round) -> io::Result<()> {
        let seen = &board.states[&round];
        let root = seen.roots.values().next();
        if self.form == Form::Json {
            return self.tell(&json!({
                "event": "round", "round": round, "rounds": board.end, "root": root,
                "agrees": seen.agrees(), "members_in_cut": seen.in_cut, "members": seen.members,
                "bits_per_byte": seen.bits_per_byte, "bytes_sent": board.sent_bytes(),
                "elapsed_ms": millis(board.elapsed),
            }));
        }
        let bits = seen
            .bits_per_byte
            .map_or("–".into(), |bits| format!("{bits:.3}"));
        let mut line = format!(
            " round {:>3}/{}  {bits:>6} bits per byte",
            round.0, board.end
        );
        if let Some(root) = root {
            let mark = if seen.agrees() { "✓" } else { "✗" };
            let (in_cut, members) = (seen.in_cut, seen.members);
            line += &format!("  cut {in_cut}/{members}  root {} {mark}", root.short());
        }
        line += &format!("  sent {:>7}", bytes(board.sent_bytes()));
        let ratios = board.rows.iter().filter_map(|row| row.compression());
        if let Some(ratio) = ratios.reduce(f64::min) {
            line += &format!("  {}", times(ratio));
        }
        writeln!(self.out, "{line}  {}", clock(board.elapsed))
    }

    fn heartbeat(&mut self, text: &str, elapsed: Duration) -> io::Result<()> {
        match self.form {
            Form::Json => self.tell(&json!({
                "event": "waiting", "text": text, "elapsed_ms": millis(elapsed),
            }))?,
            _ => writeln!(self.out, "   … {text}")?,
        }
        self.out.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        if !self.drawn.is_empty() {
            write!(
                self.out,
                "\x1b[{}A\r\x1b[J\x1b[?25h",
                self.drawn_rows(self.columns())
            )?;
            self.drawn.clear();
        }
        Ok(())
    }

    /// Rows the drawn lines take; a terminal that became narrower has broken them.
    fn drawn_rows(&self, width: usize) -> usize {
        self.drawn
            .iter()
            .map(|line| line.div_ceil(width.max(1)).max(1))
            .sum()
    }

    /// Replaces the frame on the terminal in a single write, line over line: no flicker.
    pub fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        let width = self.columns();
        let mut frame = String::from("\x1b[?25l");
        if !self.drawn.is_empty() {
            frame += &format!("\x1b[{}A\r", self.drawn_rows(width));
            if width != self.width {
                frame += "\x1b[J";
            }
        }
        for line in &lines {
            frame += &format!("{line}\x1b[K\n");
        }
        frame += "\x1b[J";
        self.width = width;
        self.drawn = lines
            .iter()
            .map(|line| console::measure_text_width(line))
            .collect();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no cursor.
        let _ = self.close();
    }
}

/// Columns and lines of the terminal, where there is room for a table.
fn size() -> Option<(usize, usize)> {
    let (height, width) = console::Term::stdout().size_checked()?;
    let (height, width) = (usize::from(height), usize::from(width));
    (width >= NARROWEST && height > LOWEST).then_some((width, height))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What everybody does, in one line.
fn summary(board: &Board) -> String {
    let members: Vec<String> = board
        .rows
        .iter()
        .map(|row| {
            let what = match (row.status, row.steps, row.held) {
                (Status::Starting, ..) => "starting".to_owned(),
                (Status::Killed, ..) => "killed".to_owned(),
                (_, Some((step, steps)), _) => format!("{} {step}/{steps}", row.phase),
                (_, _, Some((held, active))) => format!("{} {held}/{active}", row.phase),
                _ => row.phase.to_string(),
            };
            format!("{} {what}", plain(&row.name))
        })
        .collect();
    let rest = board.remaining().map_or(String::new(), |rest| {
        format!(", about {} left", clock(rest))
    });
    format!("{}, {}{rest}", members.join(", "), clock(board.elapsed))
}
