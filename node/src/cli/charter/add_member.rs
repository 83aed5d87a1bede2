//! `archipel charter add-member`: one more line in the list of members.

use super::document::CharterFile;
use super::role_name;
use crate::cli::text;
use crate::commands::refuse_secret;
use anyhow::bail;
use archipel_protocol::charter::{Charter, CharterError, CharterMember, MemberRole};
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
    let mut file = CharterFile::open(&args.file)?;
    let member = parse_line(&args.line, args.role)?;
    check(&file.signed().charter, &member)?;
    let dropped = file.remove_signatures();
    let (name, role) = (member.name.clone(), role_name(member.role));
    file.add_member(member);
    file.save()?;
    let charter = &file.signed().charter;
    eprintln!("Added {name} as {role} to {}.", args.file.display());
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

/// Refuses a member that a charter cannot list beside the others.
fn check(charter: &Charter, member: &CharterMember) -> anyhow::Result<()> {
    let listed = charter.member(&member.id);
    if listed.is_some_and(|listed| listed.name == member.name) {
        bail!(
            "{} is listed with this key already: nothing was changed. Its role and addresses are \
             edited in the file",
            member.name
        );
    }
    let mut longer = charter.clone();
    longer.members.push(member.clone());
    match longer.validate() {
        // Wrong about the list itself: refused. What else is missing comes later.
        Err(
            error @ (CharterError::Members { .. }
            | CharterError::MemberName { .. }
            | CharterError::DuplicateName { .. }
            | CharterError::DuplicateKey { .. }
            | CharterError::Addresses { .. }
            | CharterError::Address { .. }),
        ) => Err(error.into()),
        _ => Ok(()),
    }
}
