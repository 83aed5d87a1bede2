use super::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

mod leaving_out;
mod preparing;
mod properties;
mod sources;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    dir
}

/// A source of which nothing but its folder is known.
fn plain(path: &Path) -> SourceOptions {
    SourceOptions::of(vec![path.to_owned()])
}

fn prepared(source: &Path, options: &PrepareOptions) -> Result<(TempDir, Manifest), DataError> {
    prepared_from(&[plain(source)], options)
}

fn prepared_from(
    sources: &[SourceOptions],
    options: &PrepareOptions,
) -> Result<(TempDir, Manifest), DataError> {
    let out = tempfile::tempdir().expect("a temporary folder");
    let prepared = prepare(sources, out.path(), options, &mut |_| {})?;
    Ok((out, prepared.manifest))
}

/// What lies in a folder, in name order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|entry| name(entry.expect("ours"))).collect();
    names.sort();
    names
}

fn all(source: &dyn TokenSource) -> Vec<u8> {
    let mut tokens = vec![0; source.len() as usize];
    source
        .copy_window(0, &mut tokens)
        .expect("the whole source");
    let byte = |token: u32| u8::try_from(token).expect("the tokenizer is the byte");
    tokens.into_iter().map(byte).collect()
}

#[test]
fn a_folder_becomes_shards_in_name_order_with_the_end_of_each_file_held_out() {
    let source = folder(&[
        ("b.txt", b"0123456789"),
        ("a/z.txt", b"abcdefghijklmnopqrst"),
        ("a/latin1.txt", b"caf\xe9 au lait"),
        ("a/cut.txt", b"caf\xc3"),
        ("empty.txt", b""),
        ("image.png", b"PNG\0\0"),
    ]);
    let mut seen = Vec::new();
    let out = tempfile::tempdir().expect("a temporary folder");
    let sources = [plain(source.path())];
    let options = PrepareOptions::default();
    let prepared = prepare(&sources, out.path(), &options, &mut |at| {
        seen.push((at.read, at.documents, at.bytes));
        assert_eq!(at.total, 10 + 20 + 12 + 4 + 5);
    })
    .expect("text");
    let manifest = prepared.manifest;
    assert_eq!(seen.last(), Some(&(51, 2, 30)));
    assert!(seen.is_sorted());
    assert_eq!(manifest.documents(), 2);
    let skipped = Skipped {
        not_utf8: 2,
        binary: 1,
        empty: 1,
        ..Skipped::default()
    };
    assert_eq!(manifest.sources[0].skipped, skipped);
    assert_eq!(manifest.sources[0].training.bytes, Some(18 + 9));
    assert_eq!(manifest.sources[0].held_out.bytes, Some(2 + 1));
    assert_eq!(manifest.class, DataClass::Sovereign);

    let data = Dataset::open(out.path()).expect("prepared data");
    data.verify().expect("whole shards");
    assert_eq!(data.manifest(), &manifest);
    assert_eq!(all(&data), b"\0abcdefghijklmnopqr\x00012345678");
    assert_eq!(all(data.held_out()), b"\0st\09");
    let expected = ["holdout-000.bin", "manifest.json", "train-000.bin"];
    assert_eq!(names(out.path()), expected);
}

