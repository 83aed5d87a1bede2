//! `archipel init`: a member's key and configuration.

use super::{args::FOLDER, read_charter, read_text, write_new_file};
use crate::{
    config::{CHARTER_FILE, CONFIG_FILE, KEY_FILE, NodeConfig, SecretKey},
    driver::HOLDOUT_FILE,
};
use anyhow::{Context, bail};
use archipel_protocol::charter::{MAX_CHARTER_BYTES, is_name};
use archipel_protocol::ids::MemberId;
use clap::Args;
use libp2p::Multiaddr;
use std::path::{Path, PathBuf};

/// What a folder may hold before a member is made in it: its own files, which may come first.
const OWN_FILES: [&str; 5] = [CHARTER_FILE, CONFIG_FILE, KEY_FILE, HOLDOUT_FILE, "data"];

/// Make a member's key and configuration in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct InitArgs {
    /// The member's folder, made if there is none [default: the present one, if it is empty].
    #[arg(id = FOLDER, long = "dir", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The member's name: 1 to 64 of a-z 0-9 -.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Address to listen on; may be given several times.
    #[arg(long, value_name = "MULTIADDR", default_values =
        ["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001"])]
    pub listen: Vec<Multiaddr>,
    /// Address that other sites reach this one at, such as /dns4/example.org/udp/4001/quic-v1;
    /// may be given several times.
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<Multiaddr>,
    /// Folder of prepared data; relative paths start from the member's folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The charter of a federation that has one, to be copied into the folder as charter.toml.
    #[arg(long, value_name = "FILE")]
    pub charter: Option<PathBuf>,
    /// Threads to train with [default: all cores].
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(crate::config::MAX_THREADS)))]
    pub threads: Option<u16>,
}

/// Makes the key and the configuration; the id line goes to stdout, the rest to stderr.
///
/// # Errors
/// A folder that holds a member already, or cannot be written to.
pub fn init(args: &InitArgs) -> anyhow::Result<()> {
    if !is_name(&args.name) {
        bail!(
            "--name: expected 1 to 64 characters of a-z 0-9 -, found `{}`",
            args.name.escape_debug()
        );
    }
    let dir = folder(args)?;
    let (config, member) = found(args, &dir)?;
    eprintln!("{}", report(&dir, &config));
    println!("{}", id_line(&config, &member));
    eprintln!("\n{}", hints(&config));
    Ok(())
}

/// The folder to make: a key does not go among files that have nothing to do with it, unless that
/// is said.
fn folder(args: &InitArgs) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.dir {
        return Ok(dir.clone());
    }
    let here = PathBuf::from(".");
    let entries = std::fs::read_dir(&here).context("cannot list the present folder")?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !OWN_FILES.contains(&name.as_str()))
        .collect();
    names.sort();
    let Some(first) = names.first() else {
        return Ok(here);
    };
    let name = &args.name;
    bail!(
        "expected an empty folder, found {first} in the present one: make the member's folder \
         with `archipel init --dir {name} --name {name}`, or say `--dir .` for the present one"
    )
}

/// Makes the files and says what is in them.
fn found(args: &InitArgs, dir: &Path) -> anyhow::Result<(NodeConfig, MemberId)> {
    let config = NodeConfig {
        name: args.name.clone(),
        key: PathBuf::from(KEY_FILE),
        listen: args.listen.clone(),
        external: args.external.clone(),
        data: args.data.clone(),
        threads: args.threads,
        compress: None,
    };
    // Read before anything is written: a folder is made whole or not at all.
    let charter = args.charter.as_deref().map(charter_text).transpose()?;
    let path = dir.join(CONFIG_FILE);
    let text = config.to_toml();
    NodeConfig::parse(&text, &path)?;
    if path.exists() {
        bail!(
            "{} exists: expected a folder without a member; choose another folder, or start this \
             one with `archipel run --dir {}`",
            path.display(),
            dir.display()
        );
    }
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let key = SecretKey::generate()?;
    key.save(&config.key_path(dir), &config.name)?;
    write_new_file(&path, &text)?;
    if let Some(text) = charter {
        write_new_file(&dir.join(CHARTER_FILE), &text)?;
    }
    Ok((config, key.member()))
}

/// The text of a charter, as it is, once it has been read as one.
fn charter_text(file: &Path) -> anyhow::Result<String> {
    read_charter(file)?;
    Ok(read_text(file, MAX_CHARTER_BYTES)?)
}

/// The line by which others list a member: name, key, addresses.
fn id_line(config: &NodeConfig, member: &MemberId) -> String {
    let mut line = format!("{} {member}", config.name);
    for address in config.advertised() {
        line.push(' ');
        line.push_str(&address);
    }
    line
}

fn report(dir: &Path, config: &NodeConfig) -> String {
    let (name, key) = (&config.name, config.key_path(dir));
    format!(
        "Made the member {name}.\n\n\
         \x20 key            {}   (secret: whoever has it is {name})\n\
         \x20 configuration  {}\n\n\
         Back up the key file, now, in another place: {}\n\
         \x20 Without it {name} cannot come back; the others would have to vote to remove it\n\
         \x20 and admit a new key. Nothing else here needs one: a node fetches the rest from\n\
         \x20 the other members. Do not restore an old copy of the folder, and never run two\n\
         \x20 nodes with one key: two contradicting signatures are proof against {name}.\n\n\
         Send this line to whoever writes the charter (archipel charter add-member takes it):\n",
        key.display(),
        dir.join(CONFIG_FILE).display(),
        key.display(),
    )
}

fn hints(config: &NodeConfig) -> String {
    let mut out = String::new();
    if config.advertised().is_empty() {
        out.push_str(
            "The line has no address that others can dial. That works as long as this node can\n\
             dial one of them; otherwise add what they reach it at to `external` in node.toml.\n",
        );
    }
    let shown: Vec<String> = config.listen.iter().map(Multiaddr::to_string).collect();
    out + &format!("The node will listen on {}.", shown.join(" and "))
}
