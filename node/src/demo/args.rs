//! The demo's command line.

use crate::cli::args::FOLDER;
use archipel_protocol::ids::Round;
use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

/// Found a federation in a folder, train one model together, and show it.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct DemoArgs {
    /// Members to found the federation with, each a process of its own.
    /// Default: 4.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub members: Option<u16>,
    /// Rounds to train. Default: 20, or what the federation in the folder was founded with.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rounds: Option<u64>,
    /// Text to train on: any file, or a folder, whose files are dealt to the members. Default:
    /// the Rust sources in Cargo's registry.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// A plan of your own in place of the demo's: the [charter.plan] tables of a charter, without
    /// `charter.plan`, as `archipel charter new --plan` takes them. Deadlines are the demo's.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Where the federation lives. A folder that holds one already goes on with it. Default: a
    /// new folder among the temporary files.
    #[arg(id = FOLDER, long = "dir", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Derive everything from this number, keys and nonces included. Insecure: for tests only.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Wait for every member in every round, without a deadline.
    #[arg(long)]
    pub wait_all: bool,
    /// Kill that member's process in round K, as a crash would, and start it again two rounds
    /// later. May be given several times.
    #[arg(long, value_name = "NAME@round:K")]
    pub kill: Vec<Kill>,
    /// Admit one more member, by amendment, in round K.
    #[arg(long, value_name = "K")]
    pub join: Option<u64>,
    /// Print one JSON object a line on stdout and nothing else.
    #[arg(long)]
    pub json: bool,
}

/// One process to kill, as in `member-2@round:3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Name of the member.
    pub name: String,
    /// The round it is killed in, counted from 0.
    pub round: Round,
}

/// Why the arguments ask for something that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// A kill is not written as one.
    #[error(
        "expected a member's name and a round, such as `member-2@round:3`, found `{found}`{hint}"
    )]
    KillForm {
        /// What was given.
        found: String,
        /// What was probably meant; empty where there is no telling.
        hint: String,
    },
    /// A kill names nobody.
    #[error("--kill {name}@round:{round}: no member is called `{name}`; there are {known}")]
    KillName {
        /// The name given.
        name: String,
        /// The round given.
        round: Round,
        /// The names there are.
        known: String,
    },
    /// A kill or a join comes before the start or after the end.
    #[error("{option}: name a round from {first} to {last}{why}, or raise --rounds")]
    RoundRange {
        /// The option as given.
        option: String,
        /// First round that will do.
        first: u64,
        /// Last round that will do.
        last: u64,
        /// Why a later one will not do; empty where it is the last one of all.
        why: &'static str,
    },
    /// A join where no round is left for it.
    #[error("--join {round}: a member trains from the round after; give at least two --rounds")]
    NoRoundToJoin {
        /// The round given.
        round: u64,
    },
    /// An option belongs to founding, and the federation is there already.
    #[error(
        "{option} is for founding, and {} holds a federation already; leave {option} out to go \
         on with it, or name a new folder with --dir", dir.display()
    )]
    AlreadyFounded {
        /// The option given.
        option: &'static str,
        /// The folder.
        dir: PathBuf,
    },
    /// A member is killed again before it is back.
    #[error(
        "--kill {name}@round:{second}: {name} is killed in round {first} already and comes back \
         two rounds later; leave at least three rounds between"
    )]
    KillTwice {
        /// The member.
        name: String,
        /// Round of its first kill.
        first: Round,
        /// Round of the second one.
        second: Round,
    },
}

/// A killed member comes back when the others have certified this many rounds without it.
pub const ROUNDS_DOWN: u64 = 2;

impl FromStr for Kill {
    type Err = ArgsError;

    fn from_str(text: &str) -> Result<Self, ArgsError> {
        let refuse = |hint: String| ArgsError::KillForm {
            found: text.to_owned(),
            hint,
        };
        let Some((name, rest)) = text.split_once('@') else {
            return Err(refuse(String::new()));
        };
        let digits = rest.strip_prefix("round:");
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(round) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                round: Round(round),
            }),
            _ => {
                let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
                let meant = !name.is_empty() && !digits.is_empty() && digits.len() < 10;
                Err(refuse(if meant {
                    format!(": did you mean `{name}@round:{digits}`?")
                } else {
                    String::new()
                }))
            }
        }
    }
}

impl DemoArgs {
    /// Members to found a new federation with.
    pub fn member_count(&self) -> u16 {
        self.members.unwrap_or(4)
    }

    /// Rounds a new federation is to train by the demo's own plan.
    pub fn round_count(&self) -> u64 {
        self.rounds.unwrap_or(20)
    }

