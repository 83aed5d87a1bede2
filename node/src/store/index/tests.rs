use std::{fs, path::Path};

use archipel_protocol::ids::{BlobHash, Round};

use super::{
    super::{LogKind, Store},
    IndexCondition,
};

/// A folder with records, a noted blob and an index that is durable.
fn folder() -> (tempfile::TempDir, BlobHash) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::open(folder.path()).expect("a new store").0;
    for i in 0..40u8 {
        let log = LogKind::ALL[usize::from(i % 4 == 3)];
        store
            .append_record(log, Round(u64::from(i / 4)), &[i; 50])
            .expect("appended");
    }
    store.sync().expect("synced");
    let hash = store.blobs().put(b"payload").expect("stored");
    store.blobs().note(&hash, 5, Round(3)).expect("noted");
    (folder, hash)
}

/// Opens and checks everything the index answers.
fn condition(folder: &Path) -> IndexCondition {
    let (store, recovered) = Store::open(folder).expect("the index is never truth");
    assert_eq!((recovered.main_records, recovered.side_records), (30, 10));
    let range = 17..19;
    let records = store.records(LogKind::Main, range).expect("in range");
    let found: Vec<_> = records
        .map(|r| r.expect("whole"))
        .map(|r| (r.number, r.round.0))
        .collect();
    assert_eq!(found, [(17, 5), (18, 6)]);
    let round = store
        .records_of_round(LogKind::Main, Round(9))
        .expect("asked");
    assert_eq!(round, [27, 28, 29]);
    assert_eq!(
        store
            .records_of_round(LogKind::Side, Round(9))
            .expect("asked"),
        [9]
    );
    recovered.index
}

#[test]
fn a_closed_index_is_current_and_keeps_the_notes() {
    let (folder, hash) = folder();
    assert_eq!(condition(folder.path()), IndexCondition::Current);
    let store = Store::open(folder.path()).expect("opened").0;
    let note = store.blobs().noted(&hash).expect("asked").expect("noted");
    assert_eq!((note.length, note.kind, note.last_round), (7, 5, Round(3)));
}

#[test]
fn a_missing_index_is_rebuilt() {
    let (folder, hash) = folder();
    fs::remove_file(folder.path().join("index.redb")).expect("removed");
    assert_eq!(condition(folder.path()), IndexCondition::Rebuilt);
    assert_eq!(condition(folder.path()), IndexCondition::Current);
    let store = Store::open(folder.path()).expect("opened").0;
    let note = store
        .blobs()
        .noted(&hash)
        .expect("asked")
        .expect("its length is known");
    assert_eq!((note.length, note.kind), (7, 0));
}

#[test]
fn an_index_that_is_behind_is_caught_up() {
    let (folder, _) = folder();
    let path = folder.path().join("index.redb");
    let old = fs::read(&path).expect("the index");
    let mut store = Store::open(folder.path()).expect("opened").0;
    store
        .append_record(LogKind::Main, Round(10), b"one more")
        .expect("appended");
    store.sync().expect("synced");
    let more = store.blobs().put(b"one more blob").expect("stored");
    drop(store);
    fs::write(&path, old).expect("put back");
    let (store, recovered) = Store::open(folder.path()).expect("opened");
    assert_eq!(recovered.index, IndexCondition::CaughtUp);
    assert_eq!(
        store
            .records_of_round(LogKind::Main, Round(10))
            .expect("asked"),
        [30]
    );
    assert_eq!(
        store
            .blobs()
            .noted(&more)
            .expect("asked")
            .map(|note| note.length),
        Some(13)
    );
}

#[test]
fn an_index_of_another_folder_is_rebuilt() {
    let (folder, _) = folder();
    let other = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::open(other.path()).expect("a new store").0;
    store
        .append_record(LogKind::Main, Round(0), &[1; 51])
        .expect("appended");
    store
        .append_record(LogKind::Main, Round(7), &[1; 51])
        .expect("appended");
    store.sync().expect("synced");
    drop(store);
    let index = other.path().join("index.redb");
    fs::copy(index, folder.path().join("index.redb")).expect("copied");
    assert_eq!(condition(folder.path()), IndexCondition::Rebuilt);
}

#[test]
fn no_damage_to_the_index_keeps_a_store_from_opening() {
    let (folder, _) = folder();
    let path = folder.path().join("index.redb");
    let sound = fs::read(&path).expect("the index");
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let mut damaged = vec![Vec::new(), b"not an index".to_vec(), vec![0; sound.len()]];
    damaged.extend([1, 100, 4096, sound.len() / 2, sound.len() - 1].map(|n| sound[..n].to_vec()));
    damaged.extend((0..320).step_by(7).map(flipped));
    damaged.extend((320..sound.len()).step_by(sound.len() / 60).map(flipped));
    let mut rebuilt = 0;
    for bytes in damaged {
        fs::write(&path, bytes).expect("written");
        rebuilt += usize::from(condition(folder.path()) == IndexCondition::Rebuilt);
        assert_eq!(condition(folder.path()), IndexCondition::Current);
    }
    assert!(rebuilt > 8, "damage was noticed {rebuilt} times only");
}
