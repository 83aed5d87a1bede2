//! When a member counts as connected, and what it means that a connection ended.
//!
//! Each side checks the other's key only after the handshake, so a dialer sees a good connection
//! that the other side may close at once. A member therefore counts as connected when it has said
//! what it speaks (libp2p's *identify*, the first thing on a connection): it has let this one in,
//! and it takes part in this run. A connection that the other side closes before that was shut,
//! and the wire says no more about why.

use super::{Connection, Driver, SUPERSEDED_AFTER};
use crate::net::{
    Answer, NetEvent,
    identity::member_of,
    run_of::{Speaks, spoken_run},
};
use archipel_protocol::ids::MemberId;
use libp2p::{
    PeerId,
    core::ConnectedPoint,
    identify,
    swarm::{ConnectionError, ConnectionId},
};
use std::time::Instant;

impl Driver {
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let Some(member) = member_of(&peer) else {
            return;
        };
        self.connections
            .entry(member)
            .or_default()
            .push(Connection {
                id,
                since: Instant::now(),
                address: endpoint.get_remote_address().clone(),
                dialed: endpoint.is_dialer(),
                spoken: false,
            });
    }

    /// The other end of a connection has said what it speaks.
    pub(super) fn on_identified(
        &mut self,
        (peer, id): (PeerId, ConnectionId),
        info: identify::Info,
    ) {
        let Some(member) = member_of(&peer) else {
            return;
        };
        match spoken_run(&info, &self.run) {
            Speaks::Ours => self.admit(member, id),
            Speaks::Other(run) => {
                self.close_with(member, id, Answer::OtherRun { run });
                return;
            }
            // Somebody with the member's key who only asks whether it is let in.
            Speaks::None => return,
        }
        self.learn(peer, info.listen_addrs);
        self.show_links(member);
    }

    fn admit(&mut self, member: MemberId, id: ConnectionId) {
        let now = Instant::now();
        let connections = self.connections.entry(member).or_default();
        let first = connections.iter().all(|open| !open.spoken);
        let Some(open) = connections.iter_mut().find(|open| open.id == id) else {
            return;
        };
        if std::mem::replace(&mut open.spoken, true) {
            return;
        }
        let since = open.since;
        if open.dialed {
            let address = (member, &open.address);
            self.dialer.answered(address, Answer::Connected, now);
        }
        let stale = |old: &&Connection| since.duration_since(old.since) > SUPERSEDED_AFTER;
        let superseded: Vec<ConnectionId> =
            connections.iter().filter(stale).map(|old| old.id).collect();
        for old in superseded {
            self.swarm.close_connection(old);
        }
        self.dialer.let_in(member, now);
        self.show_connections(member);
        if first {
            self.dialer.connected(member, now);
            self.connected
                .send_modify(|members| _ = members.insert(member));
            self.backlog.push_back(NetEvent::Connected(member));
            if self.early.remove(&member) {
                self.joined(member);
            }
        }
    }

    /// Closes a connection that leads to no member of this run, and waits longer each time.
    fn close_with(&mut self, member: MemberId, id: ConnectionId, answer: Answer) {
        let now = Instant::now();
        let connections = self.connections.entry(member).or_default();
        let Some(open) = connections.iter_mut().find(|open| open.id == id) else {
            return;
        };
        self.swarm.close_connection(id);
        if open.dialed {
            let address = open.address.clone();
            open.dialed = false;
            self.shut(member, &address, answer, now);
        }
    }

    pub(super) fn on_closed(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        cause: Option<&ConnectionError>,
    ) {
        let now = Instant::now();
        let Some(member) = member_of(&peer) else {
            return;
        };
        let Some(connections) = self.connections.get_mut(&member) else {
            return;
        };
        let Some(place) = connections.iter().position(|open| open.id == id) else {
            return;
        };
        let gone = connections.remove(place);
        let last = connections.is_empty();
        let last_spoken = gone.spoken && connections.iter().all(|open| !open.spoken);
        if last {
            self.connections.remove(&member);
            self.early.remove(&member);
        }
        self.show_connections(member);
        match (gone.spoken, gone.dialed) {
            (true, true) => {
                let address = (member, &gone.address);
                self.dialer.answered(address, Answer::Ended, now);
            }
            (false, true) if cause.is_some_and(Answer::is_shut) => {
                self.shut(member, &gone.address, Answer::KeyRefused, now);
            }
            (false, true) => self.dialer.failed(member, now),
            (_, false) => {}
        }
        if gone.spoken && !last && self.swarm.disconnect_peer_id(peer).is_err() {
            // Gossipsub greets a peer on its first connection alone. What answers on another one
            // may be a new process that was never told who listens: it is greeted by starting over.
            tracing::debug!(%member, "its other connections closed meanwhile");
        }
        if last_spoken {
            self.dialer.disconnected(member, now);
            self.connected
                .send_modify(|members| _ = members.remove(&member));
            self.backlog.push_back(NetEvent::Disconnected(member));
        }
        self.show_links(member);
    }

    /// The other side shut the door: whoever runs this node is told when it happens again, and
    /// then ever more rarely.
    fn shut(
        &mut self,
        member: MemberId,
        address: &libp2p::Multiaddr,
        answer: Answer,
        now: Instant,
    ) {
        let seen = (member, address);
        self.dialer.answered(seen, answer.clone(), now);
        let times = self.dialer.shut_out(member, now);
        if times >= 2 && times.is_power_of_two() {
            self.backlog.push_back(NetEvent::ShutOut {
                member,
                address: address.clone(),
                answer,
                times,
            });
        }
    }

    fn show_connections(&self, member: MemberId) {
        let open = self.connections.get(&member).into_iter().flatten();
        let spoken = open.filter(|open| open.spoken);
        let addresses: Vec<_> = spoken.map(|open| open.address.clone()).collect();
        self.status(|status| match addresses.is_empty() {
            true => _ = status.members.remove(&member),
            false => status.members.entry(member).or_default().addresses = addresses,
        });
    }
}
