//! What ends a node from outside: signals, and the end of standard input.

use crate::demo::parent::when_stdin_closes;
use std::fs;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell adds to a signal's number for the exit code of a process that it ended.
const EXIT_BY_SIGNAL: i32 = 128;

/// A token that SIGINT, SIGTERM, SIGHUP, or the end of stdin cancels. A second signal ends the
/// process at once.
///
/// # Errors
/// Where the system takes no handler, or starts no thread.
pub(super) fn stop_signals(until_stdin_closes: bool) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let kinds = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGHUP", SignalKind::hangup()),
    ];
    for (name, kind) in kinds {
        // `nohup` has SIGHUP ignored: who closes the terminal wants the node to go on.
        if kind != SignalKind::hangup() || !is_ignored(kind.as_raw_value()) {
            let end = end_on(signal(kind)?, (name, kind.as_raw_value()), stop.clone());
            tokio::spawn(end);
        }
    }
    if until_stdin_closes {
        let stop = stop.clone();
        when_stdin_closes(move || {
            tracing::info!("standard input closed: the node ends");
            stop.cancel();
        })?;
    }
    Ok(stop)
}

// A node has no child processes, and a second signal is for when an end in good order hangs.
#[allow(clippy::disallowed_methods)]
async fn end_on(mut signals: Signal, (name, number): (&str, i32), stop: CancellationToken) {
    while signals.recv().await.is_some() {
        if stop.is_cancelled() {
            tracing::warn!("{name} while the node ends: it ends at once");
            std::process::exit(EXIT_BY_SIGNAL + number);
        }
        tracing::info!("{name}: the node ends; a second signal ends it at once");
        stop.cancel();
    }
}

/// Whether this process was started with a signal ignored; false where the system does not say.
fn is_ignored(number: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status, number)
}

fn ignored_in(status: &str, number: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (number - 1)) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_read_from_what_the_system_says() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignored_in(status, 1) && ignored_in(status, 13));
        assert!(!ignored_in(status, 2) && !ignored_in(status, 15));
        assert!(!ignored_in("", 1));
    }
}