#[test]
fn shards_are_cut_and_read_across_their_edges() {
    let text: Vec<u8> = (0..30_000u32).map(|i| b'a' + (i % 23) as u8).collect();
    let source = folder(&[("text", &text)]);
    let options = PrepareOptions {
        shard_bytes: 4096,
        ..PrepareOptions::default()
    };
    let (out, manifest) = prepared(source.path(), &options).expect("text");
    assert_eq!(manifest.sources[0].training.shards.len(), 7);
    assert_eq!(manifest.training_tokens(), 27_001);
    let data = Dataset::open(out.path()).expect("prepared data");
    let whole = all(&data);
    assert_eq!(whole[1..], text[..27_000]);
    for (start, length) in [(4095, 2), (4096, 1), (8000, 9000), (27_000, 1), (27_001, 0)] {
        let mut window = vec![0; length];
        data.copy_window(start, &mut window)
            .expect("within the data");
        assert_eq!(
            window,
            byte_tokens(&whole[start as usize..start as usize + length])
        );
    }
    for (start, length) in [(27_001, 1), (u64::MAX, 2)] {
        let refused = data.copy_window(start, &mut vec![0; length]);
        assert!(
            matches!(refused, Err(DataError::Window { tokens: 27_001, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_character_across_two_blocks_is_text() {
    let mut text = vec![b'a'; (1 << 18) - 1];
    text.extend("é".repeat(200_000).bytes());
    let source = folder(&[("text", &text)]);
    let (_, manifest) = prepared(source.path(), &PrepareOptions::default()).expect("text");
    assert_eq!(
        (manifest.documents(), manifest.sources[0].skipped),
        (1, Skipped::default())
    );
}

#[test]
fn extensions_and_the_limit_choose_files() {
    let source = folder(&[
        ("a.rs", b"fn a() {} // some text"),
        ("b.md", b"a file that is not wanted"),
        (
            "c.rs",
            b"a file that is far too long to be taken once a.rs is in",
        ),
        ("d.rs", b"fn d() {}"),
    ]);
    let options = PrepareOptions {
        max_bytes: 40,
        ..PrepareOptions::default()
    };
    let mut source = plain(source.path());
    source.extensions = vec!["rs".to_owned()];
    let (_, manifest) = prepared_from(&[source], &options).expect("text");
    assert_eq!(manifest.documents(), 2);
    assert_eq!(
        manifest.sources[0].skipped,
        Skipped {
            beyond_limit: 1,
            ..Skipped::default()
        }
    );
}

#[test]
fn what_cannot_be_prepared_is_refused_and_leaves_no_manifest() {
    let options = PrepareOptions::default();
    let refusal = |files: &[(&str, &[u8])], options: &PrepareOptions| {
        let source = folder(files);
        prepared(source.path(), options).expect_err("nothing to prepare")
    };
    assert!(matches!(
        refusal(&[], &options),
        DataError::NoText {
            files: 0,
            skipped: 0,
            ..
        }
    ));
    assert!(matches!(
        refusal(&[("x", b"\xff")], &options),
        DataError::NoText {
            files: 1,
            skipped: 1,
            ..
        }
    ));
    let short = refusal(&[("x", b"abc")], &options);
    assert!(
        matches!(
            short,
            DataError::NothingHeldOut {
                tokens: 4,
                percent: 10
            }
        ),
        "{short}"
    );
    let percent = PrepareOptions {
        held_out_percent: 0,
        ..options.clone()
    };
    assert!(matches!(refusal(&[], &percent), DataError::Option { .. }));

    let source = folder(&[("x.txt", b"enough text to hold some out")]);
    let inside = source.path().join("out");
    let sources = [plain(source.path())];
    let refused = prepare(&sources, &inside, &options, &mut |_| {});
    assert!(
        matches!(refused, Err(DataError::OutInsideSource { .. })),
        "{refused:?}"
    );
    assert!(!inside.exists(), "nothing is left of the attempt");
    let (out, _) = prepared(source.path(), &options).expect("text");
    let refused = prepare(&sources, out.path(), &options, &mut |_| {});
    assert!(
        matches!(refused, Err(DataError::OutInUse { .. })),
        "{refused:?}"
    );
    let absent = source.path().join("absent");
    let refused = prepared(&absent, &options);
    assert!(
        matches!(refused, Err(DataError::Io { action: "find", .. })),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[test]
fn links_within_the_folder_are_counted_and_links_out_of_it_refused() {
    use std::os::unix::fs::symlink;
    let source = folder(&[("a/x.txt", b"enough text to hold some out")]);
    symlink(source.path(), source.path().join("a/loop")).expect("a link");
    let (_, manifest) = prepared(source.path(), &PrepareOptions::default()).expect("text");
    let skipped = manifest.sources[0].skipped;
    assert_eq!((manifest.documents(), skipped.not_files), (1, 1));

    let secret = folder(&[("secret.txt", b"not to be read")]);
    symlink(
        secret.path().join("secret.txt"),
        source.path().join("a/y.txt"),
    )
    .expect("a link");
    let refused = prepared(source.path(), &PrepareOptions::default());
    assert!(
        matches!(refused, Err(DataError::LinkLeaves { .. })),
        "{refused:?}"
    );
}

#[test]
fn damaged_shards_are_refused() {
    let source = folder(&[("x.txt", b"enough text to hold some out and to train on")]);
    let (out, _) = prepared(source.path(), &PrepareOptions::default()).expect("text");
    let shard = out.path().join("train-000.bin");
    let bytes = fs::read(&shard).expect("a shard");

    let mut changed = bytes.clone();
    changed[5] ^= 1;
    fs::write(&shard, &changed).expect("a shard");
    let refused = Dataset::open(out.path())
        .expect("the lengths are right")
        .verify();
    assert!(
        matches!(refused, Err(DataError::ShardHash { .. })),
        "{refused:?}"
    );

    fs::write(&shard, &bytes[..10]).expect("a shard");
    let refused = Dataset::open(out.path()).expect_err("a short shard");
    let expected = bytes.len() as u64;
    let right =
        matches!(refused, DataError::ShardLength { expected: e, found: 10, .. } if e == expected);
    assert!(right, "{refused}");

    fs::remove_file(&shard).expect("a shard");
    let refused = Dataset::open(out.path()).expect_err("a missing shard");
    assert!(
        matches!(refused, DataError::Io { action: "open", .. }),
        "{refused}"
    );
}

#[test]
fn manifests_that_lie_are_refused() {
    let source = folder(&[("x.txt", b"enough text to hold some out and to train on")]);
    let (out, manifest) = prepared(source.path(), &PrepareOptions::default()).expect("text");
    type Change = fn(&mut Manifest);
    let lies: [(Change, &str); 12] = [
        (
            |m| m.format = "archipel-data/1".into(),
            "found \"archipel-data/1\": prepare the data again",
        ),
        (|m| m.tokenizer.kind = "words".into(), "knows bytes, hf and"),
        (|m| m.tokenizer.vocabulary = 257, "must have 256 tokens"),
        (|m| m.tokenizer.kind = "hf".into(), "the hash of its file"),
        (
            |m| m.tokenizer.kind = "external".into(),
            "no hash, no boundary",
        ),
        (|m| m.token_bytes = 2, "needs tokens of 1 bytes, it says 2"),
        (|m| m.class = DataClass::Public, "source 0 is closed"),
        (
            |m| m.sources[0].training.shards[0].file = "../../etc/passwd".into(),
            "shard 0 must be named",
        ),
        (|m| m.sources[0].training.tokens += 1, "its shards have"),
        (
            |m| m.sources[0].held_out.shards[0].tokens = u64::MAX,
            "its shards have",
        ),
        (|m| m.sources[0].held_out.start = 1, "must begin at token 0"),
        (
            |m| m.sources[0].held_out.shards[0].file = "train-000.bin".into(),
            "shard 0 must be named",
        ),
    ];
    for (change, expected) in lies {
        let mut lie = manifest.clone();
        change(&mut lie);
        fs::write(out.path().join(MANIFEST_FILE), lie.to_json()).expect("a manifest");
        let message = Dataset::open(out.path()).expect_err("a lie").to_string();
        assert!(message.contains(expected), "{message}");
    }
    let mut huge = manifest;
    huge.sources[0].training.tokens = u64::MAX;
    huge.sources[0].training.shards[0].tokens = u64::MAX;
    fs::write(out.path().join(MANIFEST_FILE), huge.to_json()).expect("a manifest");
    let refused = Dataset::open(out.path()).expect_err("no file has so many");
    assert!(
        matches!(refused, DataError::ShardLength { .. }),
        "{refused}"
    );
    fs::write(out.path().join(MANIFEST_FILE), vec![b' '; 33 << 20]).expect("a manifest");
    let message = Dataset::open(out.path())
        .expect_err("too large")
        .to_string();
    assert!(message.contains("at most 33554432 are read"), "{message}");
}

#[test]
fn held_out_windows_are_fixed_by_their_seed() {
    let bytes = MemorySource::new((0..=255).collect());
    let pick = |seed| windows(&bytes, [seed; 32], 20, 17).expect("enough bytes");
    assert_eq!(pick(1), pick(1));
    assert_ne!(pick(1), pick(2));
    assert!(
        pick(1)
            .iter()
            .all(|window| window.len() == 17 && window[16] - window[0] == 16)
    );
    let whole: Vec<u32> = (0..=255).collect();
    assert_eq!(
        windows(&bytes, [0; 32], 2, 256).expect("enough bytes"),
        [whole.clone(), whole]
    );
    let refused = windows(&bytes, [0; 32], 1, 257);
    assert!(matches!(
        refused,
        Err(DataError::TooShort {
            expected: 257,
            found: 256
        })
    ));
    assert!(windows(&bytes, [0; 32], 1, 0).is_err());
}
