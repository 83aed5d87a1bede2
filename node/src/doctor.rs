//! `archipel doctor`: what this machine and a member's folder have, what is missing, what to do.
//!
//! Nothing is changed, and the node may be running. No connection is opened, unless the other
//! members are to be dialed.

mod access;
mod cards;
mod clock;
mod folder;
mod machine;
mod network;
mod page;
mod peers;

use crate::cli::args::FOLDER;
use clap::Args;
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode};

/// Check what this machine and a member's folder have, and say what to do about the rest.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// A member's folder; without it, the machine alone is looked at.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Dial every address of every member, and say what each answered; ten seconds or more.
    #[arg(long, requires = FOLDER)]
    pub peers: bool,
    /// Judge the folder for a node that trains nothing: `archipel run --observe`.
    #[arg(long)]
    pub observe: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How a thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not known from here, and so neither good nor bad.
    Untested,
    /// The node runs, and would do better with something else.
    Note,
    /// The node cannot run.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub what: &'static str,
    /// How it was found.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            verdict,
            found: found.into(),
            advice: None,
        }
    }

    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Good, what, found)
    }

    fn untested(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Untested, what, found)
    }

    fn note(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Note, what, found)
    }

    fn bad(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Bad, what, found)
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }

    /// An error's text. What is to be done is the sentence after the first, or else what is said
    /// after the last colon, unless it is the system's reason.
    fn refused(verdict: Verdict, what: &'static str, error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        let sentence = text.match_indices(". ").find(|(at, _)| {
            let next = text[at + 2..].chars().next();
            next.is_some_and(char::is_uppercase)
        });
        let parts = match sentence {
            Some((at, _)) => Some((&text[..at], &text[at + 2..])),
            None => text.rsplit_once(": "),
        };
        match parts {
            Some((found, advice)) if !advice.contains("(os error") => {
                Self::new(verdict, what, found).advise(advice)
            }
            _ => Self::new(verdict, what, text),
        }
    }
}

/// Things that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Their heading.
    pub title: &'static str,
    /// Each of them.
    pub findings: Vec<Finding>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the node can run.
    pub can_run: bool,
    /// What was looked at.
    pub groups: Vec<Group>,
}

impl Report {
    fn of(groups: Vec<Group>) -> Self {
        let mut all = groups.iter().flat_map(|group| &group.findings);
        Self {
            can_run: all.all(|finding| finding.verdict != Verdict::Bad),
            groups,
        }
    }

    fn of_verdict(&self, verdict: Verdict) -> impl Iterator<Item = &Finding> {
        let all = self.groups.iter().flat_map(|group| &group.findings);
        all.filter(move |finding| finding.verdict == verdict)
    }
}

/// Looks at everything.
pub fn look(args: &DoctorArgs) -> Report {
    let member = args.dir.as_deref();
    let member = member.map(|dir| folder::Folder::open(dir, args.observe));
    let mut groups = vec![Group {
        title: "this machine",
        findings: machine::findings(member.as_ref()),
    }];
    if let Some(member) = &member {
        groups.push(Group {
            title: "the member's folder",
            findings: member.findings(),
        });
        groups.push(Group {
            title: "the network",
            findings: network::findings(member),
        });
        if args.peers {
            groups.push(Group {
                title: "the other members",
                findings: peers::findings(member.dir()),
            });
        }
    }
    groups.push(Group {
        title: "cards",
        findings: cards::findings(),
    });
    let report = Report::of(groups);
    // Every fault has its finding; should one be left out, a node would still not start.
    let is_fit = member.is_none_or(|member| member.is_fit());
    Report {
        can_run: report.can_run && is_fit,
        ..report
    }
}

/// `archipel doctor`: prints what was found; fails where the node could not run.
///
/// # Errors
/// A report that cannot be written as JSON, which does not happen.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = look(args);
    match args.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{}", page::page(&report)),
    }
    Ok(match report.can_run {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests;
