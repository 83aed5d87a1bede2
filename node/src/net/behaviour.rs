//! Puts libp2p's protocols together. Nothing is decided here.
//!
//! The gate comes first: the derived behaviour asks its parts in the order of the fields, and a
//! connection that the gate refuses is never seen by any of the others.
//!
//! Gossip. Members keep a connection to every other one they can reach, so a publisher sends to
//! all subscribers at once (*flood publishing*): one hop, n − 1 copies, no waiting for a mesh.
//! The mesh, small on purpose, forwards to those whom the publisher has no connection to, and the
//! lazy `IHAVE` gossip of each heartbeat heals what a broken connection lost. Making every member
//! an *explicit peer* was rejected: explicit peers are forwarded every message by everybody, which
//! is n² copies of each.

use super::config::{Limits, MESSAGE_LIMIT, NetConfig, NetError};
use archipel_protocol::ids::RunId;
use libp2p::{
    PeerId, StreamProtocol, allow_block_list, autonat, connection_limits, dcutr, gossipsub,
    identify, kad, mdns, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};
use libp2p_memory_connection_limits as memory_limits;
use std::{collections::HashSet, time::Duration};

/// Room for the topic, the sequence number and the signature around a message.
const GOSSIP_ENVELOPE: usize = 4 * 1024;
/// Gossip messages waiting on one connection.
const GOSSIP_QUEUE: usize = 512;
/// How long a message may wait before it is sent or forwarded.
const GOSSIP_WAIT: Duration = Duration::from_secs(10);
/// Time between two pings, and until one counts as lost.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Share of the machine's memory above which no connection is accepted.
const MEMORY_SHARE: f64 = 0.95;

/// Gossip that knows one topic.
pub(super) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

/// The protocols of a member.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) gate: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) memory: memory_limits::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) streams: libp2p_stream::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(super) ping: ping::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) autonat_client: Toggle<autonat::v2::client::Behaviour>,
    pub(super) autonat_server: Toggle<autonat::v2::server::Behaviour>,
    pub(super) relay_client: Toggle<relay::client::Behaviour>,
    pub(super) relay_server: Toggle<relay::Behaviour>,
    pub(super) hole_punching: Toggle<dcutr::Behaviour>,
    pub(super) upnp: Toggle<upnp::tokio::Behaviour>,
}

/// The topic that carries the control plane of a run.
pub(super) fn control_topic(run_id: RunId) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(format!("archipel/{run_id}/control/1"))
}

/// Builds the behaviour; it is subscribed to the control topic already.
pub(super) fn build(
    config: &NetConfig,
    relay_client: Option<relay::client::Behaviour>,
) -> Result<Behaviour, NetError> {
    let me = config.keypair.public().to_peer_id();
    let nat = config.nat;
    Ok(Behaviour {
        gate: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(connection_limits(&config.limits)),
        memory: match config.limits.resident_bytes {
            Some(bytes) => memory_limits::Behaviour::with_max_bytes(
                usize::try_from(bytes).unwrap_or(usize::MAX),
            ),
            None => memory_limits::Behaviour::with_max_percentage(MEMORY_SHARE),
        },
        gossip: gossip(config)?,
        streams: libp2p_stream::Behaviour::new(),
        identify: identify::Behaviour::new(
            identify::Config::new("archipel/1".to_owned(), config.keypair.public())
                .with_push_listen_addr_updates(true),
        ),
        kad: kademlia(me, config.run_id),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(PING_INTERVAL)
                .with_timeout(PING_INTERVAL),
        ),
        mdns: multicast(me, config.mdns).into(),
        autonat_client: nat
            .autonat
            .then(autonat::v2::client::Behaviour::default)
            .into(),
        autonat_server: nat
            .autonat
            .then(autonat::v2::server::Behaviour::default)
            .into(),
        relay_client: relay_client.into(),
        relay_server: nat
            .relay_server
            .then(|| relay::Behaviour::new(me, relay::Config::default()))
            .into(),
        hole_punching: nat.hole_punching.then(|| dcutr::Behaviour::new(me)).into(),
        upnp: nat.upnp.then(upnp::tokio::Behaviour::default).into(),
    })
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending_connections))
        .with_max_pending_outgoing(Some(limits.pending_connections))
        .with_max_established(Some(limits.connections))
        .with_max_established_per_peer(Some(limits.connections_per_member))
}

fn gossip(config: &NetConfig) -> Result<Gossip, NetError> {
    let refused = |reason| NetError::Behaviour {
        part: "gossipsub",
        reason,
    };
    let topic = control_topic(config.run_id);
    let parameters = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MESSAGE_LIMIT + GOSSIP_ENVELOPE)
        .max_publish_messages(GOSSIP_QUEUE)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .publish_queue_duration(GOSSIP_WAIT)
        .forward_queue_duration(GOSSIP_WAIT)
        .flood_publish(true)
        .mesh_n(4)
        .mesh_n_low(3)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .gossip_lazy(4)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        .history_gossip(5)
        .history_length(10)
        .prune_backoff(Duration::from_secs(10))
        .unsubscribe_backoff(Duration::from_secs(1))
        .build()
        .map_err(|_| refused("its mesh parameters do not fit together"))?;
    let mut gossip = gossipsub::Behaviour::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Signed(config.keypair.clone()),
        parameters,
        gossipsub::WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
    )
    .map_err(refused)?;
    gossip
        .subscribe(&topic)
        .map_err(|_| refused("its own topic is not allowed"))?;
    Ok(gossip)
}

/// A Kademlia table of members only: peers enter it after the gate and identify, by hand.
fn kademlia(me: PeerId, run_id: RunId) -> kad::Behaviour<kad::store::MemoryStore> {
    let name = StreamProtocol::try_from_owned(format!("/archipel/{run_id}/kad/1"))
        .expect("a protocol name that starts with a slash is valid");
    let mut config = kad::Config::new(name);
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(Duration::from_secs(10));
    let mut kad = kad::Behaviour::with_config(me, kad::store::MemoryStore::new(me), config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

/// Multicast DNS, where it is wanted and the machine has an interface for it.
fn multicast(me: PeerId, wanted: bool) -> Option<mdns::tokio::Behaviour> {
    if !wanted {
        return None;
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), me)
        .inspect_err(|error| tracing::warn!(%error, "no multicast DNS on this machine"))
        .ok()
}
