use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use super::*;

/// Held for writing while a process is started: between fork and exec the child has a copy of
/// every lock that is held, and who opens a store again in that moment finds it taken.
static FORKING: RwLock<()> = RwLock::new(());

/// A folder whose stores are opened while no process is started.
struct Temporary {
    folder: tempfile::TempDir,
    _not_forking: RwLockReadGuard<'static, ()>,
}

impl Temporary {
    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn temporary() -> Temporary {
    Temporary {
        folder: tempfile::tempdir().expect("a temporary folder"),
        _not_forking: FORKING.read().unwrap_or_else(PoisonError::into_inner),
    }
}

fn refusal(dir: &Path) -> StoreError {
    Store::open(dir)
        .map(|opened| opened.1)
        .expect_err("refused")
}

/// Every file below a folder and its bytes, but for the lock.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), fs::read(&path).expect("read"));
        }
    }
    found
}

fn all(store: &Store, log: LogKind) -> Vec<Record> {
    let records = store
        .records(log, 0..store.record_count(log))
        .expect("in range");
    records.collect::<Result<_, _>>().expect("whole")
}

#[test]
fn what_was_appended_is_recovered_synced_or_not() {
    let folder = temporary();
    let (mut store, recovered) = Store::open(folder.path()).expect("a new store");
    let empty = Recovered {
        wal: Vec::new(),
        main_records: 0,
        side_records: 0,
        torn: Vec::new(),
        removed: Vec::new(),
        foreign: Vec::new(),
        index: IndexCondition::Rebuilt,
    };
    assert_eq!(recovered, empty);
    store.append_wal(b"a vote").expect("appended");
    assert_eq!(
        store
            .append_record(LogKind::Main, Round(0), b"work")
            .expect("appended"),
        0
    );
    assert_eq!(
        store
            .append_record(LogKind::Main, Round(1), b"update")
            .expect("appended"),
        1
    );
    store.sync().expect("synced");
    store.append_wal(b"another vote").expect("appended");
    assert_eq!(
        store
            .append_record(LogKind::Side, Round(1), b"genesis")
            .expect("appended"),
        0
    );
    assert_eq!(
        store
            .records_of_round(LogKind::Side, Round(1))
            .expect("asked"),
        [0]
    );
    let record = Record {
        number: 1,
        round: Round(1),
        bytes: b"update".to_vec(),
    };
    assert_eq!(all(&store, LogKind::Main)[1], record);
    let before = (all(&store, LogKind::Main), all(&store, LogKind::Side));
    drop(store);

    let (store, recovered) = Store::open(folder.path()).expect("opened again");
    assert_eq!(
        recovered.wal,
        [b"a vote".to_vec(), b"another vote".to_vec()]
    );
    assert_eq!((recovered.main_records, recovered.side_records), (2, 1));
    assert_eq!(
        (all(&store, LogKind::Main), all(&store, LogKind::Side)),
        before
    );
    assert!(recovered.torn.is_empty() && recovered.removed.is_empty());
}

