//! Why a scenario is refused: file, line, what was found and what was meant.

use archipel_protocol::charter::PlanError;

/// Why a scenario is refused. The process ends with [`ScenarioError::EXIT_CODE`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {problem}", on_line(*line, problem))]
pub struct ScenarioError {
    /// The file, or the pack, as it was named.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Box<Problem>,
}

impl ScenarioError {
    /// What a process that was given a bad scenario exits with.
    pub const EXIT_CODE: u8 = 2;
}

/// What is wrong with a line of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such file.
    #[error(
        "there is no such file, and no pack of that name{}: `archipel-sim packs` lists what is \
         built in",
        did_you_mean(.meant)
    )]
    Absent {
        /// The pack whose name is nearest.
        meant: Option<String>,
    },
    /// The file cannot be read.
    #[error("cannot be read: {kind}")]
    Unreadable {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// It is a folder.
    #[error(
        "expected a scenario, found a folder: of the folder that a run left, `archipel-sim run \
         {file}/scenario.toml` plays the scenario again and `archipel-sim replay {file}` the very \
         run"
    )]
    Folder {
        /// Its path.
        file: String,
    },
    /// It is what a replay reads.
    #[error(
        "this is a scenario in the machine's units, which `archipel-sim replay` reads: run the \
         scenario.toml beside it"
    )]
    Resolved,
    /// The file is too long.
    #[error("expected a scenario of at most {limit} bytes, found {found}: is it the right file?")]
    TooLong {
        /// Bytes allowed.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// It is a member's key, which nothing may quote.
    #[error(
        "expected a scenario, found a secret key, of which nothing is shown: name another file"
    )]
    SecretKey,
    /// It is not text.
    #[error(
        "expected text in UTF-8, found the byte 0x{found:02x}: is it the right file? `iconv -f \
         LATIN1 -t UTF-8` converts an older encoding"
    )]
    NoText {
        /// The first byte that is none.
        found: u8,
    },
    /// It is not TOML.
    #[error("expected TOML: {message}")]
    Malformed {
        /// What the parser said.
        message: String,
    },
    /// It does not say that it claims anything.
    #[error("expected a comment `# Claim: …` that says what the scenario is to show, found none")]
    NoClaim,
    /// A key that no scenario has.
    #[error(
        "unknown key {key:?} in {place}{}: expected one of {}",
        did_you_mean(.meant), .known.join(", ")
    )]
    UnknownKey {
        /// The key found.
        key: String,
        /// Where.
        place: String,
        /// The key that is nearest.
        meant: Option<String>,
        /// The keys there are.
        known: Vec<String>,
    },
    /// A key that is needed.
    #[error("{place} lacks {key}: add {example}")]
    Missing {
        /// Where.
        place: String,
        /// The key.
        key: &'static str,
        /// A line that would do.
        example: &'static str,
    },
    /// A value of another type.
    #[error("{key}: expected {expected}, found {found}")]
    Type {
        /// The key.
        key: String,
        /// What it should be, with an example.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// A number without a unit, or with one of something else.
    #[error("{key}: expected {expected}, found {found:?}{}", reason(.hint))]
    Unit {
        /// The key.
        key: String,
        /// What it should be, with an example.
        expected: &'static str,
        /// The text found.
        found: String,
        /// What is wrong with it, where that is known.
        hint: &'static str,
    },
    /// A number outside its range.
    #[error("{key}: expected {low} to {high}, found {found}")]
    Range {
        /// The key.
        key: String,
        /// Least allowed.
        low: String,
        /// Most allowed.
        high: String,
        /// The value found.
        found: String,
    },
    /// A name that is not among those there are.
    #[error(
        "{key}: no {what} is called {found:?}{}: there are {}",
        did_you_mean(.meant), .known.join(", ")
    )]
    Name {
        /// The key.
        key: String,
        /// What is named.
        what: &'static str,
        /// The name found.
        found: String,
        /// The name that is nearest.
        meant: Option<String>,
        /// The names there are.
        known: Vec<String>,
    },
    /// A name of a group, a failure domain or a fault that is no name.
    #[error("{key}: expected 1 to 48 characters of a-z 0-9 -, found {found:?}: rename it")]
    Spelling {
        /// The key.
        key: String,
        /// The text found.
        found: String,
    },
    /// Two things have one name.
    #[error("{key}: {found:?} is already used on line {first}: rename one of the two")]
    Duplicate {
        /// The key.
        key: String,
        /// The name.
        found: String,
        /// Line of the first.
        first: usize,
    },
    /// Nothing ends the run.
    #[error(
        "nothing ends this run: add [stop] with rounds = 200, sim_time = \"6h\" or wall_time \
         = \"10m\""
    )]
    NoStop,
    /// Nobody takes part.
    #[error("nobody takes part: add a [[group]] with name = \"eu\" and count = 4")]
    NoGroup,
    /// Too many members for one federation.
    #[error(
        "{found} members, expected at most {limit} in a federation: lower `count`, or write \
         `federations` for several federations of the same groups"
    )]
    TooMany {
        /// Members found.
        found: u64,
        /// Members allowed.
        limit: u64,
    },
    /// The latency table needs to know where a group is.
    #[error(
        "group {group:?} has no region, but network.latency goes by region: add region = \
         \"{example}\""
    )]
    NoRegion {
        /// The group.
        group: String,
        /// A region that the table has.
        example: String,
    },
    /// Rows and columns of the latency matrix do not fit the regions.
    #[error(
        "{key}: expected {expected} rows of {expected} times, one for each region, found {found}"
    )]
    Matrix {
        /// The key.
        key: String,
        /// Regions.
        expected: usize,
        /// Rows, or times in a row.
        found: usize,
    },
    /// The plan breaks one of its own rules.
    #[error("{0}")]
    Plan(PlanError),
    /// A value of the plan cannot be read.
    #[error("plan.{key}: {message}")]
    PlanValue {
        /// The key.
        key: String,
        /// What was expected.
        message: String,
    },
    /// The mode cannot do that.
    #[error("{key}: {found:?} needs mode = \"{needed}\": {why}")]
    Mode {
        /// The key.
        key: String,
        /// The value found.
        found: String,
        /// The mode that can.
        needed: &'static str,
        /// Why the other cannot.
        why: &'static str,
    },
    /// A key does not belong to this kind of fault.
    #[error("{key}: {why}")]
    Contradiction {
        /// The key.
        key: String,
        /// What contradicts it, and the way out.
        why: String,
    },
    /// The sides of a partition share members.
    #[error("{key}: {member:?} is on two sides: take it off one")]
    Overlap {
        /// The key.
        key: String,
        /// The member.
        member: String,
    },
    /// The heal comes before a fault.
    #[error(
        "heal.at: fault {fault:?} (line {fault_line}) begins only then or later: heal later, \
         or begin it earlier"
    )]
    HealTooEarly {
        /// The fault.
        fault: String,
        /// Its line.
        fault_line: usize,
    },
    /// Something would begin after the end of the run.
    #[error("{key}: {found:?} is not before the end, {stop}: begin earlier, or raise [stop]")]
    AfterStop {
        /// The key.
        key: String,
        /// The moment found.
        found: String,
        /// What ends the run.
        stop: String,
    },
}

/// The line, where the problem is on one.
fn on_line(line: usize, problem: &Problem) -> String {
    match problem {
        Problem::Absent { .. } | Problem::Unreadable { .. } | Problem::Folder { .. } => {
            String::new()
        }
        _ => format!(":{line}"),
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(" (did you mean {name:?}?)"))
        .unwrap_or_default()
}

fn reason(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
