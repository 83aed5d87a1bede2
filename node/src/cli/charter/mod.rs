//! `archipel charter …`: the founding document, from a template to all signatures.

mod add_member;
mod new;
mod offer;
mod show;
mod sign;
mod verify;

use super::args::{AmendmentsArgs, ProposeArgs, VoteArgs};
use crate::commands;
use add_member::AddMemberArgs;
use archipel_protocol::charter::{Charter, CharterMember, MemberRole, SignedCharter};
use clap::Subcommand;
use new::NewArgs;
pub(crate) use new::read_plan;
use show::ShowArgs;
use sign::SignArgs;
use verify::VerifyArgs;

/// The commands on a charter file.
#[derive(Debug, Subcommand)]
pub enum CharterCommand {
    /// Write a charter without members.
    New(NewArgs),
    /// Add a member by the line that its `archipel init` printed.
    AddMember(AddMemberArgs),
    /// Sign a charter as a member.
    Sign(SignArgs),
    /// Check a charter and all its signatures.
    Verify(VerifyArgs),
    /// Show a charter, and what it asks of a site.
    Show(ShowArgs),
    /// Propose a change of membership to the other members.
    Propose(ProposeArgs),
    /// Vote for an amendment that a member proposed.
    Vote(VoteArgs),
    /// List the open amendments.
    Amendments(AmendmentsArgs),
}

pub(super) fn run(command: CharterCommand) -> anyhow::Result<()> {
    match command {
        CharterCommand::New(args) => new::run(&args),
        CharterCommand::AddMember(args) => add_member::run(&args),
        CharterCommand::Sign(args) => sign::run(&args),
        CharterCommand::Verify(args) => verify::run(&args),
        CharterCommand::Show(args) => show::run(&args),
        CharterCommand::Propose(args) => commands::propose(&args),
        CharterCommand::Vote(args) => commands::vote(&args),
        CharterCommand::Amendments(args) => commands::amendments(&args),
    }
}

/// The voting members whose signature is not in the file.
fn unsigned(signed: &SignedCharter) -> Vec<&CharterMember> {
    let has = |member: &CharterMember| signed.signatures.iter().any(|s| s.member == member.id);
    voting(&signed.charter)
        .filter(|member| !has(member))
        .collect()
}

fn voting(charter: &Charter) -> impl Iterator<Item = &CharterMember> {
    charter
        .members
        .iter()
        .filter(|member| member.role == MemberRole::Member)
}

fn names(members: &[&CharterMember]) -> String {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    names.join(", ")
}

fn role_name(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Member => "member",
        MemberRole::Observer => "observer",
        MemberRole::Auditor => "auditor",
        MemberRole::Relay => "relay",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! Charters for the tests of the commands.

    use super::*;
    use archipel_protocol::charter::{FaultModel, Plan};
    use archipel_protocol::crypto::{Ed25519Signer, Signer};

    /// A charter of so many voting members.
    pub(crate) fn charter(voters: u8, plan: Plan) -> Charter {
        let members = (1..=voters).map(|seed| CharterMember {
            id: Ed25519Signer::new(&[seed; 32]).member(),
            name: format!("member-{seed}"),
            role: MemberRole::Member,
            addresses: Vec::new(),
        });
        Charter {
            name: "islands".to_owned(),
            founding_nonce: [1; 32],
            fault_model: FaultModel::Byzantine,
            threshold: None,
            members: members.collect(),
            plan,
        }
    }
}
