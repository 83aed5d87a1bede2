//! The rules, each from a file's text to what is wrong with it.

use crate::source::{
    code_of, declared_modules, functions, line_at, std_modules, without_tests, words,
};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_COLUMNS: usize = 100;

/// Something a rule does not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where, from 1.
    pub line: usize,
    /// What, and what is expected.
    pub text: String,
}

fn complaint(line: usize, text: impl Into<String>) -> Complaint {
    let text = text.into();
    Complaint { line, text }
}

/// Lines of a file and columns of a line.
pub fn sizes(text: &str) -> Vec<Complaint> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        let said = format!("{lines} lines, at most {MAX_FILE_LINES}: split the file");
        found.push(complaint(lines, said));
    }
    for (index, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        // The row of a table in a comment cannot be broken.
        let row = line.trim_start_matches(['/', '!', ' ']).starts_with('|');
        if columns > MAX_COLUMNS && !row {
            let said = format!("{columns} columns, at most {MAX_COLUMNS}");
            found.push(complaint(index + 1, said));
        }
    }
    found
}

/// Functions that no screen holds.
pub fn long_functions(text: &str) -> Vec<Complaint> {
    let long = |(name, line, lines): (String, usize, usize)| {
        let said = format!("fn {name} has {lines} lines, at most {MAX_FUNCTION_LINES}: split it");
        (lines > MAX_FUNCTION_LINES).then(|| complaint(line, said))
    };
    functions(&code_of(text))
        .into_iter()
        .filter_map(long)
        .collect()
}

/// Names that say nothing of what a module does.
pub fn module_names(path: &str, text: &str) -> Vec<Complaint> {
    const EMPTY: [&str; 7] = [
        "utils", "util", "common", "core", "manager", "helpers", "misc",
    ];
    let parts = path.trim_end_matches(".rs").split('/');
    let in_path = parts.map(|part| (1, part.to_owned()));
    in_path
        .chain(declared_modules(&code_of(text)))
        .filter(|(_, name)| EMPTY.contains(&name.as_str()))
        .map(|(line, name)| {
            let said = format!("a module called {name}: name it for what it decides");
            complaint(line, said)
        })
        .collect()
}

/// Every place of every word, with the same complaint.
fn mentions(code: &str, list: &[&str], why: &str) -> Vec<Complaint> {
    let of_word = |word: &&str| {
        let said = format!("`{word}` {why}");
        let places: Vec<usize> = words(code, word).collect();
        places
            .into_iter()
            .map(move |at| complaint(line_at(code, at), said.clone()))
    };
    list.iter().flat_map(of_word).collect()
}

/// Code that is not written yet, and tests that do not run.
pub fn unfinished_code(text: &str) -> Vec<Complaint> {
    let list = ["todo!(", "unimplemented!(", "#[ignore"];
    mentions(&code_of(text), &list, "is work left for later")
}

/// Notes to oneself, in code and documents alike.
pub fn unfinished_prose(text: &str) -> Vec<Complaint> {
    // Written apart, so that this file does not complain about itself.
    let list = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    mentions(text, &list, "is a note to oneself: do it, or open an issue")
}

/// A part of the tree that lacks something on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Neither clock, entropy, files, sockets, threads nor unordered maps; nor inexact functions.
    Protocol,
    /// No clock but the invented one.
    Simulator,
}

/// Names that an area must not use outside its tests.
pub fn absences(area: Area, path: &str, text: &str) -> Vec<Complaint> {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return Vec::new();
    }
    if area == Area::Simulator && path == STOPWATCH {
        return Vec::new();
    }
    let code = without_tests(&code_of(text));
    let (modules, list): (&[&str], &[&str]) = match area {
        Area::Protocol => (&STD_OF_SYSTEMS, &FOREIGN_TO_PROTOCOL),
        Area::Simulator => (
            &["time"],
            &["Instant", "SystemTime", "getrandom", "thread_rng"],
        ),
    };
    let why = format!("does not belong into {path}: it enters as an argument, or not at all");
    let mut found = mentions(&code, list, &why);
    for (line, name) in std_modules(&code) {
        if modules.contains(&name.as_str()) {
            found.push(complaint(line, format!("std::{name} {why}")));
        }
    }
    found
}

