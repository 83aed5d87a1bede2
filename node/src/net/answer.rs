//! What an address answered when it was dialed, in words for people.
//!
//! Transports nest their errors several deep, and each level adds words of its own. Here one cause
//! is kept of them: the first that says what the other end, or the way to it, did.

use archipel_protocol::ids::MemberId;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{TransportError, timeout::TransportTimeoutError},
    dns,
    multiaddr::Protocol,
    quic,
    swarm::{ConnectionError, DialError},
};
use rustix::io::Errno;
use std::{error::Error, io, time::Duration};

/// How long a connection may take to be set up.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What an address answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Answer {
    /// The member is connected there.
    #[error("connected")]
    Connected,
    /// The member was connected there, and the connection has ended.
    #[error("was connected, and the connection ended")]
    Ended,
    /// A dial is under way for the first time.
    #[error("not answered yet")]
    Waiting,
    /// The network says that it cannot get there.
    #[error("no route to host")]
    NoRoute,
    /// This machine has no network of that kind.
    #[error("network unreachable")]
    NoNetwork,
    /// The machine is there, and nobody listens at the port.
    #[error("connection refused")]
    Refused,
    /// Nothing came back.
    #[error("timed out after {} s", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    /// This machine's own rules forbid to send there.
    #[error("not permitted by this machine's own rules")]
    Forbidden,
    /// The port is in use, where this machine is to listen.
    #[error("the port is in use")]
    Taken,
    /// The name is not known to the name server.
    #[error("the name does not resolve")]
    NoSuchName,
    /// No name server answered.
    #[error("no name server answers")]
    NoNameServer,
    /// The address asks for a transport that this site does not speak.
    #[error("no transport for it: it is turned off in node.toml, or the address is incomplete")]
    NoTransport,
    /// Something answered that is no member's node.
    #[error("something else than a node answers: {found}")]
    NoNode {
        /// What it did, in the transport's words.
        found: String,
    },
    /// A node answered, with another key.
    #[error("another key answered ({})", key_named(found.as_ref()))]
    OtherKey {
        /// The key, where it is of a kind that members have.
        found: Option<MemberId>,
    },
    /// A node answered, with this site's own key.
    #[error("this site's own key answered")]
    OwnKey,
    /// The member's node takes part in another run.
    #[error("its node takes part in another run ({})", run.get(..16).unwrap_or(run))]
    OtherRun {
        /// The run.
        run: String,
    },
    /// The member's node closed the connection after a good handshake.
    #[error("its node refused this site's key")]
    KeyRefused,
    /// What else the system said.
    #[error("{found}")]
    Failed {
        /// In its words.
        found: String,
    },
}

fn key_named(key: Option<&MemberId>) -> String {
    key.map_or("of a kind that no member has".to_owned(), MemberId::short)
}

/// What a transport said to the one above it, which would keep its words and hide its cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Below(#[source] pub(super) io::Error);

impl Answer {
    /// What a dialed address answered when the whole attempt failed.
    pub(super) fn of_transport(error: &TransportError<io::Error>) -> Self {
        match error {
            TransportError::MultiaddrNotSupported(_) => Self::NoTransport,
            TransportError::Other(error) => Self::of_io(error),
        }
    }

    /// What the only address of a dial answered.
    pub(super) fn of_dial(me: MemberId, error: &DialError) -> Self {
        match error {
            DialError::WrongPeerId { obtained, .. } => Self::of_key(me, obtained),
            DialError::LocalPeerId { .. } => Self::OwnKey,
            DialError::Transport(answers) => match answers.last() {
                Some((_, error)) => Self::of_transport(error),
                None => Self::NoTransport,
            },
            DialError::Denied { .. } => Self::failed("this site's own limits forbid it"),
            error => Self::failed(&error.to_string()),
        }
    }

    /// Who answered instead of the member that was dialed.
    pub(super) fn of_key(me: MemberId, found: &PeerId) -> Self {
        match super::member_of(found) {
            Some(member) if member == me => Self::OwnKey,
            found => Self::OtherKey { found },
        }
    }

    /// What QUIC says of a dial.
    pub(super) fn of_quic(error: &quic::Error) -> Self {
        match error {
            quic::Error::HandshakeTimedOut => Self::TimedOut,
            quic::Error::Io(error) => Self::of_io(error),
            quic::Error::Reach(error) => Self::failed(&error.to_string()),
            quic::Error::Connection(error) => match error.to_string() {
                text if text == "timed out" => Self::TimedOut,
                found => Self::NoNode { found },
            },
            other => Self::failed(&other.to_string()),
        }
    }

