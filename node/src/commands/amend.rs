//! What an operator asks of a running node: to leave, to propose, to vote.

use crate::{
    cli::args::{AmendmentsArgs, ChangeArgs, LeaveArgs, ProposeArgs, VoteArgs},
    control::{Answer, Open, Proposal, Request, ask},
};
use anyhow::{Context, bail};
use archipel_protocol::{crypto::SECRET_KEY_KIND, ids::MemberId};
use libp2p::Multiaddr;
use std::path::Path;

/// What a node of another version may cause.
const OTHER_ANSWER: &str =
    "the node answered something else than was asked: is it of another version?";

/// `archipel leave`.
///
/// # Errors
/// If no node runs there, or it refuses.
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
        _ => bail!(OTHER_ANSWER),
    }
    Ok(())
}

/// `archipel charter propose`.
///
/// # Errors
/// If the line is none, no node runs there, or it refuses.
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
                 vote {} --dir DIR",
                &digest.to_string()[..12]
            );
        }
        _ => bail!(OTHER_ANSWER),
    }
    Ok(())
}

/// Refuses the line of a secret key in the place of a member's.
///
/// # Errors
/// A line that may hold a secret key. It is not quoted.
pub(crate) fn refuse_secret(line: &str) -> anyhow::Result<()> {
    let is_kind = |word: &str| word.eq_ignore_ascii_case(SECRET_KEY_KIND);
    if line.split_whitespace().any(is_kind) {
        bail!(
            "expected the line that `archipel init` printed, found a secret key, of which nothing \
             is shown: take the line of name, public key and addresses"
        );
    }
    Ok(())
}

/// Reads the line that `archipel init` printed.
pub(super) fn admission(line: &[String]) -> anyhow::Result<Proposal> {
    let joined = line.join(" ");
    refuse_secret(&joined)?;
    let mut words = joined.split_whitespace();
    let (Some(name), Some(key)) = (words.next(), words.next()) else {
        bail!("expected a line of name, key and addresses, found `{joined}`: copy it whole");
    };
    let id: MemberId = key.parse().with_context(|| {
        format!("the key of {name}, in the line that `archipel init` printed: `{key}`")
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
/// A beginning that fits no open amendment or several, no node that runs there, or one that
/// refuses.
pub fn vote(args: &VoteArgs) -> anyhow::Result<()> {
    let open = open_amendments(&args.dir)?;
    let wanted = chosen(&args.amendment, &open)?;
    match ask(&args.dir, &Request::Vote(wanted.amendment))? {
        Answer::Asked => println!("Voted for {}: {}.", wanted.amendment, wanted.does),
        _ => bail!(OTHER_ANSWER),
    }
    Ok(())
}

/// The one amendment whose hash begins so.
fn chosen<'a>(beginning: &str, open: &'a [Open]) -> anyhow::Result<&'a Open> {
    let beginning = beginning.trim().trim_end_matches('…').to_ascii_lowercase();
    let is_meant = |open: &&Open| open.amendment.to_string().starts_with(&beginning);
    let meant: Vec<&Open> = match beginning.is_empty() {
        true => Vec::new(),
        false => open.iter().filter(is_meant).collect(),
    };
    let (found, which) = match (meant.as_slice(), open) {
        ([one], _) => return Ok(one),
        ([], []) => bail!(
            "expected an open amendment, found none: see `archipel charter amendments`, and \
             `archipel charter propose`"
        ),
        ([], all) => (
            "none begins: give that of one of these",
            all.iter().collect(),
        ),
        (several, _) => ("several begin: give more of one of these", several.to_vec()),
    };
    let lines: Vec<String> = which.into_iter().map(line).collect();
    bail!(
        "expected the hash of one open amendment, or its beginning, found `{}`, with which \
         {found}\n{}",
        beginning.escape_debug(),
        lines.join("\n")
    )
}

fn open_amendments(dir: &Path) -> anyhow::Result<Vec<Open>> {
    match ask(dir, &Request::Amendments)? {
        Answer::Amendments(open) => Ok(open),
        _ => bail!(OTHER_ANSWER),
    }
}

fn line(open: &Open) -> String {
    let (consents, needed) = (open.consents, open.needed);
    format!(
        "{}  {consents} of {needed} consents  {}",
        open.amendment, open.does
    )
}

/// `archipel charter amendments`.
///
/// # Errors
/// If no node runs there.
pub fn amendments(args: &AmendmentsArgs) -> anyhow::Result<()> {
    let open = open_amendments(&args.dir)?;
    if open.is_empty() && !args.json {
        println!("No amendment is open.");
    }
    for open in &open {
        match args.json {
            true => println!("{}", serde_json::to_string(open)?),
            false => println!("{}", line(open)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(first: u8, does: &str) -> Open {
        let mut hash = [0x11; 32];
        hash[0] = first;
        Open {
            amendment: archipel_protocol::ids::Digest(hash),
            does: does.to_owned(),
            consents: 1,
            needed: 3,
        }
    }

    #[test]
    fn a_hash_is_known_by_its_beginning() {
        let all = [open(0xab, "admit porto"), open(0xac, "remove gent")];
        let whole = all[1].amendment.to_string();
        for beginning in ["ac", "AC11", "ac1111…", &whole] {
            assert_eq!(chosen(beginning, &all).expect(beginning), &all[1]);
        }
    }

    #[test]
    fn a_beginning_of_none_or_several_is_answered_with_those_that_are_open() {
        let all = [
            open(0xab, "admit porto"),
            open(0xac, "remove gent"),
            open(0x01, "suspend a"),
        ];
        let refused = |beginning| chosen(beginning, &all).expect_err(beginning).to_string();
        let none = refused("ff");
        assert!(none.contains("`ff`, with which none begins"), "{none}");
        assert!(all.iter().all(|open| none.contains(&open.does)), "{none}");
        let several = refused("a");
        assert!(
            several.contains("several") && several.contains("admit porto"),
            "{several}"
        );
        assert!(
            several.contains("remove gent") && !several.contains("suspend a"),
            "{several}"
        );
        for odd in ["", " ", "…"] {
            assert!(refused(odd).contains("none"));
        }
        let nothing = chosen("ab", &[]).expect_err("none is open").to_string();
        assert!(nothing.contains("archipel charter propose"), "{nothing}");
    }

    #[test]
    fn a_secret_is_no_line_of_a_member() {
        let secret = "7b".repeat(32);
        for line in [
            format!("ed25519 {secret}"),
            format!("# The key ed25519 {secret}"),
        ] {
            let refused = admission(&[line]).expect_err("a secret").to_string();
            assert!(
                refused.contains("secret key") && !refused.contains(&secret),
                "{refused}"
            );
        }
    }
}
