//! Drives libp2p's swarm: one task that owns it, dials, and turns its events into ours.

use super::{
    Answer, Command, MessageHandle, NetConfig, NetEvent, NetStatus, Shared, Verdict,
    behaviour::{Behaviour, control_topic},
    dialer::{Attempt, Dialer},
    direct,
    identity::peer_of,
    short,
};
use archipel_protocol::ids::MemberId;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub,
    multiaddr::Protocol,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

mod connections;
mod events;
mod refusals;

use refusals::{Refusals, Slow};

/// A connection older than this is closed when its member opens a new one: the member has
/// restarted or lost it. Two that are opened at the same time both stay.
const SUPERSEDED_AFTER: Duration = Duration::from_secs(1);
/// Own messages kept for members that join the control topic after they were published.
const RECENT: usize = 64;
/// Age at which such a message is forgotten.
const RECENT_AGE: Duration = Duration::from_secs(30);
/// Addresses taken from one message of a peer.
const ADDRESSES: usize = 16;
/// Wait before a place at a relay is asked for again.
const CIRCUIT_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for connections to close at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The task that owns the swarm.
pub(super) struct Driver {
    me: MemberId,
    swarm: Swarm<Behaviour>,
    dialer: Dialer,
    run: String,
    topic: gossipsub::TopicHash,
    allowed: BTreeSet<MemberId>,
    connections: BTreeMap<MemberId, Vec<Connection>>,
    /// Those that joined the control topic before they counted as connected.
    early: BTreeSet<MemberId>,
    refusals: Refusals,
    slow: BTreeMap<MemberId, Slow>,
    unsent: Slow,
    connected: watch::Sender<BTreeSet<MemberId>>,
    shared: Arc<Shared>,
    events: mpsc::Sender<NetEvent>,
    backlog: VecDeque<NetEvent>,
    backlog_limit: usize,
    recent: VecDeque<(Instant, Vec<u8>)>,
    direct: Arc<direct::Sender>,
    circuits: Circuits,
}

/// What the driver is built around.
pub(super) struct Parts {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) connected: watch::Sender<BTreeSet<MemberId>>,
    pub(super) shared: Arc<Shared>,
    pub(super) direct: Arc<direct::Sender>,
}

struct Connection {
    id: ConnectionId,
    since: Instant,
    address: Multiaddr,
    /// Whether this member dialed.
    dialed: bool,
    /// Whether the other end has said that it takes part in this run.
    spoken: bool,
}

/// Listeners at relays, and those that are to be tried again.
#[derive(Default)]
pub(super) struct Circuits {
    open: BTreeMap<String, Multiaddr>,
    closed: Vec<(Instant, Multiaddr)>,
}

impl Circuits {
    /// Notes a listener where it is at a relay.
    pub(super) fn note(&mut self, listener: ListenerId, address: &Multiaddr) {
        if address.iter().any(|part| part == Protocol::P2pCircuit) {
            self.open.insert(format!("{listener:?}"), address.clone());
        }
    }

    fn lost(&mut self, listener: ListenerId, now: Instant) {
        if let Some(address) = self.open.remove(&format!("{listener:?}")) {
            self.closed.push((now + CIRCUIT_WAIT, address));
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.closed.iter().map(|(at, _)| *at).min()
    }

    fn due(&mut self, now: Instant) -> Vec<Multiaddr> {
        let due = self.closed.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, address)| address).collect()
    }
}

impl Driver {
    pub(super) fn new(
        me: MemberId,
        config: NetConfig,
        parts: Parts,
        circuits: Circuits,
        events: mpsc::Sender<NetEvent>,
    ) -> Self {
        Self {
            me,
            swarm: parts.swarm,
            dialer: Dialer::new(me, config.bootstrap),
            run: config.run_id.to_string(),
            topic: control_topic(config.run_id).hash(),
            allowed: BTreeSet::new(),
            connections: BTreeMap::new(),
            early: BTreeSet::new(),
            refusals: Refusals::default(),
            slow: BTreeMap::new(),
            unsent: Slow::default(),
            connected: parts.connected,
            shared: parts.shared,
            events,
            backlog: VecDeque::new(),
            backlog_limit: config.limits.events.max(1),
            recent: VecDeque::new(),
            direct: parts.direct,
            circuits,
        }
    }

