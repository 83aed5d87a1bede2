//! What files are that are no text, and what is said of them.

use super::*;
use crate::data::DataError;
use std::fs;

const SENTENCE: &str = "Ei ole üle ega ümber: õiguskantsler käis täna Jõgeval, öösel sadas.\n";

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn reason(bytes: &[u8]) -> Reason {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x");
    fs::write(&path, bytes).expect("ours");
    let zero = bytes.iter().position(|byte| *byte == 0);
    let broken = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
    let at = zero.map_or(broken, |zero| zero.min(broken));
    let found: Result<Reason, DataError> = look(&path, at as u64);
    found.expect("readable")
}

#[test]
fn wide_characters_are_told_with_and_without_a_mark() {
    for text in [SENTENCE, "Закон о языке, 3 §\n", "法律 第3条\r\n", "a 😀\n"] {
        let marked = [b"\xff\xfe".to_vec(), utf16(text, u16::to_le_bytes)].concat();
        assert_eq!(reason(&marked), Reason::Wide("UTF-16"), "{text}");
        let little = utf16(&text.repeat(20), u16::to_le_bytes);
        assert_eq!(reason(&little), Reason::Wide("UTF-16LE"), "{text}");
        let big = utf16(&text.repeat(20), u16::to_be_bytes);
        assert_eq!(reason(&big), Reason::Wide("UTF-16BE"), "{text}");
    }
    let thirty_two = b"\xff\xfe\0\0a\0\0\0b\0\0\0";
    assert_eq!(reason(thirty_two), Reason::Wide("UTF-32"));
    // Numbers of 16 bits are no text: they name no characters, or control characters.
    let numbers: Vec<u8> = (0..2000u16).flat_map(u16::to_le_bytes).collect();
    assert_eq!(reason(&numbers), Reason::Binary);
}

#[test]
fn other_encodings_are_guessed_and_damaged_utf8_is_told_from_them() {
    let latin: Vec<u8> = SENTENCE.chars().map(|c| c as u8).collect();
    assert!(matches!(reason(&latin), Reason::Encoded(name) if name.starts_with("windows-125")));
    // "Закон Российской Федерации о языках народов" in KOI8-R.
    let koi = b"\xfa\xc1\xcb\xcf\xce \xf2\xcf\xd3\xd3\xc9\xca\xd3\xcb\xcf\xca \
                \xe6\xc5\xc4\xc5\xd2\xc1\xc3\xc9\xc9 \xcf \xd1\xda\xd9\xcb\xc1\xc8 \
                \xce\xc1\xd2\xcf\xc4\xcf\xd7";
    assert!(matches!(reason(koi), Reason::Encoded(name) if name.starts_with("KOI8")));
    let mut damaged = SENTENCE.repeat(3).into_bytes();
    damaged[80] = 0xff;
    assert!(matches!(reason(&damaged), Reason::Broken(at) if (70..=80).contains(&at)));
    assert_eq!(reason(b"\x7fELF\x02\x01\x01\xff"), Reason::Binary);
    assert_eq!(reason(b"some text\0more"), Reason::Binary);
    let texts = b"one\0two words\0three of them\0four\0five\0and six\0".repeat(30);
    assert_eq!(reason(&texts), Reason::Binary);
}

#[test]
fn what_lies_far_into_a_file_is_looked_at_there() {
    let mut text = SENTENCE.repeat(5000);
    text.truncate(300_000);
    let mut late = text.into_bytes();
    let at = late.len() as u64;
    late.extend_from_slice(b"\xff end");
    assert_eq!(reason(&late), Reason::Broken(at));
}

#[test]
fn formats_are_known_by_name_and_by_first_bytes() {
    let named = |name: &str| by_extension(Path::new(name)).map(|format| format.name);
    assert_eq!(named("a/b.JSON"), Some("JSON"));
    assert_eq!(named("a.tsv"), Some("tables"));
    assert_eq!(named("a.jsonl.gz"), Some("compressed by gzip"));
    for text in ["a.txt", "a.md", "a.jsonl", "a", "a.rs"] {
        assert_eq!(named(text), None, "{text}");
    }
    let begins = |bytes: &[u8]| match reason(bytes) {
        Reason::Format(format) => format.name,
        other => panic!("{other:?}"),
    };
    assert_eq!(begins(b"\x1f\x8b\x08\0\0"), "compressed by gzip");
    assert_eq!(begins(b"%PDF-1.7\n\xff\0"), "PDF");
    assert_eq!(begins(b"PK\x03\x04\x14\0"), "zip archives");
}

#[test]
fn the_way_out_is_a_command_that_a_shell_takes() {
    let told = |reason: Reason, path: &str| reason.way_out(Path::new(path)).1.expect("a command");
    assert_eq!(
        told(Reason::Wide("UTF-16LE"), "in/a b.txt"),
        "iconv -f UTF-16LE -t UTF-8 'in/a b.txt' > 'in/a b.utf8.txt'"
    );
    assert_eq!(
        told(Reason::Wide("UTF-16"), "-it's"),
        r"iconv -f UTF-16 -t UTF-8 './-it'\''s' > './-it'\''s.utf8'"
    );
    let pdf = by_extension(Path::new("x/law.pdf")).expect("known");
    assert_eq!(
        told(Reason::Format(pdf), "x/law.pdf"),
        "pdftotext x/law.pdf x/law.txt"
    );
}

#[test]
fn files_are_counted_and_named_by_kind() {
    let (mut left_out, mut skipped) = (LeftOut::default(), Skipped::default());
    for (path, reason) in [
        ("a", Reason::Empty),
        ("b", Reason::Wide("UTF-16LE")),
        ("c", Reason::Empty),
        ("d", Reason::Encoded("windows-1252")),
    ] {
        left_out.note(Path::new(path), reason, &mut skipped);
    }
    let kinds: Vec<(&str, usize)> = left_out
        .kinds()
        .iter()
        .map(|kind| (kind.kind.as_str(), kind.files.len()))
        .collect();
    let expected = [
        ("empty", 2),
        ("UTF-16, not UTF-8", 1),
        ("not UTF-8, probably windows-1252", 1),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(left_out.files(), 4);
    assert_eq!((skipped.empty, skipped.wide, skipped.not_utf8), (2, 1, 1));
}
