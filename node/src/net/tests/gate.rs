//! Strangers, and members that send what no member sends.

use super::*;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::Stream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_and_named() {
    let friend = Keypair::generate_ed25519();
    let stranger = Keypair::generate_ed25519();
    let blob = noise(10);
    let hub = config(
        &Keypair::generate_ed25519(),
        &[(member(&friend), Vec::new())],
    );
    let mut hub = Node::start(hub, Shelf::with(&[&blob])).await;
    let mut outside = Node::start(config(&stranger, &[hub.card()]), Shelf::with(&[])).await;
    outside
        .net
        .publish(b"let me in".to_vec())
        .expect("the queue is empty");
    outside
        .net
        .send(hub.member(), b"let me in".to_vec())
        .expect("allowed on this side");
    let refused = hub
        .wait(|event| match event {
            NetEvent::Refused(refused) => Some(refused),
            NetEvent::Listening(_) => None,
            other => panic!("a stranger got through: {other:?}"),
        })
        .await;
    assert_eq!(
        (refused.member, refused.times),
        (Some(member(&stranger)), 1)
    );
    let (answer, times) = outside
        .wait(|event| match event {
            NetEvent::ShutOut { answer, times, .. } => Some((answer, times)),
            NetEvent::Listening(_) => None,
            other => panic!("nobody let it in: {other:?}"),
        })
        .await;
    assert_eq!((answer, times), (Answer::KeyRefused, 2));
    let links = outside
        .net
        .status()
        .links
        .remove(&hub.member())
        .expect("known");
    assert_eq!(links[0].answer, Answer::KeyRefused);
    assert!(links[0].next.is_some(), "it is dialed again");
    let known = hub.net.status().refused;
    assert_eq!(known.len(), 1, "{known:?}");
    assert!(known[0].times >= 2, "{known:?}");
    assert!(hub.net.status().members.is_empty());
    let mut inside = Node::start(config(&friend, &[hub.card()]), Shelf::with(&[])).await;
    inside.connected(hub.member()).await;
    let outcome = inside.net.fetch(name(&blob), 10, vec![hub.member()]).await;
    assert_eq!(outcome.expect("a member is served").bytes, blob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_is_disconnected_and_a_readmitted_one_connected() {
    let hub = config(&Keypair::generate_ed25519(), &[]);
    let mut nodes = star(hub, Shelf::with(&[]), vec![Shelf::with(&[])]).await;
    let [hub, spoke] = nodes.as_mut_slice() else {
        unreachable!("two nodes")
    };
    hub.net.allow(BTreeSet::new());
    hub.disconnected(spoke.member()).await;
    let to = spoke.member();
    assert_eq!(hub.net.send(to, vec![1]), Err(SendError::NotAllowed { to }));
    hub.net.allow(BTreeSet::from([to]));
    hub.connected(to).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_name_their_sender_and_end_the_stream() {
    let hub = config(&Keypair::generate_ed25519(), &[]);
    let mut nodes = star(hub, Shelf::with(&[]), vec![Shelf::with(&[])]).await;
    let [hub, spoke] = nodes.as_mut_slice() else {
        unreachable!("two nodes")
    };
    let direct = |frame: Vec<u8>, what| (DIRECT_PROTOCOL, frame, Misbehaviour::Direct(what));
    let bulk = |frame: Vec<u8>, what| (BLOB_PROTOCOL, frame, Misbehaviour::Request(what));
    let cases = [
        direct(vec![0xff; 4], FrameError::TooLong { len: u32::MAX }),
        direct(vec![0, 1, 0, 1], FrameError::TooLong { len: 65537 }),
        direct(vec![0; 4], FrameError::Empty),
        bulk(
            vec![7; 45],
            WireError::TooLong {
                len: 0x0707_0707_0707_0707,
            },
        ),
        bulk(
            [vec![4], vec![0; 44]].concat(),
            WireError::Kind { found: 4 },
        ),
        bulk(
            [vec![2], vec![0; 44]].concat(),
            WireError::Index { found: 0, count: 0 },
        ),
    ];
    for (protocol, frame, expected) in cases {
        let mut stream = raw_stream(spoke, hub, protocol.clone()).await;
        stream.write_all(&frame).await.expect("the stream is open");
        stream.flush().await.expect("the stream is open");
        let (who, what) = hub
            .wait(|event| match event {
                NetEvent::Misbehaved { member, what } => Some((member, what)),
                _ => None,
            })
            .await;
        assert_eq!((who, what), (spoke.member(), expected));
        let mut rest = Vec::new();
        let ending = timeout(LONG, stream.read_to_end(&mut rest))
            .await
            .expect("it ends in time");
        let greeting = usize::from(protocol == DIRECT_PROTOCOL);
        assert!(
            ending.is_err() || rest.len() <= greeting,
            "answered with {rest:?}"
        );
    }
    spoke
        .net
        .send(hub.member(), b"well formed".to_vec())
        .expect("allowed");
    hub.wait(|event| matches!(event, NetEvent::Direct { .. }).then_some(()))
        .await;
}

/// A bare stream between two connected members.
async fn raw_stream(from: &Node, to: &Node, protocol: StreamProtocol) -> Stream {
    let peer = peer_of(&to.member()).expect("a real key");
    let mut control = from.net.fetcher.streams.clone();
    let opening = control.open_stream(peer, protocol);
    timeout(LONG, opening)
        .await
        .expect("it opens in time")
        .expect("the members are connected")
}

#[test]
fn contradictions_in_the_configuration_are_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let _inside = runtime.as_ref().expect("a runtime can be made").enter();
    let keypair = Keypair::generate_ed25519();
    let right = config(&keypair, &[]);
    let bad_key = (0..=255u8)
        .map(|b| MemberId([b; 32]))
        .find(|m| peer_of(m).is_none());
    let bad_key = bad_key.expect("half of all strings are no key");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let listen = |text: &str| NetConfig {
        listen: vec![address(text)],
        ..right.clone()
    };
    let cases: Vec<(NetConfig, &str)> = vec![
        (
            NetConfig {
                tcp: false,
                quic: false,
                ..right.clone()
            },
            "found both off",
        ),
        (
            NetConfig {
                bootstrap: vec![(bad_key, vec![])],
                ..right.clone()
            },
            "not an Ed25519",
        ),
        (
            listen(&format!("/ip4/127.0.0.1/tcp/{port}")),
            "the port is in use",
        ),
        (
            NetConfig {
                quic: false,
                ..right.clone()
            },
            "whose transport is turned on",
        ),
    ];
    for (config, part) in cases {
        let error = start(config, Shelf::with(&[]))
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains(part), "{error}");
    }
}
