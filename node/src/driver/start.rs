//! Puts a node together and runs it until it is told to stop.

use super::{
    fitness::{Fit, examine},
    machine::{Inlets, Machine, Parts, compacted},
    ownership, recovery,
    reporter::{Reporter, Telling},
    serving::Shelf,
    signals::stop_signals,
    site::Site,
    training::Trainer,
    wal,
    workshop::Workshop,
};
use crate::{
    control::{self, Status},
    net::{self, Nat, NetConfig},
    store::{Recovered, Store},
};
use anyhow::Context;
use archipel_protocol::{
    charter::MemberRole,
    crypto::Ed25519Verifier,
    ids::{Digest, MemberId, Timestamp},
    member::{Durable, Logbook, Member, Settings},
};
use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc;

/// Arrivals and calls that wait for the loop.
const INBOX: usize = 256;

/// How a node is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The member's folder.
    pub dir: PathBuf,
    /// Print events as JSON lines on stdout.
    pub json: bool,
    /// Stop when stdin closes.
    pub until_stdin_closes: bool,
    /// Train nothing: vote, hold and fold.
    pub observe: bool,
}

/// Runs the node of a member's folder until a signal, or stdin, ends it.
///
/// # Errors
/// A folder that cannot be taken up, an address that cannot be listened on, a disk that fails.
pub async fn start(options: &Options) -> anyhow::Result<()> {
    let stop = stop_signals(options.until_stdin_closes)?;
    let Fit {
        site,
        data,
        held_out,
    } = examine(&options.dir, options.observe).fit()?;
    if let Some(path) = site.lacks_holdout() {
        tracing::warn!(
            "no {}: put a copy of the held-out bytes there to have states evaluated",
            path.display()
        );
    }
    let (mut store, recovered) = Store::open(&options.dir)?;
    tell_recovery(&recovered);
    ownership::claim(&store, &site)?;
    let raw = compacted(&recovered.wal, &mut store).context("taking up the write-ahead log")?;
    let (states, log) = recovery::take_up(&site, wal::entries(&raw)?)?;
    let states = Arc::new(states);
    let logbook = wal::logbook(&store, &site.run_id, &site.me())?;

    let (inbox, arrivals) = mpsc::channel(INBOX);
    let shelf = Shelf {
        blobs: store.blobs().clone(),
        states: states.clone(),
    };
    let (net, net_events) = net::start(net_config(&site)?, Arc::new(shelf))?;
    let blobs = store.blobs().clone();
    let supplies = (data, held_out);
    let trainer = Trainer::start(
        &site,
        supplies,
        states.clone(),
        blobs.clone(),
        inbox.clone(),
    )?;
    let workshop = Workshop::new(&site, states.clone(), blobs, net.clone(), inbox);
    let calls = control::serve(&options.dir, stop.clone())?;

    let began = Instant::now();
    let member = new_member(&site, (log, logbook))?;
    let telling = Telling {
        json: options.json,
        observes: options.observe,
        dir: options.dir.clone(),
        dense_bytes: site.plan().dense_bytes(),
    };
    let reporter = Reporter::new(telling, first_status(&site, options), member.membership());
    let parts = Parts {
        member,
        store,
        log: raw,
        net,
        states,
        workshop,
        trainer,
        reporter,
        dir: options.dir.clone(),
        observes: options.observe,
        fragments: site.plan().outer.fragments,
        began,
    };
    let inlets = Inlets {
        net: net_events,
        arrivals,
        calls,
        stop,
    };
    Machine::new(parts).run(inlets).await
}

/// The machine that decides, with what it remembers.
fn new_member(site: &Site, memory: (Vec<Durable>, Logbook)) -> anyhow::Result<Member> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
    let mut settings = Settings::from_charter(&site.charter, site.layout.clone(), unix_ms);
    settings.software = software().unwrap_or_default();
    let (founding, _) = site.founding()?;
    Ok(Member::new(
        settings,
        Box::new(site.key.signer()),
        Arc::new(Ed25519Verifier),
        founding,
        memory,
        Timestamp(0),
    ))
}

fn tell_recovery(recovered: &Recovered) {
    for torn in &recovered.torn {
        tracing::warn!(
            "{}: an incomplete entry of {} bytes was cut off at byte {}, as after a crash",
            torn.file.display(),
            torn.bytes_cut,
            torn.at_offset
        );
    }
    for path in &recovered.foreign {
        tracing::warn!(
            "{}: not a file of the node's. It is passed over",
            path.display()
        );
    }
    for path in &recovered.removed {
        tracing::info!("removed the unfinished file {}", path.display());
    }
}

fn net_config(site: &Site) -> anyhow::Result<NetConfig> {
    let mut secret = *site.key.secret_bytes();
    let keypair = Keypair::ed25519_from_bytes(&mut secret).context("the member's key")?;
    let mut config = NetConfig::new(keypair, site.run_id);
    config.folder = Some(site.dir.clone());
    config.listen = site.config.listen.clone();
    config.external = site.config.external.clone();
    config.bootstrap = bootstrap(site);
    config.limits.compress = site.config.compress.unwrap_or(true);
    let local = config.listen.iter().all(is_loopback);
    let has_role = |role| {
        site.charter
            .members
            .iter()
            .any(|member| member.role == role)
    };
    let relays = has_role(MemberRole::Relay) && !local;
    let own = site.charter.member(&site.me()).map(|member| member.role);
    config.mdns = !local;
    config.nat = Nat {
        autonat: relays,
        relay_client: relays && own != Some(MemberRole::Relay),
        hole_punching: relays && own != Some(MemberRole::Relay),
        upnp: false,
        relay_server: own == Some(MemberRole::Relay),
    };
    Ok(config)
}

/// The addresses that the charter gives for the other members.
fn bootstrap(site: &Site) -> Vec<(MemberId, Vec<Multiaddr>)> {
    let me = site.me();
    let others = site.charter.members.iter().filter(|m| m.id != me);
    others
        .map(|member| {
            let addresses = member.addresses.iter().filter_map(|text| {
                text.parse()
                    .inspect_err(|error| {
                        tracing::warn!("{}: {text} is no address: {error}", member.name);
                    })
                    .ok()
            });
            (member.id, addresses.collect())
        })
        .collect()
}

fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

fn first_status(site: &Site, options: &Options) -> Status {
    let observes = "it was started with --observe: it votes, holds and folds".to_owned();
    Status {
        running: true,
        name: site.config.name.clone(),
        member: site.me(),
        run_id: site.run_id,
        rounds: site.plan().rounds,
        not_training: options.observe.then_some(observes),
        ..Status::default()
    }
}

/// SHA-256 of the running program, for the records; none where it cannot be read.
fn software() -> Option<Digest> {
    use sha2::Digest as _;
    let mut program = std::fs::File::open(std::env::current_exe().ok()?).ok()?;
    let mut hasher = sha2::Sha256::new();
    let mut part = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut program, &mut part).ok()? {
            0 => return Some(Digest(hasher.finalize().into())),
            read => hasher.update(&part[..read]),
        }
    }
}
