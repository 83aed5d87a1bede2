//! Turns what libp2p reports into what the driver of this layer is told.

use super::{ADDRESSES, Driver};
use crate::net::{
    Answer, MessageHandle, Misbehaviour, NetEvent, Verdict, behaviour::BehaviourEvent,
    identity::member_of, short,
};
use archipel_protocol::ids::MemberId;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::TransportError,
    gossipsub, identify, kad, mdns,
    multiaddr::Protocol,
    ping,
    swarm::{DialError, ListenError, SwarmEvent},
};
use libp2p_allow_block_list::NotAllowed;
use std::{io, sync::atomic::Ordering::Relaxed, time::Instant};

impl Driver {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                concurrent_dial_errors,
                ..
            } => {
                let earlier = concurrent_dial_errors.unwrap_or_default();
                if let Some(member) = member_of(&peer_id) {
                    self.on_answers(member, &earlier);
                }
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(%peer_id, ?cause, "a connection closed");
                self.on_closed(peer_id, connection_id, cause.as_ref());
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
                let addresses: Vec<String> = addresses.iter().map(short).collect();
                let addresses = addresses.join(" and ");
                match reason.as_ref().map_err(Answer::of_io) {
                    Ok(()) => tracing::warn!("no longer listening on {addresses}"),
                    Err(why) => tracing::warn!("no longer listening on {addresses}: {why}"),
                }
                self.circuits.lost(listener_id, Instant::now());
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!("a connection could not be taken: {}", Answer::of_io(&error));
            }
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

    fn on_dial_error(&mut self, peer: Option<PeerId>, error: &DialError) {
        let Some(member) = peer.as_ref().and_then(member_of) else {
            return;
        };
        let now = Instant::now();
        match error {
            DialError::WrongPeerId { obtained, address } => {
                let answer = Answer::of_key(self.me, obtained);
                self.dialer.answered((member, address), answer, now);
            }
            DialError::Transport(answers) => self.on_answers(member, answers),
            error => tracing::debug!(%member, %error, "a member was not reached"),
        }
        self.dialer.failed(member, now);
        self.show_links(member);
    }

    /// Notes what the addresses of a member answered that did not lead to it.
    fn on_answers(&mut self, member: MemberId, answers: &[(Multiaddr, TransportError<io::Error>)]) {
        let now = Instant::now();
        for (address, error) in answers {
            let answer = Answer::of_transport(error);
            self.dialer.answered((member, address), answer, now);
        }
    }

    fn on_refused(&mut self, address: Multiaddr, error: ListenError, peer: Option<PeerId>) {
        let now = Instant::now();
        match error {
            ListenError::LocalPeerId { .. } => {
                let me = Some(self.me);
                self.refuse(me, address, now);
            }
            ListenError::Denied { cause } => match cause.downcast::<NotAllowed>() {
                Ok(_) => self.refuse(peer.as_ref().and_then(member_of), address, now),
                Err(cause) => tracing::debug!(%address, %cause, "no room for a connection"),
            },
            error => tracing::debug!(%address, %error, "an incoming connection failed"),
        }
    }

    fn refuse(&mut self, member: Option<MemberId>, address: Multiaddr, now: Instant) {
        let told = self.refusals.count(member, address, now);
        self.backlog.extend(told.map(NetEvent::Refused));
        let all = self.refusals.all();
        self.status(|status| status.refused = all);
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                connection_id,
                info,
            }) => self.on_identified((peer_id, connection_id), info),
            BehaviourEvent::Identify(identify::Event::Error {
                peer_id,
                connection_id,
                error,
            }) => {
                tracing::debug!(%peer_id, %error, "it does not say what it speaks");
                self.swarm.close_connection(connection_id);
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
                    let who = member_of(&peer).map_or("a node".to_owned(), |id| id.short());
                    tracing::info!("{who} does not answer a ping: the connection is closed");
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
                let connected = self.connected.borrow().contains(&member);
                match connected {
                    true => self.joined(member),
                    false => _ = self.early.insert(member),
                }
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                let lost = failed_messages.priority + failed_messages.non_priority;
                self.shared.dropped.fetch_add(lost as u64, Relaxed);
                self.on_slow(&peer_id, lost as u64);
            }
            gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    /// Tells of a member that takes its messages slowly, at most once a minute.
    fn on_slow(&mut self, peer: &PeerId, lost: u64) {
        let now = Instant::now();
        let Some(member) = member_of(peer) else {
            return;
        };
        if let Some(lost) = self.slow.entry(member).or_default().lose(lost, now) {
            let id = member.short();
            tracing::warn!("{id} takes its messages slowly: {lost} were dropped so far");
        }
    }

    pub(super) fn joined(&mut self, member: MemberId) {
        self.backlog.push_back(NetEvent::Subscribed(member));
        self.catch_up(member);
    }

    /// Notes addresses of a member, whoever told them: the handshake proves who answers there.
    pub(super) fn learn(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
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
