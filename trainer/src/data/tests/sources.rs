//! Several sources: their sectors, formats, tokenizers, and what is left out of them.

use super::*;
use std::slice::from_ref;

fn source(path: &Path, sector: &str) -> SourceOptions {
    SourceOptions {
        name: format!("{sector} text"),
        sector: sector.to_owned(),
        class: DataClass::Shared,
        ..plain(path)
    }
}

fn le16(tokens: &[u16]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect()
}

fn tokens_of(path: &Path, format: TokenFormat) -> SourceOptions {
    SourceOptions {
        format: Format::Tokens(format),
        ..plain(path)
    }
}

#[test]
fn sectors_are_ranges_of_training_and_of_held_out_tokens() {
    let law = folder(&[("a.txt", &[b'l'; 100])]);
    let press = folder(&[("a.txt", &[b'p'; 200])]);
    let more = folder(&[("a.txt", &[b'm'; 50])]);
    let sources = [
        source(law.path(), "law"),
        source(press.path(), "press"),
        SourceOptions {
            class: DataClass::Public,
            ..source(more.path(), "law")
        },
    ];
    let (out, manifest) = prepared_from(&sources, &PrepareOptions::default()).expect("text");
    let data = Dataset::open(out.path()).expect("prepared data");
    data.verify().expect("whole shards");
    let ranges = |source: &dyn TokenSource| -> Vec<(String, std::ops::Range<u64>)> {
        let ranges = source.sectors().iter();
        ranges
            .map(|r| (r.sector.clone(), r.tokens.clone()))
            .collect()
    };
    let named = |name: &str, range| (name.to_owned(), range);
    let expected = [
        named("law", 0..91),
        named("press", 91..272),
        named("law", 272..318),
    ];
    assert_eq!(ranges(&data), expected);
    let expected = [
        named("law", 0..11),
        named("press", 11..32),
        named("law", 32..38),
    ];
    assert_eq!(ranges(data.held_out()), expected);
    let mut edge = [0; 4];
    data.copy_window(89, &mut edge).expect("inside");
    assert_eq!(edge, [108, 108, 0, 112]);
    assert_eq!(manifest.class, DataClass::Shared);
    assert_eq!(manifest.sector_names(), ["law", "press"]);
    assert_eq!(manifest.held_out_of("law"), (17, Some(15)));
    let files = [
        "holdout-000.bin",
        "holdout-001.bin",
        "holdout-002.bin",
        "manifest.json",
    ];
    assert_eq!(names(out.path())[..4], files);
}

#[test]
fn neighbours_of_one_sector_are_one_range() {
    let text = folder(&[("a.txt", &[b'a'; 30]), ("b.txt", &[b'b'; 30])]);
    let one = |name: &str| source(&text.path().join(name), "law");
    let sources = [one("a.txt"), one("b.txt")];
    let (_, manifest) = prepared_from(&sources, &PrepareOptions::default()).expect("text");
    let ranges = manifest.training_sectors();
    assert_eq!((ranges.len(), ranges[0].tokens.clone()), (1, 0..56));
}

#[test]
fn json_lines_are_documents_by_extension_or_by_word() {
    let lines = b"{\"text\": \"a document of some length\"}\n{\"text\": \"another one\"}\n";
    let dir = folder(&[
        ("x.jsonl", lines),
        ("y.log", b"{\"text\": \"in a log of lines\"}"),
    ]);
    let (out, manifest) = prepared(dir.path(), &PrepareOptions::default()).expect("text");
    assert_eq!(manifest.documents(), 3);
    let data = Dataset::open(out.path()).expect("prepared data");
    let text = String::from_utf8(all(&data)).expect("text");
    assert!(
        text.starts_with("\0a document of some leng\0another on"),
        "{text:?}"
    );
    assert!(text.ends_with("{\"text\": \"in a log of lines"), "{text:?}");

    let as_lines = SourceOptions {
        format: Format::JsonLines,
        ..plain(&dir.path().join("y.log"))
    };
    let (out, _) = prepared_from(&[as_lines], &PrepareOptions::default()).expect("text");
    let data = Dataset::open(out.path()).expect("prepared data");
    assert_eq!(all(&data), b"\0in a log of line");
}