#[test]
fn ranges_of_records_are_checked() {
    let folder = temporary();
    let mut store = Store::open(folder.path()).expect("a new store").0;
    for i in 0..5 {
        store
            .append_record(LogKind::Main, Round(i), &[i as u8 + 1])
            .expect("appended");
    }
    for (start, end) in [(0, 5), (2, 4), (4, 4), (5, 5), (0, 0)] {
        let records = store.records(LogKind::Main, start..end).expect("in range");
        let found: Vec<_> = records
            .map(|record| record.expect("whole").number)
            .collect();
        assert_eq!(found, (start..end).collect::<Vec<_>>());
    }
    let reversed = Range { start: 3, end: 2 };
    for range in [0..6, 6..6, reversed] {
        let error = store
            .records(LogKind::Main, range)
            .expect_err("out of range");
        assert!(
            matches!(error, StoreError::Range { have: 5, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        store.append_record(LogKind::Main, Round(5), b""),
        Err(StoreError::Empty { .. })
    ));
    let long = vec![1; RECORD_LIMIT + 1];
    let result = store.append_record(LogKind::Main, Round(5), &long);
    assert!(matches!(result, Err(StoreError::TooLong { .. })));
    store
        .append_record(LogKind::Main, Round(5), &long[1..])
        .expect("exactly the limit");
}

#[test]
fn records_damaged_after_the_start_are_refused_when_read() {
    let folder = temporary();
    let mut store = Store::open(folder.path()).expect("a new store").0;
    for i in 0..5 {
        store
            .append_record(LogKind::Main, Round(i), &[7; 100])
            .expect("appended");
    }
    store.sync().expect("synced");
    let path = folder.path().join("records/main.log");
    let sound = fs::read(&path).expect("the log");
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    let zeroed = [&sound[..sound.len() - 30], &[0; 30]].concat();
    for bytes in [&flipped[..], &sound[..sound.len() - 1], &zeroed] {
        fs::write(&path, bytes).expect("written");
        let mut records = store.records(LogKind::Main, 1..5).expect("in range");
        let failed = records.by_ref().filter(Result::is_err).count();
        assert_eq!(failed, 1, "an error ends the reading");
        assert!(records.next().is_none());
    }
}

#[test]
fn torn_tails_of_all_logs_are_cut_and_reported() {
    let folder = temporary();
    let mut store = Store::open(folder.path()).expect("a new store").0;
    store.append_wal(b"a vote").expect("appended");
    store
        .append_record(LogKind::Main, Round(0), b"work")
        .expect("appended");
    drop(store);
    let mut expected = Vec::new();
    for (name, tail) in [
        ("wal/current.log", &[0; 7][..]),
        ("records/main.log", &[0, 0, 0]),
        ("records/side.log", &[0]),
    ] {
        let file = folder.path().join(name);
        let at_offset = fs::metadata(&file).expect("the log").len();
        let mut log = OpenOptions::new()
            .append(true)
            .open(&file)
            .expect("the log");
        log.write_all(tail).expect("written");
        expected.push(TornTail {
            file,
            at_offset,
            bytes_cut: tail.len() as u64,
        });
    }
    let recovered = Store::open(folder.path()).expect("torn is not damaged").1;
    assert_eq!(recovered.torn, expected);
    assert_eq!((recovered.wal.len(), recovered.main_records), (1, 1));
    assert!(Store::open(folder.path()).expect("whole").1.torn.is_empty());
}

#[test]
fn a_refused_folder_is_left_as_it_was() {
    let folder = temporary();
    let mut store = Store::open(folder.path()).expect("a new store").0;
    store.append_wal(b"a vote").expect("appended");
    store
        .append_record(LogKind::Side, Round(0), b"genesis")
        .expect("appended");
    drop(store);
    let wal = folder.path().join("wal/current.log");
    let mut log = OpenOptions::new().append(true).open(&wal).expect("the log");
    log.write_all(&[0; 9]).expect("a torn tail");
    let side = folder.path().join("records/side.log");
    let mut bytes = fs::read(&side).expect("the log");
    *bytes.last_mut().expect("not empty") ^= 2;
    fs::write(&side, bytes).expect("written");
    fs::write(folder.path().join("wal/.new-crash"), b"left over").expect("written");
    let before = contents(folder.path());
    let error = refusal(folder.path());
    assert_eq!(contents(folder.path()), before);
    let said = error.to_string();
    assert!(
        matches!(
            error,
            StoreError::Damaged {
                entry: 0,
                offset: 32,
                ..
            }
        ),
        "{said}"
    );
    for part in [
        "side.log",
        "byte 32",
        "expected the end mark 0xa5, found 0xa7",
        "keep key, node.toml, charter.toml",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_second_store_in_a_folder_is_refused_with_the_holders_id() {
    let folder = temporary();
    let store = Store::open(folder.path()).expect("a new store").0;
    let error = refusal(folder.path());
    let Holder::Process(pid) = (match &error {
        StoreError::Locked { holder, .. } => *holder,
        other => panic!("{other}"),
    }) else {
        panic!("{error}");
    };
    assert_eq!(pid, std::process::id());
    drop(store);
    Store::open(folder.path()).expect("free again");
}

#[test]
fn missing_files_and_other_versions_are_refused() {
    for name in ["wal/current.log", "records/main.log", "records/side.log"] {
        let folder = temporary();
        drop(Store::open(folder.path()).expect("a new store"));
        fs::remove_file(folder.path().join(name)).expect("removed");
        match refusal(folder.path()) {
            StoreError::Missing { path, .. } => assert!(path.ends_with(name)),
            other => panic!("{name}: {other}"),
        }
    }
    let folder = temporary();
    let version = folder.path().join("VERSION");
    drop(Store::open(folder.path()).expect("a new store"));
    fs::write(&version, "archipel store 2\n").expect("written");
    assert!(matches!(refusal(folder.path()), StoreError::Version { .. }));
    fs::write(&version, [b'x'; 65]).expect("written");
    assert!(matches!(refusal(folder.path()), StoreError::TooLong { .. }));
    fs::remove_file(&version).expect("removed");
    let mut store = Store::open(folder.path())
        .expect("never used: begun anew")
        .0;
    store.append_wal(b"a vote").expect("appended");
    drop(store);
    fs::remove_file(&version).expect("removed");
    match refusal(folder.path()) {
        StoreError::Missing { path, .. } => assert_eq!(path, version),
        other => panic!("{other}"),
    }
}

#[test]
fn compaction_is_whole_or_not_at_all() {
    let folder = temporary();
    let mut store = Store::open(folder.path()).expect("a new store").0;
    for i in 0..9 {
        store.append_wal(&[i; 100]).expect("appended");
    }
    let keep = [vec![1; 3], vec![2; 4]];
    store.compact_wal(&keep).expect("compacted");
    assert_eq!(
        store.wal_bytes(),
        fs::metadata(folder.path().join("wal/current.log"))
            .expect("log")
            .len()
    );
    store.append_wal(b"after").expect("appended");
    drop(store);
    // A crash before the rename: the new file exists, partly written, under its temporary name.
    let leftovers = [
        "blobs/tmp/.tmpabc",
        "named/.new-2",
        "records/.new-3",
        "wal/.new-1",
    ];
    for name in leftovers {
        fs::write(folder.path().join(name), b"archipel-wal/1\0\0 half").expect("written");
    }
    let (mut store, recovered) = Store::open(folder.path()).expect("opened");
    assert_eq!(
        recovered.wal,
        [keep[0].clone(), keep[1].clone(), b"after".to_vec()]
    );
    assert_eq!(
        recovered.removed,
        leftovers.map(|name| folder.path().join(name))
    );
    assert!(recovered.removed.iter().all(|path| !path.exists()));
    store.compact_wal(&[]).expect("compacted");
    drop(store);
    assert!(Store::open(folder.path()).expect("opened").1.wal.is_empty());
}

#[test]
fn named_files_are_replaced_whole_and_checked() {
    let folder = temporary();
    let store = Store::open(folder.path()).expect("a new store").0;
    assert_eq!(store.read_named("segment").expect("none"), None);
    store.put_named("segment", b"one").expect("put");
    store.put_named("segment", b"two").expect("replaced");
    assert_eq!(
        store.read_named("segment").expect("read").as_deref(),
        Some(b"two".as_slice())
    );
    let path = folder.path().join("named/segment");
    let sound = fs::read(&path).expect("the file");
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1;
        fs::write(&path, flipped).expect("written");
        store
            .read_named("segment")
            .expect_err("a changed byte is refused");
        fs::write(&path, &sound[..at]).expect("written");
        store
            .read_named("segment")
            .expect_err("a short file is refused");
    }
    fs::write(folder.path().join("named/other"), &sound).expect("written");
    let error = store.read_named("other").expect_err("another's name");
    assert!(matches!(error, StoreError::NamedDamaged { .. }), "{error}");
    store.remove_named("segment").expect("removed");
    store.remove_named("segment").expect("removed before");
    assert_eq!(store.read_named("segment").expect("none"), None);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        ".new-1",
        "A",
        "ä",
        &"x".repeat(65),
    ] {
        let error = store.put_named(name, b"x").expect_err(name);
        assert!(matches!(error, StoreError::Name { .. }), "{error}");
    }
    let long = vec![0; NAMED_LIMIT as usize + 1];
    assert!(matches!(
        store.put_named("x", &long),
        Err(StoreError::TooLong { .. })
    ));
}

const CHILD: &str = "ARCHIPEL_STORE_TEST_FOLDER";

fn child_entry(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(1 + number as usize % 90)
}

/// The killed process: appends and syncs for ever, and says what is durable.
fn append_for_ever(dir: &Path) -> ! {
    let mut store = Store::open(dir).expect("a new store").0;
    for number in 0.. {
        let entry = child_entry(number);
        store.append_wal(&entry).expect("appended");
        store
            .append_record(LogKind::Main, Round(number / 4), &entry)
            .expect("appended");
        store.sync().expect("synced");
        store.blobs().put(&entry).expect("stored");
        if number % 16 == 15 {
            store
                .compact_wal(&[child_entry(number)])
                .expect("compacted");
        }
        let mut out = std::io::stderr();
        writeln!(out, "durable {number}").expect("the parent listens");
    }
    unreachable!("numbers outlast the test")
}

fn started(name: &str, folder: &Path) -> Child {
    let _forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    Command::new(env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

#[test]
fn a_killed_process_loses_nothing_it_synced() {
    if let Ok(dir) = env::var(CHILD) {
        append_for_ever(Path::new(&dir));
    }
    let name = concat!(module_path!(), "::a_killed_process_loses_nothing_it_synced");
    let name = name.split_once("::").expect("a path").1;
    for kill_after in [0, 5, 15, 16, 40] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = started(name, folder.path());
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let target = format!("durable {kill_after}");
        let reached = lines.map_while(Result::ok).any(|line| line == target);
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert!(reached, "the process ended early");

        let (store, recovered) = Store::open(folder.path()).expect("a crash is not damage");
        let records = all(&store, LogKind::Main);
        assert!(records.len() as u64 > kill_after);
        for record in &records {
            assert_eq!(record.bytes, child_entry(record.number));
            assert_eq!(record.round, Round(record.number / 4));
        }
        for number in 0..=kill_after {
            let hash = blake3::hash(&child_entry(number));
            let hash = archipel_protocol::ids::BlobHash(*hash.as_bytes());
            store.blobs().verify(&hash).expect("a synced blob is whole");
        }
        let last = recovered.wal.last().expect("the latest is always kept");
        let last = u64::from_be_bytes(last[..8].try_into().expect("8 bytes"));
        assert!(last >= kill_after && last < kill_after + 1 + records.len() as u64);
    }
}
