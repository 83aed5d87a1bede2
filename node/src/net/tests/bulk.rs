//! Blobs from several holders, some of them bad, slow, or gone.

use super::*;
use archipel_protocol::blob::{CHUNK_LEN, ChunkError};
use std::sync::atomic::AtomicBool;

/// The blob of most tests: twelve chunks and a bit.
const LEN: usize = 3 * 1024 * 1024 + 17;

/// A shelf whose reads can be made to wait, to lie, and to tell that they happened.
struct Odd {
    shelf: Arc<Shelf>,
    lies: AtomicBool,
    asked: Door,
    wait_for: Option<Arc<Door>>,
    free_reads: AtomicU64,
    tell: Option<Arc<Door>>,
}

impl Odd {
    fn new(blob: &[u8]) -> Self {
        Self {
            shelf: Shelf::with(&[blob]),
            lies: AtomicBool::new(false),
            asked: Door::default(),
            wait_for: None,
            free_reads: AtomicU64::new(0),
            tell: None,
        }
    }

    /// After `free` reads, every read waits at `door`.
    fn waiting(blob: &[u8], free: u64, door: &Arc<Door>) -> Self {
        Self {
            wait_for: Some(door.clone()),
            free_reads: AtomicU64::new(free),
            ..Self::new(blob)
        }
    }
}

impl BlobSource for Odd {
    fn info(&self, hash: &BlobHash) -> Option<BlobInfo> {
        self.shelf.info(hash)
    }

    fn read(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let free = self
            .free_reads
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if free.is_err()
            && let Some(door) = &self.wait_for
        {
            self.asked.open();
            door.pass();
        }
        let mut bytes = self.shelf.read(hash, offset, len)?;
        if self.lies.load(Relaxed) {
            bytes[0] ^= 1;
            if let Some(door) = &self.tell {
                door.open();
            }
        }
        Ok(bytes)
    }
}

fn patient() -> NetConfig {
    config(&Keypair::generate_ed25519(), &[])
}

/// Reads of a holder of the blob of most tests that has served it whole once.
const PRIMED: u64 = 2 * (LEN as u64).div_ceil(CHUNK_LEN as u64);

