//! `archipel data prepare`: text files and folders become shards under a manifest.

use super::{charter_lines, show};
use anyhow::bail;
use archipel_trainer::data::{DataClass, PrepareOptions, PrepareProgress, prepare};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cli::text::{bytes, grouped};

/// Turn text files and folders into training data.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct PrepareArgs {
    /// Text files, and folders of them; folders are read in name order.
    #[arg(required = true, value_name = "SRC")]
    pub sources: Vec<PathBuf>,
    /// Folder to write to, outside the sources.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The data's name [default: that of the folder].
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Who may see the data.
    #[arg(long, value_enum, default_value_t = ClassArg::Sovereign)]
    pub class: ClassArg,
    /// Its language.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    pub language: String,
    /// Its licence.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    pub licence: String,
    /// Where it comes from.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    pub provenance: String,
    /// Part of each document that is held out, in percent.
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out_percent: u8,
    /// Most bytes of text to take; files that would pass it are skipped.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_bytes: Option<u64>,
    /// From folders, take only files with this extension, such as txt; may be given several times.
    #[arg(long, value_name = "EXT")]
    pub extension: Vec<String>,
}

/// Who may see data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassArg {
    /// Everyone may replay it.
    Public,
    /// Served to members only, by hash, under its licence.
    Shared,
    /// Never leaves this site.
    Sovereign,
}

pub(super) fn run(args: &PrepareArgs) -> anyhow::Result<()> {
    let options = options(args)?;
    let mut ticker = Ticker::new();
    let prepared = prepare(&args.sources, &args.out, &options, &mut |at| {
        ticker.show(at)
    });
    ticker.finish();
    let manifest = prepared?;
    print!("{}", show::page(&manifest));
    eprintln!(
        "\nWrote {}. A node trains on it when its node.toml says\n\
         \x20 data = {}\n\
         To declare it in the charter, add these lines, and `member = \"NAME\"` if it is one's own:\
         \n{}",
        args.out.display(),
        toml::Value::from(absolute(&args.out)),
        charter_lines(&manifest)
    );
    Ok(())
}

fn options(args: &PrepareArgs) -> anyhow::Result<PrepareOptions> {
    let folder = args
        .out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let extensions = args
        .extension
        .iter()
        .map(|e| e.trim_start_matches('.').to_owned());
    let extensions: Vec<String> = extensions.collect();
    if extensions.iter().any(String::is_empty) {
        bail!("--extension: expected letters such as txt, found nothing: leave it out for all");
    }
    Ok(PrepareOptions {
        name: args
            .name
            .clone()
            .or(folder)
            .unwrap_or_else(|| "unnamed".to_owned()),
        class: match args.class {
            ClassArg::Public => DataClass::Public,
            ClassArg::Shared => DataClass::Shared,
            ClassArg::Sovereign => DataClass::Sovereign,
        },
        language: args.language.clone(),
        licence: args.licence.clone(),
        provenance: args.provenance.clone(),
        held_out_percent: args.held_out_percent,
        max_bytes: args.max_bytes.unwrap_or(u64::MAX),
        extensions,
        ..PrepareOptions::default()
    })
}

/// The folder's full path where the system knows it, else as given.
fn absolute(path: &std::path::Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

/// Says on stderr how far it is: often on a terminal, every five seconds elsewhere.
struct Ticker {
    terminal: bool,
    last: Instant,
    drawn: bool,
}

impl Ticker {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            terminal,
            last: Instant::now(),
            drawn: false,
        }
    }

    fn show(&mut self, at: &PrepareProgress<'_>) {
        let pause = Duration::from_millis(if self.terminal { 100 } else { 5000 });
        if self.last.elapsed() < pause {
            return;
        }
        self.last = Instant::now();
        let text = format!("{} documents, {}", grouped(at.documents), bytes(at.bytes));
        let mut stderr = std::io::stderr().lock();
        // A closed stderr is no reason to stop preparing data.
        let _ = match self.terminal {
            true => write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{text}"),
        };
        self.drawn = self.terminal;
    }

    fn finish(&self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
