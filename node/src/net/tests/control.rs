//! Gossip, direct messages, and coming back.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_members_started_at_once_hear_each_other() {
    let keys: Vec<Keypair> = (0..4).map(|_| Keypair::generate_ed25519()).collect();
    let cards: Vec<_> = keys
        .iter()
        .map(|key| (member(key), vec![free_address()]))
        .collect();
    let started = keys.iter().zip(&cards).map(|(key, (_, listen))| {
        let config = NetConfig {
            listen: listen.clone(),
            ..config(key, &cards)
        };
        start(config, Shelf::with(&[])).expect("the configuration is right")
    });
    let started: Vec<_> = started.collect();
    let mut listeners = Vec::new();
    for (net, mut events) in started {
        net.publish(net.me().0.to_vec())
            .expect("the queue is empty");
        listeners.push(tokio::spawn(async move {
            let mut heard = BTreeSet::new();
            while heard.len() < 3 {
                let event = wait(&mut events, Some).await;
                let (origin, bytes) = match event {
                    NetEvent::Gossip {
                        origin,
                        bytes,
                        handle,
                        ..
                    } => {
                        net.report(handle, Verdict::Accept)
                            .expect("the queue is empty");
                        (origin, bytes)
                    }
                    NetEvent::Direct { from, bytes } => (from, bytes),
                    _ => continue,
                };
                assert_eq!(bytes, origin.0);
                heard.insert(origin);
            }
            // Others may still need this member to pass messages on: the caller ends it.
            (net, events, heard)
        }));
    }
    let mut kept = Vec::new();
    for listener in listeners {
        kept.push(listener.await.expect("no listener fails"));
    }
    for (net, _, heard) in &kept {
        let everyone: BTreeSet<_> = keys
            .iter()
            .map(member)
            .filter(|who| *who != net.me())
            .collect();
        assert_eq!(heard, &everyone);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_reaches_a_member_two_hops_away_only_after_a_verdict() {
    for (verdict, reaches) in [(Verdict::Accept, true), (Verdict::Reject, false)] {
        let hub = config(&Keypair::generate_ed25519(), &[]);
        let mut nodes = star(
            hub,
            Shelf::with(&[]),
            vec![Shelf::with(&[]), Shelf::with(&[])],
        )
        .await;
        let members: BTreeSet<_> = nodes.iter().map(Node::member).collect();
        let [hub, first, second] = nodes.as_mut_slice() else {
            unreachable!("three nodes")
        };
        // The spokes know each other's keys, and no address: all goes by the hub.
        first.net.allow(members.clone());
        second.net.allow(members);
        subscribed(first, hub.member()).await;
        subscribed(second, hub.member()).await;
        first
            .net
            .publish(b"judge me".to_vec())
            .expect("the queue is empty");
        let handle = hub.wait(|event| match event {
            NetEvent::Gossip { handle, bytes, .. } if bytes == b"judge me" => Some(handle),
            _ => None,
        });
        let handle = handle.await;
        hub.net.report(handle, verdict).expect("the queue is empty");
        hub.net
            .publish(b"the end".to_vec())
            .expect("the queue is empty");
        let mut heard = Vec::new();
        second
            .wait(|event| match event {
                NetEvent::Gossip { bytes, .. } | NetEvent::Direct { bytes, .. } => {
                    heard.push(bytes.clone());
                    (heard.contains(&b"the end".to_vec())
                        && (!reaches || heard.contains(&b"judge me".to_vec())))
                    .then_some(())
                }
                _ => None,
            })
            .await;
        assert_eq!(heard.contains(&b"judge me".to_vec()), reaches);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_messages_arrive_in_order_and_wait_for_a_connection() {
    let mut hub = config(&Keypair::generate_ed25519(), &[]);
    let late = Keypair::generate_ed25519();
    hub.bootstrap = vec![(member(&late), Vec::new())];
    let mut hub = Node::start(hub, Shelf::with(&[])).await;
    for number in 0..100u8 {
        hub.net
            .send(member(&late), vec![number; 600 * usize::from(number) + 1])
            .expect("allowed");
    }
    let mut spoke = Node::start(config(&late, &[hub.card()]), Shelf::with(&[])).await;
    for number in 0..100u8 {
        let (from, bytes) = spoke
            .wait(|event| match event {
                NetEvent::Direct { from, bytes } => Some((from, bytes)),
                _ => None,
            })
            .await;
        assert_eq!(from, hub.member());
        assert_eq!(bytes, vec![number; 600 * usize::from(number) + 1]);
    }
    spoke
        .net
        .send(hub.member(), b"thanks".to_vec())
        .expect("allowed");
    let thanks = hub.wait(|event| match event {
        NetEvent::Direct { from, bytes } => Some((from, bytes)),
        _ => None,
    });
    assert_eq!(thanks.await, (spoke.member(), b"thanks".to_vec()));

    let too_long = spoke.net.send(hub.member(), vec![0; MESSAGE_LIMIT + 1]);
    assert_eq!(
        too_long,
        Err(SendError::TooLong {
            len: MESSAGE_LIMIT + 1
        })
    );
    let to = MemberId([1; 32]);
    assert_eq!(
        spoke.net.send(to, vec![0]),
        Err(SendError::NotAllowed { to })
    );
    assert_eq!(spoke.net.publish(Vec::new()), Err(SendError::Empty));
    spoke.net.shutdown().await;
    assert_eq!(
        spoke.net.send(hub.member(), vec![0]),
        Err(SendError::Closed)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_for_an_absent_member_drops_the_oldest() {
    let absent = Keypair::generate_ed25519();
    let mut hub = config(
        &Keypair::generate_ed25519(),
        &[(member(&absent), Vec::new())],
    );
    hub.limits.direct_queue = 3;
    let hub = Node::start(hub, Shelf::with(&[])).await;
    for number in 0..10u8 {
        hub.net
            .send(member(&absent), vec![number])
            .expect("allowed");
    }
    assert_eq!(hub.net.status().dropped, 7);
    let mut late = Node::start(config(&absent, &[hub.card()]), Shelf::with(&[])).await;
    for number in 7..10u8 {
        let bytes = late.wait(|event| match event {
            NetEvent::Direct { bytes, .. } => Some(bytes),
            _ => None,
        });
        assert_eq!(bytes.await, [number]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_restart_are_found_again_from_either_side() {
    // TCP, because a QUIC port stays taken for a while within one process.
    let mut hub = config(&Keypair::generate_ed25519(), &[]);
    hub.listen = vec![address("/ip4/127.0.0.1/tcp/0")];
    let mut nodes = star(hub, Shelf::with(&[]), vec![Shelf::with(&[])]).await;
    let spoke = nodes.pop().expect("two nodes");
    let mut hub = nodes.pop().expect("two nodes");

    let (keypair, card) = (spoke.keypair.clone(), hub.card());
    spoke.net.shutdown().await;
    hub.disconnected(spoke.member()).await;
    let mut spoke = Node::start(config(&keypair, &[card]), Shelf::with(&[])).await;
    hub.connected(spoke.member()).await;
    spoke.connected(hub.member()).await;

    // The hub knows no address of the spoke: the spoke has to come back by itself.
    let keypair = hub.keypair.clone();
    let mut again = config(&keypair, &[(spoke.member(), Vec::new())]);
    again.listen = vec![hub.address.clone()];
    hub.net.shutdown().await;
    spoke.disconnected(hub.member()).await;
    drop(hub);
    let mut hub = Node::start(again, Shelf::with(&[])).await;
    spoke.connected(hub.member()).await;
    hub.connected(spoke.member()).await;
    hub.net
        .send(spoke.member(), b"back".to_vec())
        .expect("allowed");
    let bytes = spoke.wait(|event| match event {
        NetEvent::Direct { bytes, .. } => Some(bytes),
        _ => None,
    });
    assert_eq!(bytes.await, b"back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_only_share_a_neighbour_find_each_other() {
    let hub = config(&Keypair::generate_ed25519(), &[]);
    let nodes = star(
        hub,
        Shelf::with(&[]),
        vec![Shelf::with(&[]), Shelf::with(&[])],
    )
    .await;
    let members: BTreeSet<_> = nodes.iter().map(Node::member).collect();
    let [_hub, first, second]: [Node; 3] = nodes
        .try_into()
        .unwrap_or_else(|_| unreachable!("three nodes"));
    let (mut first, mut second) = (first, second);
    first.net.allow(members.clone());
    second.net.allow(members);
    let (one, other) = (first.member(), second.member());
    tokio::join!(first.connected(other), second.connected(one));
}

/// Waits until `node` knows that `member` listens to gossip.
async fn subscribed(node: &mut Node, member: MemberId) {
    let joined = |event| matches!(event, NetEvent::Subscribed(who) if who == member);
    node.wait(|event| joined(event).then_some(())).await;
}
