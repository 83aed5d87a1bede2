//! A small line chart in braille characters, each of which holds two by four dots.

/// Columns of the labels and the axis.
const LABELS: usize = 8;

/// A curve with a level drawn through it.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// The curve: x ascending.
    pub points: &'a [(u64, f64)],
    /// Drawn dotted, over the whole width.
    pub level: f64,
}

impl Chart<'_> {
    /// Draws the chart in at most `width` columns and `height + 2` lines.
    ///
    /// Without a point there is nothing to draw, and no line.
    pub fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return Vec::new();
        };
        let columns = width.saturating_sub(LABELS).max(8);
        let height = height.max(2);
        let (low, high) = self.range();
        let mut canvas = Canvas::new(columns, height);
        let dots = canvas.height - 1;
        let y = |value: f64| dots - ((value - low) / (high - low) * dots as f64).round() as usize;
        let span = (last.0 - first.0).max(1) as f64;
        let x =
            |at: u64| ((at - first.0) as f64 / span * (columns * 2 - 1) as f64).round() as usize;
        (0..columns * 2)
            .step_by(3)
            .for_each(|at| canvas.set(at, y(self.level)));
        for pair in self.points.windows(2) {
            canvas.line((x(pair[0].0), y(pair[0].1)), (x(pair[1].0), y(pair[1].1)));
        }
        canvas.set(x(first.0), y(first.1));
        let mut lines = Vec::new();
        for (row, cells) in canvas.rows().enumerate() {
            let label = if row % 3 == 0 || row + 1 == height {
                let value = high - (high - low) * row as f64 / (height - 1) as f64;
                format!("{value:6.2} ┤")
            } else {
                "       │".to_owned()
            };
            lines.push(format!("{label}{cells}").trim_end().to_owned());
        }
        lines.push(format!("       └{}", "─".repeat(columns)));
        let (from, to) = (format!("round {}", first.0), last.0.to_string());
        let rest = columns.saturating_sub(from.len() + 1);
        lines.push(format!("        {from} {to:>rest$}"));
        lines
    }

    fn range(&self) -> (f64, f64) {
        let values = self.points.iter().map(|point| point.1).chain([self.level]);
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if high - low > 1e-6 {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        }
    }
}

struct Canvas {
    /// Columns of characters.
    columns: usize,
    /// Rows of dots.
    height: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            height: rows * 4,
            cells: vec![0; columns * rows],
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        // Unicode numbers the dots of the first three rows before those of the fourth.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x < self.columns * 2 && y < self.height {
            self.cells[y / 4 * self.columns + x / 2] |= BITS[y % 4][x % 2];
        }
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |a: usize, b: usize, step: usize| (a * (steps - step) + b * step) / steps;
        for step in 0..=steps {
            self.set(between(from.0, to.0, step), between(from.1, to.1, step));
        }
    }

    fn rows(&self) -> impl Iterator<Item = String> {
        let braille = |&bits: &u8| match bits {
            0 => ' ',
            _ => char::from_u32(0x2800 + u32::from(bits)).expect("256 braille characters"),
        };
        self.cells
            .chunks(self.columns)
            .map(move |row| row.iter().map(braille).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_crosses_the_level() {
        let points: Vec<(u64, f64)> = (0..=8).map(|x| (x, 8.0 - x as f64 * 0.75)).collect();
        let drawn = Chart {
            points: &points,
            level: 3.5,
        }
        .lines(32, 4);
        let expected = [
            "  8.00 ┤⠉⠑⠒⠤⢄⣀",
            "       │      ⠉⠑⠒⠤⠤⠤⣀⡀",
            "       │⡀⢀ ⡀⢀ ⡀⢀ ⡀⢀ ⡀⢈⠑⡒⢤⢄⣀⢀ ⡀⢀",
            "  2.00 ┤                   ⠉⠑⠒⠤⢄",
            "       └────────────────────────",
            "        round 0                8",
        ];
        assert_eq!(drawn.len(), expected.len(), "\n{}", drawn.join("\n"));
        assert_eq!(drawn, expected, "\n{}", drawn.join("\n"));
    }

    #[test]
    fn no_chart_is_wider_than_asked_for_whatever_is_drawn() {
        let curves: [&[(u64, f64)]; 4] = [
            &[],
            &[(0, 5.0)],
            &[(3, 5.0), (4, 5.0)],
            &[(0, 9.0), (1_000_000, 0.1)],
        ];
        for points in curves {
            for (width, height) in [(40, 2), (60, 8), (100, 12)] {
                let lines = Chart { points, level: 5.0 }.lines(width, height);
                assert_eq!(lines.is_empty(), points.is_empty());
                assert!(
                    lines.iter().all(|line| line.chars().count() <= width),
                    "{lines:#?}"
                );
            }
        }
    }
}
