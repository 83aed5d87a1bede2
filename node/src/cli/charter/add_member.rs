//! `archipel charter add-member`: one more line in the list of members.

use super::role_name;
use crate::cli::{read_charter, replace_file, text};
use crate::commands::refuse_secret;
use anyhow::bail;
use archipel_protocol::charter::{CharterError, CharterMember, MemberRole, SignedCharter};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Add a member by the line that its `archipel init` printed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct AddMemberArgs {
    /// The charter file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name, key and addresses, as printed; quotes are not needed.
    #[arg(required = true, value_name = "LINE")]
    pub line: Vec<String>,
    /// What the member does.
    #[arg(long, value_enum, default_value_t = RoleArg::Member)]
    pub role: RoleArg,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Trains and votes.
    Member,
    /// Follows the run and holds its states.
    Observer,
    /// Follows the run and checks it.
    Auditor,
    /// Passes messages on between members.
    Relay,
}

pub(super) fn run(args: &AddMemberArgs) -> anyhow::Result<()> {
    let mut signed = read_charter(&args.file)?;
    let dropped = add(&mut signed, parse_line(&args.line, args.role)?)?;
    replace_file(&args.file, &signed.to_toml()?)?;
    let charter = &signed.charter;
    let added = charter.members.last().expect("one was just added");
    let role = role_name(added.role);
    eprintln!("Added {} as {role} to {}.", added.name, args.file.display());
    if dropped > 0 {
        let signatures = text::plural(dropped, "signature");
        eprintln!("Removed {signatures}: they were for the charter before. Sign it again.");
    }
    eprintln!("Agreement: {}", super::show::agreement(charter));
    if let Err(error) = charter.validate() {
        eprintln!("Before it can be signed: {error}");
    }
    Ok(())
}

/// Reads name, key and addresses.
fn parse_line(line: &[String], role: RoleArg) -> anyhow::Result<CharterMember> {
    let joined = line.join(" ");
    refuse_secret(&joined)?;
    let mut words = joined.split_whitespace();
    let (Some(name), Some(key)) = (words.next(), words.next()) else {
        bail!("expected a line of name, key and addresses, found `{joined}`: copy it whole");
    };
    let id = match key.parse() {
        Ok(id) => id,
        Err(error) => bail!("the key of {name}: {error}: copy the line that `init` printed"),
    };
    let role = match role {
        RoleArg::Member => MemberRole::Member,
        RoleArg::Observer => MemberRole::Observer,
        RoleArg::Auditor => MemberRole::Auditor,
        RoleArg::Relay => MemberRole::Relay,
    };
    let addresses: Vec<String> = words.map(str::to_owned).collect();
    for address in &addresses {
        if let Err(error) = address.parse::<libp2p::Multiaddr>() {
            bail!("an address of {name}: expected a multiaddr, found `{address}`: {error}");
        }
    }
    Ok(CharterMember {
        id,
        name: name.to_owned(),
        role,
        addresses,
    })
}

/// Adds a member; returns how many signatures that made void.
fn add(signed: &mut SignedCharter, member: CharterMember) -> anyhow::Result<usize> {
    signed.charter.members.push(member);
    match signed.charter.validate() {
        // Wrong about the list itself: refused. What else is missing comes later.
        Err(
            error @ (CharterError::Members { .. }
            | CharterError::MemberName { .. }
            | CharterError::DuplicateName { .. }
            | CharterError::DuplicateKey { .. }
            | CharterError::Addresses { .. }
            | CharterError::Address { .. }),
        ) => Err(error.into()),
        _ => Ok(std::mem::take(&mut signed.signatures).len()),
    }
}
