//! How far a preparation is: a bar on a terminal, a line now and then elsewhere.

use crate::cli::text::{bytes, grouped};
use archipel_trainer::data::PrepareProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at the clock, in bytes read: documents may be very small.
const STEP_BYTES: u64 = 1 << 16;

/// Says on stderr how far it is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: Instant,
    next: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  \
                 {msg}",
            );
            let style = style
                .expect("a template without faults")
                .progress_chars("━╸─");
            let target = ProgressDrawTarget::stderr();
            ProgressBar::with_draw_target(Some(0), target).with_style(style)
        });
        Self {
            bar,
            told: Instant::now(),
            next: 0,
        }
    }

    pub(super) fn show(&mut self, at: &PrepareProgress<'_>) {
        if at.read < self.next && at.read < at.total {
            return;
        }
        self.next = at.read + STEP_BYTES;
        let documents = grouped(at.documents);
        if let Some(bar) = &self.bar {
            bar.set_length(at.total.max(at.read));
            bar.set_position(at.read);
            bar.set_message(format!("{documents} documents"));
        } else if self.told.elapsed() >= PAUSE {
            self.told = Instant::now();
            let (read, total) = (bytes(at.read), bytes(at.total));
            let line = format!("{read} of {total} read, {documents} documents taken");
            // A closed stderr is no reason to stop preparing data.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
