//! What is told of runs: every run of a sweep, who broke a rule, what diverged, what was waited
//! for.

use serde_json::Value;
use std::{fs, path::Path, process::Command};

const BINARY: &str = env!("CARGO_BIN_EXE_archipel-sim");

/// The program in a folder: its exit code and what it said.
fn sim(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let ended = Command::new(BINARY)
        .current_dir(dir)
        .args(arguments)
        .output();
    let ended = ended.expect("the binary runs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (ended.status.code().expect("it was not killed"), said)
}

/// Four members, and what is put behind.
fn four(more: &str) -> String {
    format!(
        "schema = \"archipel-scenario/1\"\nname = \"four\"\n# Claim: it runs.\n{more}\n\
         [[group]]\nname = \"m\"\ncount = 4\n"
    )
}

fn rows(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a table");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_sweep_keeps_every_run_those_that_fail_too() {
    let dir = tempfile::tempdir().expect("a folder");
    // The control messages of every point are over this limit.
    let text = four(
        "[stop]\nrounds = 3\n[check.limits]\nbytes_round = \"1kB\"\n\
         [sweep]\ncodec = [\"f32\", \"int8\"]\nbandwidth = [\"10Mbit\", \"1Gbit\"]",
    );
    fs::write(dir.path().join("four.toml"), text).expect("a file");
    let (code, said) = sim(dir.path(), &["run", "four.toml", "--json"]);
    assert_eq!(code, 13, "{said}");
    let out = dir.path().join("out/four-1");
    let table = rows(&out.join("sweep.csv"));
    assert_eq!(table.len(), 1 + 4, "{table:?}");
    assert!(
        table[1..].iter().all(|row| row.contains(",fail,R4,")),
        "{table:?}"
    );
    // A run ends with its first violation.
    assert!(rows(&out.join("sweep-losses.csv")).len() > 4);
    for point in ["f32-10mbit", "f32-1gbit", "int8-10mbit", "int8-1gbit"] {
        let folder = out.join("sweep").join(format!("four-{point}"));
        assert!(folder.join("report.html").is_file(), "{point}");
        assert!(
            table
                .iter()
                .any(|row| row.starts_with(&format!("four-{point},"))),
            "{table:?}"
        );
    }
    let line = said
        .lines()
        .find(|line| line.starts_with('{'))
        .expect("a line of JSON");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["sweep"].as_array().map(Vec::len), Some(4));
}

#[test]
fn explaining_names_who_broke_the_rule_and_who_lies() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, said) = sim(dir.path(), &["run", "negative-crash-model"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = sim(dir.path(), &["explain", "out/negative-crash-model-1"]);
    assert_eq!(code, 0, "{said}");
    for words in [
        "S2 says: a certified round never changes",
        "m-3, honest, under fault strangers (partition) since ",
        "Who lies: 1 of 3 lie and this federation bears none",
        "m-1: equivocate-vote, from 00:00:",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}

#[test]
fn a_run_whose_loss_runs_away_is_marked() {
    let dir = tempfile::tempdir().expect("a folder");
    let lie = "[[fault]]\nid = \"lie\"\nkind = \"byzantine\"\ntargets = \"m-1\"\n\
               behaviour = \"sign-flip\"\nstrength = 10.0";
    let text = four(&format!(
        "[stop]\nrounds = 12\n[plan]\nrule = \"mean\"\n[check]\noff = [\"C3\"]\n{lie}"
    ));
    fs::write(dir.path().join("four.toml"), text).expect("a file");
    let (code, said) = sim(dir.path(), &["run", "four.toml"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("): diverged"), "{said}");
    let (_, said) = sim(dir.path(), &["compare", "out/four-1"]);
    assert!(
        said.contains("state") && said.contains("diverged"),
        "{said}"
    );
    let csv = rows(&dir.path().join("out/compare.csv"));
    let column = csv[0]
        .split(',')
        .position(|head| head == "diverged")
        .expect("a column");
    assert_eq!(csv[1].split(',').nth(column), Some("true"));
}

#[test]
fn waiting_beside_a_fault_is_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let cut = "[[fault]]\nid = \"cut\"\nkind = \"partition\"\n\
               sides = [[\"m-1\", \"m-2\"], [\"m-3\", \"m-4\"]]\nat = \"round:2\"\n\
               for = \"2m\"";
    for (name, fault, wanted) in [("calm", "", false), ("cut", cut, true)] {
        let text = four(&format!("[stop]\nrounds = 5\n{fault}"));
        fs::write(dir.path().join("four.toml"), text).expect("a file");
        let (code, said) = sim(dir.path(), &["run", "four.toml", "--out", name]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.contains("while a fault lasted"), wanted, "{said}");
        let page = fs::read_to_string(dir.path().join(name).join("four-1/report.html"));
        let page = page.expect("a report");
        for line in [
            "name = &quot;four&quot;\n",
            "\n[[group]]\nname = &quot;m&quot;\ncount = 4\n",
        ] {
            assert!(page.contains(line), "{line:?} is not in the report");
        }
        let report = fs::read(dir.path().join(name).join("four-1/report.json"));
        let report: Value = serde_json::from_slice(&report.expect("a report")).expect("JSON");
        for member in report["members"].as_array().expect("members") {
            let part = |key: &str| member["spent"][key].as_u64().expect("a sum");
            let all = ["training_us", "encoding_us", "sending_us", "waiting_us"];
            let all = all.map(part).iter().sum::<u64>() + part("catching_up_us") + part("down_us");
            assert_eq!(Some(all), report["sim_us"].as_u64(), "{member}");
            let faulty = part("idle_faults_us");
            // The cut lasts two minutes, in which each half trains one round and waits.
            assert_eq!(faulty > 100_000_000, wanted, "{member}");
        }
    }
}
