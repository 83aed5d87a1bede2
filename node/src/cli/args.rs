//! What the commands take that speak to a running node, or start one.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The identity of `--dir` among clap's arguments: one for all commands, so that it may stand
/// before or after each word of a command.
pub const FOLDER: &str = "member-folder";

/// Run the node, in the foreground, until Ctrl-C.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RunArgs {
    /// The member's folder, with node.toml and charter.toml.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Print one JSON object a line on stdout; logs stay on stderr.
    #[arg(long)]
    pub json: bool,
    /// Stop when standard input closes, so that a parent's death ends the node too.
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// Train nothing: vote on the others' updates, hold them and fold them. A voting member
    /// without data needs it.
    #[arg(long)]
    pub observe: bool,
}

/// Show where a running node stands.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// The member's folder.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Wait until the node holds the certified state of round N, for scripts.
    #[arg(long, value_name = "N")]
    pub until_round: Option<u64>,
}

/// Watch a running node, until Ctrl-C. On a terminal as a table, elsewhere as plain lines.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TopArgs {
    /// The member's folder; its node must be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Show it once and end.
    #[arg(long)]
    pub once: bool,
}

/// Leave the federation; the seat stays, and its holder may return to it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct LeaveArgs {
    /// The member's folder; its node must be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Return, after having left.
    #[arg(long = "return")]
    pub back: bool,
}

/// Write the latest certified state of a member's folder as a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// The member's folder; its node may be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Hf)]
    pub format: Format,
    /// Write over a checkpoint that is there, without asking.
    #[arg(long)]
    pub force: bool,
}

/// Read a Llama that `transformers` wrote, and write it as a checkpoint of 32-bit floats.
///
/// Refused is what would be computed otherwise here: scaled rotary positions, biases, other
/// activations, heads of another width, sliding windows, quantized weights.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ImportArgs {
    /// The folder with config.json and model.safetensors, or the shards of one with their index.
    #[arg(value_name = "SRC")]
    pub source: PathBuf,
    /// The folder to write to; it must not have a checkpoint.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// A form of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Weights, shape and tokenizer, as `transformers` loads them.
    Hf,
    /// model.safetensors alone.
    Safetensors,
}

/// The commands on checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum CheckpointCommand {
    /// Write the latest certified state as a checkpoint.
    Export(ExportArgs),
    /// Read a Llama that `transformers` wrote, and write it as a checkpoint of 32-bit floats.
    Import(ImportArgs),
}

/// Propose a change of membership to the other members.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ProposeArgs {
    /// The folder of the member that proposes; its node must be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".", global = true)]
    pub dir: PathBuf,
    /// The change.
    #[command(subcommand)]
    pub change: ChangeArgs,
}

/// A change that a member may propose.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ChangeArgs {
    /// Admit a new member, or one that was removed before.
    Admit {
        /// The line that `archipel init` printed: name, key, addresses.
        #[arg(required = true, value_name = "LINE")]
        line: Vec<String>,
    },
    /// Remove a member for good; it may be admitted again.
    Remove {
        /// The member's name.
        name: String,
    },
    /// Suspend a member: it keeps its seat, and nobody waits for it.
    Suspend {
        /// The member's name.
        name: String,
    },
}

/// Vote for a proposed change.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct VoteArgs {
    /// The folder of the member that votes; its node must be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The change's hash, or its beginning, as `archipel charter amendments` shows it.
    #[arg(value_name = "AMENDMENT")]
    pub amendment: String,
}

/// List the changes that were proposed, with their votes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct AmendmentsArgs {
    /// The folder of a member; its node must be running.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Let a trained model continue a text.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct GenerateArgs {
    /// A member's folder, or one with an exported checkpoint.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// The text to continue.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// The model's tokenizer.json [default: the one beside its weights, the run's, or bytes].
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Tokens to generate; with bytes as tokens, so many bytes.
    #[arg(long, alias = "bytes", value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
    /// 0 takes the likeliest token every time; 1 draws as the model believes; at most 10.
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = temperature)]
    pub temperature: f32,
    /// Draw from the K likeliest tokens only.
    #[arg(long, value_name = "K", default_value_t = 40,
        value_parser = clap::value_parser!(u16).range(1..))]
    pub top_k: u16,
    /// The same number gives the same text.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// Measure how well a model predicts text that it was not trained on.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EvalArgs {
    /// A member's folder, or one with an exported checkpoint.
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// A folder of prepared data, whose held-out part is predicted.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Most tokens of a sector, spread evenly over it [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,
    /// Print one JSON object a line: one a sector, then one for all.
    #[arg(long)]
    pub json: bool,
}

fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=10.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 10".to_owned()),
    }
}
