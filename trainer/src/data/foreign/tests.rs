//! Files as the three programs write them, and one test a refusal.

use super::*;
use std::path::PathBuf;
use tempfile::TempDir;

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("ours");
    (dir, path)
}

fn open(bytes: &[u8], format: TokenFormat) -> Result<TokenFile, String> {
    let (_dir, path) = file("x.bin", bytes);
    TokenFile::open(&path, format).map_err(|error| error.to_string())
}

fn refused(bytes: &[u8], format: TokenFormat, expected: &str) {
    let error = open(bytes, format).err().expect("refused");
    assert!(error.contains(expected), "{error}");
}

fn le16(tokens: &[u16]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect()
}

fn le32(tokens: &[u32]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect()
}

fn llm_c(magic: u32, version: u32, count: u32, tokens: &[u8]) -> Vec<u8> {
    let mut header = [0; 256];
    header[..3].copy_from_slice(&[magic, version, count]);
    [le32(&header), tokens.to_vec()].concat()
}

#[test]
fn a_nano_gpt_file_is_one_document_of_16_bit_tokens() {
    let file = open(&le16(&[1, 50_000, 65_535]), TokenFormat::NanoGpt).expect("tokens");
    assert_eq!((file.documents(), file.document(0)), (1, 0..3));
    assert_eq!(
        file.read(0..3, 65_536).expect("inside"),
        [1, 50_000, 65_535]
    );
    assert_eq!(file.read(1..2, 65_536).expect("inside"), [50_000]);
    assert_eq!(file.vocabulary, None);
}

#[test]
fn a_nano_gpt_file_of_half_a_token_is_refused() {
    refused(
        &[1, 2, 3],
        TokenFormat::NanoGpt,
        "tokens of 2 bytes each, found 3 bytes",
    );
}

#[test]
fn an_empty_file_is_refused() {
    refused(&[], TokenFormat::NanoGpt, "expected tokens, found none");
    let bytes = llm_c(20_240_520, 1, 0, &[]);
    refused(&bytes, TokenFormat::LlmC, "expected tokens, found none");
}

#[test]
fn a_token_outside_the_vocabulary_is_refused_with_its_position() {
    let file = open(&le16(&[1, 64, 65]), TokenFormat::NanoGpt).expect("tokens");
    let fault = file.read(1..3, 65).expect_err("outside").to_string();
    assert!(
        fault.contains("token 65 at 2 lies outside the vocabulary of 65"),
        "{fault}"
    );
}

#[test]
fn both_of_llm_c_s_kinds_are_read() {
    let gpt2 = open(
        &llm_c(20_240_520, 1, 2, &le16(&[50_256, 7])),
        TokenFormat::LlmC,
    );
    let gpt2 = gpt2.expect("tokens");
    assert_eq!(gpt2.vocabulary, Some(50_257));
    assert_eq!(
        gpt2.read(gpt2.document(0), 50_257).expect("inside"),
        [50_256, 7]
    );
    let llama = open(
        &llm_c(20_240_801, 7, 2, &le32(&[128_000, 9])),
        TokenFormat::LlmC,
    );
    let llama = llama.expect("tokens");
    assert_eq!(llama.vocabulary, Some(128_256));
    assert_eq!(
        llama.read(llama.document(0), 128_256).expect("inside"),
        [128_000, 9]
    );
}

#[test]
fn a_llm_c_file_with_another_magic_is_refused() {
    let bytes = llm_c(20_240_521, 1, 1, &le16(&[1]));
    refused(
        &bytes,
        TokenFormat::LlmC,
        "expected a llm.c file to begin with the number 20240520",
    );
}

#[test]
fn a_llm_c_file_of_another_version_is_refused() {
    let bytes = llm_c(20_240_520, 2, 1, &le16(&[1]));
    refused(&bytes, TokenFormat::LlmC, "expected version 1, found 2");
    let bytes = llm_c(20_240_801, 1, 1, &le32(&[1]));
    refused(&bytes, TokenFormat::LlmC, "expected version 7, found 1");
}

