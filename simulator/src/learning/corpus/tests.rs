use super::*;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

fn refused(files: &[(&str, &[u8])]) -> CorpusError {
    Corpus::read(folder(files).path(), 17).expect_err("refused")
}

#[test]
fn files_and_subfolders_are_sources_in_name_order() {
    let text = [b'x'; 200];
    let folder = folder(&[
        ("zulu.txt", &text),
        ("README.md", b"no source"),
        (".hidden.txt", &[0]),
        ("basque/b.txt", &[b'b'; 100]),
        ("basque/a/deep.txt", &[b'a'; 100]),
        ("empty/none.md", b"nothing"),
    ]);
    let corpus = Corpus::read(folder.path(), 17).expect("two sources");
    let names: Vec<&str> = corpus.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["basque", "zulu"]);
    let basque = &corpus.sources[0];
    assert_eq!((basque.training.len(), basque.held_out.len()), (192, 10));
    assert_eq!(basque.held_out, [u32::from(b'b'); 10]);
    let mut start = [9; 102];
    basque.training.copy_window(0, &mut start).expect("inside");
    assert_eq!((start[0], start[1], start[100], start[101]), (0, 97, 97, 0));
    // A held-out token has four bytes.
    assert_eq!(corpus.bytes(), 202 + 201 + 3 * (10 + 10));
}

#[test]
fn what_is_held_out_is_bounded() {
    let text = vec![b'x'; 3 << 20];
    let folder = folder(&[("a.txt", &text)]);
    let corpus = Corpus::read(folder.path(), 17).expect("a source");
    assert_eq!(corpus.sources[0].held_out.len(), MAX_HELD_OUT);
}

#[test]
fn what_is_no_text_is_refused() {
    let good: (&str, &[u8]) = ("a.txt", &[b'x'; 200]);
    assert!(matches!(refused(&[]), CorpusError::NoSource { .. }));
    assert!(matches!(
        refused(&[("a.md", b"x")]),
        CorpusError::NoSource { .. }
    ));
    let zero = refused(&[good, ("b.txt", b"a\0b")]);
    assert!(matches!(zero, CorpusError::NotText { .. }), "{zero}");
    let latin = refused(&[good, ("b.txt", b"caf\xe9")]);
    assert!(matches!(latin, CorpusError::NotText { .. }), "{latin}");
    let short = refused(&[good, ("b.txt", b"too short")]);
    let right = matches!(&short, CorpusError::TooLittle { name, found: 10, .. } if name == "b");
    assert!(right, "{short}");
    let absent = Corpus::read(Path::new("/nowhere/at/all"), 17).expect_err("absent");
    assert!(
        matches!(absent, CorpusError::Io { action: "list", .. }),
        "{absent}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_is_refused() {
    let folder = folder(&[("a.txt", &[b'x'; 200])]);
    std::os::unix::fs::symlink("/", folder.path().join("b")).expect("a link");
    let refused = Corpus::read(folder.path(), 17).expect_err("a link");
    assert!(matches!(refused, CorpusError::Link { .. }), "{refused}");
}

#[test]
fn the_smallest_source_has_a_window_and_something_held_out() {
    for window in [2, 17, 64, 65, 1000] {
        let expected = match split("a".to_owned(), Vec::new(), window) {
            Err(CorpusError::TooLittle { expected, .. }) => expected,
            other => panic!("{other:?}"),
        };
        let source = split("a".to_owned(), vec![b'x'; expected], window).expect("enough");
        assert!(source.training.len() >= window as u64 && source.held_out.len() >= 2);
    }
}

#[test]
fn the_invented_languages_are_four_sources() {
    let corpus = Corpus::synthetic(1, 65).expect("text");
    assert_eq!(corpus.sources.len(), 4);
    assert!(corpus.bytes() >= 4 * SYNTHETIC_BYTES as u64);
}
