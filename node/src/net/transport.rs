//! Builds the transport: QUIC, TCP with Noise and Yamux, relayed circuits, names resolved.

use super::{
    answer::{Answer, Below, HANDSHAKE_TIMEOUT},
    config::{NetConfig, NetError},
    echo::Echo,
    traffic::{CountedMuxer, Traffic},
};
use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OptionalTransport},
        upgrade::Version,
    },
    dns, noise, quic, relay, tcp, yamux,
};
use std::sync::Arc;

/// Bytes that a peer may have in flight on one QUIC stream: a gigabit over 250 ms.
const QUIC_STREAM_WINDOW: u32 = 32 << 20;
/// Bytes that a peer may have in flight on one QUIC connection.
const QUIC_CONNECTION_WINDOW: u32 = 64 << 20;

type Muxed = Boxed<(PeerId, StreamMuxerBox)>;

/// Builds what `config` turns on; the second part exists where relays may be used.
///
/// Names are resolved with the system's resolver. Where the system has none (a container without
/// `/etc/resolv.conf`) numeric addresses still work, and names fail with the transport's error.
pub(super) fn build(
    config: &NetConfig,
    traffic: Arc<Traffic>,
) -> Result<(Muxed, Option<relay::client::Behaviour>), NetError> {
    if !config.tcp && !config.quic {
        return Err(NetError::NoTransport);
    }
    let named = match dns::tokio::Transport::system(direct(config)?) {
        Ok(named) => named.map_err(|error| Answer::of_names(&error)).boxed(),
        Err(error) => {
            tracing::warn!(%error, "no system resolver: only numeric addresses can be dialed");
            direct(config)?
        }
    };
    let (circuits, relays) = match config.nat.relay_client {
        true => {
            let (transport, behaviour) = relay::client::new(config.keypair.public().to_peer_id());
            let circuits = transport
                .upgrade(Version::V1Lazy)
                .authenticate(noise(config)?)
                .multiplex(yamux::Config::default())
                .timeout(HANDSHAKE_TIMEOUT)
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                .map_err(|error| Answer::of_tcp(&error));
            (OptionalTransport::some(circuits), Some(behaviour))
        }
        false => (OptionalTransport::none(), None),
    };
    let all = circuits.or_transport(named).map(move |either, _| {
        let (peer, muxer) = either.into_inner();
        (
            peer,
            StreamMuxerBox::new(CountedMuxer::new(muxer, traffic.clone())),
        )
    });
    let all = all.map_err(|either| either.map_right(|error| Answer::of_io(&error)).into_inner());
    Ok((all.boxed(), relays))
}

/// QUIC and TCP to numeric addresses, as far as they are turned on.
fn direct(config: &NetConfig) -> Result<Muxed, NetError> {
    let tcp = match config.tcp {
        true => OptionalTransport::some(
            tcp::tokio::Transport::new(tcp::Config::default())
                .map_err(Below)
                .upgrade(Version::V1Lazy)
                .authenticate(noise(config)?)
                .multiplex(yamux::Config::default())
                .timeout(HANDSHAKE_TIMEOUT)
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                .map_err(|error| Answer::of_tcp(&error)),
        ),
        false => OptionalTransport::none(),
    };
    let quic = match config.quic {
        true => OptionalTransport::some(Echo::new(
            quic::tokio::Transport::new(quic_config(config))
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                .map_err(|error| Answer::of_quic(&error)),
        )),
        false => OptionalTransport::none(),
    };
    Ok(quic
        .or_transport(tcp)
        .map(|either, _| either.into_inner())
        .map_err(|either| either.into_inner())
        .boxed())
}

fn noise(config: &NetConfig) -> Result<noise::Config, NetError> {
    noise::Config::new(&config.keypair).map_err(|error| NetError::Transport {
        transport: "noise",
        source: error.into(),
    })
}

fn quic_config(config: &NetConfig) -> quic::Config {
    let mut quic = quic::Config::new(&config.keypair);
    quic.max_stream_data = QUIC_STREAM_WINDOW;
    quic.max_connection_data = QUIC_CONNECTION_WINDOW;
    quic.handshake_timeout = HANDSHAKE_TIMEOUT;
    quic
}
