//! The network layer over real sockets on loopback. Waits are for events, with generous ends.

use super::*;
use libp2p::identity::Keypair;
use std::{io, net::UdpSocket, sync::Condvar};
use tokio::time::timeout;

mod bulk;
mod control;
mod gate;
mod links;

/// Longest wait for anything here.
const LONG: Duration = Duration::from_secs(60);

/// A member under test.
struct Node {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
    address: Multiaddr,
    keypair: Keypair,
}

/// Blobs in memory.
#[derive(Default)]
struct Shelf {
    blobs: Mutex<BTreeMap<BlobHash, Vec<u8>>>,
}

impl Shelf {
    fn with(blobs: &[&[u8]]) -> Arc<Self> {
        let blobs = blobs
            .iter()
            .map(|bytes| (name(bytes), bytes.to_vec()))
            .collect();
        Arc::new(Self {
            blobs: Mutex::new(blobs),
        })
    }
}

impl BlobSource for Shelf {
    fn info(&self, hash: &BlobHash) -> Option<BlobInfo> {
        let blobs = self.blobs.lock().expect("no test panics with it");
        blobs.get(hash).map(|bytes| BlobInfo {
            len: bytes.len() as u64,
        })
    }

    fn read(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let blobs = self.blobs.lock().expect("no test panics with it");
        let bytes = blobs.get(hash).ok_or(io::ErrorKind::NotFound)?;
        let start = offset as usize;
        let end = start + len as usize;
        bytes
            .get(start..end)
            .map(<[u8]>::to_vec)
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A door that threads wait at until it is opened.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().expect("no test panics with it") = true;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().expect("no test panics with it");
        let waited = self.moved.wait_timeout_while(open, LONG, |open| !*open);
        let (_open, late) = waited.expect("no test panics with it");
        assert!(!late.timed_out(), "the door was never opened");
    }
}

fn name(bytes: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(bytes).as_bytes())
}

/// Bytes that no two chunks of share.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(b"noise")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn member(keypair: &Keypair) -> MemberId {
    member_of(&keypair.public().to_peer_id()).expect("the tests use Ed25519")
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("the tests write valid addresses")
}

/// An address that nobody listens on now.
fn free_address() -> Multiaddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = socket.local_addr().expect("it is bound").port();
    address(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1"))
}

fn config(keypair: &Keypair, others: &[(MemberId, Vec<Multiaddr>)]) -> NetConfig {
    let mut config = NetConfig::new(keypair.clone(), archipel_protocol::ids::RunId([9; 32]));
    config.listen = vec![address("/ip4/127.0.0.1/udp/0/quic-v1")];
    config.bootstrap = others.to_vec();
    config
}

impl Node {
    /// Starts a member and waits until it listens.
    async fn start(config: NetConfig, blobs: Arc<dyn BlobSource>) -> Self {
        let keypair = config.keypair.clone();
        let (net, mut events) = start(config, blobs).expect("the configuration is right");
        let listening = wait(&mut events, |event| match event {
            NetEvent::Listening(address) => Some(address),
            _ => None,
        });
        let address = listening.await;
        Self {
            net,
            events,
            address,
            keypair,
        }
    }

    fn member(&self) -> MemberId {
        self.net.me()
    }

    /// How others name this member in their bootstrap list.
    fn card(&self) -> (MemberId, Vec<Multiaddr>) {
        (self.member(), vec![self.address.clone()])
    }

    async fn wait<T>(&mut self, pick: impl FnMut(NetEvent) -> Option<T>) -> T {
        wait(&mut self.events, pick).await
    }

    async fn connected(&mut self, member: MemberId) {
        self.wait(|event| matches!(event, NetEvent::Connected(who) if who == member).then_some(()))
            .await;
    }

    async fn disconnected(&mut self, member: MemberId) {
        let gone = |event| matches!(event, NetEvent::Disconnected(who) if who == member);
        self.wait(|event| gone(event).then_some(())).await;
    }
}

/// Takes events until `pick` takes one.
async fn wait<T>(
    events: &mut mpsc::Receiver<NetEvent>,
    mut pick: impl FnMut(NetEvent) -> Option<T>,
) -> T {
    let picking = async {
        loop {
            let event = events.recv().await.expect("the network layer runs");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    };
    timeout(LONG, picking)
        .await
        .expect("the event comes in time")
}

/// A hub and `spokes` members that know its address, all connected to it.
async fn star(
    hub: NetConfig,
    blobs: Arc<dyn BlobSource>,
    spokes: Vec<Arc<dyn BlobSource>>,
) -> Vec<Node> {
    let keys: Vec<Keypair> = spokes.iter().map(|_| Keypair::generate_ed25519()).collect();
    let others = keys.iter().map(|key| (member(key), Vec::new()));
    let hub = NetConfig {
        bootstrap: others.collect(),
        ..hub
    };
    let limits = hub.limits.clone();
    let mut nodes = vec![Node::start(hub, blobs).await];
    for (keypair, blobs) in keys.iter().zip(spokes) {
        let mut config = config(keypair, &[nodes[0].card()]);
        config.limits = limits.clone();
        let mut spoke = Node::start(config, blobs).await;
        spoke.connected(nodes[0].member()).await;
        nodes[0].connected(spoke.member()).await;
        nodes.push(spoke);
    }
    nodes
}
