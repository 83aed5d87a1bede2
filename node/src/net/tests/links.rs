//! What the addresses of members answered, in words.

use super::*;
use std::net::TcpListener;

/// Waits until the status of `net` shows what `pick` looks for.
async fn shown<T>(net: &Net, mut pick: impl FnMut(&NetStatus) -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(picked) = pick(&net.status()) {
                return picked;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, looking).await.expect("it is shown in time")
}

/// The answer of one address, once it has given one.
async fn answer_of(net: &Net, member: MemberId, address: &Multiaddr) -> Answer {
    shown(net, |status| {
        let links = status.links.get(&member)?;
        let link = links.iter().find(|link| link.address == *address)?;
        link.at.map(|_| link.answer.clone())
    })
    .await
}

fn free_tcp() -> Multiaddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    address(&format!("/ip4/127.0.0.1/tcp/{port}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_address_of_an_absent_member_says_what_it_answered() {
    let absent = member(&Keypair::generate_ed25519());
    let (closed, quic) = (free_tcp(), free_address());
    let unroutable = address("/ip4/255.255.255.255/tcp/4001");
    let nameless = address("/dns4/no-such-host.invalid/tcp/4001");
    let foreign = address("/ip4/127.0.0.1/tcp/4001/ws");
    let addresses = [&closed, &quic, &nameless, &foreign, &unroutable].map(Clone::clone);
    let known = [(absent, addresses.to_vec())];
    let node = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    assert_eq!(answer_of(&node.net, absent, &closed).await, Answer::Refused);
    assert_eq!(answer_of(&node.net, absent, &quic).await, Answer::Refused);
    assert_eq!(
        answer_of(&node.net, absent, &foreign).await,
        Answer::NoTransport
    );
    let name = answer_of(&node.net, absent, &nameless).await;
    assert!(
        matches!(name, Answer::NoSuchName | Answer::NoNameServer),
        "{name:?}"
    );
    let lost = answer_of(&node.net, absent, &unroutable).await;
    assert!(
        matches!(lost, Answer::NoNetwork | Answer::Forbidden),
        "{lost:?}"
    );
    let links = node.net.status().links.remove(&absent).expect("a member");
    let text = links[0].to_string();
    assert!(text.ends_with(": connection refused"), "{text}");
    assert!(text.starts_with("127.0.0.1 tcp/"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_another_key_answers_does_not_hide_the_right_one() {
    let dialer = Keypair::generate_ed25519();
    let known = [(member(&dialer), Vec::new())];
    let right = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    let other = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    // UDP before TCP: the wrong address is always asked first.
    let card = (
        right.member(),
        vec![other.address.clone(), right.address.clone()],
    );
    let mut node = Node::start(config(&dialer, &[card]), Shelf::with(&[])).await;
    node.connected(right.member()).await;
    let links = node
        .net
        .status()
        .links
        .remove(&right.member())
        .expect("a member");
    assert_eq!(links[1].answer, Answer::Connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_and_this_sites_own_are_told_apart() {
    let me = Keypair::generate_ed25519();
    let absent = member(&Keypair::generate_ed25519());
    let known = [(member(&me), Vec::new())];
    let other = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    let mut twin = Node::start(config(&me, &[]), Shelf::with(&[])).await;
    let card = (absent, vec![other.address.clone()]);
    let node = Node::start(config(&me, &[card]), Shelf::with(&[])).await;
    let found = Some(other.member());
    let answer = answer_of(&node.net, absent, &other.address).await;
    assert_eq!(answer, Answer::OtherKey { found });
    node.net
        .add_address(absent, twin.address.clone())
        .expect("the queue is empty");
    assert_eq!(
        answer_of(&node.net, absent, &twin.address).await,
        Answer::OwnKey
    );
    let refused = twin.wait(|event| match event {
        NetEvent::Refused(refused) => Some(refused.member),
        _ => None,
    });
    assert_eq!(refused.await, Some(member(&me)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_another_run_is_not_connected_and_says_which_run() {
    let key = Keypair::generate_ed25519();
    let mut elsewhere = config(&Keypair::generate_ed25519(), &[(member(&key), Vec::new())]);
    elsewhere.run_id = archipel_protocol::ids::RunId([0xab; 32]);
    let elsewhere = Node::start(elsewhere, Shelf::with(&[])).await;
    let mut node = Node::start(config(&key, &[elsewhere.card()]), Shelf::with(&[])).await;
    let told = node.wait(|event| match event {
        NetEvent::ShutOut { answer, .. } => Some(answer),
        NetEvent::Connected(who) => panic!("{who:?} is of another run"),
        _ => None,
    });
    let run = "ab".repeat(32);
    assert_eq!(told.await, Answer::OtherRun { run });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_says_what_each_address_answers_and_is_no_node_to_the_others() {
    let me = Keypair::generate_ed25519();
    let known = [(member(&me), Vec::new())];
    let mut right = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    let other = Node::start(
        config(&Keypair::generate_ed25519(), &known),
        Shelf::with(&[]),
    )
    .await;
    let closed = Node::start(config(&Keypair::generate_ed25519(), &[]), Shelf::with(&[])).await;
    let (quic, tcp) = (free_address(), free_tcp());
    let addresses = vec![
        right.address.clone(),
        other.address.clone(),
        quic.clone(),
        tcp.clone(),
    ];
    let cards = [(right.member(), addresses), closed.card()];
    let asking = config(&me, &cards);
    let probing = async {
        timeout(LONG, probe(&asking))
            .await
            .expect("it ends in time")
    };
    let mut found = probing.await.expect("a good key");
    let probed = found.remove(&right.member()).expect("it was dialed");
    let answer = |address: &Multiaddr| {
        let one = probed.iter().find(|one| one.address == *address);
        one.map(|one| one.answer.clone()).expect("it was dialed")
    };
    let key = Some(other.member());
    assert_eq!(answer(&right.address), Answer::Connected);
    assert_eq!(answer(&other.address), Answer::OtherKey { found: key });
    assert_eq!(answer(&quic), Answer::Refused);
    assert_eq!(answer(&tcp), Answer::Refused);
    let refused = found.remove(&closed.member()).expect("it was dialed");
    assert_eq!(refused[0].answer, Answer::KeyRefused);
    // The member itself comes after the probe, and is the first that is seen.
    let node = Node::start(config(&me, &[right.card()]), Shelf::with(&[])).await;
    let first = right.wait(Some);
    assert!(matches!(first.await, NetEvent::Connected(who) if who == node.member()));
}
