//! Draws the board as lines of text for a width: a pure function, so that it can be tested.
//!
//! Columns give way to the width: first the long form of the agreement, then the bar, then
//! compression and bytes sent. No line is ever wider than asked for.

use super::{
    board::{Board, Note, NoteKind, Row, Status},
    events::Phase,
    figures::{bytes, clock, cut, left, plain, right, times},
};
use console::Style;

/// Narrower than this no table is drawn.
pub const NARROWEST: usize = 20;
/// Lower than this no table is drawn.
pub const LOWEST: usize = 12;
/// Columns between columns.
const GAP: usize = 2;
/// Names longer than this are cut.
const LONGEST_NAME: usize = 16;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// Colours are wanted and understood.
    pub colour: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.colour {
            style.force_styling(true).apply_to(text).to_string()
        } else {
            text.into()
        }
    }

    /// Makes a text stand back.
    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    /// Makes a text stand out.
    pub fn bold(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// Marks a text as good.
    pub fn good(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    /// Marks a text as bad.
    pub fn bad(self, text: &str) -> String {
        self.with(Style::new().red().bold(), text)
    }
}

/// The board as at most `height` lines of at most `width` columns.
///
/// A width below [`NARROWEST`] or a height below [`LOWEST`] counts as that.
pub fn render(board: &Board, width: usize, height: usize, paint: Paint) -> Vec<String> {
    let (width, height) = (width.max(NARROWEST), height.max(LOWEST));
    let columns = Columns::fit(board, width);
    let mut lines = heading(board, width, paint);
    lines.push(String::new());
    let titles = columns.line(|column| column.title().to_owned());
    lines.push(paint.dim(&cut(&titles, width)));
    let around = lines.len() + board.notes.len() + 3;
    let space = height.saturating_sub(around).max(1);
    let shown = if board.rows.len() > space {
        space.saturating_sub(1)
    } else {
        board.rows.len()
    };
    for row in &board.rows[..shown] {
        lines.push(columns.line(|column| column.cell(board, row, &columns, paint)));
    }
    if shown < board.rows.len() {
        let rest = format!(" … and {} more members", board.rows.len() - shown);
        lines.push(paint.dim(&cut(&rest, width)));
    }
    lines.push(String::new());
    lines.extend(board.notes.iter().map(|note| note_line(note, width, paint)));
    if board.rows.iter().any(|row| row.finished.is_none()) {
        lines.push(paint.dim(&cut(" Ctrl-C stops all of it and says how to go on", width)));
    }
    lines
}

/// One line for a note.
pub fn note_line(note: &Note, width: usize, paint: Paint) -> String {
    let mark = match note.kind {
        NoteKind::Kill => paint.bad("✗"),
        NoteKind::Good => paint.good("✓"),
        NoteKind::Incident => paint.with(Style::new().yellow(), "!"),
        NoteKind::Bad => paint.bad("!!"),
    };
    let at = paint.dim(&right(&clock(note.at), 6));
    cut(&format!(" {at} {mark} {}", plain(&note.text)), width)
}

fn heading(board: &Board, width: usize, paint: Paint) -> Vec<String> {
    let done = board.latest().0;
    let title = format!("{} members, one model, no controller", board.rows.len());
    let first = cut(&format!(" {}  {title}", paint.bold("Archipel")), width);
    let mut time = clock(board.elapsed);
    if done < board.end.0
        && let Some(rest) = board.remaining()
    {
        time += &format!(", about {} left", clock(rest));
    }
    let round = format!("round {done}/{}", board.end);
    let rest = width
        .saturating_sub(round.chars().count() + time.chars().count() + 6)
        .min(40);
    let bar = paint.good_bar(
        done.saturating_sub(board.first.0),
        board.end.0 - board.first.0,
        rest,
    );
    vec![
        first,
        cut(&format!(" {}  {bar}  {time}", paint.bold(&round)), width),
    ]
}

impl Paint {
    /// A bar of `width` columns, filled as `done` is of `all`.
    fn good_bar(self, done: u64, all: u64, width: usize) -> String {
        let halves = (u128::from(done.min(all)) * 2 * width as u128)
            .checked_div(u128::from(all))
            .map_or(2 * width, |halves| halves as usize);
        let full = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
        let empty = "─".repeat(width - halves.div_ceil(2));
        format!(
            "{}{}",
            self.with(Style::new().cyan(), &full),
            self.dim(&empty)
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Round,
    Phase,
    Held,
    Bits,
    Sent,
    Ratio,
    Agreement,
}

/// How much an agreement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wording {
    Long,
    Short,
    Root,
}

#[derive(Clone, Debug)]
struct Columns {
    shown: Vec<(Column, usize)>,
    bar: usize,
    wording: Wording,
}

impl Columns {
    /// The widest choice that fits.
    fn fit(board: &Board, width: usize) -> Self {
        use Column::{Agreement, Bits, Held, Name, Phase, Ratio, Round, Sent};
        let all = [Name, Round, Phase, Held, Bits, Sent, Ratio, Agreement];
        let choices: [(&[Column], usize, Wording); 8] = [
            (&all, 12, Wording::Long),
            (&all, 6, Wording::Long),
            (&all, 5, Wording::Short),
            (&all, 0, Wording::Short),
            (
                &[Name, Round, Phase, Held, Bits, Sent, Agreement],
                0,
                Wording::Root,
            ),
            (
                &[Name, Round, Phase, Held, Bits, Agreement],
                5,
                Wording::Root,
            ),
            (
                &[Name, Round, Phase, Held, Bits, Agreement],
                0,
                Wording::Root,
            ),
            (&[Name, Round, Phase], 0, Wording::Root),
        ];
        let [mut best, rest @ ..] = choices.map(|(shown, bar, wording)| {
            Self {
                shown: Vec::new(),
                bar,
                wording,
            }
            .with_widths(shown, board)
        });
        for choice in rest {
            if best.width() > width {
                best = choice;
            }
        }
        best.shrink_to(width);
        best
    }

    fn with_widths(mut self, shown: &[Column], board: &Board) -> Self {
        let digits = board.rows.len().to_string().len();
        let longest = board
            .rows
            .iter()
            .map(|row| console::measure_text_width(&row.name))
            .max();
        let counts = 2 * digits + 1;
        for &column in shown {
            let width = match column {
                Column::Name => longest.unwrap_or(0).clamp(6, LONGEST_NAME),
                Column::Round => board.end.to_string().len().max(5),
                Column::Phase if self.bar > 0 => 9 + self.bar,
                Column::Phase => 8,
                Column::Held => counts.max(4),
                Column::Bits => 6,
                Column::Sent => 7,
                Column::Ratio => 5,
                Column::Agreement => match self.wording {
                    Wording::Long => 29 + counts,
                    Wording::Short => 12 + counts,
                    Wording::Root => 10,
                },
            };
            self.shown.push((column, width));
        }
        self
    }

    fn width(&self) -> usize {
        1 + self
            .shown
            .iter()
            .map(|(_, width)| width + GAP)
            .sum::<usize>()
            - GAP
    }

    /// Takes what is too much from the name, and drops columns that have no room at all.
    fn shrink_to(&mut self, width: usize) {
        let excess = self.width().saturating_sub(width);
        self.shown[0].1 = self.shown[0].1.saturating_sub(excess).max(4);
        while self.shown.len() > 1 && self.width() > width {
            self.shown.pop();
        }
        if self.width() > width {
            self.shown[0].1 = width.saturating_sub(1);
        }
    }

    fn line(&self, cell: impl Fn(Place) -> String) -> String {
        let cells = self
            .shown
            .iter()
            .map(|&(column, width)| cell(Place { column, width }));
        let cells: Vec<String> = cells.collect();
        format!(" {}", cells.join(&" ".repeat(GAP)))
            .trim_end()
            .to_owned()
    }
}

/// A column with its width.
#[derive(Clone, Copy, Debug)]
struct Place {
    column: Column,
    width: usize,
}

impl Place {
    fn title(self) -> String {
        match self.column {
            Column::Name => left("member", self.width),
            Column::Round => right("round", self.width),
            Column::Phase => left("phase", self.width),
            Column::Held => right("held", self.width),
            Column::Bits => right("bits/B", self.width),
            Column::Sent => right("sent", self.width),
            Column::Ratio => right("ratio", self.width),
            Column::Agreement => left("agreement", self.width),
        }
    }

    fn cell(self, board: &Board, row: &Row, columns: &Columns, paint: Paint) -> String {
        let width = self.width;
        match self.column {
            Column::Name => left(&plain(&row.name), width),
            Column::Round => right(&row.round.to_string(), width),
            Column::Phase => phase(row, columns.bar, paint),
            Column::Held => right(
                &row.held
                    .map_or("–".into(), |(held, active)| format!("{held}/{active}")),
                width,
            ),
            Column::Bits => {
                let state = row.certified.map_or(board.first, |state| state.round);
                let bits = board.bits_per_byte_at(state);
                right(&bits.map_or("–".into(), |bits| format!("{bits:.3}")), width)
            }
            Column::Sent => right(&bytes(row.sent_bytes()), width),
            Column::Ratio => right(&row.compression().map_or("–".into(), times), width),
            Column::Agreement => agreement(board, row, columns.wording, width, paint),
        }
    }
}

fn phase(row: &Row, bar: usize, paint: Paint) -> String {
    let word = match row.status {
        Status::Starting => paint.dim("starting"),
        Status::Killed => paint.bad("killed  "),
        Status::Running if row.phase == Phase::Done => paint.good("done    "),
        Status::Running => left(&row.phase.to_string(), 8),
    };
    match (bar, row.steps) {
        (0, _) => word,
        (_, Some((step, steps))) => format!("{word} {}", paint.good_bar(step, steps, bar)),
        _ => format!("{word} {}", " ".repeat(bar)),
    }
}

fn agreement(board: &Board, row: &Row, wording: Wording, width: usize, paint: Paint) -> String {
    let Some(state) = row.certified else {
        return left("–", width);
    };
    let agrees = board
        .states
        .get(&state.round)
        .is_none_or(|seen| seen.agrees());
    let root = state.root.short();
    let folded = row.view.filter(|(round, _)| round.next() == state.round);
    let view = folded.map(|(_, view)| view);
    let text = match wording {
        Wording::Long => {
            let view = view.map_or(String::new(), |view| format!("view {view}, "));
            format!("cut {}/{}, {view}root {root}", state.in_cut, state.active)
        }
        Wording::Short => {
            let view = view.map_or(String::new(), |view| format!(" v{view}"));
            format!("{}/{}{view} {}", state.in_cut, state.active, &root[..6])
        }
        Wording::Root => root,
    };
    let text = cut(&text, width.saturating_sub(2));
    let fill = " ".repeat(width.saturating_sub(2 + console::measure_text_width(&text)));
    let mark = if agrees {
        paint.good("✓")
    } else {
        paint.bad("✗")
    };
    format!("{text} {mark}{fill}")
}

#[cfg(test)]
mod tests;