#[test]
fn a_bad_line_is_refused_by_number_or_counted() {
    let dir = folder(&[(
        "x.jsonl",
        b"{\"text\": \"a fine document\"}\n\n{\"text\": 3}\n",
    )]);
    let refused = prepared(dir.path(), &PrepareOptions::default()).expect_err("a number");
    let message = refused.to_string();
    assert!(
        message.contains("x.jsonl, record 3: expected text in the field"),
        "{message}"
    );
    let options = PrepareOptions {
        skip_bad_lines: true,
        ..PrepareOptions::default()
    };
    let (_, manifest) = prepared(dir.path(), &options).expect("one is fine");
    assert_eq!(
        (manifest.documents(), manifest.sources[0].skipped.bad_lines),
        (1, 1)
    );
}

#[test]
fn duplicates_are_left_out_across_sources_unless_wanted() {
    let (a, b) = (
        folder(&[("a", b"the same text")]),
        folder(&[("b", b"the same text")]),
    );
    std::fs::write(b.path().join("c"), "another text!").expect("ours");
    let sources = [source(a.path(), "law"), source(b.path(), "press")];
    let mut options = PrepareOptions::default();
    let (_, manifest) = prepared_from(&sources, &options).expect("text");
    let duplicates = |m: &Manifest| [0, 1].map(|i| m.sources[i].skipped.duplicates);
    assert_eq!((manifest.documents(), duplicates(&manifest)), (2, [0, 1]));
    options.deduplicate = false;
    let (_, manifest) = prepared_from(&sources, &options).expect("text");
    assert_eq!((manifest.documents(), duplicates(&manifest)), (3, [0, 0]));
}

#[test]
fn filters_leave_documents_out_and_their_counts_stand_in_the_manifest() {
    let dir = folder(&[
        ("a", b"short"),
        ("b", b"12345678901234567890"),
        ("c", b"a text that is good enough to be read"),
        ("d", "a text that is far too long ".repeat(9).as_bytes()),
    ]);
    let options = PrepareOptions {
        filters: Filters {
            min_bytes: Some(10),
            max_bytes: Some(100),
            ..Filters::QUALITY
        },
        ..PrepareOptions::default()
    };
    let (out, _) = prepared(dir.path(), &options).expect("text");
    let manifest = Manifest::read(out.path()).expect("a manifest");
    let expected = Skipped {
        too_short: 1,
        few_letters: 1,
        too_long: 1,
        ..Skipped::default()
    };
    assert_eq!(
        (manifest.documents(), manifest.sources[0].skipped),
        (1, expected)
    );
    assert_eq!(manifest.filters, options.filters);
}

#[test]
fn token_files_become_shards_of_the_width_their_vocabulary_needs() {
    let tokens: Vec<u16> = (0..40).map(|i| i * 7 % 300).collect();
    let dir = folder(&[("train.bin", &le16(&tokens)), ("meta.pkl", b"not tokens")]);
    let source = tokens_of(dir.path(), TokenFormat::NanoGpt);
    let options = |vocabulary| PrepareOptions {
        vocabulary: Some(vocabulary),
        ..PrepareOptions::default()
    };
    for (vocabulary, width) in [(300, 2), (65_537, 4)] {
        let (out, manifest) = prepared_from(from_ref(&source), &options(vocabulary)).expect("ok");
        assert_eq!(
            (manifest.token_bytes, manifest.tokenizer.vocabulary),
            (width, vocabulary)
        );
        assert_eq!(
            (manifest.documents(), manifest.tokenizer.kind.as_str()),
            (1, "external")
        );
        assert_eq!(manifest.held_out_of("general"), (4, None));
        let data = Dataset::open(out.path()).expect("prepared data");
        let mut read = [0; 40];
        data.copy_window(0, &mut read[..36]).expect("inside");
        data.held_out()
            .copy_window(0, &mut read[36..])
            .expect("inside");
        assert!(read.iter().zip(&tokens).all(|(a, b)| *a == u32::from(*b)));
        let refused = data.tokenizer().expect_err("made elsewhere").to_string();
        assert!(refused.contains("--tokenizer FILE"), "{refused}");
    }
    let refused = prepared_from(&[source], &options(200)).expect_err("tokens up to 299");
    assert!(
        refused
            .to_string()
            .contains("lies outside the vocabulary of 200"),
        "{refused}"
    );
}

