//! What the demo says at the end: the common root, the curve, the bytes, a sample, what next.

use super::{
    FoundedRun, Sample,
    board::Board,
    chart::Chart,
    figures::{bytes, clock, grouped, plain, times},
    table::Paint,
};
use archipel_protocol::ids::{Root, Round};
use serde::Serialize;
use std::path::Path;

/// Everything the ending is made of.
pub struct Ending<'a> {
    /// What the members reported.
    pub board: &'a Board,
    /// What was founded.
    pub run: &'a FoundedRun,
    /// Where the federation lives.
    pub dir: &'a Path,
    /// How this program was called.
    pub program: &'a str,
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
pub struct Finished {
    event: &'static str,
    rounds: Round,
    members: Vec<Member>,
    first_bits_per_byte: Option<f64>,
    last_bits_per_byte: Option<f64>,
    order1_entropy: f64,
    bytes_sent: u64,
    bytes_f32_allreduce: u64,
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    round: Option<Round>,
    root: Option<Root>,
}

impl Ending<'_> {
    /// The state all members ended on; `None` where they did not end on one.
    pub fn common(&self) -> Option<(Round, Root)> {
        let mut finished = self.board.rows.iter().map(|row| row.finished);
        let first = finished.next()??;
        finished.all(|state| state == Some(first)).then_some(first)
    }

    /// The last line of `--json`.
    pub fn object(&self) -> Finished {
        let rows = self.board.rows.iter();
        let members = rows.map(|row| Member {
            name: row.name.clone(),
            round: row.finished.map(|state| state.0),
            root: row.finished.map(|state| state.1),
        });
        Finished {
            event: "finished",
            rounds: self.board.end,
            members: members.collect(),
            first_bits_per_byte: self.measure(self.board.first),
            last_bits_per_byte: self.measure(self.board.end),
            order1_entropy: self.run.order1_entropy,
            bytes_sent: self.board.sent_bytes(),
            bytes_f32_allreduce: self.allreduce_bytes(),
        }
    }

    /// What the same steps would have sent with a ring all-reduce of `f32` gradients every step:
    /// n members of 2·(n−1)/n·4·P bytes a step.
    pub fn allreduce_bytes(&self) -> u64 {
        let step = |members: usize| {
            let (members, parameters) = (members as u128, u128::from(self.run.parameters));
            2 * members.saturating_sub(1) * 4 * parameters
        };
        let rounds = (self.board.first.next().0..=self.board.end.0).map(|round| {
            let seen = self
                .board
                .states
                .get(&Round(round))
                .map(|seen| seen.members);
            step(
                seen.filter(|&members| members > 0)
                    .unwrap_or(self.board.rows.len()),
            )
        });
        let total = rounds.sum::<u128>() * u128::from(self.run.steps_per_round);
        u64::try_from(total).unwrap_or(u64::MAX)
    }

    /// The ending for people.
    pub fn lines(&self, width: usize, paint: Paint) -> Vec<String> {
        let mut lines = vec![String::new()];
        lines.extend(self.verdict(paint));
        lines.extend(self.curve(width));
        lines.extend(self.cost());
        lines
    }

    /// A sample of generated text, for people.
    pub fn sample(&self, sample: &Sample, width: usize) -> Vec<String> {
        let mut lines = vec![
            String::new(),
            format!(" What it writes after `{}`:", plain(&sample.prompt)),
        ];
        let text = sample.text.lines().take(12);
        lines.extend(text.map(|line| {
            let line = line.replace('\t', "    ");
            super::figures::cut(&format!("   │ {}", plain(&line)), width)
        }));
        lines
    }

    /// The commands to go on with.
    pub fn next_steps(&self, sample: Option<&Sample>) -> Vec<String> {
        let program = self.program;
        let member = self
            .run
            .members
            .first()
            .map_or(self.dir, |member| &member.dir);
        let mut lines = vec![String::new(), " Go on with".to_owned()];
        lines.push(format!("   {program} status --dir {}", quoted(member)));
        if let Some(sample) = sample {
            let checkpoint = quoted(&sample.checkpoint);
            lines.push(format!(
                "   {program} generate --checkpoint {checkpoint} --prompt 'fn main'"
            ));
        }
        lines.push(format!(
            "   {program} checkpoint export --dir {} --out model",
            quoted(member)
        ));
        lines
    }

    fn measure(&self, round: Round) -> Option<f64> {
        self.board
            .states
            .get(&round)
            .and_then(|seen| seen.bits_per_byte)
    }

    fn verdict(&self, paint: Paint) -> Vec<String> {
        let count = self.board.rows.len();
        if let Some((round, root)) = self.common() {
            let time = clock(self.board.elapsed);
            let text = format!(" {count} members, one model: all hold state {round} after {time}");
            return vec![
                format!("{} {}", paint.bold(&text), paint.good("✓")),
                format!(" root {root}"),
            ];
        }
        let mut lines =
            vec![paint.bad(" THE MEMBERS DO NOT HOLD ONE STATE. This must never happen.")];
        for row in &self.board.rows {
            let state = row
                .finished
                .map_or("did not finish".to_owned(), |(round, root)| {
                    format!("state {round}  root {root}")
                });
            lines.push(format!("   {}  {state}", plain(&row.name)));
        }
        lines.push(format!(
            " Their folders, with their logs, are in {}.",
            self.dir.display()
        ));
        lines
    }

    fn curve(&self, width: usize) -> Vec<String> {
        let entropy = self.run.order1_entropy;
        let states = self.board.states.iter();
        let points: Vec<(u64, f64)> = states
            .filter_map(|(round, seen)| Some((round.0, seen.bits_per_byte?)))
            .collect();
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return vec![
                String::new(),
                " No state was evaluated: there is no curve.".to_owned(),
            ];
        };
        let verdict = if last.1 < entropy {
            "below what a table of byte pairs reaches ✓"
        } else {
            "not yet below what a table of byte pairs reaches"
        };
        let mut lines = vec![
            String::new(),
            format!(" bits per byte on held-out text    dotted: its order-1 entropy, {entropy:.3}"),
        ];
        lines.extend(
            Chart {
                points: &points,
                level: entropy,
            }
            .lines(width.min(72), 8),
        );
        lines.push(format!(
            " {:.3} → {:.3} bits per byte, {verdict}",
            first.1, last.1
        ));
        lines
    }

    fn cost(&self) -> Vec<String> {
        let (sent, dense) = (self.board.sent_bytes(), self.allreduce_bytes());
        let (count, run) = (self.board.rows.len(), self.run);
        let rounds = self.board.end.0.saturating_sub(self.board.first.0);
        let mut lines = vec![
            String::new(),
            format!(" sent by all members together           {:>8}", bytes(sent)),
            format!(
                " a per-step f32 all-reduce would send   {:>8}",
                bytes(dense)
            ),
        ];
        if sent > 0 {
            let ratio = times(dense as f64 / sent as f64);
            lines[2] += &format!("   {ratio} as much");
        }
        let (parameters, steps) = (grouped(run.parameters), grouped(run.steps_per_round));
        lines.push(format!(
            "   a ring: 2·(n−1)/n·4·P bytes a member a step; n = {count}, P = {parameters},"
        ));
        lines.push(format!("   {steps} steps a round, {rounds} rounds"));
        lines
    }
}

/// A path as a shell reads it back.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
