//! A key file in the place of every other file: whatever is said, the secret is not.

use crate::federation::{archipel, done, text};
use std::{fs, path::Path, process::Output};

/// The digits of a key file.
fn secret_of(key: &Path) -> String {
    let text = fs::read_to_string(key).expect("a key");
    let line = text.lines().find_map(|line| line.strip_prefix("ed25519 "));
    line.expect("a key has its line").to_owned()
}

fn assert_hidden(output: &Output, secret: &str, arguments: &[&str]) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said).to_lowercase();
    // A quarter of it would be too much.
    assert!(!said.contains(&secret[..16]), "{arguments:?} shows the key");
    assert!(!said.contains(&secret[48..]), "{arguments:?} shows the key");
    assert!(
        !output.status.success(),
        "{arguments:?} takes a key for something else: {said}"
    );
    assert!(
        said.contains("secret key"),
        "{arguments:?} does not say what it found: {said}"
    );
}

#[test]
fn no_command_shows_a_key_that_was_given_for_another_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| text(&dir.path().join(name));
    let (site, charter, out) = (path("site"), path("charter.toml"), path("out"));
    let line = done(&["init", "--dir", &site, "--name", "alpha"]);
    done(&[
        "charter", "new", "--name", "islands", "--preset", "demo", "--out", &charter,
    ]);
    let key = dir.path().join("site/key");
    let (secret, key) = (secret_of(&key), text(&key));
    let whole = fs::read_to_string(&key).expect("a key");
    let cases: [&[&str]; 13] = [
        &["charter", "verify", &key],
        &["charter", "show", &key],
        &["charter", "show", &key, "--json"],
        &["charter", "sign", &key, "--dir", &site],
        &["charter", "add-member", &key, line.trim()],
        &["charter", "add-member", &charter, &whole],
        &["charter", "add-member", &charter, "ed25519", &secret],
        &["charter", "propose", "--dir", &site, "admit", &whole],
        &[
            "charter", "new", "--name", "x", "--plan", &key, "--out", &out,
        ],
        &["data", "prepare", &key, "--out", &out],
        &["data", "prepare", &site, "--out", &out],
        &["data", "prepare", "--sources", &key, "--out", &out],
        &["demo", "--plan", &key, "--dir", &out, "--json"],
    ];
    for case in cases {
        assert_hidden(&archipel(case), &secret, case);
    }
}

#[test]
fn no_command_shows_a_key_that_lies_where_another_file_should() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| text(&dir.path().join(name));
    let (site, charter) = (path("site"), path("charter.toml"));
    done(&["init", "--dir", &site, "--name", "alpha"]);
    done(&[
        "charter", "new", "--name", "islands", "--preset", "demo", "--out", &charter,
    ]);
    let key = dir.path().join("site/key");
    let secret = secret_of(&key);
    for (place, commands) in [
        (
            "charter.toml",
            &[&["run", "--dir", &site][..], &["doctor", "--dir", &site]][..],
        ),
        (
            "charter.toml",
            &[&["generate", "--checkpoint", &site, "--prompt", "a"]],
        ),
        (
            "node.toml",
            &[&["run", "--dir", &site], &["doctor", "--dir", &site]],
        ),
        (
            "node.toml",
            &[&["charter", "sign", &charter, "--dir", &site]],
        ),
        ("status.json", &[&["status", "--dir", &site]]),
    ] {
        let place = dir.path().join("site").join(place);
        let before = fs::read(&place).ok();
        fs::copy(&key, &place).expect("ours");
        for command in commands {
            assert_hidden(&archipel(command), &secret, command);
        }
        match before {
            Some(bytes) => fs::write(&place, bytes).expect("ours"),
            None => fs::remove_file(&place).expect("ours"),
        }
    }
}

#[test]
fn a_key_in_place_of_its_file_s_name_is_not_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let site = text(&dir.path().join("site"));
    done(&["init", "--dir", &site, "--name", "alpha"]);
    let secret = secret_of(&dir.path().join("site/key"));
    let config = dir.path().join("site/node.toml");
    let text = fs::read_to_string(&config).expect("written");
    for value in [secret.clone(), format!("ed25519 {secret}")] {
        let changed = text.replace("key = \"key\"", &format!("key = \"{value}\""));
        assert_ne!(changed, text);
        fs::write(&config, changed).expect("ours");
        let command = ["run", "--dir", &site];
        assert_hidden(&archipel(&command), &secret, &command);
    }
}
