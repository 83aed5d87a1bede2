//! Measures how fast a blob is fetched over loopback, beside a plain TCP stream of the same bytes.
//!
//! `cargo bench -p archipel-node --bench bulk -- --mib 256 --json`
//!
//! Both ends run in this process and share its cores. The fetch checks every chunk against the
//! blob's hash and is encrypted; the plain stream does neither: the ratio is what that costs.

use anyhow::{Context as _, ensure};
use archipel_node::net::{
    BlobInfo, BlobSource, Limits, Net, NetConfig, NetEvent, member_of, start,
};
use archipel_protocol::ids::{BlobHash, MemberId, RunId};
use clap::Parser;
use libp2p::{Multiaddr, identity::Keypair};
use serde_json::json;
use std::{io, sync::Arc, time::Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

#[derive(Parser)]
struct Arguments {
    /// Size of the blob in MiB.
    #[arg(long, default_value_t = 256)]
    mib: usize,
    /// Fetches of each kind; the fastest counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Holders that the blob is fetched from.
    #[arg(long, default_value_t = 1)]
    holders: usize,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One blob in memory.
struct Held {
    hash: BlobHash,
    bytes: Arc<Vec<u8>>,
}

impl BlobSource for Held {
    fn info(&self, hash: &BlobHash) -> Option<BlobInfo> {
        (*hash == self.hash).then_some(BlobInfo {
            len: self.bytes.len() as u64,
        })
    }

    fn read(&self, hash: &BlobHash, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let start = offset as usize;
        let wanted = self
            .bytes
            .get(start..start + len as usize)
            .filter(|_| *hash == self.hash);
        wanted
            .map(<[u8]>::to_vec)
            .ok_or(io::ErrorKind::NotFound.into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.mib > 0 && arguments.runs > 0 && arguments.holders > 0,
        "expected above 0"
    );
    let mut bytes = vec![0; arguments.mib << 20];
    blake3::Hasher::new()
        .update(b"bulk")
        .finalize_xof()
        .fill(&mut bytes);
    let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
    let held = Arc::new(Held {
        hash,
        bytes: Arc::new(bytes),
    });

    let plain = plain_tcp(&held.bytes, arguments.runs).await?;
    let quic = fetched(&held, &arguments, "/ip4/127.0.0.1/udp/0/quic-v1").await?;
    let tcp = fetched(&held, &arguments, "/ip4/127.0.0.1/tcp/0").await?;
    if arguments.json {
        let report = json!({
            "bench": "net.bulk",
            "mib": arguments.mib,
            "runs": arguments.runs,
            "holders": arguments.holders,
            "plain_tcp_mib_s": plain,
            "fetch_quic_mib_s": quic,
            "fetch_tcp_mib_s": tcp,
            "quic_to_plain": quic / plain,
            "tcp_to_plain": tcp / plain,
        });
        println!("{report}");
    } else {
        println!(
            "{} MiB over loopback, the fastest of {}",
            arguments.mib, arguments.runs
        );
        println!("plain TCP stream            {plain:8.0} MiB/s");
        println!(
            "fetch over QUIC             {quic:8.0} MiB/s  {:.3} of it",
            quic / plain
        );
        println!(
            "fetch over TCP+Noise+Yamux  {tcp:8.0} MiB/s  {:.3} of it",
            tcp / plain
        );
    }
    Ok(())
}

/// MiB per second of a plain stream, received into one buffer.
async fn plain_tcp(bytes: &Arc<Vec<u8>>, runs: usize) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let mut best = f64::MAX;
    for _ in 0..runs {
        let sent = bytes.clone();
        let began = Instant::now();
        let sending = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&sent).await?;
            stream.shutdown().await
        });
        let (mut stream, _) = listener.accept().await?;
        let mut received = vec![0; bytes.len()];
        stream.read_exact(&mut received).await?;
        sending.await??;
        best = best.min(began.elapsed().as_secs_f64());
        ensure!(received == **bytes, "a plain stream delivered other bytes");
    }
    Ok(mib_per_second(bytes.len(), best))
}

/// MiB per second of `Net::fetch`.
async fn fetched(held: &Arc<Held>, arguments: &Arguments, listen: &str) -> anyhow::Result<f64> {
    let keypair = Keypair::generate_ed25519();
    let mut bootstrap = Vec::new();
    let mut holders = Vec::new();
    for _ in 0..arguments.holders {
        let (net, mut events) = node(Keypair::generate_ed25519(), held, listen, &[])?;
        net.allow([member(&keypair)?].into());
        let address = loop {
            if let NetEvent::Listening(address) = next(&mut events).await? {
                break address;
            }
        };
        bootstrap.push((net.me(), vec![address]));
        holders.push((net, events));
    }
    let (net, mut events) = node(keypair, held, listen, &bootstrap)?;
    let mut connected = 0;
    while connected < holders.len() {
        connected += usize::from(matches!(next(&mut events).await?, NetEvent::Connected(_)));
    }
    let from: Vec<MemberId> = holders.iter().map(|(holder, _)| holder.me()).collect();
    let mut best = f64::MAX;
    for _ in 0..arguments.runs {
        let began = Instant::now();
        let outcome = net
            .fetch(held.hash, held.bytes.len() as u64, from.clone())
            .await?;
        best = best.min(began.elapsed().as_secs_f64());
        ensure!(
            outcome.bytes == **held.bytes,
            "a fetch delivered other bytes"
        );
    }
    net.shutdown().await;
    for (holder, _) in &holders {
        holder.shutdown().await;
    }
    Ok(mib_per_second(held.bytes.len(), best))
}

fn node(
    keypair: Keypair,
    held: &Arc<Held>,
    listen: &str,
    bootstrap: &[(MemberId, Vec<Multiaddr>)],
) -> anyhow::Result<(Net, mpsc::Receiver<NetEvent>)> {
    let mut config = NetConfig::new(keypair, RunId([0; 32]));
    config.listen = vec![listen.parse()?];
    config.bootstrap = bootstrap.to_vec();
    config.limits = Limits::default();
    Ok(start(config, held.clone())?)
}

async fn next(events: &mut mpsc::Receiver<NetEvent>) -> anyhow::Result<NetEvent> {
    events.recv().await.context("the network layer has stopped")
}

fn member(keypair: &Keypair) -> anyhow::Result<MemberId> {
    member_of(&keypair.public().to_peer_id()).context("expected an Ed25519 key")
}

fn mib_per_second(bytes: usize, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / seconds
}
