//! `archipel`: one executable for a member site.

use archipel_node::cli::{self, Cli};
use clap::Parser;
use std::{io::IsTerminal, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. Of links, this program says itself what matters:
/// the warnings of libp2p and quinn are whole packets and queues in Rust's debug form.
const LOGGED: &str = "warn,archipel_node=info,libp2p=error,quinn=error";

fn main() -> ExitCode {
    forget_key_log();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", cli::told(&error));
            ExitCode::FAILURE
        }
    }
}

/// With this variable set, the TLS library would write every session's keys into a file.
#[allow(unsafe_code)]
fn forget_key_log() {
    // SAFETY: no other thread has been started yet, so nothing reads the environment meanwhile.
    unsafe { std::env::remove_var("SSLKEYLOGFILE") };
}