    /// Checks that nothing is asked of the federation in `dir` that was settled at its founding.
    ///
    /// # Errors
    /// Where `--members`, `--data` or `--seed` is given.
    pub fn check_reopening(&self, dir: &Path) -> Result<(), ArgsError> {
        let settled = [
            ("--members", self.members.is_some()),
            ("--data", self.data.is_some()),
            ("--seed", self.seed.is_some()),
            ("--plan", self.plan.is_some()),
        ];
        match settled.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(ArgsError::AlreadyFounded {
                option,
                dir: dir.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Names of the members a new federation is founded with.
    pub fn names(&self) -> Vec<String> {
        (1..=self.member_count())
            .map(|number| format!("member-{number}"))
            .collect()
    }

    /// Checks kills and join against the members there are and the rounds that will run.
    ///
    /// # Errors
    /// Where a kill names nobody, a round is none of `first..end`, or two kills of one member
    /// overlap.
    pub fn check(&self, names: &[String], first: Round, end: Round) -> Result<(), ArgsError> {
        let last = end.0.saturating_sub(1);
        let range = |option: String, round: u64, last: u64, why: &'static str| {
            if (first.0..=last).contains(&round) {
                return Ok(());
            }
            Err(ArgsError::RoundRange {
                option,
                first: first.0,
                last,
                why,
            })
        };
        for kill in &self.kill {
            if !names.contains(&kill.name) {
                let (name, round) = (kill.name.clone(), kill.round);
                return Err(ArgsError::KillName {
                    name,
                    round,
                    known: names.join(", "),
                });
            }
            let option = format!("--kill {}@round:{}", kill.name, kill.round);
            range(option, kill.round.0, last, "")?;
        }
        if let Some(round) = self.join {
            if last <= first.0 {
                return Err(ArgsError::NoRoundToJoin { round });
            }
            let why = ", as a member trains from the round after";
            range(format!("--join {round}"), round, last - 1, why)?;
        }
        self.check_kills_apart()
    }

    fn check_kills_apart(&self) -> Result<(), ArgsError> {
        let mut kills: Vec<&Kill> = self.kill.iter().collect();
        kills.sort_by(|a, b| (&a.name, a.round).cmp(&(&b.name, b.round)));
        for pair in kills.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.name == second.name && second.round.0 - first.round.0 <= ROUNDS_DOWN {
                let name = first.name.clone();
                return Err(ArgsError::KillTwice {
                    name,
                    first: first.round,
                    second: second.round,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn parse(line: &[&str]) -> DemoArgs {
        Line::try_parse_from([&["demo"], line].concat())
            .map(|line| line.demo)
            .unwrap()
    }

    fn refusal(line: &[&str]) -> String {
        match Line::try_parse_from([&["demo"], line].concat()) {
            Ok(line) => panic!("{:?} was taken", line.demo),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn defaults_are_four_members_and_twenty_rounds() {
        let args = parse(&[]);
        assert_eq!(
            (args.member_count(), args.round_count(), args.json),
            (4, 20, false)
        );
        assert_eq!(
            args.names(),
            ["member-1", "member-2", "member-3", "member-4"]
        );
    }

    #[test]
    fn a_kill_is_a_name_and_a_round() {
        let args = parse(&["--kill", "member-2@round:3", "--kill", "member-3@round:9"]);
        let kill = |name: &str, round| Kill {
            name: name.into(),
            round: Round(round),
        };
        assert_eq!(args.kill, [kill("member-2", 3), kill("member-3", 9)]);
    }

    #[test]
    fn a_kill_in_another_form_says_what_was_meant() {
        let table = [
            ("member-2@3", "did you mean `member-2@round:3`?"),
            ("member-2@round=3", "did you mean `member-2@round:3`?"),
            ("member-2", "such as `member-2@round:3`, found `member-2`"),
            ("@round:3", "such as `member-2@round:3`"),
            (
                "member-2@round:99999999999999999999",
                "such as `member-2@round:3`",
            ),
        ];
        for (given, expected) in table {
            let found = refusal(&["--kill", given]);
            assert!(found.contains(expected), "{given}: {found}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for line in [["--members", "0"], ["--members", "65"], ["--rounds", "0"]] {
            assert!(refusal(&line).contains("is not in"), "{line:?}");
        }
    }

    #[test]
    fn what_a_founding_settled_is_not_asked_for_again() {
        let dir = Path::new("/d");
        for line in [["--members", "4"], ["--data", "x"], ["--seed", "7"]] {
            let found = parse(&line).check_reopening(dir).unwrap_err().to_string();
            assert!(
                found.starts_with(line[0]) && found.contains("/d holds"),
                "{found}"
            );
        }
        assert_eq!(
            parse(&["--rounds", "40", "--json"]).check_reopening(dir),
            Ok(())
        );
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_starts() {
        let table: [(&[&str], &str); 5] = [
            (
                &["--kill", "member-9@round:3"],
                "there are member-1, member-2, member-3, member-4",
            ),
            (
                &["--kill", "member-1@round:20"],
                "name a round from 0 to 19, or raise --rounds",
            ),
            (
                &["--join", "20"],
                "--join 20: name a round from 0 to 18, as a member trains from",
            ),
            (
                &["--kill", "member-1@round:5", "--kill", "member-1@round:3"],
                "member-1 is killed in round 3 already",
            ),
            (
                &["--kill", "member-1@round:3", "--kill", "member-1@round:3"],
                "leave at least three rounds between",
            ),
        ];
        for (line, expected) in table {
            let args = parse(line);
            let found = args
                .check(&args.names(), Round(0), Round(20))
                .unwrap_err()
                .to_string();
            assert!(found.contains(expected), "{line:?}: {found}");
        }
        assert_eq!(
            parse(&["--join", "0"]).check(&[], Round(0), Round(1)),
            Err(ArgsError::NoRoundToJoin { round: 0 })
        );
        let fine = parse(&["--kill", "member-1@round:3", "--kill", "member-1@round:6"]);
        assert_eq!(fine.check(&fine.names(), Round(0), Round(20)), Ok(()));
    }
}
