//! Which addresses the transports take.

use libp2p::{Multiaddr, multiaddr::Protocol};

/// Whether an address can be listened on: QUIC or TCP on an IP address of this machine, or a place
/// at a relay.
pub fn listenable(address: &Multiaddr) -> bool {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), rest @ ..] => carries(rest),
        _ => through_relay(address),
    }
}

/// Whether an address can be dialled: as those to listen on, and by name.
pub fn dialable(address: &Multiaddr) -> bool {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    match parts.as_slice() {
        [
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
            rest @ ..,
        ] => carries(rest) || through_relay(address),
        [Protocol::Dnsaddr(_), ..] => true,
        _ => through_relay(address),
    }
}

fn carries(parts: &[Protocol<'_>]) -> bool {
    matches!(
        parts,
        [Protocol::Udp(_), Protocol::QuicV1]
            | [Protocol::Udp(_), Protocol::QuicV1, Protocol::P2p(_)]
            | [Protocol::Tcp(_)]
            | [Protocol::Tcp(_), Protocol::P2p(_)]
    )
}

fn through_relay(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{BlobInfo, BlobSource, NetConfig, NetError, start};
    use archipel_protocol::ids::{BlobHash, RunId};
    use libp2p::identity::Keypair;
    use std::{io, sync::Arc};

    struct Nothing;

    impl BlobSource for Nothing {
        fn info(&self, _: &BlobHash) -> Option<BlobInfo> {
            None
        }

        fn read(&self, _: &BlobHash, _: u64, _: u32) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[tokio::test]
    async fn what_is_called_listenable_is_what_the_transports_take() {
        for text in [
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/0",
            "/ip4/127.0.0.1/udp/0/quic",
            "/ip4/127.0.0.1/tcp/0/ws",
            "/dns4/localhost/tcp/0",
            "/ip4/127.0.0.1",
        ] {
            let address: Multiaddr = text.parse().expect("an address");
            let mut config = NetConfig::new(Keypair::generate_ed25519(), RunId::default());
            config.listen = vec![address.clone()];
            let taken = match start(config, Arc::new(Nothing)) {
                Ok((net, _events)) => {
                    net.shutdown().await;
                    true
                }
                Err(NetError::Listen { .. }) => false,
                Err(error) => panic!("{text}: {error}"),
            };
            assert_eq!(listenable(&address), taken, "{text}");
        }
    }

    #[test]
    fn names_are_dialled_and_udp_alone_is_not() {
        let dialled = |text: &str| dialable(&text.parse().expect("an address"));
        for text in [
            "/dns4/a.example/udp/4001/quic-v1",
            "/dns/a.example/tcp/4001",
            "/ip6/::1/udp/1/quic-v1",
        ] {
            assert!(dialled(text), "{text}");
        }
        for text in [
            "/dns4/a.example/udp/4001",
            "/ip4/10.0.0.1",
            "/dns4/a.example",
        ] {
            assert!(!dialled(text), "{text}");
        }
    }
}
