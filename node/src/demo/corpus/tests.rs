use super::{registry::sources_in, *};
use std::{fs, path::Path};

fn document(name: &str, text: String) -> Document {
    Document {
        name: name.into(),
        text,
    }
}

/// Lines that are all different, so that a byte's origin can be told.
fn lines(tag: &str, count: usize) -> String {
    (0..count)
        .map(|line| format!("{tag} says line {line} of ünïcödé\n"))
        .collect()
}

fn joined(documents: &[Document]) -> String {
    documents
        .iter()
        .map(|document| document.text.as_str())
        .collect()
}

#[test]
fn even_parts_are_contiguous_whole_and_apart_from_what_is_held_out() {
    let whole: Vec<Document> = (0..40)
        .map(|n| document(&format!("f{n}"), lines(&format!("file {n}"), 700)))
        .collect();
    let corpus = deal_evenly(whole.clone(), 4, "lines".into()).unwrap();
    let total = bytes(&whole);
    assert_eq!(
        corpus.training_bytes() + corpus.heldout.len(),
        total,
        "nothing lost or doubled"
    );
    let heldout = String::from_utf8(corpus.heldout.clone()).unwrap();
    assert!(
        heldout.len().abs_diff(heldout_bytes(total)) < 16,
        "{} of {total}",
        heldout.len()
    );
    let shares: Vec<String> = corpus.members.iter().map(|share| joined(share)).collect();
    let shortest = shares.iter().map(String::len).min().unwrap();
    let longest = shares.iter().map(String::len).max().unwrap();
    assert!(longest - shortest < 256, "{shortest} to {longest}");
    let text = joined(&whole);
    for share in &shares {
        assert!(text.contains(share.as_str()), "a part is contiguous");
    }
    let trained: std::collections::BTreeSet<&str> =
        shares.iter().flat_map(|share| share.lines()).collect();
    // The pieces of held-out text begin within a line, so each piece's first is not looked at.
    let whole_lines = heldout.lines().filter(|line| line.starts_with("file"));
    assert!(whole_lines.clone().count() > 500);
    assert_eq!(whole_lines.filter(|line| trained.contains(line)).count(), 0);
}

