//! `archipel charter …`: the founding document, from a template to all signatures.

mod add_member;
mod document;
mod merge;
mod new;
mod offer;
mod show;
mod sign;
mod verify;

use super::args::{AmendmentsArgs, ProposeArgs, VoteArgs};
use crate::commands;
use add_member::AddMemberArgs;
use archipel_protocol::charter::{Charter, CharterMember, MemberRole, SignedCharter};
use archipel_protocol::crypto::{Ed25519Verifier, Role, Verifier};
use clap::Subcommand;
use merge::MergeArgs;
use new::NewArgs;
pub(crate) use new::read_plan;
pub(crate) use offer::{DEFAULT_GFLOPS, Offer};
use show::ShowArgs;
use sign::SignArgs;
use std::path::Path;
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
    /// Join the signatures of copies that were signed side by side.
    Merge(MergeArgs),
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
        CharterCommand::Merge(args) => merge::run(&args),
        CharterCommand::Verify(args) => verify::run(&args),
        CharterCommand::Show(args) => show::run(&args),
        CharterCommand::Propose(args) => commands::propose(&args),
        CharterCommand::Vote(args) => commands::vote(&args),
        CharterCommand::Amendments(args) => commands::amendments(&args),
    }
}

/// What a member's signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is of this charter.
    Signed,
    /// It is of another text: the charter was changed after the member signed.
    Void,
    /// There is none.
    Missing,
}

impl Standing {
    fn of(signed: &SignedCharter, member: &CharterMember) -> Self {
        let Some(found) = signed.signatures.iter().find(|s| s.member == member.id) else {
            return Self::Missing;
        };
        let run_id = signed.run_id();
        match Ed25519Verifier.verify(&member.id, Role::Charter, &run_id.0, &found.signature) {
            true => Self::Signed,
            false => Self::Void,
        }
    }
}

/// The voting members without a signature of this charter.
fn unsigned(signed: &SignedCharter) -> Vec<&CharterMember> {
    voting(&signed.charter)
        .filter(|member| Standing::of(signed, member) != Standing::Signed)
        .collect()
}

/// The members whose signature is of another text.
fn void(signed: &SignedCharter) -> Vec<&CharterMember> {
    let members = signed.charter.members.iter();
    members
        .filter(|member| Standing::of(signed, member) == Standing::Void)
        .collect()
}

/// Who has still to sign, and what comes after.
fn report_signatures(signed: &SignedCharter, file: &Path) {
    let void = void(signed);
    if !void.is_empty() {
        eprintln!(
            "Void, since the charter was changed after they signed: {}. They sign again.",
            names(&void)
        );
    }
    match unsigned(signed).as_slice() {
        [] => eprintln!(
            "All voting members have signed: check it with `archipel charter verify {}`; then \
             each site puts it into its folder as charter.toml.",
            file.display()
        ),
        missing => eprintln!("Still to sign: {}.", names(missing)),
    }
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