#[test]
fn a_llm_c_file_cut_in_its_header_or_its_tokens_is_refused() {
    let whole = llm_c(20_240_520, 1, 3, &le16(&[1, 2, 3]));
    let header = "expected 1024 bytes of header, found 100";
    refused(&whole[..100], TokenFormat::LlmC, header);
    let tokens = "expected 6 bytes of tokens, found 4";
    refused(&whole[..whole.len() - 2], TokenFormat::LlmC, tokens);
    let longer = [whole, vec![0; 2]].concat();
    refused(
        &longer,
        TokenFormat::LlmC,
        "expected 6 bytes of tokens, found 8",
    );
    let most = llm_c(20_240_801, 7, u32::MAX, &le32(&[1]));
    refused(
        &most,
        TokenFormat::LlmC,
        "expected 17179869180 bytes of tokens, found 4",
    );
}

/// An index as Megatron's `IndexWriter` writes it.
#[derive(Clone)]
struct Index {
    magic: Vec<u8>,
    version: u64,
    code: u8,
    counts: (u64, u64),
    lengths: Vec<i32>,
    offsets: Vec<i64>,
    documents: Vec<i64>,
    modes: Vec<u8>,
}

impl Index {
    /// Three documents of 2, 1 and 0 sequences: 2 + 1, 3 and no tokens of 16 bits.
    fn good() -> Self {
        Self {
            magic: b"MMIDIDX\0\0".to_vec(),
            version: 1,
            code: 8,
            counts: (3, 4),
            lengths: vec![2, 1, 3],
            offsets: vec![0, 4, 6],
            documents: vec![0, 2, 3, 3],
            modes: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.clone();
        bytes.extend(self.version.to_le_bytes());
        bytes.push(self.code);
        bytes.extend(self.counts.0.to_le_bytes());
        bytes.extend(self.counts.1.to_le_bytes());
        bytes.extend(self.lengths.iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(self.offsets.iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(self.documents.iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(&self.modes);
        bytes
    }
}

fn megatron(index: &[u8], tokens: &[u8]) -> Result<TokenFile, String> {
    let (dir, path) = file("x.bin", tokens);
    std::fs::write(dir.path().join("x.idx"), index).expect("ours");
    TokenFile::open(&path, TokenFormat::Megatron).map_err(|error| error.to_string())
}

fn tokens() -> Vec<u8> {
    le16(&[10, 11, 12, 13, 14, 15])
}

fn refused_index(change: fn(&mut Index), expected: &str) {
    let mut index = Index::good();
    change(&mut index);
    let error = megatron(&index.bytes(), &tokens()).err().expect("refused");
    assert!(
        error.contains(expected) && error.contains("x.idx"),
        "{error}"
    );
}

#[test]
fn a_megatron_file_has_the_documents_of_its_index() {
    let file = megatron(&Index::good().bytes(), &tokens()).expect("tokens");
    let ranges: Vec<_> = (0..file.documents()).map(|n| file.document(n)).collect();
    assert_eq!(ranges, [0..3, 3..6, 6..6]);
    assert_eq!(
        file.read(ranges[1].clone(), 100).expect("inside"),
        [13, 14, 15]
    );
    assert_eq!(file.raw(0..1), [10, 0]);
}

#[test]
fn megatron_tokens_of_every_integer_type_are_read_and_negative_ones_refused() {
    let index = |code| Index {
        code,
        counts: (1, 2),
        lengths: vec![2],
        offsets: vec![0],
        documents: vec![0, 1],
        ..Index::good()
    };
    let cases: [(u8, Vec<u8>, Option<i64>); 5] = [
        (1, vec![7, 255], None),
        (3, le16(&[7, 65_535]), Some(-1)),
        (4, le32(&[7, u32::MAX]), Some(-1)),
        (
            5,
            [7i64.to_le_bytes(), (-1i64).to_le_bytes()].concat(),
            Some(-1),
        ),
        (8, le16(&[7, 255]), None),
    ];
    for (code, bytes, negative) in cases {
        let file = megatron(&index(code).bytes(), &bytes).expect("tokens");
        assert_eq!(file.read(0..1, 256).expect("inside"), [7], "{code}");
        match (file.read(0..2, 256), negative) {
            (Ok(found), None) => assert_eq!(found, [7, 255], "{code}"),
            (Err(Fault::Token { token, .. }), Some(expected)) => assert_eq!(token, expected),
            (other, _) => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn a_megatron_file_without_its_index_is_refused() {
    let (_dir, path) = file("x.bin", &tokens());
    let error = TokenFile::open(&path, TokenFormat::Megatron)
        .err()
        .expect("no index");
    assert!(error.to_string().contains("x.idx"), "{error}");
}

#[test]
fn a_megatron_index_with_another_magic_is_refused() {
    refused_index(
        |i| i.magic = b"MMIDIDX\0\x01".to_vec(),
        "to begin with MMIDIDX",
    );
    let error = megatron(&[], &tokens()).err().expect("empty");
    assert!(error.contains("to begin with MMIDIDX"), "{error}");
}

#[test]
fn a_megatron_index_of_another_version_is_refused() {
    refused_index(|i| i.version = 2, "expected version 1, found 2");
}

#[test]
fn a_megatron_index_of_numbers_that_are_no_tokens_is_refused() {
    refused_index(|i| i.code = 7, "found type code 7");
}

#[test]
fn a_megatron_index_that_is_cut_anywhere_is_refused() {
    let whole = Index::good().bytes();
    for length in 0..whole.len() {
        assert!(megatron(&whole[..length], &tokens()).is_err(), "{length}");
    }
    refused_index(
        |i| i.documents.push(3),
        "expected 102 bytes of index, found 110",
    );
}

#[test]
fn a_megatron_index_whose_counts_overflow_is_refused() {
    refused_index(
        |i| i.counts = (u64::MAX, 4),
        "expected counts that a file can hold",
    );
    refused_index(
        |i| i.counts = (3, u64::MAX / 8),
        "expected counts that a file can hold",
    );
    refused_index(|i| i.counts = (1 << 40, 4), "bytes of index, found 102");
}

#[test]
fn a_megatron_index_with_modes_is_refused() {
    refused_index(|i| i.modes = vec![0; 3], "found modes of sequences");
}

#[test]
fn a_megatron_index_with_a_negative_length_is_refused() {
    refused_index(|i| i.lengths[1] = -1, "length 1: expected 0, found -1");
}

#[test]
fn a_megatron_index_whose_offsets_do_not_follow_is_refused() {
    refused_index(|i| i.offsets[2] = 8, "offset 2: expected 6, found 8");
    refused_index(|i| i.offsets[0] = -2, "offset 0: expected 0, found -2");
}

#[test]
fn a_megatron_index_of_more_or_fewer_tokens_than_the_file_is_refused() {
    refused_index(
        |i| i.lengths[2] = 4,
        "expected 14 bytes of tokens, found 12",
    );
    refused_index(
        |i| i.lengths[2] = 2,
        "expected 10 bytes of tokens, found 12",
    );
}

#[test]
fn a_megatron_index_whose_documents_do_not_follow_is_refused() {
    refused_index(|i| i.documents[0] = 1, "document 0: expected 0, found 1");
    refused_index(|i| i.documents[2] = 1, "document 2: expected 2, found 1");
    refused_index(|i| i.documents[2] = 4, "document 2: expected 2, found 4");
    refused_index(|i| i.documents[3] = -1, "document 3: expected 3, found -1");
    refused_index(
        |i| i.documents = vec![0, 1, 2, 2],
        "document 3: expected 3, found 2",
    );
    refused_index(
        |i| (i.counts.1, i.documents) = (0, Vec::new()),
        "document 0: expected 3, found 0",
    );
}
