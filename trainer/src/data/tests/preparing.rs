//! What a preparation leaves behind when it fails, and what it does not overwrite.

use super::*;
use std::fs::File;

const TEXT: &[u8] = b"enough text to hold some of it out";

#[test]
fn a_failure_leaves_nothing_behind() {
    let dir = folder(&[
        ("a.txt", TEXT),
        ("b.jsonl", b"{\"text\": \"fine, a document\"}\n{"),
    ]);
    let parent = tempfile::tempdir().expect("a folder");
    let out = parent.path().join("out");
    let sources = [plain(dir.path())];
    let failed = prepare(&sources, &out, &PrepareOptions::default(), &mut |_| {});
    assert!(
        matches!(failed, Err(DataError::BadLine { line: 2, .. })),
        "{failed:?}"
    );
    assert!(names(parent.path()).is_empty());

    // A folder that was there before stays, with what it had.
    fs::create_dir(&out).expect("ours");
    fs::write(out.join("mine.txt"), "x").expect("ours");
    prepare(&sources, &out, &PrepareOptions::default(), &mut |_| {}).expect_err("a bad line");
    assert_eq!(names(&out), ["mine.txt"]);
}

#[test]
fn a_file_in_the_way_is_not_overwritten() {
    let dir = folder(&[("a.txt", TEXT)]);
    for name in ["train-000.bin", "holdout-000.bin"] {
        let out = folder(&[(name, b"somebody's")]);
        let refused = prepare(
            &[plain(dir.path())],
            out.path(),
            &PrepareOptions::default(),
            &mut |_| {},
        );
        assert!(
            matches!(refused, Err(DataError::InTheWay { .. })),
            "{refused:?}"
        );
        assert_eq!(names(out.path()), [name]);
        assert_eq!(
            fs::read(out.path().join(name)).expect("there"),
            b"somebody's"
        );
    }
}

#[test]
fn what_an_interrupted_preparation_left_is_removed_by_the_next() {
    let dir = folder(&[("a.txt", TEXT)]);
    let out = folder(&[
        (".preparing/train-007.bin", b"half"),
        (".preparing/lock", b""),
    ]);
    let options = PrepareOptions::default();
    prepare(&[plain(dir.path())], out.path(), &options, &mut |_| {}).expect("nobody holds it");
    assert_eq!(
        names(out.path()),
        ["holdout-000.bin", "manifest.json", "train-000.bin"]
    );
}

#[test]
fn two_preparations_do_not_write_to_one_folder() {
    let dir = folder(&[("a.txt", TEXT)]);
    let out = folder(&[(".preparing/lock", b"")]);
    let lock = File::open(out.path().join(".preparing/lock")).expect("ours");
    lock.lock().expect("nobody else's");
    let options = PrepareOptions::default();
    let refused = prepare(&[plain(dir.path())], out.path(), &options, &mut |_| {});
    assert!(
        matches!(refused, Err(DataError::Busy { .. })),
        "{refused:?}"
    );
    assert!(out.path().join(".preparing/lock").exists());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let dir = folder(&[("a.txt", TEXT)]);
    let path = dir.path().join("a.txt");
    let mut changed = false;
    let out = tempfile::tempdir().expect("a folder");
    let options = PrepareOptions::default();
    let refused = prepare(&[plain(dir.path())], out.path(), &options, &mut |_| {
        if !std::mem::replace(&mut changed, true) {
            fs::write(&path, TEXT.to_ascii_uppercase()).expect("ours");
        }
    });
    let right = matches!(refused, Err(DataError::Changing { .. }));
    assert!(right, "{refused:?}");
    assert!(names(out.path()).is_empty());
}

#[test]
fn a_full_disk_is_named_with_the_way_out() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = io("write", Path::new("/data/train-000.bin"))(full);
    let message = error.to_string();
    assert!(
        message.contains("cannot write /data/train-000.bin"),
        "{message}"
    );
    assert!(
        message.contains("make room or choose a folder on another disk"),
        "{message}"
    );
}

#[test]
fn names_that_cannot_stand_in_a_table_are_refused() {
    let dir = folder(&[("a.txt", TEXT)]);
    for sector in ["", "two\nlines", &"x".repeat(201)] {
        let source = SourceOptions {
            sector: sector.to_owned(),
            ..plain(dir.path())
        };
        let refused = prepared_from(&[source], &PrepareOptions::default());
        let right = matches!(
            refused,
            Err(DataError::Name {
                field: "sector",
                index: 1,
                ..
            })
        );
        assert!(right, "{refused:?}");
    }
    let refused = prepared_from(&[SourceOptions::of(Vec::new())], &PrepareOptions::default());
    assert!(matches!(refused, Err(DataError::NoSource)), "{refused:?}");
}
