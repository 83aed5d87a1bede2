//! `archipel-sim`: runs scenarios, and says what came of them.

use std::process::ExitCode;

fn main() -> ExitCode {
    archipel_simulator::cli::main()
}
