//! What `archipel run` refuses, `archipel doctor` fails, and the other way round.

use super::*;
use crate::{
    config::SecretKey,
    driver::{HOLDOUT_FILE, Options, start},
};
use archipel_protocol::ids::BlobHash;
use std::{fs, os::unix::fs::PermissionsExt as _};

/// A thing that is wrong with a folder.
struct Defect {
    name: &'static str,
    make: fn(&Path),
    /// The finding that is bad.
    what: &'static str,
    /// What both say.
    says: &'static str,
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("a text of the folder");
    assert!(text.contains(from), "{from:?} in {text}");
    fs::write(path, text.replace(from, to)).expect("ours");
}

/// Founds the federation anew, its charter changed before it is signed.
fn found_anew(dir: &Path, change: impl FnOnce(&str) -> String) {
    let path = dir.join("charter.toml");
    let text = fs::read_to_string(&path).expect("a charter");
    fs::write(&path, change(&text)).expect("ours");
    let (charter, dir) = (path.display().to_string(), dir.display().to_string());
    archipel(&["charter", "sign", &charter, "--dir", &dir]);
}

fn prepare_anew(dir: &Path, text: &str) {
    fs::remove_dir_all(dir.join("data")).expect("there");
    let source = dir.join("source.txt");
    fs::write(&source, text).expect("ours");
    let out = dir.join("data").display().to_string();
    archipel(&[
        "data",
        "prepare",
        &source.display().to_string(),
        "--out",
        &out,
    ]);
}

/// Held-out text of more than a window.
fn held_out() -> Vec<u8> {
    b"held out ".repeat(20)
}

fn name_holdout(dir: &Path) {
    let hash = BlobHash(*blake3::hash(&held_out()).as_bytes());
    found_anew(dir, |text| {
        let none = "holdout_bytes = 0";
        assert!(text.contains(none), "{text}");
        let bytes = held_out().len();
        text.replace(
            none,
            &format!("holdout = \"{hash}\"\nholdout_bytes = {bytes}"),
        )
    });
}

const DEFECTS: [Defect; 15] = [
    Defect {
        name: "no node.toml",
        make: |dir| fs::remove_file(dir.join("node.toml")).expect("there"),
        what: "node.toml",
        says: "archipel init",
    },
    Defect {
        name: "a key of node.toml that is none",
        make: |dir| change(&dir.join("node.toml"), "listen =", "lisen ="),
        what: "node.toml",
        says: "lisen",
    },
    Defect {
        name: "udp without quic-v1",
        make: |dir| {
            change(
                &dir.join("node.toml"),
                "127.0.0.1/tcp/0",
                "127.0.0.1/udp/4001",
            )
        },
        what: "listen",
        says: "/ip4/127.0.0.1/udp/4001",
    },
    Defect {
        name: "a name to listen on",
        make: |dir| change(&dir.join("node.toml"), "ip4/127.0.0.1", "dns4/localhost"),
        what: "listen",
        says: "/dns4/localhost/tcp/0",
    },
    Defect {
        name: "a key that others can read",
        make: |dir| {
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(dir.join("key"), open).expect("ours");
        },
        what: "key",
        says: "chmod 600",
    },
    Defect {
        name: "no charter",
        make: |dir| fs::remove_file(dir.join("charter.toml")).expect("there"),
        what: "charter",
        says: "signed charter",
    },
    Defect {
        name: "a charter that was changed after it was signed",
        make: |dir| change(&dir.join("charter.toml"), "rounds = ", "rounds = 1"),
        what: "charter",
        says: "alpha",
    },
    Defect {
        name: "another name than the charter's",
        make: |dir| change(&dir.join("node.toml"), "\"alpha\"", "\"beta\""),
        what: "charter",
        says: "change `name` in node.toml",
    },
    Defect {
        name: "another run's charter",
        make: |dir| {
            let (run, key) = (
                "7".repeat(64),
                SecretKey::load(&dir.join("key")).expect("a key"),
            );
            let words = format!(
                "{{\"run_id\": \"{run}\", \"member\": \"{}\", \"members\": []}}",
                key.member()
            );
            fs::write(dir.join("status.json"), words).expect("ours");
        },
        what: "past",
        says: "belongs to run 7777",
    },
    Defect {
        name: "a voting member without data",
        make: |dir| change(&dir.join("node.toml"), "data = \"data\"", ""),
        what: "data",
        says: "--observe",
    },
    Defect {
        name: "data that is not there",
        make: |dir| fs::remove_dir_all(dir.join("data")).expect("there"),
        what: "data",
        says: "manifest.json",
    },
    Defect {
        name: "data that was cut off",
        make: |dir| fs::write(dir.join("data/train-000.bin"), "short").expect("ours"),
        what: "data",
        says: "it was cut off or changed",
    },
    Defect {
        name: "data shorter than a window",
        make: |dir| prepare_anew(dir, "a text of some words, and no more"),
        what: "data",
        says: "prepare more",
    },
    Defect {
        name: "data of another tokenizer",
        make: |dir| {
            let path = dir.join("data/manifest.json");
            change(&path, "\"kind\": \"bytes\"", "\"kind\": \"external\"");
            change(&path, "\"vocabulary\": 256,", "\"vocabulary\": 256");
            change(&path, "\"boundary\": 0", "");
        },
        what: "data",
        says: "the plan's tokenizer",
    },
    Defect {
        name: "other held-out bytes than the charter's",
        make: |dir| {
            name_holdout(dir);
            fs::write(dir.join(HOLDOUT_FILE), "other bytes").expect("ours");
        },
        what: "holdout",
        says: "take the file that the charter was made with",
    },
];

