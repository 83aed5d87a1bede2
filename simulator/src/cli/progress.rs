//! A line on the terminal that says how far a run is, and what ends it early.

use super::stopwatch::Stopwatch;
use crate::{session::Go, world::World};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C ends a run where it stands, and its report is still written. A second one
/// ends the process.
pub fn catch_interrupts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let caught = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                insist();
            }
        });
        if let Err(error) = caught {
            eprintln!("archipel-sim: Ctrl-C will end this without a report: {error}");
        }
    });
}

/// Ends the process at once: whoever presses Ctrl-C twice does not wait for a report.
#[expect(
    clippy::disallowed_methods,
    reason = "a run has no child processes, and its files are renamed into place whole"
)]
fn insist() {
    std::process::exit(130);
}

/// Whether somebody pressed Ctrl-C.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Watches a run: shows how far it is, and says when it is to end.
pub struct Progress {
    bar: ProgressBar,
    clock: Stopwatch,
    budget_us: Option<u64>,
}

impl Progress {
    /// Watches from now on. Nothing is shown where standard error is no terminal, or `quiet`.
    pub fn new(total: Option<u64>, budget_us: Option<u64>, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, target(quiet));
        bar.set_style(style(total.is_some()));
        Self {
            bar,
            clock: Stopwatch::start(),
            budget_us,
        }
    }

    /// Says before the bar what is done now.
    pub fn doing(&self, what: &str) {
        self.bar.set_prefix(what.to_owned());
    }

    /// Looks at a world, and says whether its run goes on.
    pub fn go_on(&self, world: &World) -> Go {
        let elapsed_us = self.clock.elapsed_us();
        if !self.bar.is_hidden() {
            let round = world.invariants.highest(0).map_or(0, |round| round.0);
            self.bar.set_position(round);
            let seconds = world.now().0 / 1_000_000;
            let rate = world.messages.saturating_mul(1_000_000) / elapsed_us.max(1);
            self.bar.set_message(format!(
                "{:02}:{:02}:{:02} simulated, {rate} messages/s",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            ));
        }
        match self.budget_us {
            _ if interrupted() => Go::Interrupt,
            Some(budget_us) if elapsed_us > budget_us => Go::Budget,
            _ => Go::On,
        }
    }

    /// Real time since it began.
    pub fn elapsed_us(&self) -> u64 {
        self.clock.elapsed_us()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where bars go.
pub fn target(quiet: bool) -> ProgressDrawTarget {
    match !quiet && stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(8),
        false => ProgressDrawTarget::hidden(),
    }
}

fn style(bounded: bool) -> ProgressStyle {
    let template = match bounded {
        true => "{prefix} [{bar:24}] {pos}/{len} rounds · {msg} · {elapsed}",
        false => "{prefix} {spinner} {pos} rounds · {msg} · {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    style.progress_chars("=> ")
}