/// The one file of the simulator that reads a clock: for budgets of real time and for people.
const STOPWATCH: &str = "simulator/src/cli/stopwatch.rs";

const STD_OF_SYSTEMS: [&str; 8] = ["env", "fs", "io", "net", "os", "process", "thread", "time"];

/// Clocks, entropy, unordered maps, output, and functions whose last bit differs by machine.
const FOREIGN_TO_PROTOCOL: [&str; 33] = [
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "thread_rng",
    "getrandom",
    "OsRng",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "tokio",
    "futures",
    "libp2p",
    "burn",
    "mul_add(",
    "exp(",
    "exp2(",
    "exp_m1(",
    "ln(",
    "ln_1p(",
    "log2(",
    "log10(",
    "powf(",
    "powi(",
    "sin(",
    "cos(",
    "tan(",
    "tanh(",
    "cbrt(",
    "hypot(",
];

/// Libraries named outside the crates they belong to.
pub fn foreign_names(path: &str, text: &str) -> Vec<Complaint> {
    let krate = path.split('/').next().unwrap_or_default();
    let list: &[&str] = match krate {
        "trainer" => &["tokio", "libp2p", "libp2p_stream"],
        "node" | "tests" | "benches" => &["burn", "burn_flex"],
        _ => &["burn", "burn_flex", "tokio", "libp2p", "libp2p_stream"],
    };
    let code = code_of(text);
    let as_path = |library: &&str| {
        let (path, outer) = (format!("{library}::"), format!("use {library};"));
        let found = [path, outer].map(|name| mentions(&code, &[&name], "is foreign to this crate"));
        found.concat()
    };
    list.iter().flat_map(as_path).collect()
}

/// Dependencies on crates that must not be known here.
pub fn directions(krate: &str, manifest: &str) -> Vec<Complaint> {
    let ours: &[&str] = match krate {
        "protocol" => &[],
        "fuzz" => &["archipel-protocol"],
        "trainer" => &["archipel-protocol"],
        "node" | "simulator" => &["archipel-protocol", "archipel-trainer"],
        _ => &[
            "archipel-protocol",
            "archipel-trainer",
            "archipel-node",
            "archipel-simulator",
        ],
    };
    let known = |name: &str| {
        let network = name.starts_with("tokio") || name.starts_with("libp2p");
        let tensors = name.starts_with("burn") || name.starts_with("cubecl");
        match name {
            _ if name.starts_with("archipel-") => ours.contains(&name),
            _ if network => ["node", "tests"].contains(&krate),
            _ if tensors => krate == "trainer",
            _ => true,
        }
    };
    dependencies(manifest)
        .into_iter()
        .filter(|(_, name)| !known(name))
        .map(|(line, name)| complaint(line, format!("{krate} must not depend on {name}")))
        .collect()
}

/// The dependencies a manifest names, whatever they are for.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let (mut found, mut listing) = (Vec::new(), false);
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            listing = section.ends_with("dependencies");
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push((index + 1, name.to_owned()));
            }
        } else if listing && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            let renamed = line
                .split_once("package")
                .and_then(|(_, rest)| rest.split('"').nth(1));
            found.push((
                index + 1,
                renamed.unwrap_or(name).trim_matches('"').to_owned(),
            ));
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

/// Packages in the output of `cargo tree --prefix none` that the protocol must do without.
pub fn heavy_packages(tree: &str) -> Vec<Complaint> {
    const HEAVY: [&str; 4] = ["tokio", "futures", "libp2p", "burn"];
    let heavy = |name: &str| {
        let of_family = |family: &&str| {
            let rest = name.strip_prefix(*family);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        HEAVY.iter().any(of_family)
    };
    let names = tree
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default());
    names
        .enumerate()
        .filter(|(_, name)| heavy(name))
        .map(|(index, name)| complaint(index + 1, format!("the protocol builds {name}")))
        .collect()
}