fn run(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let options = Options {
        dir: dir.to_owned(),
        json: false,
        until_stdin_closes: false,
        observe: false,
    };
    runtime.block_on(start(&options))
}

#[test]
fn run_refuses_exactly_what_doctor_fails() {
    for defect in DEFECTS {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = member(folder.path());
        let whole = report(Some(&dir));
        assert!(whole.can_run, "{whole:?}");
        (defect.make)(&dir);
        let name = defect.name;
        let report = report(Some(&dir));
        assert!(!report.can_run, "{name}: {report:?}");
        let found = finding(&report, defect.what);
        assert_eq!(found.verdict, Verdict::Bad, "{name}: {report:?}");
        let told = [Some(found.found.clone()), found.advice.clone()];
        let told = told.into_iter().flatten().collect::<Vec<_>>().join(": ");
        assert!(told.contains(defect.says), "{name}: {told}");
        let refused = run(&dir).expect_err(name);
        let refused = cli::told(&refused);
        assert!(refused.contains(defect.says), "{name}: {refused}");
        assert!(!dir.join("VERSION").exists(), "{name}: nothing was begun");
    }
}

#[test]
fn a_missing_holdout_is_no_obstacle_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = member(folder.path());
    name_holdout(&dir);
    let missing = report(Some(&dir));
    assert!(missing.can_run, "{missing:?}");
    let found = finding(&missing, "holdout");
    assert_eq!(found.verdict, Verdict::Note);
    assert!(found.found.ends_with("alpha/holdout.bin"), "{found:?}");
    fs::write(dir.join(HOLDOUT_FILE), held_out()).expect("ours");
    assert_eq!(
        finding(&report(Some(&dir)), "holdout").verdict,
        Verdict::Good
    );
}

#[test]
fn whoever_trains_nothing_needs_no_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = member(folder.path());
    change(&dir.join("node.toml"), "data = \"data\"", "");
    let looked = look(&DoctorArgs {
        dir: Some(dir),
        observe: true,
        peers: false,
        json: false,
    });
    assert!(looked.can_run, "{looked:?}");
    assert_eq!(finding(&looked, "data").verdict, Verdict::Note);
}

#[test]
fn members_admitted_later_and_those_gone_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = member(folder.path());
    let key = SecretKey::load(&dir.join("key")).expect("a key").member();
    let site = crate::driver::Site::open(&dir).expect("a member");
    let words = format!(
        "{{\"run_id\": \"{}\", \"member\": \"{key}\", \"members\": [\
         {{\"id\": \"{key}\", \"name\": \"alpha\", \"seat\": \"suspended\"}}, \
         {{\"id\": \"{}\", \"name\": \"delta\", \"seat\": \"voting\"}}]}}",
        site.run_id,
        "5".repeat(64)
    );
    fs::write(dir.join("status.json"), words).expect("ours");
    let looked = report(Some(&dir));
    assert!(looked.can_run, "{looked:?}");
    let found = &finding(&looked, "members").found;
    assert_eq!(
        found,
        "alpha; delta (admitted later, voting); alpha is suspended"
    );
}