    /// Runs until `end`, or until nobody is left to tell.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut allowed: watch::Receiver<BTreeSet<MemberId>>,
        end: CancellationToken,
    ) {
        allowed.mark_changed();
        let events = self.events.clone();
        loop {
            // A driver that does not take its events slows its peers, and drops nothing.
            let room = self.backlog.len() < self.backlog_limit;
            let wake = self
                .dialer
                .next_wake()
                .into_iter()
                .chain(self.circuits.next_wake())
                .min();
            tokio::select! {
                () = end.cancelled() => break,
                permit = events.reserve(), if !self.backlog.is_empty() => match permit {
                    Ok(permit) => {
                        let event = self.backlog.pop_front();
                        permit.send(event.expect("the branch is off where there is none"));
                    }
                    Err(_) => break,
                },
                changed = allowed.changed() => match changed {
                    Ok(()) => {
                        let members = allowed.borrow_and_update().clone();
                        self.allow(members);
                    }
                    Err(_) => break,
                },
                command = commands.recv() => match command {
                    Some(Command::Publish(bytes)) => self.publish(bytes),
                    Some(Command::Report(handle, verdict)) => self.report(&handle, verdict),
                    Some(Command::Address(member, address)) => {
                        self.dialer.learn(member, address, Instant::now());
                        self.show_links(member);
                    }
                    None => break,
                },
                event = self.swarm.select_next_some(), if room => self.on_event(event),
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                    self.dial();
                }
            }
        }
        end.cancel();
        self.close().await;
    }

    async fn close(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it is disconnected already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        // Peers that do not answer notice by themselves.
        let _ = timeout(FAREWELL, closing).await;
        self.connected.send_replace(BTreeSet::new());
    }

    fn allow(&mut self, members: BTreeSet<MemberId>) {
        let now = Instant::now();
        for member in self.allowed.difference(&members) {
            if let Some(peer) = peer_of(member) {
                self.swarm.behaviour_mut().gate.disallow_peer(peer);
                self.swarm.behaviour_mut().kad.remove_peer(&peer);
            }
        }
        for member in members.difference(&self.allowed) {
            match peer_of(member) {
                Some(peer) => {
                    self.swarm.behaviour_mut().gate.allow_peer(peer);
                }
                None => tracing::warn!(%member, "not an Ed25519 key: it can never connect"),
            }
        }
        self.dialer.allow(&members, now);
        self.slow.retain(|member, _| members.contains(member));
        self.allowed = members;
        let links = self
            .allowed
            .iter()
            .map(|who| (*who, self.dialer.links(who)));
        let links = links.collect();
        self.status(|status| status.links = links);
    }

    fn show_links(&self, member: MemberId) {
        let links = self.dialer.links(&member);
        self.status(|status| {
            if let Some(shown) = status.links.get_mut(&member) {
                *shown = links;
            }
        });
    }

    fn dial(&mut self) {
        let now = Instant::now();
        for address in self.circuits.due(now) {
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => self.circuits.note(listener, &address),
                Err(error) => {
                    let (at, why) = (short(&address), Answer::of_transport(&error));
                    tracing::warn!("no place at the relay {at}: {why}");
                }
            }
        }
        for attempt in self.dialer.due(now) {
            match attempt {
                Attempt::Dial(member, addresses) => {
                    self.dial_member(member, addresses, now);
                    self.show_links(member);
                }
                Attempt::Find(member) => {
                    if let Some(peer) = peer_of(&member).filter(|_| !self.connections.is_empty()) {
                        self.swarm.behaviour_mut().kad.get_closest_peers(peer);
                    }
                }
            }
        }
    }

    fn dial_member(&mut self, member: MemberId, addresses: Vec<Multiaddr>, now: Instant) {
        let Some(peer) = peer_of(&member) else {
            return self.dialer.failed(member, now);
        };
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(%member, %error, "not dialed");
            self.dialer.failed(member, now);
        }
    }

    fn publish(&mut self, bytes: Vec<u8>) {
        let now = Instant::now();
        self.recent
            .retain(|(since, _)| now.duration_since(*since) < RECENT_AGE);
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((now, bytes.clone()));
        match self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(self.topic.clone(), bytes)
        {
            // Where nobody listens yet, whoever comes soon is told: see `catch_up`.
            Ok(_) | Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => {}
            Err(error) => {
                self.shared.dropped.fetch_add(1, Relaxed);
                if let Some(lost) = self.unsent.lose(1, now) {
                    let why = match error {
                        gossipsub::PublishError::AllQueuesFull(_) => {
                            "all members take their messages slowly".to_owned()
                        }
                        error => format!("{error:?}"),
                    };
                    tracing::warn!("{lost} messages were not sent so far: {why}");
                }
            }
        }
    }

    /// Sends a member that has just joined the topic what this one published shortly before.
    ///
    /// Gossipsub does not: it sends to those it knows as subscribers at that moment, and its lazy
    /// gossip leaves out the peers of its mesh, which in a small federation are all.
    fn catch_up(&mut self, member: MemberId) {
        let now = Instant::now();
        self.recent
            .retain(|(since, _)| now.duration_since(*since) < RECENT_AGE);
        for (_, bytes) in &self.recent {
            let dropped = self.direct.send(member, bytes.clone());
            self.shared.dropped.fetch_add(dropped as u64, Relaxed);
        }
    }

    fn report(&mut self, handle: &MessageHandle, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => gossipsub::MessageAcceptance::Accept,
            Verdict::Reject => gossipsub::MessageAcceptance::Reject,
            Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&handle.id, &handle.from, acceptance);
    }

    fn status(&self, change: impl FnOnce(&mut NetStatus)) {
        change(
            &mut self
                .shared
                .status
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
