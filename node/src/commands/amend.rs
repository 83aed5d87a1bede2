//! What an operator asks of a running node: to leave, to propose, to vote.

use crate::{
    cli::args::{AmendmentsArgs, ChangeArgs, LeaveArgs, ProposeArgs, VoteArgs},
    control::{Answer, Proposal, Request, ask},
};
use anyhow::{Context, bail};
use archipel_protocol::ids::MemberId;
use libp2p::Multiaddr;

/// `archipel leave`.
///
/// # Errors
/// Where no node runs there, or it refuses.
pub fn leave(args: &LeaveArgs) -> anyhow::Result<()> {
    let (request, text) = match args.back {
        false => (
            Request::Leave,
            "Asked to leave. It takes effect with the round after the next block; until then the \
             node takes part. Come back with `archipel leave --return`.",
        ),
        true => (
            Request::Return,
            "Asked to return. It takes effect with the round after the next block.",
        ),
    };
    match ask(&args.dir, &request)? {
        Answer::Asked => println!("{text}"),
        other => bail!("expected a confirmation, the node answered {other:?}"),
    }
    Ok(())
}

/// `archipel charter propose`.
///
/// # Errors
/// Where the line is none, no node runs there, or it refuses.
pub fn propose(args: &ProposeArgs) -> anyhow::Result<()> {
    let proposal = match &args.change {
        ChangeArgs::Admit { line } => admission(line)?,
        ChangeArgs::Remove { name } => Proposal::Remove(name.clone()),
        ChangeArgs::Suspend { name } => Proposal::Suspend(name.clone()),
    };
    match ask(&args.dir, &Request::Propose(proposal))? {
        Answer::Proposed(digest) => {
            println!("{digest}");
            eprintln!(
                "Proposed, with this member's consent. The others consent with\n  archipel charter \
                 vote --dir DIR {digest}"
            );
        }
        other => bail!("expected the amendment's identity, the node answered {other:?}"),
    }
    Ok(())
}

/// Reads the line that `archipel init` printed.
pub(super) fn admission(line: &[String]) -> anyhow::Result<Proposal> {
    let joined = line.join(" ");
    let mut words = joined.split_whitespace();
    let (Some(name), Some(key)) = (words.next(), words.next()) else {
        bail!("expected a line of name, key and addresses, found {joined:?}: copy it whole");
    };
    let id: MemberId = key.parse().with_context(|| {
        format!("the key of {name}, in the line that `archipel init` printed: {key:?}")
    })?;
    let addresses: Result<Vec<Multiaddr>, _> = words.map(str::parse).collect();
    Ok(Proposal::Admit {
        id,
        name: name.to_owned(),
        addresses: addresses.with_context(|| format!("an address of {name}"))?,
    })
}

/// `archipel charter vote`.
///
/// # Errors
/// Where the identity is none, no node runs there, or the amendment is not open.
pub fn vote(args: &VoteArgs) -> anyhow::Result<()> {
    let digest = args.amendment.parse().with_context(|| {
        format!(
            "expected the 64 digits that `propose` printed, found {:?}",
            args.amendment
        )
    })?;
    match ask(&args.dir, &Request::Vote(digest))? {
        Answer::Asked => println!("Voted for {digest}."),
        other => bail!("expected a confirmation, the node answered {other:?}"),
    }
    Ok(())
}

/// `archipel charter amendments`.
///
/// # Errors
/// Where no node runs there.
pub fn amendments(args: &AmendmentsArgs) -> anyhow::Result<()> {
    let Answer::Amendments(open) = ask(&args.dir, &Request::Amendments)? else {
        bail!("expected the open amendments, the node answered something else");
    };
    if args.json {
        println!("{}", serde_json::to_string(&open)?);
        return Ok(());
    }
    if open.is_empty() {
        println!("No amendment is open.");
    }
    for open in open {
        let (consents, needed) = (open.consents, open.needed);
        println!(
            "{}  {consents} of {needed} consents  {}",
            open.amendment, open.does
        );
    }
    Ok(())
}