/// Fetches the blob from each holder alone. Their outlines are kept from then on, so that every
/// later read is one of a chunk.
async fn prime(hub: &Node, holders: &[&Node], blob: &[u8]) {
    for holder in holders {
        let outcome = hub
            .net
            .fetch(name(blob), blob.len() as u64, vec![holder.member()])
            .await;
        assert_eq!(outcome.expect("the holder is still right").bytes, blob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_of_corrupt_chunks_is_named_and_the_blob_comes_from_the_other() {
    let blob = noise(LEN);
    let lied = Arc::new(Door::default());
    let liar = Arc::new(Odd {
        tell: Some(lied.clone()),
        ..Odd::new(&blob)
    });
    let honest = Arc::new(Odd::waiting(&blob, PRIMED, &lied));
    let nodes = star(patient(), Shelf::with(&[]), vec![liar.clone(), honest]).await;
    let [hub, bad, good] = nodes.as_slice() else {
        unreachable!("three nodes")
    };

    prime(hub, &[bad, good], &blob).await;
    liar.lies.store(true, Relaxed);

    let holders = vec![bad.member(), good.member()];
    let outcome = hub
        .net
        .fetch(name(&blob), LEN as u64, holders)
        .await
        .expect("one is good");
    assert_eq!(outcome.bytes, blob);
    let report = outcome.report;
    let wrong = |refusal: &Refusal| matches!(refusal, Refusal::Chunk(ChunkError::Hash { .. }));
    assert!(
        matches!(report.refused.as_slice(), [(who, what)] if *who == bad.member() && wrong(what)),
        "{report:?}"
    );
    assert_eq!(report.served, BTreeMap::from([(good.member(), LEN as u64)]));

    let alone = hub
        .net
        .fetch(name(&blob), LEN as u64, vec![bad.member()])
        .await;
    let Err(FetchError::NobodyLeft {
        missing, report, ..
    }) = alone
    else {
        panic!("corrupt chunks were taken: {alone:?}")
    };
    assert_eq!((missing, report.refused.len()), (13, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dying_holder_brought_is_kept() {
    let blob = noise(LEN);
    let dead = Arc::new(Door::default());
    let dying = Arc::new(Odd::waiting(&blob, PRIMED + 5, &dead));
    let heir = Arc::new(Odd::waiting(&blob, PRIMED, &dead));
    let nodes = star(patient(), Shelf::with(&[]), vec![dying.clone(), heir]).await;
    let [hub, first, second] = nodes.as_slice() else {
        unreachable!("three nodes")
    };
    prime(hub, &[first, second], &blob).await;

    let holders = vec![first.member(), second.member()];
    let fetching = tokio::spawn(hub.net.fetch(name(&blob), LEN as u64, holders));
    let asked = dying.clone();
    let waited = tokio::task::spawn_blocking(move || asked.asked.pass()).await;
    waited.expect("the dying holder is asked");
    first.net.shutdown().await;
    dead.open();
    let outcome = timeout(LONG, fetching)
        .await
        .expect("in time")
        .expect("no panic");
    let outcome = outcome.expect("the heir has the rest");
    assert_eq!(outcome.bytes, blob);
    let served = outcome.report.served;
    let of = |node: &Node| served.get(&node.member()).copied().unwrap_or_default();
    assert!(of(first) >= CHUNK_LEN as u64, "{served:?}");
    assert_eq!(of(first) + of(second), LEN as u64);
    assert_eq!(outcome.report.refused, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_hangs_does_not_hold_up_the_blob() {
    let blob = noise(LEN);
    let end = Arc::new(Door::default());
    let hanging = Arc::new(Odd::waiting(&blob, 0, &end));
    let mut hub = patient();
    hub.limits.steal_after = Duration::from_millis(200);
    hub.limits.chunk_timeout = LONG;
    let nodes = star(hub, Shelf::with(&[]), vec![hanging, Shelf::with(&[&blob])]).await;
    let holders = vec![nodes[1].member(), nodes[2].member()];
    let fetching = nodes[0].net.fetch(name(&blob), LEN as u64, holders);
    let outcome = timeout(LONG / 2, fetching)
        .await
        .expect("nobody waits for the slow one");
    end.open();
    let outcome = outcome.expect("one holder is enough");
    assert_eq!(outcome.bytes, blob);
    assert_eq!(
        outcome.report.served,
        BTreeMap::from([(nodes[2].member(), LEN as u64)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_lengths_are_refused_and_absent_blobs_said_so() {
    let blob = noise(LEN);
    let mut hub = patient();
    hub.limits.blob_bytes = LEN as u64;
    let nodes = star(hub, Shelf::with(&[]), vec![Shelf::with(&[&blob])]).await;
    let [hub, holder] = nodes.as_slice() else {
        unreachable!("two nodes")
    };
    let holders = vec![holder.member()];

    let long = hub
        .net
        .fetch(name(&blob), LEN as u64 + 1, holders.clone())
        .await;
    assert!(matches!(long, Err(FetchError::TooLong { limit, .. }) if limit == LEN as u64));
    let empty = hub.net.fetch(name(&blob), 0, holders.clone()).await;
    assert!(
        matches!(empty, Err(FetchError::NotEmpty { .. })),
        "{empty:?}"
    );
    for (hash, len) in [(name(&blob), LEN as u64 - 1), (name(b"unheard of"), 10)] {
        let absent = hub.net.fetch(hash, len, holders.clone()).await;
        let Err(FetchError::NobodyLeft { report, .. }) = absent else {
            panic!("an absent blob was fetched: {absent:?}")
        };
        assert_eq!(report.absent, holders);
    }
    let nobody = hub
        .net
        .fetch(name(&blob), LEN as u64, vec![hub.member()])
        .await;
    assert!(
        matches!(nobody, Err(FetchError::NobodyLeft { missing: 13, .. })),
        "{nobody:?}"
    );
    let nothing = hub
        .net
        .fetch(name(b""), 0, Vec::new())
        .await
        .expect("there is nothing to it");
    assert_eq!(nothing.bytes, b"");
    let whole = hub
        .net
        .fetch(name(&blob), LEN as u64, holders)
        .await
        .expect("it is there");
    assert_eq!(whole.bytes, blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_away_for_good_ends_in_a_clear_error() {
    let mut hub = patient();
    hub.limits.patience = Duration::from_millis(300);
    let away = member(&Keypair::generate_ed25519());
    let hub = Node::start(hub, Shelf::with(&[])).await;
    let stalled = hub.net.fetch(name(b"gone"), 4, vec![away]).await;
    assert!(matches!(
        stalled,
        Err(FetchError::Stalled {
            missing: 1,
            chunks: 1,
            ..
        })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_is_told_to_its_owner_and_not_served() {
    let blob = noise(LEN);
    let damaged = Arc::new(Odd::new(&blob));
    damaged.lies.store(true, Relaxed);
    let mut nodes = star(patient(), Shelf::with(&[]), vec![damaged]).await;
    let mut holder = nodes.pop().expect("two nodes");
    let fetching = nodes[0]
        .net
        .fetch(name(&blob), LEN as u64, vec![holder.member()]);
    let (outcome, (hash, found)) = tokio::join!(
        fetching,
        holder.wait(|event| match event {
            NetEvent::Damaged { hash, found } => Some((hash, found)),
            _ => None,
        })
    );
    assert_eq!(hash, name(&blob));
    assert_ne!(found, hash);
    assert!(
        matches!(outcome, Err(FetchError::NobodyLeft { .. })),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_fetches_share_few_streams() {
    let blobs: Vec<Vec<u8>> = (0..12).map(|n| noise(CHUNK_LEN * 2 + n)).collect();
    let shelf = || -> Arc<dyn BlobSource> {
        Shelf::with(&blobs.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let mut hub = patient();
    hub.limits.served_streams = 2;
    let nodes = star(hub, Shelf::with(&[]), vec![shelf(), shelf()]).await;
    let holders = vec![nodes[1].member(), nodes[2].member()];
    let fetches = blobs.iter().map(|blob| {
        tokio::spawn(
            nodes[0]
                .net
                .fetch(name(blob), blob.len() as u64, holders.clone()),
        )
    });
    for (fetching, blob) in fetches.collect::<Vec<_>>().into_iter().zip(&blobs) {
        let outcome = timeout(LONG, fetching)
            .await
            .expect("in time")
            .expect("no panic");
        assert_eq!(&outcome.expect("both hold it").bytes, blob);
    }
    let traffic = nodes[0].net.status().traffic;
    assert!(
        traffic.bulk_received >= 24 * CHUNK_LEN as u64,
        "{traffic:?}"
    );
    assert!(traffic.received >= traffic.bulk_received, "{traffic:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_fetch_into_a_file_goes_on_where_it_was() {
    let blob = noise(LEN);
    let nodes = star(patient(), Shelf::with(&[]), vec![Shelf::with(&[&blob])]).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("blob.part");
    let mut begun = blob.clone();
    begun[5 * CHUNK_LEN + 3] ^= 1;
    begun.truncate(9 * CHUNK_LEN + 100);
    std::fs::write(&path, &begun).expect("the folder is writable");

    let holder = nodes[1].member();
    let fetching = nodes[0]
        .net
        .fetch_file(name(&blob), LEN as u64, vec![holder], path.clone());
    let report = fetching.await.expect("it is there");
    assert_eq!(std::fs::read(&path).expect("it was written"), blob);
    let missing = LEN as u64 - 8 * CHUNK_LEN as u64;
    assert_eq!(report.served, BTreeMap::from([(holder, missing)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_carries_everything_where_quic_is_off() {
    let blob = noise(LEN);
    let friend = Keypair::generate_ed25519();
    let tcp = |config: NetConfig| NetConfig {
        listen: vec![address("/ip4/127.0.0.1/tcp/0")],
        quic: false,
        ..config
    };
    let hub = tcp(config(
        &Keypair::generate_ed25519(),
        &[(member(&friend), Vec::new())],
    ));
    let mut hub = Node::start(hub, Shelf::with(&[&blob])).await;
    let mut spoke = Node::start(tcp(config(&friend, &[hub.card()])), Shelf::with(&[])).await;
    spoke.connected(hub.member()).await;
    let outcome = spoke
        .net
        .fetch(name(&blob), LEN as u64, vec![hub.member()])
        .await;
    assert_eq!(outcome.expect("it is there").bytes, blob);
    spoke
        .net
        .send(hub.member(), b"by tcp".to_vec())
        .expect("allowed");
    hub.wait(|event| matches!(event, NetEvent::Direct { .. }).then_some(()))
        .await;
    let status = spoke.net.status();
    let addresses = &status.members[&hub.member()].addresses;
    assert!(
        addresses.iter().all(|by| by.to_string().contains("/tcp/")),
        "{addresses:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_goes_first_and_tcp_where_quic_does_not_answer() {
    let friend = Keypair::generate_ed25519();
    let mut hub = config(
        &Keypair::generate_ed25519(),
        &[(member(&friend), Vec::new())],
    );
    hub.listen.push(address("/ip4/127.0.0.1/tcp/0"));
    let mut hub = Node::start(hub, Shelf::with(&[])).await;
    let second = hub.wait(|event| match event {
        NetEvent::Listening(address) => Some(address),
        _ => None,
    });
    let both = vec![second.await, hub.address.clone()];
    let is_tcp = |by: &Multiaddr| by.to_string().contains("/tcp/");
    let tcp = both
        .iter()
        .find(|by| is_tcp(by))
        .expect("it listens on both")
        .clone();
    for (addresses, by_tcp) in [(both, false), (vec![tcp, free_address()], true)] {
        let card = (hub.member(), addresses);
        let mut spoke = Node::start(config(&friend, &[card]), Shelf::with(&[])).await;
        spoke.connected(hub.member()).await;
        let status = spoke.net.status();
        let used = &status.members[&hub.member()].addresses;
        assert!(used.iter().all(|by| is_tcp(by) == by_tcp), "{used:?}");
        spoke.net.shutdown().await;
    }
}

/// Levels near zero, as `int8` writes them.
fn levels(count: usize) -> Vec<u8> {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>() / 8;
    let level = |bytes: &[u8]| (sum(bytes) - 127) as u8;
    noise(8 * count).chunks(8).map(level).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_travel_compressed_where_that_makes_them_shorter() {
    let blobs = [levels(LEN), noise(LEN)];
    let shelf = Shelf::with(&[&blobs[0], &blobs[1]]);
    let mut taken = Vec::new();
    for compress in [true, false] {
        let mut hub = patient();
        hub.limits.compress = compress;
        let nodes = star(hub, Shelf::with(&[]), vec![shelf.clone()]).await;
        for blob in &blobs {
            let before = nodes[0].net.status().traffic;
            let holders = vec![nodes[1].member()];
            let outcome = nodes[0].net.fetch(name(blob), LEN as u64, holders).await;
            assert_eq!(&outcome.expect("the holder is honest").bytes, blob);
            let after = nodes[0].net.status().traffic;
            taken.push((after.bulk_received - before.bulk_received) as f64 / LEN as f64);
        }
    }
    let [levels, noise, levels_plain, noise_plain] = taken[..] else {
        unreachable!("two blobs, twice")
    };
    assert!((0.6..0.9).contains(&levels), "{taken:?}");
    for plain in [noise, levels_plain, noise_plain] {
        assert!((1.0..1.001).contains(&plain), "{taken:?}");
    }
}
