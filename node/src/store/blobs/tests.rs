use std::thread;

use super::{
    super::{Store, StoreError},
    *,
};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path()).expect("a new store").0;
    (folder, store)
}

fn flip(path: &Path, at: u64) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("the blob");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
    // Coarse clocks: the change must show even in the tick of the last read.
    file.set_modified(std::time::UNIX_EPOCH).expect("set");
}

#[test]
fn blobs_are_found_by_hash_and_read_in_ranges() {
    let (folder, store) = store();
    let blobs = store.blobs();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    let hash = blobs.put(&bytes).expect("stored");
    assert_eq!(hash.0, *blake3::hash(&bytes).as_bytes());
    let name = hash.to_string();
    assert!(
        folder
            .path()
            .join("blobs/b3")
            .join(&name[..2])
            .join(&name)
            .is_file()
    );
    assert_eq!(blobs.put(&bytes).expect("stored before"), hash);
    assert_eq!(blobs.len(&hash).expect("here"), Some(1_000_000));
    assert_eq!(
        blobs.read(&hash, 999_998, 2).expect("in range"),
        bytes[999_998..]
    );
    assert_eq!(blobs.read(&hash, 5, 0).expect("in range"), b"");
    assert_eq!(
        blobs.read_all(&hash, 1_000_000).expect("within the limit"),
        bytes
    );
    assert!(matches!(
        blobs.read_all(&hash, 999_999),
        Err(StoreError::TooLong { .. })
    ));
    for (offset, length) in [(999_999, 2), (u64::MAX, 1), (0, u64::MAX)] {
        let result = blobs.read(&hash, offset, length);
        assert!(
            matches!(result, Err(StoreError::Range { .. })),
            "{offset} {length}"
        );
    }
    let unknown = BlobHash([9; 32]);
    assert!(!blobs.contains(&unknown).expect("examined"));
    assert!(matches!(
        blobs.read(&unknown, 0, 1),
        Err(StoreError::BlobMissing { .. })
    ));
    assert_eq!(
        blobs
            .put(b"")
            .and_then(|empty| blobs.read_all(&empty, 0))
            .expect("empty"),
        b""
    );
}

#[test]
fn a_changed_blob_is_refused_however_it_is_read_and_repaired_by_storing_it_again() {
    let (_folder, store) = store();
    let blobs = store.blobs();
    let bytes = vec![3; 70_000];
    let hash = blobs.put(&bytes).expect("stored");
    for at in [0, 35_000, 69_999] {
        assert_eq!(blobs.read(&hash, 1, 2).expect("whole"), [3, 3]);
        flip(&blobs.path(&hash), at);
        let results = [
            blobs.read(&hash, 1, 2).map(drop),
            blobs.read_all(&hash, 1 << 20).map(drop),
            blobs.verify(&hash).map(drop),
        ];
        for result in results {
            let Err(StoreError::BlobDamaged {
                path,
                expected,
                found,
            }) = result
            else {
                panic!("byte {at}: {result:?}");
            };
            assert_eq!((path, expected), (blobs.path(&hash), hash));
            assert_ne!(found, hash);
        }
        assert_eq!(blobs.put(&bytes).expect("replaced"), hash);
        assert_eq!(blobs.verify(&hash).expect("whole again"), 70_000);
    }
}

#[test]
fn pieces_come_in_any_order_and_must_have_the_announced_hash() {
    let (folder, store) = store();
    let blobs = store.blobs();
    let bytes: Vec<u8> = (0..3000u32).map(|i| (i / 7) as u8).collect();
    let expected = BlobHash(*blake3::hash(&bytes).as_bytes());
    for order in [[0, 1000, 2000], [2000, 0, 1000], [0, 2000, 1000]] {
        let mut writer = blobs.writer(3000, Some(expected)).expect("begun");
        for at in order {
            writer
                .write_at(at as u64, &bytes[at..at + 1000])
                .expect("written");
        }
        assert_eq!(writer.length(), 3000);
        assert_eq!(writer.finish().expect("the announced content"), expected);
        assert_eq!(blobs.read_all(&expected, 3000).expect("here"), bytes);
        blobs.retain(&BTreeSet::new()).expect("removed");
    }
    let mut writer = blobs.writer(3000, Some(expected)).expect("begun");
    writer.write(&bytes[..2999]).expect("written");
    assert!(matches!(
        writer.write(&[0, 0]),
        Err(StoreError::TooLong { .. })
    ));
    let error = writer.finish().expect_err("a byte is missing");
    assert!(matches!(error, StoreError::WrongContent { .. }), "{error}");
    assert!(!blobs.contains(&expected).expect("examined"));
    let left = fs::read_dir(folder.path().join("blobs/tmp"))
        .expect("the folder")
        .count();
    assert_eq!(left, 0, "a refused blob leaves nothing behind");
}

