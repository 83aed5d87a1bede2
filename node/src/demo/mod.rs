//! `archipel demo`: founds a federation in a folder, runs its members as processes, shows them.
//!
//! This module is everything around the processes: the text, the plot of kills and joins, the
//! table and the ending. Founding, amending and sampling are asked of a [`Founding`]; the
//! processes are real nodes that say what they do in [`events::Event`]s. Nothing here computes or
//! decides anything about the training itself.

pub mod args;
pub mod board;
pub mod chart;
pub mod corpus;
mod drive;
pub mod ending;
pub mod events;
pub mod figures;
pub mod parent;
pub mod processes;
pub mod screen;
pub mod script;
pub mod table;

pub use args::DemoArgs;

use crate::cli::told;
use archipel_protocol::ids::{Round, RunId};
use corpus::Corpus;
use processes::Launch;
use screen::Screen;
use serde_json::json;
use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// A member of the demo's federation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSetup {
    /// Its name in the charter.
    pub name: String,
    /// Its folder, ready for `archipel run`.
    pub dir: PathBuf,
}

/// A federation that is ready to run.
#[derive(Clone, Debug)]
pub struct FoundedRun {
    /// The run.
    pub run_id: RunId,
    /// Its members, in the order of the members.
    pub members: Vec<MemberSetup>,
    /// The state they are at: 0 where the federation is new.
    pub first_round: Round,
    /// The state the plan ends with.
    pub rounds: Round,
    /// Members that must run for a state to be certified.
    pub quorum: usize,
    /// Parameters of the model.
    pub parameters: u64,
    /// Inner steps of a member in a round.
    pub steps_per_round: u64,
    /// The order-1 conditional entropy of the held-out text, in bits per byte.
    pub order1_entropy: f64,
    /// Bits per byte of the state the run is at, where known before the members say it.
    pub first_bits_per_byte: Option<f64>,
    /// The model in one line, for people.
    pub model: String,
    /// The text in one line, for people.
    pub text: String,
}

/// Text a trained model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it was given.
    pub prompt: String,
    /// What it wrote after that.
    pub text: String,
    /// The checkpoint it was loaded from, for `archipel generate`.
    pub checkpoint: PathBuf,
}

/// What the demo asks of the rest of the node. May take long: it is called on a worker.
pub trait Founding: Send + Sync + 'static {
    /// Opens the federation that lives in `dir`; `None` where there is none.
    ///
    /// # Errors
    /// Where there is one, and it cannot go on.
    fn reopen(&self, dir: &Path, args: &DemoArgs) -> anyhow::Result<Option<FoundedRun>>;

    /// Founds a federation in the empty folder `dir`.
    ///
    /// # Errors
    /// Where the folder cannot be written, or no plan suits the arguments.
    fn found(
        &self,
        dir: &Path,
        names: &[String],
        corpus: &Corpus,
        args: &DemoArgs,
    ) -> anyhow::Result<FoundedRun>;

    /// Prepares one more member, and has the running members admit it. `round` has begun.
    ///
    /// # Errors
    /// Where the members refuse, or do not answer.
    fn admit(&self, dir: &Path, round: Round) -> anyhow::Result<MemberSetup>;

    /// Generates text with the last state. No member runs any more.
    ///
    /// # Errors
    /// Where the state cannot be read.
    fn sample(&self, dir: &Path) -> anyhow::Result<Sample>;

    /// How to start a member: this very executable as a node.
    ///
    /// # Errors
    /// Where this executable cannot be found.
    fn launch(&self, member: &MemberSetup) -> anyhow::Result<Launch> {
        let arguments = ["run", "--json", "--until-stdin-closes", "--dir"];
        let mut arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        arguments.push(member.dir.clone().into_os_string());
        Ok(Launch {
            program: env::current_exe()?,
            arguments,
            log: member.dir.join("log.txt"),
        })
    }
}

/// Runs the demo. To be called outside any async runtime.
///
/// The exit code is 0 where all members ended on one state, 1 where they did not, and 128 plus
/// the signal's number after a signal.
///
/// # Errors
/// Where the federation cannot be founded, or a member's process ends before its time.
pub fn run(args: &DemoArgs, founding: Arc<dyn Founding>) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::on_stdout(args.json);
    run_on(args, founding, &mut screen)
}

fn run_on(
    args: &DemoArgs,
    founding: Arc<dyn Founding>,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(drive::drive(args, founding, screen));
    // Work that was interrupted on a worker is not waited for.
    runtime.shutdown_background();
    if let Err(error) = &result {
        // The first error is the one to report, whatever becomes of the screen.
        let _ = screen.close();
        let _ = screen.tell(&json!({ "event": "failed", "text": told(error) }));
    }
    result
}

#[cfg(test)]
mod tests;
