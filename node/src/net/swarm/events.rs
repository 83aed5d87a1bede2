//! Turns what libp2p reports into what the driver of this layer is told.

use super::{ADDRESSES, Connection, Driver, REFUSALS, SUPERSEDED_AFTER};
use crate::net::{
    MessageHandle, Misbehaviour, NetEvent, Verdict, behaviour::BehaviourEvent, identity::member_of,
};
use archipel_protocol::ids::MemberId;
use libp2p::{
    Multiaddr, PeerId, gossipsub, identify, kad, mdns,
    multiaddr::Protocol,
    ping,
    swarm::{ConnectionId, DialError, ListenError, SwarmEvent},
};
use std::{sync::atomic::Ordering::Relaxed, time::Instant};

impl Driver {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(
                    peer_id,
                    connection_id,
                    endpoint.get_remote_address().clone(),
                );
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "a connection closed");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_dial_error(peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                peer_id,
                ..
            } => {
                self.on_refused(send_back_addr, error, peer_id);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.status(|status| _ = status.listening.insert(address.clone()));
                self.backlog.push_back(NetEvent::Listening(address));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.status(|status| _ = status.listening.remove(&address));
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                tracing::warn!(?addresses, ?reason, "a listener closed");
                self.circuits.lost(listener_id, Instant::now());
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                self.status(|status| _ = status.external.insert(address.clone()));
                self.backlog.push_back(NetEvent::Reachable(address));
            }
            SwarmEvent::ExternalAddrExpired { address } => {
                self.status(|status| _ = status.external.remove(&address));
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, address: Multiaddr) {
        let now = Instant::now();
        let Some(member) = member_of(&peer) else {
            return;
        };
        let connections = self.connections.entry(member).or_default();
        let stale = |old: &&Connection| now.duration_since(old.since) > SUPERSEDED_AFTER;
        let superseded: Vec<ConnectionId> =
            connections.iter().filter(stale).map(|old| old.id).collect();
        let first = connections.is_empty();
        connections.push(Connection {
            id,
            since: now,
            address,
        });
        for old in superseded {
            self.swarm.close_connection(old);
        }
        self.show_connections(member);
        if first {
            self.dialer.connected(member, now);
            self.connected
                .send_modify(|members| _ = members.insert(member));
            self.backlog.push_back(NetEvent::Connected(member));
        }
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(member) = member_of(&peer) else {
            return;
        };
        let Some(connections) = self.connections.get_mut(&member) else {
            return;
        };
        connections.retain(|connection| connection.id != id);
        let last = connections.is_empty();
        self.show_connections(member);
        if !last {
            // Gossipsub greets a peer on its first connection alone. What answers on another one
            // may be a new process that was never told who listens: it is greeted by starting over.
            if self.swarm.disconnect_peer_id(peer).is_err() {
                tracing::debug!(%member, "its other connections closed meanwhile");
            }
        }
        if last {
            self.connections.remove(&member);
            self.dialer.disconnected(member, Instant::now());
            self.connected
                .send_modify(|members| _ = members.remove(&member));
            self.backlog.push_back(NetEvent::Disconnected(member));
        }
    }

    fn show_connections(&self, member: MemberId) {
        let connections = self
            .connections
            .get(&member)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let addresses: Vec<_> = connections
            .iter()
            .map(|open| open.address.clone())
            .collect();
        self.status(|status| match addresses.is_empty() {
            true => _ = status.members.remove(&member),
            false => status.members.entry(member).or_default().addresses = addresses,
        });
    }

    fn on_dial_error(&mut self, peer: Option<PeerId>, error: &DialError) {
        let Some(member) = peer.as_ref().and_then(member_of) else {
            return;
        };
        match error {
            DialError::WrongPeerId { obtained, address } => {
                let found = member_of(obtained);
                tracing::warn!(%member, ?found, %address, "another key answers at this address");
            }
            error => tracing::debug!(%member, %error, "a member was not reached"),
        }
        self.dialer.failed(member, Instant::now());
    }

    fn on_refused(&mut self, address: Multiaddr, error: ListenError, peer: Option<PeerId>) {
        let ListenError::Denied { cause } = error else {
            tracing::debug!(%address, %error, "an incoming connection failed");
            return;
        };
        let member = peer.as_ref().and_then(member_of);
        tracing::info!(?member, %address, %cause, "a connection was refused");
        if self.backlog.len() < REFUSALS {
            let reason = cause.to_string();
            self.backlog.push_back(NetEvent::Refused {
                member,
                address,
                reason,
            });
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.learn(peer_id, info.listen_addrs);
            }
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { result, .. }) => {
                let found = match result {
                    kad::QueryResult::GetClosestPeers(Ok(found)) => found.peers,
                    kad::QueryResult::GetClosestPeers(Err(
                        kad::GetClosestPeersError::Timeout { peers, .. },
                    )) => peers,
                    _ => Vec::new(),
                };
                for peer in found {
                    self.learn(peer.peer_id, peer.addrs);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.learn(peer, vec![address]);
                }
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result,
            }) => match result {
                Ok(round_trip) => {
                    let Some(member) = member_of(&peer) else {
                        return;
                    };
                    self.status(|status| {
                        if let Some(member) = status.members.get_mut(&member) {
                            member.round_trip = Some(round_trip);
                        }
                    });
                }
                Err(ping::Failure::Timeout) => {
                    tracing::info!(%peer, "no answer to a ping: the connection is closed");
                    self.swarm.close_connection(connection);
                }
                Err(error) => tracing::debug!(%peer, %error, "a ping failed"),
            },
            _ => {}
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let handle = MessageHandle {
                    id: message_id,
                    from: propagation_source,
                };
                let Some(from) = member_of(&propagation_source) else {
                    return;
                };
                let origin = message.source.as_ref().and_then(member_of);
                match origin.filter(|origin| self.allowed.contains(origin)) {
                    Some(origin) => {
                        let bytes = message.data;
                        self.backlog.push_back(NetEvent::Gossip {
                            from,
                            origin,
                            bytes,
                            handle,
                        });
                    }
                    None => {
                        self.report(&handle, Verdict::Reject);
                        let what = Misbehaviour::ForeignGossip;
                        self.backlog
                            .push_back(NetEvent::Misbehaved { member: from, what });
                    }
                }
            }
            gossipsub::Event::Subscribed { peer_id, .. } => {
                let Some(member) = member_of(&peer_id) else {
                    return;
                };
                self.backlog.push_back(NetEvent::Subscribed(member));
                self.catch_up(member);
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                tracing::warn!(%peer_id, ?failed_messages, "a member takes its messages slowly");
                self.shared.dropped.fetch_add(1, Relaxed);
            }
            gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    /// Notes addresses of a member, whoever told them: the handshake proves who answers there.
    fn learn(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let Some(member) = member_of(&peer).filter(|member| self.allowed.contains(member)) else {
            return;
        };
        let near = self.connections.get(&member).into_iter().flatten();
        let near = near.map(|open| &open.address).all(is_loopback);
        let usable = |address: &Multiaddr| near || !is_loopback(address);
        let now = Instant::now();
        for address in addresses.into_iter().filter(usable).take(ADDRESSES) {
            self.swarm
                .behaviour_mut()
                .kad
                .add_address(&peer, address.clone());
            self.dialer.learn(member, address, now);
        }
    }
}

/// Whether an address means "this machine": of use to neighbours on it and to nobody else.
fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}
