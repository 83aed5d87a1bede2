//! `archipel top`: what a running node does, as a table that redraws itself.

mod table;

use super::status::kept_status;
use crate::{
    cli::args::TopArgs,
    control::{Answer, ControlError, Request, Status, ask},
    demo::screen::{Form, Screen},
};
use anyhow::{Context, bail};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the node is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often plain lines are printed if they say nothing new.
const PLAIN_AGAIN: Duration = Duration::from_secs(9);

/// `archipel top`: asks the node once a second, until it ends or Ctrl-C.
///
/// # Errors
/// A folder in which no node runs.
pub fn top(args: &TopArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut screen = Screen::on_stdout(false);
    let result = runtime.block_on(watch(args, &mut screen));
    screen.close()?;
    // A question that the node has not answered is of no use any more.
    runtime.shutdown_background();
    result
}

async fn watch(args: &TopArgs, screen: &mut Screen) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut view = View::default();
    loop {
        let dir = args.dir.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&dir, &Request::Status));
        let answer = tokio::select! {
            () = stop.asked() => return Ok(()),
            answer = asked => answer?,
        };
        match answer {
            Ok(Answer::Status(status)) => view.show(screen, *status)?,
            Ok(_) => bail!("expected a status, the node answered something else"),
            Err(error @ ControlError::NotRunning { .. }) => {
                screen.close()?;
                return view.ended(args, error);
            }
            Err(error) => return Err(error.into()),
        }
        if args.once {
            return Ok(());
        }
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Ctrl-C, or a request to end: the terminal is left as it was found.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What was shown.
#[derive(Default)]
struct View {
    seen: bool,
    /// The last plain lines, and when they were printed.
    printed: Option<(Vec<String>, Instant)>,
}

impl View {
    fn show(&mut self, screen: &mut Screen, status: Status) -> io::Result<()> {
        self.seen = true;
        if screen.form() != Form::Table {
            return self.print(screen, &status);
        }
        let (width, height) = screen.size();
        screen.draw(table::render(&status, width, height, screen.paint()))
    }

    /// Prints plain lines if they say something new, or nothing was said for a while.
    fn print(&mut self, screen: &mut Screen, status: &Status) -> io::Result<()> {
        let lines = table::plain_lines(status);
        let known = self.printed.as_ref();
        let known = known.filter(|(before, at)| *before == lines && at.elapsed() < PLAIN_AGAIN);
        if known.is_none() {
            lines.iter().try_for_each(|line| screen.say(line))?;
            self.printed = Some((lines, Instant::now()));
        }
        Ok(())
    }

    /// The node does not run, or does no longer.
    fn ended(&self, args: &TopArgs, error: ControlError) -> anyhow::Result<()> {
        if self.seen {
            println!(" The node in {} has ended.", args.dir.display());
            return Ok(());
        }
        let kept = kept_status(&args.dir)?.with_context(|| error.to_string())?;
        let (round, rounds) = (kept.round, kept.rounds);
        bail!("{error}; when it last ran it was in round {round} of {rounds}")
    }
}
