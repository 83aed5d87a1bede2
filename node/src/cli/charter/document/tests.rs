//! Files with the comments that people put into them.

use super::*;
use crate::cli::charter::tests::charter;
use archipel_protocol::charter::{MemberRole, Plan};
use archipel_protocol::crypto::{Ed25519Signer, Ed25519Verifier, Signer};

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[seed; 32])
}

fn member(seed: u8) -> CharterMember {
    CharterMember {
        id: signer(seed).member(),
        name: format!("member-{seed}"),
        role: MemberRole::Member,
        addresses: vec!["/dns4/a.example/udp/4001/quic-v1".to_owned()],
    }
}

fn signature(file: &CharterFile, seed: u8) -> CharterSignature {
    let mut signed = file.signed().clone();
    signed.sign(&signer(seed)).expect("a member signs");
    let mine = signed
        .signatures
        .iter()
        .find(|s| s.member == signer(seed).member());
    mine.expect("it was just made").clone()
}

/// A file with a text of ours, open.
fn open(text: &str) -> (tempfile::TempDir, CharterFile) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("charter.toml");
    std::fs::write(&path, text).expect("ours");
    let file = CharterFile::open(&path).expect("a charter");
    (dir, file)
}

fn text_of(file: &CharterFile) -> String {
    file.save().expect("the folder is ours");
    std::fs::read_to_string(file.path()).expect("just written")
}

fn plain(voters: u8) -> String {
    let signed = SignedCharter::new(charter(voters, Plan::nano()));
    signed.to_toml().expect("a TOML form")
}

fn annotated(voters: u8) -> String {
    let signed = SignedCharter::new(charter(voters, Plan::nano()));
    signed.to_annotated_toml("A note.").expect("a TOML form")
}

/// Comments of every kind of place, not all of them ASCII.
fn commented(text: &str) -> String {
    let text = text
        .replace(
            "[charter]\n",
            "# Über uns: Tallinn, Zürich, 東京\n[charter] # founded in June\n",
        )
        .replace(
            "rounds = 20\n",
            "  rounds   =   20   # agreed on Monday\n\n\n# why not more?\n",
        )
        .replace(
            "[[charter.members]]\n",
            "# a site ☃\n[[charter.members]] # its lines\n",
        );
    format!("# first line\n\n{text}\n# last line, without an end")
}

/// The lines of a text that are not in another, in order.
fn lost<'a>(before: &'a str, after: &str) -> Vec<&'a str> {
    let after: Vec<&str> = after.lines().collect();
    let (mut from, mut lost) = (0, Vec::new());
    for row in before.lines() {
        match after[from..].iter().position(|other| *other == row) {
            Some(at) => from += at + 1,
            None => lost.push(row),
        }
    }
    lost
}

#[test]
fn signing_adds_lines_and_changes_none() {
    for text in [
        plain(4),
        annotated(4),
        commented(&plain(4)),
        commented(&annotated(4)),
    ] {
        // An empty list in one line is the one thing that gives way.
        let text = text.replace("signatures = []\n", "");
        let (_dir, mut file) = open(&text);
        for seed in 1..=4 {
            let signature = signature(&file, seed);
            file.put_signature(&signature);
            let _ = text_of(&file);
        }
        let after = text_of(&file);
        assert_eq!(lost(&text, &after), Vec::<&str>::new(), "{after}");
        assert_eq!(
            after.lines().count(),
            text.lines().count() + 4 * 4,
            "{after}"
        );
        let read = SignedCharter::from_toml(&after).expect("a charter");
        assert_eq!(read.verify(&Ed25519Verifier), Ok(()));
    }
}

#[test]
fn signing_again_changes_one_line() {
    let (_dir, mut file) = open(&commented(&annotated(2)));
    for seed in [1, 2] {
        let signature = signature(&file, seed);
        file.put_signature(&signature);
    }
    let text = text_of(&file).replace("signature = \"", "signature =  \"");
    let text = text.replacen("\"\n", "\" # theirs\n", 1) + "\n# after the signatures\n";
    let (_dir, mut file) = open(&text);
    file.signed.charter.name = "elsewhere".to_owned();
    let mine = signature(&file, 1);
    file.signed.charter.name = "islands".to_owned();
    file.put_signature(&mine);
    let after = text_of(&file);
    let changed = lost(&text, &after);
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].starts_with("signature =  \""), "{changed:?}");
}

#[test]
fn members_are_listed_and_signatures_go_without_a_comment_lost() {
    for text in [
        plain(1),
        annotated(1),
        commented(&plain(1)),
        commented(&annotated(1)),
    ] {
        let text = text.replace("signatures = []\n", "");
        let (_dir, mut file) = open(&text);
        let mine = signature(&file, 1);
        file.put_signature(&mine);
        let signed = text_of(&file).replace("[[signatures]]", "# theirs below\n[[signatures]]");
        let (_dir, mut file) = open(&signed);
        assert_eq!(file.remove_signatures(), 1);
        file.add_member(member(2));
        file.add_member(member(3));
        let after = text_of(&file);
        assert_eq!(lost(&text, &after), Vec::<&str>::new(), "{after}");
        assert!(after.contains("# theirs below"), "{after}");
        let read = SignedCharter::from_toml(&after).expect("a charter");
        assert_eq!((read.charter.members.len(), read.signatures.len()), (3, 0));
        assert_eq!(read.charter.members[2], member(3));
    }
}

#[test]
fn the_first_member_stands_where_the_file_says_that_members_stand() {
    let (_dir, mut file) = open(&annotated(0));
    file.add_member(member(1));
    let after = text_of(&file);
    let (members, above) = (
        after.find("[[charter.members]]"),
        after.find("# role: What it does."),
    );
    assert!(above.is_some() && above < members, "{after}");
    assert!(!after.contains("members = []"), "{after}");
    let examples = after.find("#[[charter.plan.data.mixture]]");
    assert!(examples.is_some() && examples < members, "{after}");
}

#[test]
fn line_ends_and_marks_stay_as_an_editor_left_them() {
    let text = format!("\u{feff}{}", commented(&annotated(2)).replace('\n', "\r\n"));
    let (_dir, mut file) = open(&text);
    file.add_member(member(3));
    let mine = signature(&file, 1);
    file.put_signature(&mine);
    let after = text_of(&file);
    assert!(after.starts_with('\u{feff}'));
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    assert_eq!(lost(&text, &after), Vec::<&str>::new());
}

#[test]
fn other_shapes_of_the_same_charter_are_edited_as_well() {
    let one_line = |text: &str| {
        let mut table: toml::Table = toml::from_str(text).expect("TOML");
        let charter = table.remove("charter").expect("a charter");
        let signatures = table.remove("signatures").expect("a list");
        format!("signatures = {signatures} # all of them\ncharter = {charter} # in one line\n")
    };
    let (_dir, mut file) = open(&plain(2));
    let mine = signature(&file, 1);
    file.put_signature(&mine);
    let (_dir, mut file) = open(&one_line(&text_of(&file)));
    file.add_member(member(3));
    let again = signature(&file, 1);
    file.put_signature(&again);
    let theirs = signature(&file, 2);
    file.put_signature(&theirs);
    let after = text_of(&file);
    assert!(
        after.contains("# all of them") && after.contains("# in one line"),
        "{after}"
    );
    assert_eq!(file.remove_signatures(), 2);
    file.save().expect("a charter without signatures");
}