    /// What TCP, and the handshake over it, say of a dial.
    pub(super) fn of_tcp<E: Error + 'static>(error: &TransportTimeoutError<E>) -> Self {
        match error {
            TransportTimeoutError::Timeout => Self::TimedOut,
            TransportTimeoutError::TimerError(error) => Self::of_io(error),
            TransportTimeoutError::Other(error) => Self::of_chain(error),
        }
    }

    /// What resolving a name, or dialing what it resolved to, gave: of several, the answer that
    /// got the furthest.
    pub(super) fn of_names(error: &dns::Error<io::Error>) -> Self {
        match error {
            dns::Error::Transport(error) => Self::of_io(error),
            dns::Error::ResolveError(error) if error.is_no_records_found() => Self::NoSuchName,
            dns::Error::ResolveError(_) => Self::NoNameServer,
            dns::Error::MultiaddrNotSupported(_) => Self::NoTransport,
            dns::Error::TooManyLookups => Self::failed("the name leads to too many others"),
            dns::Error::Dial(errors) => {
                let answers = errors.iter().map(Self::of_names);
                let furthest = answers.max_by_key(Self::progress);
                furthest.unwrap_or(Self::NoSuchName)
            }
        }
    }

    /// Whether a connection ended because the other side closed it.
    pub(super) fn is_shut(cause: &ConnectionError) -> bool {
        match cause {
            ConnectionError::IO(error) => Self::of_io(error) != Self::TimedOut,
            ConnectionError::KeepAliveTimeout => false,
        }
    }

    fn of_chain(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        loop {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return Self::of_io(error);
            }
            match cause.source() {
                Some(next) => cause = next,
                None => {
                    let found = cause.to_string();
                    return Self::NoNode { found };
                }
            }
        }
    }

    /// What the system says; boxed transports put whole answers into its errors, too.
    pub(super) fn of_io(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(answer) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
            return answer.clone();
        }
        if let Some(inner) = inner.and_then(|inner| inner.downcast_ref::<io::Error>()) {
            return Self::of_io(inner);
        }
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<quic::Error>()) {
            return Self::of_quic(error);
        }
        match error.kind() {
            io::ErrorKind::HostUnreachable => Self::NoRoute,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Self::NoNetwork,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::AddrInUse => Self::Taken,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::UnexpectedEof => Self::NoNode {
                found: "it hung up during the handshake".to_owned(),
            },
            _ if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => Self::NoNetwork,
            _ => Self::failed(&error.to_string()),
        }
    }

    fn failed(text: &str) -> Self {
        let text = text.split(" (os error").next().unwrap_or(text);
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_ascii_lowercase());
        Self::Failed {
            found: first.into_iter().chain(letters).collect(),
        }
    }

    /// How far the dial got.
    fn progress(&self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::NoTransport => 1,
            Self::NoSuchName | Self::NoNameServer => 2,
            Self::Forbidden | Self::Taken | Self::NoNetwork | Self::Failed { .. } => 3,
            Self::NoRoute => 4,
            Self::TimedOut => 5,
            Self::Refused => 6,
            Self::NoNode { .. } => 7,
            Self::OtherKey { .. } | Self::OwnKey => 8,
            Self::OtherRun { .. } | Self::KeyRefused => 9,
            Self::Ended | Self::Connected => 10,
        }
    }
}

/// An address as people say it: `10.1.2.3 udp/4001`.
pub fn short(address: &Multiaddr) -> String {
    let mut host = None;
    let mut port = None;
    let mut relayed = false;
    for part in address {
        match part {
            Protocol::Ip4(ip) if host.is_none() => host = Some(ip.to_string()),
            Protocol::Ip6(ip) if host.is_none() => host = Some(format!("[{ip}]")),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) if host.is_none() => {
                host = Some(name.into_owned());
            }
            Protocol::Tcp(number) if port.is_none() => port = Some(format!("tcp/{number}")),
            Protocol::Udp(number) if port.is_none() => port = Some(format!("udp/{number}")),
            Protocol::P2pCircuit => relayed = true,
            _ => {}
        }
    }
    match (host, port) {
        (Some(host), Some(port)) if relayed => format!("{host} {port}, relayed"),
        (Some(host), Some(port)) => format!("{host} {port}"),
        _ => address.to_string(),
    }
}

/// An address without the key that libp2p writes behind it.
pub(super) fn bare(address: &Multiaddr) -> Multiaddr {
    let mut bare = address.clone();
    if matches!(bare.iter().last(), Some(Protocol::P2p(_))) {
        bare.pop();
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_say_them() {
        let relay = "/p2p/12D3KooWJ2m3gFpZWMW5gX9CdzcrvayRuVT4XSxUoTgcn29a8NdF/p2p-circuit";
        let cases = [
            ("/ip4/10.1.2.3/udp/4001/quic-v1", "10.1.2.3 udp/4001"),
            ("/ip6/2001:db8::1/tcp/4001", "[2001:db8::1] tcp/4001"),
            (
                "/dns4/gent.example/udp/4001/quic-v1",
                "gent.example udp/4001",
            ),
            (
                &format!("/ip4/10.1.2.3/tcp/4001{relay}"),
                "10.1.2.3 tcp/4001, relayed",
            ),
            ("/memory/7", "/memory/7"),
        ];
        for (text, expected) in cases {
            let address: Multiaddr = text.parse().expect("an address");
            assert_eq!(short(&address), expected);
        }
    }

    #[test]
    fn the_systems_words_are_told_once_and_without_their_numbers() {
        let system = |code| io::Error::from_raw_os_error(code);
        let nested = io::Error::other(io::Error::other(Answer::NoSuchName));
        let cases = [
            (system(libc(Errno::CONNREFUSED)), "connection refused"),
            (system(libc(Errno::HOSTUNREACH)), "no route to host"),
            (system(libc(Errno::NETUNREACH)), "network unreachable"),
            (system(libc(Errno::AFNOSUPPORT)), "network unreachable"),
            (system(libc(Errno::INVAL)), "invalid argument"),
            (nested, "the name does not resolve"),
        ];
        for (error, expected) in cases {
            assert_eq!(Answer::of_io(&error).to_string(), expected);
        }
    }

    fn libc(error: Errno) -> i32 {
        error.raw_os_error()
    }
}