#[test]
fn retain_frees_the_others_and_spares_what_arrives_during_a_sweep() {
    let (_folder, store) = store();
    let blobs = store.blobs();
    let kept = blobs.put(b"kept").expect("stored");
    let old = blobs.put(b"old").expect("stored");
    let again = blobs.put(b"again").expect("stored");
    let mut unfinished = blobs.writer(100, None).expect("begun");
    unfinished.write(b"unfinished").expect("written");
    let sweep = blobs.sweep();
    let during = blobs.put(b"during").expect("stored");
    blobs.put(b"again").expect("stored before");
    assert_eq!(sweep.retain(&BTreeSet::from([kept])).expect("swept"), 3);
    let here: Vec<_> = blobs.list().expect("listed").into_keys().collect();
    let mut expected = vec![kept, again, during];
    expected.sort();
    assert_eq!(here, expected);
    assert_eq!(blobs.noted(&old).expect("asked"), None);
    unfinished
        .finish()
        .expect("a temporary file is nobody's to remove");
    assert_eq!(
        blobs.retain(&BTreeSet::new()).expect("swept"),
        4 + 5 + 6 + 10
    );
    assert!(blobs.list().expect("listed").is_empty());
}

#[test]
fn notes_keep_the_latest_round() {
    let (_folder, store) = store();
    let blobs = store.blobs();
    let hash = blobs.put(b"payload").expect("stored");
    blobs.note(&hash, 2, Round(9)).expect("noted");
    blobs.note(&hash, 3, Round(4)).expect("noted");
    let note = BlobNote {
        length: 7,
        kind: 3,
        last_round: Round(9),
    };
    assert_eq!(blobs.noted(&hash).expect("asked"), Some(note));
    let unknown = blobs.note(&BlobHash([1; 32]), 1, Round(1));
    assert!(matches!(unknown, Err(StoreError::BlobMissing { .. })));
}

#[test]
fn threads_share_a_store_while_it_is_swept() {
    let (_folder, store) = store();
    let kept: BTreeSet<_> = (0..8u8)
        .map(|i| BlobHash(*blake3::hash(&[i; 99]).as_bytes()))
        .collect();
    thread::scope(|scope| {
        for worker in 0..4u8 {
            let blobs = store.blobs().clone();
            scope.spawn(move || {
                for i in 0..8 {
                    let hash = blobs.put(&[i; 99]).expect("stored");
                    assert_eq!(blobs.read_all(&hash, 99).expect("kept by all"), [i; 99]);
                    blobs.put(&[i, worker]).expect("stored");
                }
            });
        }
        for _ in 0..8 {
            store.blobs().retain(&kept).expect("swept");
        }
    });
    store.blobs().retain(&kept).expect("swept");
    let here: BTreeSet<_> = store.blobs().list().expect("listed").into_keys().collect();
    assert_eq!(here, kept);
}

#[test]
fn foreign_and_misplaced_files_are_passed_over() {
    let (folder, store) = store();
    let hash = store.blobs().put(b"a blob").expect("stored");
    let root = folder.path().join("blobs/b3");
    fs::create_dir_all(root.join("zz")).expect("created");
    for name in ["README", "zz/x", &format!("zz/{hash}")] {
        fs::write(root.join(name), b"?").expect("written");
    }
    let here: Vec<_> = store.blobs().list().expect("listed").into_keys().collect();
    assert_eq!(here, [hash]);
}
