//! Copies of one charter, and of two.

use super::*;
use crate::cli::charter::tests::charter;
use archipel_protocol::charter::Plan;
use archipel_protocol::crypto::Ed25519Signer;

/// A copy signed by some, in a file of that name.
fn copy(folder: &Path, name: &str, charter: Charter, signers: &[u8]) -> PathBuf {
    let mut signed = SignedCharter::new(charter);
    for seed in signers {
        signed
            .sign(&Ed25519Signer::new(&[*seed; 32]))
            .expect("a member signs");
    }
    let path = folder.join(name);
    let text = signed.to_annotated_toml("").expect("a TOML form");
    std::fs::write(&path, format!("# copy {name}\n{text}")).expect("ours");
    path
}

fn merge(files: &[&PathBuf], out: Option<PathBuf>) -> anyhow::Result<()> {
    let files = files.iter().map(|path| (*path).clone()).collect();
    run(&MergeArgs { files, out })
}

fn read(path: &Path) -> (String, SignedCharter) {
    let text = std::fs::read_to_string(path).expect("written");
    let signed = SignedCharter::from_toml(&text).expect("a charter");
    (text, signed)
}

#[test]
fn signatures_of_all_copies_stand_in_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = charter(4, Plan::nano());
    let a = copy(dir.path(), "a.toml", whole.clone(), &[1, 2]);
    let b = copy(dir.path(), "b.toml", whole.clone(), &[2, 3]);
    let c = copy(dir.path(), "c.toml", whole, &[4]);
    let out = dir.path().join("all.toml");
    merge(&[&a, &b, &c], Some(out.clone())).expect("copies of one charter");
    let (text, signed) = read(&out);
    assert!(text.contains("# copy a.toml") && !text.contains("# copy b.toml"));
    assert_eq!(signed.verify(&Ed25519Verifier), Ok(()));
    assert_eq!(
        read(&a).1.signatures.len(),
        2,
        "the copies stay as they were"
    );

    let refused = merge(&[&a, &b], Some(out))
        .expect_err("it exists")
        .to_string();
    assert!(
        refused.contains("exists and is not overwritten"),
        "{refused}"
    );
    merge(&[&a, &b, &c], None).expect("in place");
    assert_eq!(read(&a).1.verify(&Ed25519Verifier), Ok(()));
}

#[test]
fn copies_of_two_runs_are_refused_by_their_differences() {
    let dir = tempfile::tempdir().expect("a folder");
    let one = charter(4, Plan::nano());
    let mut two = one.clone();
    two.plan.rounds = 30;
    two.threshold = Some(4);
    two.members[3].name = "delta".to_owned();
    let a = copy(dir.path(), "a.toml", one.clone(), &[1]);
    let b = copy(dir.path(), "b.toml", two, &[2]);
    let refused = merge(&[&a, &b], None).expect_err("two runs").to_string();
    for part in [
        "charter.plan.rounds: 20, and 30",
        "charter.threshold: absent, and 4",
        "member delta: key: absent, and ",
        "member member-4: role: member, and absent",
        "whoever signed the other signs that one",
    ] {
        assert!(refused.contains(part), "{part:?} is not in {refused}");
    }
    let mut turned = one.clone();
    turned.members.swap(0, 1);
    assert_eq!(differences(&one, &turned), ["the order of charter.members"]);
    assert!(differences(&one, &one).is_empty());
}

#[test]
fn a_copy_that_was_changed_after_signing_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = charter(4, Plan::nano());
    let a = copy(dir.path(), "a.toml", whole.clone(), &[1]);
    let b = copy(dir.path(), "b.toml", whole, &[2]);
    let text = std::fs::read_to_string(&b).expect("ours");
    let (mut signed, name) = (
        SignedCharter::from_toml(&text).expect("a charter"),
        "b.toml",
    );
    signed.signatures[0].signature.0[3] ^= 1;
    std::fs::write(&b, signed.to_toml().expect("a TOML form")).expect("ours");
    for files in [[&a, &b], [&b, &a]] {
        let refused = format!("{:#}", merge(&files, None).expect_err("a bad signature"));
        assert!(
            refused.contains(name) && refused.contains("that of member-2 does not match"),
            "{refused}"
        );
    }
}
