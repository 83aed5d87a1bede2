use std::{fs, os::unix::fs::FileExt, sync::Mutex};

use proptest::prelude::*;

use super::*;

static SPEC: Spec = Spec {
    magic: *b"archipel-test/1\0",
    least: 1,
    limit: 1 << 12,
};
static WIDE: Spec = Spec {
    magic: *b"archipel-test/1\0",
    least: 1,
    limit: 1 << 13,
};

/// Payloads that look like what a torn write leaves: zeros, marks, almost nothing.
fn payloads() -> Vec<Vec<u8>> {
    vec![
        vec![7],
        vec![0; 40],
        (0..90).collect(),
        vec![0xA5; 33],
        vec![1, 2, 0, 0, 0, 0],
    ]
}

type Opened = (Log, Vec<Vec<u8>>, Option<TornTail>);

struct Bench {
    folder: tempfile::TempDir,
    path: PathBuf,
    disk: Arc<Disk>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("test.log");
        let bench = Self {
            folder,
            path,
            disk: Arc::default(),
        };
        Log::create(&bench.path, &SPEC, &bench.disk).expect("created");
        bench
    }

    fn scan(&self) -> Result<(Scanner, Vec<Vec<u8>>), StoreError> {
        let mut scanner = Scanner::open(&self.path, &SPEC)?;
        let mut entries = Vec::new();
        while let Some(entry) = scanner.next_entry()? {
            assert_eq!(entry.number, entries.len() as u64);
            entries.push(entry.payload);
        }
        Ok((scanner, entries))
    }

    fn open(&self) -> Result<Opened, StoreError> {
        let (scanner, entries) = self.scan()?;
        let (log, torn) = Log::open(scanner, self.disk.clone())?;
        Ok((log, entries, torn))
    }

    /// Appends all payloads; returns the bytes of the file and where each entry ends.
    fn fill(&self) -> (Vec<u8>, Vec<usize>) {
        let mut log = self.open().expect("an empty log").0;
        let mut ends = vec![HEADER_LEN];
        for payload in payloads() {
            log.append(&payload).expect("appended");
            ends.push(log.end() as usize);
        }
        log.sync().expect("synced");
        (fs::read(&self.path).expect("the log"), ends)
    }

    fn assert_recovers(&self, bytes: &[u8], whole: usize, end: usize) {
        fs::write(&self.path, bytes).expect("written");
        let (mut log, entries, torn) = self.open().expect("a torn tail is not damage");
        assert_eq!(entries, payloads()[..whole]);
        let expected = (bytes.len() > end).then(|| TornTail {
            file: self.path.clone(),
            at_offset: end as u64,
            bytes_cut: (bytes.len() - end) as u64,
        });
        assert_eq!(torn, expected);
        assert_eq!(fs::metadata(&self.path).expect("the log").len(), end as u64);
        log.append(b"the next").expect("appended");
        drop(log);
        let (_, again, torn) = self.open().expect("whole again");
        assert_eq!(
            again.last().map(Vec::as_slice),
            Some(b"the next".as_slice())
        );
        assert_eq!((again.len(), torn), (whole + 1, None));
    }

    fn refusal(&self, bytes: &[u8]) -> StoreError {
        fs::write(&self.path, bytes).expect("written");
        let error = self
            .open()
            .map(|opened| opened.1)
            .expect_err("damage is refused");
        assert_eq!(
            fs::read(&self.path).expect("the log"),
            bytes,
            "a refused file stays as it is"
        );
        error
    }
}

#[test]
fn every_truncation_recovers_exactly_the_complete_entries() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    for length in HEADER_LEN..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count() - 1;
        bench.assert_recovers(&bytes[..length], whole, ends[whole]);
    }
}

#[test]
fn every_truncation_followed_by_zeros_recovers_exactly_the_complete_entries() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    for length in HEADER_LEN..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count() - 1;
        for zeros in [1, 11, 12, 13, bytes.len() - length, 5000] {
            let mut torn = bytes[..length].to_vec();
            torn.resize(length + zeros, 0);
            // Cutting costs an fsync, reading does not: cut in one case of each length.
            if zeros == 13 {
                bench.assert_recovers(&torn, whole, ends[whole]);
                continue;
            }
            fs::write(&bench.path, &torn).expect("written");
            let (scanner, entries) = bench.scan().expect("a torn tail is not damage");
            assert_eq!(
                entries,
                payloads()[..whole],
                "{length} bytes and {zeros} zeros"
            );
            assert_eq!(scanner.offset, ends[whole] as u64);
        }
    }
}

