//! `archipel`: one executable for a member site.

use archipel_node::cli::{self, Cli};
use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. Of links, this program says itself what
/// matters: the warnings of libp2p and quinn are whole packets and queues in Rust's debug form.
const LOGGED: &str = "warn,archipel_node=info,libp2p=error,quinn=error";

/// The exit code of a process that wrote to a closed pipe, as a shell gives it.
const CLOSED_PIPE: i32 = 128 + 13;

fn main() -> ExitCode {
    forget_key_log();
    end_with_the_reader();
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A terminal that was closed takes no complaint about itself: printing one would panic.
        .log_internal_errors(false)
        .init();
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "error: {}", cli::told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Ends the process quietly if whoever reads its output is gone, as in `archipel doctor | head`.
// The demo, which has child processes, writes its lines without `println`.
#[allow(clippy::disallowed_methods)]
fn end_with_the_reader() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to") {
            std::process::exit(CLOSED_PIPE);
        }
        before(panic);
    }));
}

/// With this variable set, the TLS library would write every session's keys into a file.
#[allow(unsafe_code)]
fn forget_key_log() {
    // SAFETY: no other thread has been started yet, so nothing reads the environment meanwhile.
    unsafe { std::env::remove_var("SSLKEYLOGFILE") };
}
