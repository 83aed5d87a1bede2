//! House rules that a machine can keep: sizes, directions, absences.
//!
//! Every rule is a function from text to complaints, so that each can be shown a bad sample. The
//! tree passes where no rule complains about any of its files.

#[path = "tidy/programs.rs"]
mod programs;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/source.rs"]
mod source;

use archipel_tests::documents;
use rules::{Area, Complaint};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const CRATES: [&str; 6] = ["protocol", "trainer", "node", "simulator", "tests", "fuzz"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the workspace").into()
}

/// Every file below `folder`, build outputs and hidden folders aside, in name order.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of the workspace can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.starts_with('.') && name != ".ci";
        if hidden || ["target", "out", "shared"].contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Path below the root with `/`, and text, of every file that `wanted` takes.
fn texts(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let (root, mut files) = (root(), Vec::new());
    files_below(&root, &mut files);
    let relative = |path: &PathBuf| {
        let path = path.strip_prefix(&root).expect("found below the root");
        path.to_string_lossy().replace('\\', "/")
    };
    let named = files.iter().map(|path| (relative(path), path));
    let texts: Vec<(String, String)> = named
        .filter(|(name, _)| wanted(name))
        .map(|(name, path)| {
            let text = fs::read_to_string(path);
            (name, text.expect("sources and documents are UTF-8"))
        })
        .collect();
    assert!(!texts.is_empty(), "no file found below {}", root.display());
    texts
}

fn sources() -> Vec<(String, String)> {
    texts(|name| name.ends_with(".rs"))
}

/// Fails with every complaint of a rule, one a line.
fn assert_tidy(complaints: Vec<(String, Complaint)>) {
    let lines: Vec<String> = complaints
        .iter()
        .map(|(name, complaint)| format!("{name}:{}: {}", complaint.line, complaint.text))
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn check(files: &[(String, String)], rule: impl Fn(&str, &str) -> Vec<Complaint>) {
    let complaints = files.iter().flat_map(|(name, text)| {
        let found = rule(name, text).into_iter();
        found.map(move |complaint| (name.clone(), complaint))
    });
    assert_tidy(complaints.collect());
}

#[test]
fn files_are_short_and_narrow() {
    check(&sources(), |_, text| rules::sizes(text));
}

#[test]
fn functions_are_short() {
    check(&sources(), |_, text| rules::long_functions(text));
}

#[test]
fn modules_are_named_for_what_they_do() {
    check(&sources(), rules::module_names);
}

#[test]
fn nothing_is_left_for_later() {
    check(&sources(), |_, text| rules::unfinished_code(text));
    let documents = [".md", ".toml", ".rs", ".ci/run", "justfile"];
    let prose = texts(|name| documents.iter().any(|end| name.ends_with(end)));
    check(&prose, |_, text| rules::unfinished_prose(text));
}

#[test]
fn the_protocol_needs_no_environment() {
    let files = texts(|name| name.starts_with("protocol/src/") && name.ends_with(".rs"));
    check(&files, |name, text| {
        rules::absences(Area::Protocol, name, text)
    });
}

#[test]
fn the_simulator_reads_no_clock() {
    let files = texts(|name| name.starts_with("simulator/src/") && name.ends_with(".rs"));
    check(&files, |name, text| {
        rules::absences(Area::Simulator, name, text)
    });
}

#[test]
fn libraries_stay_where_they_belong() {
    check(&sources(), rules::foreign_names);
}

#[test]
fn dependencies_point_one_way() {
    for krate in CRATES {
        let manifest = root().join(krate).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("every crate has a manifest");
        let complaints = rules::directions(krate, &text).into_iter();
        let name = format!("{krate}/Cargo.toml");
        assert_tidy(complaints.map(|c| (name.clone(), c)).collect());
    }
}

#[test]
fn the_protocol_builds_without_runtime_network_or_tensors() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "-p", "archipel-protocol", "-e", "normal"])
        .args(["--prefix", "none", "--locked", "--offline"])
        .output()
        .expect("cargo can be run");
    let (out, err) = (String::from_utf8_lossy(&tree.stdout), &tree.stderr);
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(err));
    assert!(out.starts_with("archipel-protocol "), "found {out}");
    assert_tidy(
        rules::heavy_packages(&out)
            .into_iter()
            .map(|complaint| ("cargo tree -p archipel-protocol".to_owned(), complaint))
            .collect(),
    );
}

#[test]
fn commands_in_documents_are_run_or_say_why_not() {
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run is there");
    let run =
        |name: &str| name == "README.md" || (name.starts_with("docs/") && name.ends_with(".md"));
    check(&texts(run), |_, text| {
        let complaints = documents::complaints(text, &ci).into_iter();
        complaints
            .map(|(line, text)| Complaint { line, text })
            .collect()
    });
}

/// A machine that was used before has programs that a new one lacks: what is called is listed.
#[test]
fn every_program_that_is_called_is_installed_by_ci() {
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run is there");
    let listed = programs::listed(&ci);
    assert!(!listed.is_empty(), ".ci/run has a list of programs");
    let scripts = texts(|name| {
        name.ends_with(".sh") || name == ".ci/run" || name == ".ci/nightly" || name == "justfile"
    });
    let of_scripts = scripts.into_iter().filter(|(name, _)| name != "justfile");
    let of_scripts = of_scripts.map(|(name, text)| (name, programs::of_shell(&text)));
    let documents = texts(|name| name == "README.md" || name.starts_with("docs/"));
    let of_documents = documents.into_iter().map(|(name, text)| {
        let blocks = documents::blocks(&text);
        let run = blocks.iter().filter(|block| block.is_run());
        let found = run.flat_map(|block| programs::of_shell(&block.text));
        (name, found.collect())
    });
    let of_rust = sources().into_iter();
    // The samples of this test call what nobody has.
    let of_rust = of_rust.filter(|(name, _)| name != "tests/tidy/programs.rs");
    let of_rust = of_rust.map(|(name, text)| (name, programs::of_rust(&text)));
    let called = of_scripts.chain(of_documents).chain(of_rust);
    let missing: Vec<String> = called
        .flat_map(|(name, found)| {
            let missing = found
                .into_iter()
                .filter(|program| !listed.contains(program));
            missing.map(move |program| format!("{name} calls {program}"))
        })
        .collect();
    let missing = missing.join("\n");
    assert!(
        missing.is_empty(),
        "expected these in the list of programs in .ci/run:\n{missing}\n"
    );
}
