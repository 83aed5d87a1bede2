//! Waiting: for a worker, or for a person who has had enough.

use super::{FRAME, Screen};
use anyhow::Context;
use std::io;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{Instant, interval},
};

/// The signals that end the demo.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal, and says its exit code.
    pub(super) async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
    }
}

/// Work on a worker ended, or a signal came first.
pub(super) enum Waited<T> {
    Done(T),
    Interrupted(u8),
}

/// Waits for work on a worker, and shows that it goes on.
pub(super) async fn wait<T>(
    mut work: JoinHandle<anyhow::Result<T>>,
    what: &str,
    screen: &mut Screen,
    signals: &mut Signals,
) -> anyhow::Result<Waited<T>> {
    let (began, mut frames) = (Instant::now(), interval(FRAME));
    screen.restart_clock();
    loop {
        tokio::select! {
            done = &mut work => return Ok(Waited::Done(done.context("a worker panicked")??)),
            code = signals.next() => return Ok(Waited::Interrupted(code)),
            _ = frames.tick() => screen.waiting(what, began.elapsed())?,
        }
    }
}
