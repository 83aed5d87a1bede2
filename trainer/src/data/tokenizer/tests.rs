use super::*;
use std::fs;

#[cfg(feature = "hf-tokenizer")]
pub(in crate::data) const WORDS: &str = r#"{
  "version": "1.0", "truncation": {"direction": "Right", "max_length": 4,
    "strategy": "LongestFirst", "stride": 0}, "padding": null,
  "added_tokens": [{"id": 0, "content": "<|endoftext|>", "single_word": false, "lstrip": false,
    "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": true, "use_regex": true},
  "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null,
    "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
    "byte_fallback": false, "ignore_merges": false,
    "vocab": {"<|endoftext|>": 0, "a": 1, "b": 2, "c": 3, "\u0120": 4, "ab": 5, "\u0120ab": 6,
      "\u010a": 300},
    "merges": ["a b", "\u0120 ab"]}
}"#;

#[test]
fn bytes_are_their_own_tokens() {
    let tokenizer = Tokenizer::Bytes;
    let text = "caf\u{e9}\0";
    let tokens = tokenizer.encode(text).expect("bytes");
    assert_eq!(tokens, [99, 97, 102, 0xc3, 0xa9, 0]);
    assert_eq!(tokenizer.decode(&tokens).expect("bytes"), text.as_bytes());
    assert_eq!(tokenizer.id(), TokenizerId::bytes());
    let refused = tokenizer.decode(&[256]).expect_err("no byte");
    assert!(matches!(refused, TokenizerError::NoByte { token: 256 }));
}

#[test]
fn an_unknown_kind_and_tokens_made_elsewhere_are_refused() {
    let id = |kind: &str| TokenizerId {
        kind: kind.to_owned(),
        ..TokenizerId::bytes()
    };
    let refusal = |kind| Tokenizer::of_data(Path::new("."), &id(kind)).expect_err("refused");
    assert!(refusal("words").to_string().contains("knows bytes and hf"));
    assert!(refusal(EXTERNAL).to_string().contains("--tokenizer FILE"));
}

#[cfg(not(feature = "hf-tokenizer"))]
#[test]
fn without_the_feature_a_tokenizer_says_how_to_get_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(TOKENIZER_FILE);
    fs::write(&path, "{}").expect("ours");
    let refused = Tokenizer::read(&path, None).expect_err("not built in");
    assert!(refused.to_string().contains("--features hf-tokenizer"));
}

#[test]
fn a_missing_tokenizer_is_refused() {
    let refused = Tokenizer::read(Path::new("/nowhere/tokenizer.json"), None);
    assert!(matches!(refused, Err(TokenizerError::Io { .. })));
}

#[test]
fn a_changed_tokenizer_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join(TOKENIZER_FILE), "{}").expect("ours");
    let id = TokenizerId {
        kind: HF.to_owned(),
        blake3: Some("00".repeat(32)),
        vocabulary: 10,
        boundary: Some(0),
    };
    let refused = Tokenizer::of_data(dir.path(), &id).expect_err("another file");
    assert!(matches!(refused, TokenizerError::Hash { .. }), "{refused}");
}

#[cfg(feature = "hf-tokenizer")]
mod hf {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(TOKENIZER_FILE);
        fs::write(&path, text).expect("ours");
        (dir, path)
    }

    #[test]
    fn text_becomes_the_tokens_of_the_file_and_text_again() {
        let (dir, path) = file(WORDS);
        let tokenizer = Tokenizer::read(&path, None).expect("a tokenizer");
        assert_eq!((tokenizer.vocabulary(), tokenizer.boundary()), (301, 0));
        let text = "ab abc ab\ncab ab ab ab";
        let tokens = tokenizer.encode(text).expect("letters it knows");
        assert_eq!(tokens, [5, 6, 3, 6, 300, 3, 5, 6, 6, 6], "not cut at four");
        assert_eq!(tokenizer.decode(&tokens).expect("tokens"), text.as_bytes());
        let marked = [&[0], tokens.as_slice()].concat();
        assert_eq!(tokenizer.decode(&marked).expect("tokens"), text.as_bytes());

        let again = Tokenizer::of_data(dir.path(), &tokenizer.id()).expect("the same file");
        assert_eq!(again.id(), tokenizer.id());
        assert_eq!(again.encode(text).expect("text"), tokens);
    }

    #[test]
    fn a_boundary_can_be_chosen_and_must_exist() {
        let (dir, path) = file(WORDS);
        let tokenizer = Tokenizer::read(&path, Some("\u{10a}")).expect("a token");
        assert_eq!(tokenizer.boundary(), 300);
        let again = Tokenizer::of_data(dir.path(), &tokenizer.id()).expect("the same file");
        assert_eq!(again.boundary(), 300);
        let refused = Tokenizer::read(&path, Some("<pad>")).expect_err("no such token");
        assert!(
            refused.to_string().contains("no token \"<pad>\""),
            "{refused}"
        );
        let (_dir, path) = file(&WORDS.replace("<|endoftext|>", "<x>"));
        let refused = Tokenizer::read(&path, None).expect_err("none usual");
        assert!(
            matches!(refused, TokenizerError::NoBoundary { .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_refused() {
        for text in ["", "{}", "[1, 2]", "not JSON"] {
            let (_dir, path) = file(text);
            let refused = Tokenizer::read(&path, None).expect_err("no tokenizer");
            assert!(
                matches!(refused, TokenizerError::Malformed { .. }),
                "{refused}"
            );
        }
    }
}