#[test]
fn every_flipped_bit_of_the_header_and_of_complete_entries_is_refused() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            match bench.refusal(&flipped) {
                StoreError::Header { path, .. } => {
                    assert!(at < HEADER_LEN);
                    assert_eq!(path, bench.path);
                }
                StoreError::Damaged { offset, entry, .. } => {
                    let hit = ends.iter().filter(|end| **end <= at).count() - 1;
                    assert_eq!((entry, offset), (hit as u64, ends[hit] as u64));
                }
                other => panic!("byte {at}, bit {bit}: {other}"),
            }
        }
    }
}

#[test]
fn short_headers_are_refused() {
    let bench = Bench::new();
    let (bytes, _) = bench.fill();
    for length in 0..HEADER_LEN {
        let error = bench.refusal(&bytes[..length]);
        assert!(
            matches!(error, StoreError::Header { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn rearranged_entries_are_refused() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    let entry = |i: usize| &bytes[ends[i]..ends[i + 1]];
    let header = &bytes[..HEADER_LEN];
    let table: [(&str, Vec<&[u8]>, u64); 4] = [
        (
            "the middle is missing",
            vec![header, entry(0), entry(2), entry(3)],
            1,
        ),
        ("two are swapped", vec![header, entry(1), entry(0)], 0),
        ("the last is repeated", vec![&bytes, entry(4)], 5),
        ("the first is missing", vec![header, entry(1)], 0),
    ];
    for (why, parts, place) in table {
        match bench.refusal(&parts.concat()) {
            StoreError::Damaged { entry, .. } => assert_eq!(entry, place, "{why}"),
            other => panic!("{why}: {other}"),
        }
    }
}

#[test]
fn entries_of_an_earlier_generation_do_not_fit() {
    let bench = Bench::new();
    let (old, ends) = bench.fill();
    let mut log = bench.open().expect("whole").0;
    log.replace(&payloads()[..1]).expect("replaced");
    let mut mixed = fs::read(&bench.path).expect("the log");
    assert_eq!(mixed.len(), ends[1]);
    mixed.extend_from_slice(&old[ends[1]..]);
    let error = bench.refusal(&mixed);
    assert!(
        matches!(error, StoreError::Damaged { entry: 1, .. }),
        "{error}"
    );
}

#[test]
fn tails_that_no_write_leaves_behind_are_refused() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    let last = &bytes[ends[4]..];
    let mut wrong_check = last[..7].to_vec();
    wrong_check[6] ^= 1;
    let mut lost_block = vec![0; 64];
    lost_block.extend_from_slice(last);
    let table: [(&str, Vec<u8>); 5] = [
        ("a length beyond the limit", vec![0xFF]),
        (
            "a length beyond the limit, then zeros",
            vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("part of a wrong check", wrong_check),
        ("zeros, then bytes", lost_block),
        (
            "a correct length, a zero check, then bytes",
            [&last[..4], &[0; 8], &last[12..]].concat(),
        ),
    ];
    for (why, tail) in table {
        match bench.refusal(&[&bytes[..ends[4]], &tail].concat()) {
            StoreError::Damaged { entry, offset, .. } => {
                assert_eq!((entry, offset), (4, ends[4] as u64), "{why}");
            }
            other => panic!("{why}: {other}"),
        }
    }
}

#[test]
fn a_correct_head_with_a_length_beyond_the_limit_is_refused_unallocated() {
    let bench = Bench::new();
    let (bytes, ends) = bench.fill();
    let mut scanner = Scanner::open(&bench.path, &SPEC).expect("a header");
    while scanner.next_entry().expect("whole").is_some() {}
    let mut tail = Vec::new();
    scanner
        .place
        .write(&vec![1; WIDE.limit as usize], &mut tail);
    let error = bench.refusal(&[&bytes[..], &tail[..HEAD_LEN]].concat());
    let StoreError::Damaged {
        damage: Damage::Length { found, limit, .. },
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((found, limit as u64), (WIDE.limit, u64::from(SPEC.limit)));
    assert_eq!(ends.last(), Some(&bytes.len()));
}

#[test]
fn entries_outside_the_limits_are_not_appended() {
    let bench = Bench::new();
    let mut log = bench.open().expect("an empty log").0;
    assert!(matches!(log.append(&[]), Err(StoreError::Empty { .. })));
    let long = vec![1; SPEC.limit as usize + 1];
    assert!(matches!(log.append(&long), Err(StoreError::TooLong { .. })));
    assert!(matches!(
        log.replace(&[long]),
        Err(StoreError::TooLong { .. })
    ));
    log.append(&vec![1; SPEC.limit as usize])
        .expect("exactly the limit");
    assert_eq!(bench.open().expect("whole").1.len(), 1);
}

/// A disk that fails as it is told to.
struct Failing {
    below: Box<dyn Medium>,
    fails: Arc<Mutex<Fails>>,
}

#[derive(Clone, Copy, Default)]
struct Fails {
    /// Writes only half of the bytes, then says that the disk is full.
    write: bool,
    cut: bool,
    sync: bool,
}

impl Medium for Failing {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fails.lock().expect("held briefly").write {
            self.below.write(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.below.write(bytes, offset)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.fails.lock().expect("held briefly").cut {
            return Err(io::ErrorKind::Other.into());
        }
        self.below.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.fails.lock().expect("held briefly").sync {
            return Err(io::ErrorKind::Other.into());
        }
        self.below.sync()
    }
}

fn failing(bench: &Bench) -> (Log, Arc<Mutex<Fails>>) {
    let mut log = bench.open().expect("whole").0;
    let fails = Arc::new(Mutex::new(Fails::default()));
    log.set_medium(|below| {
        Box::new(Failing {
            below,
            fails: fails.clone(),
        })
    });
    (log, fails)
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was_and_usable() {
    let bench = Bench::new();
    bench.fill();
    let (mut log, fails) = failing(&bench);
    fails.lock().expect("held briefly").write = true;
    let error = log.append(b"does not fit").expect_err("the disk is full");
    assert!(error.to_string().contains("test.log"), "{error}");
    *fails.lock().expect("held briefly") = Fails::default();
    log.append(b"fits").expect("there is room again");
    log.sync().expect("synced");
    let (_, entries, torn) = bench.open().expect("whole");
    assert_eq!((entries.len(), torn), (payloads().len() + 1, None));
}

#[test]
fn after_a_failed_fsync_or_a_failed_undo_nothing_is_written() {
    for fails in [
        Fails {
            sync: true,
            ..Fails::default()
        },
        Fails {
            write: true,
            cut: true,
            ..Fails::default()
        },
    ] {
        let bench = Bench::new();
        let (mut log, script) = failing(&bench);
        *script.lock().expect("held briefly") = fails;
        let result = log.append(b"an entry").and_then(|_| log.sync());
        assert!(matches!(result, Err(StoreError::Io { .. })), "{result:?}");
        *script.lock().expect("held briefly") = Fails::default();
        assert!(matches!(
            log.append(b"another"),
            Err(StoreError::Stopped { .. })
        ));
        assert!(matches!(log.sync(), Err(StoreError::Stopped { .. })));
        assert!(matches!(log.replace(&[]), Err(StoreError::Stopped { .. })));
        let bench = Bench {
            disk: Arc::default(),
            ..bench
        };
        let entries = bench.open().expect("a restart recovers").1;
        assert!(entries.len() <= 1);
    }
}

#[test]
fn a_replacement_whose_outcome_is_unknown_stops_the_writing_and_loses_nothing() {
    let bench = Bench::new();
    bench.fill();
    let mut log = bench.open().expect("whole").0;
    let moved = bench.folder.path().with_extension("moved");
    fs::rename(bench.folder.path(), &moved).expect("moved away");
    assert!(matches!(log.replace(&[]), Err(StoreError::Io { .. })));
    fs::rename(&moved, bench.folder.path()).expect("moved back");
    let error = log
        .append(b"more")
        .expect_err("what the file holds was unknown for a moment");
    assert!(matches!(error, StoreError::Stopped { .. }));
    let bench = Bench {
        disk: Arc::default(),
        ..bench
    };
    assert_eq!(bench.open().expect("whole").1, payloads());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is appended, replaced and torn, reopening gives what was complete.
    #[test]
    fn reopening_gives_what_was_complete(
        steps in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 1..300), 0u8..8, any::<u16>()),
            1..24,
        ),
    ) {
        let bench = Bench::new();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        let mut log = bench.open().expect("an empty log").0;
        for (payload, action, cut) in steps {
            let before = log.end();
            log.append(&payload).expect("appended");
            match action {
                0 => {
                    expected.push(payload);
                    expected.remove(0);
                    log.replace(&expected).expect("replaced");
                }
                1 | 2 => {
                    let kept = before + u64::from(cut) % (log.end() - before);
                    let file = OpenOptions::new().write(true).open(&bench.path).expect("the log");
                    file.set_len(kept).expect("cut");
                    if action == 2 {
                        file.write_all_at(&[0; 64], kept).expect("zeros");
                    }
                    drop(log);
                    let (reopened, entries, _) = bench.open().expect("torn is not damaged");
                    // Zeros complete an entry only where it ended in zeros, which none does.
                    prop_assert_eq!(&entries, &expected);
                    log = reopened;
                }
                _ => expected.push(payload),
            }
        }
        drop(log);
        prop_assert_eq!(bench.open().expect("whole").1, expected);
    }
}