#[test]
fn token_files_of_unknown_size_and_text_among_them_are_refused() {
    let dir = folder(&[("x.bin", &le16(&[1; 40])), ("text", b"some text")]);
    let tokens = tokens_of(&dir.path().join("x.bin"), TokenFormat::NanoGpt);
    let none = PrepareOptions::default();
    let refused = prepared_from(from_ref(&tokens), &none).expect_err("nobody knows");
    assert!(refused.to_string().contains("--vocabulary"), "{refused}");
    let both = [tokens, plain(&dir.path().join("text"))];
    let refused = prepared_from(&both, &none).expect_err("no tokenizer");
    assert!(
        matches!(refused, DataError::TextAmongTokens { index: 2 }),
        "{refused}"
    );
}

#[test]
fn a_llm_c_file_brings_its_vocabulary_and_equal_documents_are_left_out() {
    let mut header = [0u32; 256];
    header[..3].copy_from_slice(&[20_240_520, 1, 40]);
    let header: Vec<u8> = header.iter().flat_map(|n| n.to_le_bytes()).collect();
    let file = [header, le16(&[50_256; 40])].concat();
    let dir = folder(&[("a.bin", &file), ("b.bin", &file)]);
    let source = tokens_of(dir.path(), TokenFormat::LlmC);
    let (_, manifest) = prepared_from(&[source], &PrepareOptions::default()).expect("tokens");
    assert_eq!(
        (manifest.tokenizer.vocabulary, manifest.token_bytes),
        (50_257, 2)
    );
    assert_eq!(
        (manifest.documents(), manifest.sources[0].skipped.duplicates),
        (1, 1)
    );
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_a_table_says_how_to_get_it() {
    let dir = folder(&[("x.parquet", b"PAR1")]);
    let refused = prepared(dir.path(), &PrepareOptions::default()).expect_err("not built in");
    assert!(
        refused.to_string().contains("--features parquet"),
        "{refused}"
    );
}

#[cfg(feature = "hf-tokenizer")]
#[test]
fn text_is_encoded_with_a_tokenizer_of_which_the_folder_gets_a_copy() {
    use crate::data::tokenizer::tests::WORDS;
    let dir = folder(&[
        ("a.txt", b"ab ab ab ab ab ab ab"),
        ("tokenizer.json", WORDS.as_bytes()),
    ]);
    let options = PrepareOptions {
        tokenizer: Some(dir.path().join("tokenizer.json")),
        ..PrepareOptions::default()
    };
    let source = plain(&dir.path().join("a.txt"));
    let (out, manifest) = prepared_from(&[source], &options).expect("text");
    let data = Dataset::open(out.path()).expect("prepared data");
    data.verify().expect("whole");
    assert_eq!(
        (manifest.token_bytes, manifest.tokenizer.kind.as_str()),
        (2, "hf")
    );
    let read = |source: &dyn TokenSource| {
        let mut tokens = vec![0; source.len() as usize];
        source.copy_window(0, &mut tokens).expect("inside");
        tokens
    };
    // The last two of twenty bytes are held out.
    assert_eq!(read(&data), [0, 5, 6, 6, 6, 6, 6, 4]);
    assert_eq!(read(data.held_out()), [0, 5]);
    assert_eq!(manifest.held_out_of("general"), (2, Some(2)));
    assert_eq!(data.tokenizer().expect("the copy").id(), manifest.tokenizer);

    std::fs::write(out.path().join(TOKENIZER_FILE), WORDS.replace("300", "301")).expect("ours");
    let changed = data.verify().expect_err("another file");
    assert!(changed.to_string().contains("it was changed"), "{changed}");
}
