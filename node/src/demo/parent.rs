//! How a node started by the demo notices that the demo is gone, even when that was killed.
//!
//! The demo keeps the other end of the node's stdin open and never writes to it. However the demo
//! ends, the kernel closes that end.

use std::{io::Read, thread};

/// Calls `then` once stdin is closed: `archipel run --until-stdin-closes`.
///
/// Waits on a thread of its own, so that a busy runtime does not keep a node from ending.
///
/// # Errors
/// Where no thread can be started.
pub fn when_stdin_closes(then: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let wait = move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0; 64];
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A stdin that cannot be read has nobody at its other end.
                Err(_) => break,
            }
        }
        then();
    };
    thread::Builder::new()
        .name("stdin".into())
        .spawn(wait)
        .map(drop)
}
