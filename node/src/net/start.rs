//! Starts the network layer: builds the parts and gives each its task.

use super::{
    Answer, BLOB_PROTOCOL, Command, DIRECT_PROTOCOL, End, Net, NetConfig, NetError, NetEvent,
    Shared, behaviour, claim, direct,
    fetch::Fetcher,
    identity::{member_of, peer_of},
    serve::{BlobSource, Server},
    swarm::{Driver, Parts},
    traffic::Traffic,
    transport,
};
use archipel_protocol::ids::MemberId;
use libp2p::{Multiaddr, Swarm, multiaddr::Protocol};
use libp2p_stream::{Control, IncomingStreams};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Starts the network layer. Events come in the order in which they happened.
///
/// # Errors
/// Where the configuration contradicts itself or an address cannot be listened on.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start(
    config: NetConfig,
    blobs: Arc<dyn BlobSource>,
) -> Result<(Net, mpsc::Receiver<NetEvent>), NetError> {
    let me = own_member(&config)?;
    let allowed = founders(&config, me)?;
    let claim = match &config.folder {
        Some(folder) => claim::take(&me, folder)?,
        None => None,
    };
    let traffic = Arc::new(Traffic::default());
    let mut swarm = build_swarm(&config, traffic.clone())?;
    let streams = swarm.behaviour().streams.new_control();
    let (direct_streams, blob_streams) = accept(streams.clone());
    let circuits = listen(&mut swarm, &config)?;

    let limits = config.limits.clone();
    let end = CancellationToken::new();
    let (events, event_queue) = mpsc::channel(limits.events.max(1));
    let (commands, command_queue) = mpsc::channel::<Command>(limits.commands.max(1));
    let allowed = watch::Sender::new(allowed);
    let connected = watch::Sender::new(BTreeSet::new());
    let (stopping, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        traffic: traffic.clone(),
        ..Shared::default()
    });

    if let Some(claim) = claim {
        tokio::spawn(claim.hold(events.clone(), end.clone()));
    }
    let receiver = direct::Receiver::new(allowed.subscribe(), events.clone(), &limits);
    tokio::spawn(Arc::new(receiver).accept(direct_streams, end.clone()));
    let (members, told) = (allowed.subscribe(), events.clone());
    let server = Server::new(blobs, members, told, traffic.clone(), limits.clone());
    tokio::spawn(Arc::new(server).accept(blob_streams, end.clone()));
    let (direct_control, connections) = (streams.clone(), connected.subscribe());
    let direct = direct::Sender::new(direct_control, connections, limits.clone(), end.clone());
    let direct = Arc::new(direct);
    let connections = connected.subscribe();
    let fetcher = Fetcher::new(streams, connections, traffic, limits, end.clone());
    let allowed_now = allowed.subscribe();
    let parts = Parts {
        swarm,
        connected,
        shared: shared.clone(),
        direct: direct.clone(),
    };
    let driver = Driver::new(me, config, parts, circuits, events);
    let running = driver.run(command_queue, allowed_now, end.clone());
    tokio::spawn(async move {
        running.await;
        stopping.send_replace(true);
    });
    let net = Net {
        me,
        commands,
        allowed: Arc::new(allowed),
        direct,
        fetcher: Arc::new(fetcher),
        shared,
        end: Arc::new(End {
            token: end,
            stopped,
        }),
    };
    Ok((net, event_queue))
}

pub(super) fn own_member(config: &NetConfig) -> Result<MemberId, NetError> {
    let found = || format!("{:?}", config.keypair.key_type());
    let member = member_of(&config.keypair.public().to_peer_id());
    member.ok_or_else(|| NetError::KeyKind { found: found() })
}

/// Registers the two protocols, before anybody can connect.
fn accept(mut streams: Control) -> (IncomingStreams, IncomingStreams) {
    let once = "each protocol is registered once";
    let direct = streams.accept(DIRECT_PROTOCOL).expect(once);
    let bulk = streams.accept(BLOB_PROTOCOL).expect(once);
    (direct, bulk)
}

/// The members of the bootstrap list, all of whom must be real keys.
fn founders(config: &NetConfig, me: MemberId) -> Result<BTreeSet<MemberId>, NetError> {
    let members = config
        .bootstrap
        .iter()
        .map(|&(member, _)| match peer_of(&member) {
            Some(_) => Ok(member),
            None => Err(NetError::BootstrapKey { member }),
        });
    let mut members: BTreeSet<MemberId> = members.collect::<Result<_, _>>()?;
    members.remove(&me);
    Ok(members)
}

fn build_swarm(
    config: &NetConfig,
    traffic: Arc<Traffic>,
) -> Result<Swarm<behaviour::Behaviour>, NetError> {
    let (transport, relays) = transport::build(config, traffic)?;
    let behaviour = behaviour::build(config, relays)?;
    let me = config.keypair.public().to_peer_id();
    // Members stay connected, however little they have to say.
    let forever = Duration::from_secs(u64::MAX);
    let parameters = libp2p::swarm::Config::with_tokio_executor()
        .with_smart_dial()
        .with_idle_connection_timeout(forever);
    Ok(Swarm::new(transport, behaviour, me, parameters))
}

/// Why an address cannot be listened on, and what to do.
fn unlistenable(address: &Multiaddr, answer: Answer) -> String {
    let port = address.iter().find_map(|part| match part {
        Protocol::Udp(port) | Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    match (answer, port) {
        (Answer::Taken, Some(port)) => format!(
            "the port is in use; see by what (`ss -lnp 'sport = :{port}'`), or change `listen` in \
             node.toml"
        ),
        (Answer::NoNetwork, _) => {
            "this machine has no such address; /ip4/0.0.0.0/udp/4001/quic-v1 \
             in node.toml is any"
                .to_owned()
        }
        (Answer::Forbidden, _) => "this user has no right to it; ports below 1024 need one: take \
             a higher one in node.toml"
            .to_owned(),
        (Answer::NoTransport, _) => "expected an address like /ip4/0.0.0.0/udp/4001/quic-v1 or \
             /ip4/0.0.0.0/tcp/4001, whose transport is turned on"
            .to_owned(),
        (answer, _) => answer.to_string(),
    }
}

/// Listens on all addresses; returns the relayed ones, which are tried again when they end.
fn listen(
    swarm: &mut Swarm<behaviour::Behaviour>,
    config: &NetConfig,
) -> Result<super::swarm::Circuits, NetError> {
    let mut circuits = super::swarm::Circuits::default();
    for address in &config.listen {
        let listener = swarm
            .listen_on(address.clone())
            .map_err(|error| NetError::Listen {
                address: address.clone(),
                problem: unlistenable(address, Answer::of_transport(&error)),
            })?;
        circuits.note(listener, address);
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    Ok(circuits)
}
