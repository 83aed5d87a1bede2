//! Dials every address of every member once, each apart, and says what it answered.
//!
//! Nothing else is done on the connections: what is dialed learns that somebody has the key, and
//! does not take it for the member's node, because no protocol of a run is spoken here.

use super::{
    Answer, NetConfig, NetError,
    answer::HANDSHAKE_TIMEOUT,
    claim,
    identity::peer_of,
    run_of::{Speaks, spoken_run},
    traffic::Traffic,
    transport,
};
use archipel_protocol::ids::MemberId;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, identify, relay,
    swarm::{
        ConnectionId, NetworkBehaviour, SwarmEvent,
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep_until, timeout_at};

/// Addresses of one member that are dialed at the same time: fewer than the connections that a
/// member's node takes from one key.
const AT_ONCE: usize = 3;
/// How long an address may take, from the dial to the first word.
const PATIENCE: Duration = HANDSHAKE_TIMEOUT.saturating_add(Duration::from_secs(5));

/// What one address answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The address.
    pub address: Multiaddr,
    /// What it answered.
    pub answer: Answer,
    /// From the dial to the answer.
    pub took: Duration,
}

#[derive(NetworkBehaviour)]
struct Asking {
    identify: identify::Behaviour,
    relays: Toggle<relay::client::Behaviour>,
}

/// An address being dialed.
struct Dial {
    member: MemberId,
    address: Multiaddr,
    since: Instant,
    open: bool,
}

struct Probe {
    me: MemberId,
    run: String,
    swarm: Swarm<Asking>,
    waiting: VecDeque<(MemberId, Multiaddr)>,
    dials: BTreeMap<ConnectionId, Dial>,
    found: BTreeMap<MemberId, Vec<Probed>>,
}

/// Dials all addresses of `config.bootstrap` with the key of `config`.
///
/// # Errors
/// A key that cannot be used, or that a node of this machine uses.
pub async fn probe(config: &NetConfig) -> Result<BTreeMap<MemberId, Vec<Probed>>, NetError> {
    let peer = config.keypair.public().to_peer_id();
    let me = super::start::own_member(config)?;
    let _held = match &config.folder {
        Some(folder) => claim::take(&me, folder)?,
        None => None,
    };
    let (transport, relays) = transport::build(config, Arc::new(Traffic::default()))?;
    let identify = identify::Config::new("archipel/1".to_owned(), config.keypair.public());
    let behaviour = Asking {
        identify: identify::Behaviour::new(identify),
        relays: relays.into(),
    };
    let parameters =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let waiting = config
        .bootstrap
        .iter()
        .flat_map(|(member, addresses)| addresses.iter().map(|address| (*member, address.clone())));
    let probe = Probe {
        me,
        run: config.run_id.to_string(),
        swarm: Swarm::new(transport, behaviour, peer, parameters),
        waiting: waiting.collect(),
        dials: BTreeMap::new(),
        found: config
            .bootstrap
            .iter()
            .map(|(id, _)| (*id, Vec::new()))
            .collect(),
    };
    Ok(probe.run().await)
}

impl Probe {
    async fn run(mut self) -> BTreeMap<MemberId, Vec<Probed>> {
        self.dial();
        while let Some(until) = self.dials.values().map(|dial| dial.since + PATIENCE).min() {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                () = sleep_until(until.into()) => self.give_up(),
            }
            self.dial();
        }
        // The others notice at once that nobody is there any more.
        let end = Instant::now() + Duration::from_secs(1);
        while self.swarm.network_info().num_peers() > 0 {
            if timeout_at(end.into(), self.swarm.select_next_some())
                .await
                .is_err()
            {
                break;
            }
        }
        self.found
    }

    /// Dials what may be dialed now.
    fn dial(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some((member, address)) = self.waiting.pop_front() else {
                return;
            };
            let under_way = self.dials.values().filter(|dial| dial.member == member);
            if under_way.count() >= AT_ONCE {
                self.waiting.push_back((member, address));
                continue;
            }
            let since = Instant::now();
            let Some(peer) = peer_of(&member) else {
                continue;
            };
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![address.clone()])
                .build();
            let id = options.connection_id();
            self.dials.insert(
                id,
                Dial {
                    member,
                    address,
                    since,
                    open: false,
                },
            );
            if let Err(error) = self.swarm.dial(options) {
                self.finish(id, Answer::of_dial(self.me, &error));
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<AskingEvent>) {
        match event {
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.finish(connection_id, Answer::of_dial(self.me, &error)),
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(dial) = self.dials.get_mut(&connection_id) {
                    dial.open = true;
                }
            }
            SwarmEvent::ConnectionClosed {
                connection_id,
                cause,
                ..
            } => {
                let shut = cause.is_some_and(|cause| Answer::is_shut(&cause));
                let answer = if shut {
                    Answer::KeyRefused
                } else {
                    Answer::Ended
                };
                self.finish(connection_id, answer);
            }
            SwarmEvent::Behaviour(AskingEvent::Identify(identify::Event::Received {
                connection_id,
                info,
                ..
            })) => {
                let answer = match spoken_run(&info, &self.run) {
                    Speaks::Ours => Answer::Connected,
                    Speaks::Other(run) => Answer::OtherRun { run },
                    Speaks::None => Answer::NoNode {
                        found: "it speaks no protocol of a run".to_owned(),
                    },
                };
                self.finish(connection_id, answer);
                self.swarm.close_connection(connection_id);
            }
            _ => {}
        }
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        let late = |dial: &Dial| dial.since + PATIENCE <= now;
        let late: Vec<ConnectionId> = self
            .dials
            .iter()
            .filter(|(_, dial)| late(dial))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.finish(id, Answer::TimedOut);
            self.swarm.close_connection(id);
        }
    }

    fn finish(&mut self, id: ConnectionId, answer: Answer) {
        if let Some(dial) = self.dials.remove(&id) {
            self.found.entry(dial.member).or_default().push(Probed {
                address: dial.address,
                answer,
                took: dial.since.elapsed(),
            });
        }
    }
}
