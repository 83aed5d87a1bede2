//! Whatever goes in comes out: documents as bytes, tokens of other programs as they were, for
//! random documents under one key a case.

use super::*;

const CASES: u8 = 48;

/// A random number of random parts.
fn list<T>(stream: &mut Stream, most: u64, part: impl Fn(&mut Stream) -> T) -> Vec<T> {
    let count = stream.below(most + 1);
    (0..count).map(|_| part(stream)).collect()
}

/// Characters of one to four bytes, line ends and quotes among them, but no zero byte.
fn text(stream: &mut Stream) -> String {
    let characters: Vec<char> = "ab \n\"\\\t\u{1}é猫🦀".chars().collect();
    let character =
        |stream: &mut Stream| characters[stream.below(characters.len() as u64) as usize];
    list(stream, 300, character).into_iter().collect()
}

fn read(source: &dyn TokenSource) -> Vec<u32> {
    let mut tokens = vec![0; source.len() as usize];
    source
        .copy_window(0, &mut tokens)
        .expect("the whole source");
    tokens
}

/// Cuts documents as a preparation is documented to: the last percents are held out.
fn cut<T: Copy>(documents: &[Vec<T>], percent: u8, boundary: Option<T>) -> (Vec<T>, Vec<T>) {
    let (mut training, mut held_out) = (Vec::new(), Vec::new());
    for document in documents.iter().filter(|document| !document.is_empty()) {
        let last = document.len() * usize::from(percent) / 100;
        let (first, last) = document.split_at(document.len() - last);
        training.extend(boundary);
        training.extend_from_slice(first);
        if !last.is_empty() {
            held_out.extend(boundary);
            held_out.extend_from_slice(last);
        }
    }
    (training, held_out)
}

/// A Megatron file of such documents, each of its own sequences.
fn megatron(documents: &[Vec<Vec<u32>>], dir: &Path) {
    let sequences: Vec<&Vec<u32>> = documents.iter().flatten().collect();
    let mut index = b"MMIDIDX\0\0\x01\0\0\0\0\0\0\0\x04".to_vec();
    index.extend((sequences.len() as u64).to_le_bytes());
    index.extend((documents.len() as u64 + 1).to_le_bytes());
    let mut tokens = Vec::new();
    let mut offsets = Vec::new();
    for sequence in &sequences {
        index.extend((sequence.len() as i32).to_le_bytes());
        offsets.extend((tokens.len() as i64).to_le_bytes());
        tokens.extend(sequence.iter().flat_map(|token| token.to_le_bytes()));
    }
    index.extend(offsets);
    let mut first = 0i64;
    index.extend(first.to_le_bytes());
    for document in documents {
        first += document.len() as i64;
        index.extend(first.to_le_bytes());
    }
    fs::write(dir.join("x.bin"), tokens).expect("ours");
    fs::write(dir.join("x.idx"), index).expect("ours");
}

#[test]
fn json_lines_come_out_as_their_bytes() {
    for case in 0..CASES {
        let mut stream = Stream::new([case; 32]);
        let documents = list(&mut stream, 30, text);
        let lines: Vec<String> = documents
            .iter()
            .map(|text| serde_json::json!({ "text": text, "n": 1 }).to_string())
            .collect();
        let dir = folder(&[("x.jsonl", lines.join("\n").as_bytes())]);
        let options = PrepareOptions {
            held_out_percent: 1 + stream.below(50) as u8,
            shard_bytes: 4096 + stream.below(1000),
            deduplicate: false,
            ..PrepareOptions::default()
        };
        let bytes: Vec<Vec<u32>> = documents
            .iter()
            .map(|d| byte_tokens(d.as_bytes()))
            .collect();
        let (training, held_out) = cut(&bytes, options.held_out_percent, Some(0));
        match prepared(dir.path(), &options) {
            Ok((out, manifest)) => {
                let data = Dataset::open(out.path()).expect("prepared data");
                data.verify().expect("whole shards");
                assert_eq!(read(&data), training, "case {case}");
                assert_eq!(read(data.held_out()), held_out, "case {case}");
                assert_eq!(Manifest::read(out.path()).expect("written"), manifest);
            }
            Err(DataError::NoText { .. }) => assert!(training.is_empty(), "case {case}"),
            Err(DataError::NothingHeldOut { .. }) => assert!(held_out.is_empty(), "case {case}"),
            Err(error) => panic!("case {case}: {error}"),
        }
    }
}

#[test]
fn tokens_of_other_programs_come_out_as_they_were() {
    for case in 0..CASES {
        let mut stream = Stream::new([case; 32]);
        let vocabulary = 1 + stream.below([200, 1000, 100_000][usize::from(case % 3)]) as u32;
        let token = |stream: &mut Stream| stream.below(vocabulary.into()) as u32;
        let sequence = |stream: &mut Stream| list(stream, 50, token);
        let document = |stream: &mut Stream| list(stream, 4, sequence);
        let documents = list(&mut stream, 10, document);
        let dir = tempfile::tempdir().expect("a folder");
        megatron(&documents, dir.path());
        let source = SourceOptions {
            format: Format::Tokens(TokenFormat::Megatron),
            ..plain(dir.path())
        };
        let options = PrepareOptions {
            held_out_percent: 1 + stream.below(50) as u8,
            deduplicate: false,
            vocabulary: Some(vocabulary),
            ..PrepareOptions::default()
        };
        let whole: Vec<Vec<u32>> = documents.iter().map(|document| document.concat()).collect();
        let (training, held_out) = cut(&whole, options.held_out_percent, None);
        match prepared_from(&[source], &options) {
            Ok((out, manifest)) => {
                let data = Dataset::open(out.path()).expect("prepared data");
                assert_eq!(read(&data), training, "case {case}");
                assert_eq!(read(data.held_out()), held_out, "case {case}");
                let holds = |width: &u8| u64::from(vocabulary) <= 1 << (8 * width);
                assert_eq!(
                    [1, 2, 4].iter().find(|w| holds(w)),
                    Some(&manifest.token_bytes)
                );
            }
            Err(DataError::NothingHeldOut { .. }) => assert!(held_out.is_empty(), "case {case}"),
            Err(DataError::TokenFile { .. }) => assert!(whole.concat().is_empty(), "case {case}"),
            Err(error) => panic!("case {case}: {error}"),
        }
    }
}
