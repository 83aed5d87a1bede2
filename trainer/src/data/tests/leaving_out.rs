//! Folders with a mess of files: what is taken, what is named, and who may read what comes of it.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

const TEXT: &[u8] = b"enough text to hold some of it out";

fn mess() -> TempDir {
    let wide: Vec<u8> = "enough text"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    folder(&[
        ("a.txt", TEXT),
        ("page.html", b"<p>some text in tags</p>"),
        (
            "records.json",
            b"[{\"text\": \"the text of a record, long enough\"}]",
        ),
        ("table.csv", b"id,text\n1,some text\n"),
        ("wide.txt", &wide),
        ("wide.jsonl", b"\xff\xfe{\0}\0"),
        ("none.jsonl", b""),
        ("x/old.tar.gz", b"\x1f\x8b\x08\0"),
    ])
}

#[test]
fn a_mess_of_files_is_sorted_and_every_file_left_out_is_named() {
    let dir = mess();
    let out = tempfile::tempdir().expect("a folder");
    let options = PrepareOptions::default();
    let prepared = prepare(&[plain(dir.path())], out.path(), &options, &mut |_| {}).expect("text");
    assert_eq!(prepared.manifest.documents(), 1);
    let expected = Skipped {
        wide: 2,
        empty: 1,
        other_formats: 4,
        ..Skipped::default()
    };
    assert_eq!(prepared.manifest.sources[0].skipped, expected);
    let named: Vec<(&str, Vec<&Path>)> = prepared
        .left_out
        .kinds()
        .iter()
        .map(|kind| {
            let below = |path| Path::strip_prefix(path, dir.path()).expect("as it was given");
            (
                kind.kind.as_str(),
                kind.files.iter().map(|p| below(p)).collect(),
            )
        })
        .collect();
    let paths = |names: &[&'static str]| names.iter().map(|name| Path::new(*name)).collect();
    let expected: [(&str, Vec<&Path>); 6] = [
        ("empty", paths(&["none.jsonl"])),
        ("HTML", paths(&["page.html"])),
        ("JSON", paths(&["records.json"])),
        ("tables", paths(&["table.csv"])),
        ("UTF-16, not UTF-8", paths(&["wide.jsonl", "wide.txt"])),
        ("compressed by gzip", paths(&["x/old.tar.gz"])),
    ];
    assert_eq!(named, expected);
}

#[test]
fn formats_are_taken_by_whoever_asks_for_them() {
    let dir = mess();
    let read = |name: &str, format| {
        let source = SourceOptions {
            format,
            ..plain(&dir.path().join(name))
        };
        let (out, _) = prepared_from(&[source], &PrepareOptions::default()).expect("asked for");
        all(&Dataset::open(out.path()).expect("prepared data"))
    };
    assert!(read("page.html", Format::Text).starts_with(b"\0<p>some text"));
    assert!(read("records.json", Format::Text).starts_with(b"\0[{\"text\": "));
    assert!(read("records.json", Format::Json).starts_with(b"\0the text of a record"));
}

#[test]
fn a_source_without_any_text_is_refused_with_the_way_out() {
    let dir = mess();
    let file = dir.path().join("wide.txt");
    let refused = prepared(&file, &PrepareOptions::default()).expect_err("no text");
    let told = refused.to_string();
    let way_out = format!(
        "wide.txt (UTF-16, not UTF-8): make them UTF-8: iconv -f UTF-16LE -t UTF-8 {}",
        file.display()
    );
    assert!(told.contains(&way_out), "{told}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_json_lines() {
    let dir = folder(&[(
        "a.jsonl",
        b"\xef\xbb\xbf{\"text\": \"a document that is long enough\"}",
    )]);
    let (_, manifest) = prepared(dir.path(), &PrepareOptions::default()).expect("a document");
    assert_eq!(manifest.documents(), 1);
}

#[test]
fn a_manifest_without_the_newer_counts_says_nothing_of_them() {
    let dir = folder(&[("a.txt", TEXT)]);
    let (out, _) = prepared(dir.path(), &PrepareOptions::default()).expect("text");
    let text = fs::read_to_string(out.path().join(MANIFEST_FILE)).expect("written");
    for count in ["wide", "other_formats"] {
        assert!(
            !text.contains(count),
            "a manifest's hash names it in charters: {text}"
        );
    }
}

#[test]
fn what_is_sovereign_is_its_owners_alone() {
    let dir = folder(&[("a.txt", TEXT)]);
    let parent = tempfile::tempdir().expect("a folder");
    let mode = |path: &Path| fs::metadata(path).expect("written").permissions().mode() & 0o777;
    for (class, name) in [(DataClass::Sovereign, "own"), (DataClass::Public, "open")] {
        let out = parent.path().join(name);
        let source = SourceOptions {
            class,
            ..plain(dir.path())
        };
        prepare(&[source], &out, &PrepareOptions::default(), &mut |_| {}).expect("text");
        let files = names(&out);
        assert_eq!(files.len(), 3);
        let modes: Vec<u32> = files.iter().map(|file| mode(&out.join(file))).collect();
        match class {
            DataClass::Sovereign => assert_eq!((mode(&out), modes), (0o700, vec![0o600; 3])),
            // As the mask of whoever runs the tests has it: the same as any new file's.
            _ => {
                let usual = parent.path().join("usual");
                fs::write(&usual, "").expect("ours");
                assert_eq!(modes, vec![mode(&usual); 3]);
            }
        }
    }
}