#[test]
fn every_member_count_deals_everything() {
    let whole = vec![
        document("a", lines("a", 5_000)),
        document("b", String::new()),
        document("c", "x".repeat(3_000_000)),
        document("d", "é".repeat(500_000)),
    ];
    for members in 1..=64 {
        let corpus = deal_evenly(whole.clone(), members, "mixed".into()).unwrap();
        assert_eq!(corpus.members.len(), members);
        assert_eq!(
            corpus.training_bytes() + corpus.heldout.len(),
            bytes(&whole)
        );
        assert!(
            corpus
                .members
                .iter()
                .all(|share| bytes(share) >= MINIMUM_MEMBER_BYTES)
        );
        assert!(std::str::from_utf8(&corpus.heldout).is_ok());
    }
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn a_folder_of_files_is_dealt_round_robin_in_name_order() {
    let text = |tag: &str| lines(tag, 5_000).into_bytes();
    let dir = folder(&[
        ("b.txt", text("b")),
        ("a.txt", text("a")),
        ("sub/c.txt", text("c")),
        (".hidden", text("hidden")),
        ("README.md", text("readme")),
        ("picture", vec![0xff; 1000]),
    ]);
    let corpus = Corpus::gather(Some(dir.path()), 2).unwrap();
    let names: Vec<Vec<&str>> = corpus
        .members
        .iter()
        .map(|share| {
            share
                .iter()
                .map(|document| document.name.as_str())
                .collect()
        })
        .collect();
    assert_eq!(names, [vec!["a.txt", "sub/c.txt"], vec!["b.txt"]]);
    assert!(corpus.source.contains("3 files in"), "{}", corpus.source);
    assert!(
        corpus.source.contains(", without 1 about them"),
        "{}",
        corpus.source
    );
    assert!(
        corpus.source.contains("1 more left out as no UTF-8 text"),
        "{}",
        corpus.source
    );
    assert_eq!(
        corpus,
        Corpus::gather(Some(dir.path()), 2).unwrap(),
        "deterministic"
    );
    let heldout = String::from_utf8(corpus.heldout).unwrap();
    for tag in ["a says", "b says", "c says"] {
        assert!(heldout.contains(tag), "held-out text has every file");
    }
}

#[test]
fn fewer_files_than_members_are_split_evenly() {
    let dir = folder(&[
        ("a", lines("a", 9_000).into()),
        ("b", lines("b", 3_000).into()),
    ]);
    let corpus = Corpus::gather(Some(dir.path()), 3).unwrap();
    let lengths: Vec<usize> = corpus.members.iter().map(|share| bytes(share)).collect();
    assert!(
        lengths
            .iter()
            .all(|length| length.abs_diff(lengths[0]) < 256),
        "{lengths:?}"
    );
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_a_way_out() {
    let dir = folder(&[
        ("short", b"too short".to_vec()),
        ("binary", vec![b'a', 0xff, b'b']),
        ("uneven/a", lines("a", 9_000).into()),
        ("uneven/b", b"a few words".to_vec()),
    ]);
    let at = |name: &str| dir.path().join(name);
    let table: [(_, &[&str]); 4] = [
        (
            at("short"),
            &[
                "9 bytes of text",
                "4 members need at least 174764",
                "--data",
            ],
        ),
        (at("binary"), &["not UTF-8 text (byte 1)"]),
        (at("absent"), &["cannot read", "absent"]),
        (
            dir.path().join("uneven"),
            &["member 2 gets", "needs at least 32768"],
        ),
    ];
    for (path, expected) in table {
        let members = if path.ends_with("uneven") { 2 } else { 4 };
        let found = Corpus::gather(Some(&path), members)
            .unwrap_err()
            .to_string();
        for part in expected {
            assert!(found.contains(part), "{found}");
        }
    }
}

#[test]
fn the_registry_gives_whole_text_files_once_in_name_order() {
    let dir = folder(&[
        ("index/b-1.0.0/src/lib.rs", lines("b", 20_000).into()),
        ("index/a-2.0.0/src/lib.rs", lines("a", 5_000).into()),
        ("index/a-2.0.0/src/copy.rs", lines("a", 5_000).into()),
        ("index/a-2.0.0/src/bindings.rs", vec![b'x'; 300_000]),
        ("index/a-2.0.0/src/latin.rs", vec![0xe9; 100]),
        ("index/a-2.0.0/README.md", lines("readme", 100).into()),
        ("index/c-1.0.0/src/lib.rs", lines("c", 5_000).into()),
        ("index/d-1.0.0/src/lib.rs", lines("d", 6_000).into()),
    ]);
    let crates = "a-2.0.0\nabsent-1.0.0\nb-1.0.0\nc-1.0.0\nd-1.0.0";
    assert!(
        sources_in(dir.path(), crates).is_none(),
        "less than a MiB is no corpus"
    );
    for n in 0..5 {
        let text = lines(&format!("more {n}"), 6_000);
        fs::write(
            dir.path().join(format!("index/d-1.0.0/src/more{n}.rs")),
            text,
        )
        .unwrap();
    }
    let text = sources_in(dir.path(), crates).unwrap();
    let names: Vec<&str> = text
        .documents
        .iter()
        .map(|document| document.name.as_str())
        .collect();
    assert_eq!(
        names[..3],
        [
            "a-2.0.0/src/copy.rs",
            "c-1.0.0/src/lib.rs",
            "d-1.0.0/src/lib.rs"
        ]
    );
    assert_eq!(names.len(), 8);
    assert!(text.source.contains("3 crates"), "{}", text.source);
    assert!(sources_in(Path::new("/nowhere/at/all"), crates).is_none());
}

#[test]
fn the_binary_carries_text() {
    let text = source::carried().unwrap();
    assert!(
        text.documents
            .iter()
            .any(|document| document.name.starts_with("protocol/src/"))
    );
    let names: std::collections::BTreeSet<&str> = text
        .documents
        .iter()
        .map(|document| document.name.as_str())
        .collect();
    assert_eq!(names.len(), text.documents.len(), "each file once");
    assert!(
        text.documents
            .iter()
            .all(|document| !document.text.is_empty())
    );
}

#[test]
fn order_1_entropy_knows_what_follows_what() {
    assert_eq!(order1_entropy(b""), 0.0);
    assert_eq!(
        order1_entropy(&b"ab".repeat(1000)),
        0.0,
        "what follows is certain"
    );
    // After `a` comes `a` or `b`, each half of the time.
    let found = order1_entropy(&b"aab".repeat(10_000));
    assert!((found - 2.0 / 3.0).abs() < 1e-3, "{found}");
}
