//! QUIC that hears what the network says of an address.
//!
//! A QUIC endpoint sends from one socket to everybody, and the system tells such a socket nothing
//! of a port where nobody listens or of a host that no route leads to: a dial there just times
//! out. So each dial also sends one byte from a socket of its own, which is connected to that
//! address and is told. What listens there throws the byte away, since no QUIC packet is so short.

use super::answer::Answer;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Either, select},
};
use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    task::{Context, Poll},
};
use tokio::net::UdpSocket;

/// A transport over UDP whose dials end as soon as the network says that they cannot succeed.
pub(super) struct Echo<T> {
    inner: T,
}

impl<T> Echo<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner }
    }
}

impl<T> Transport for Echo<T>
where
    T: Transport<Error = Answer> + Unpin,
    T::Output: 'static,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = Answer;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, Answer>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Answer>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Answer>> {
        let to = socket_of(&address);
        let dial = self.inner.dial(address, options)?;
        // Who punches a hole expects to be refused at first.
        let to = to.filter(|_| options.role == Endpoint::Dialer);
        Ok(match to {
            Some(to) => dial_and_listen(dial, to).boxed(),
            None => dial.boxed(),
        })
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Answer>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }
}

async fn dial_and_listen<O>(
    dial: impl Future<Output = Result<O, Answer>>,
    to: SocketAddr,
) -> Result<O, Answer> {
    match select(pin!(dial), pin!(bad_news(to))).await {
        Either::Left((result, _)) => result,
        Either::Right((answer, _)) => Err(answer),
    }
}

/// What the network says against an address; it waits for ever where that is nothing.
async fn bad_news(to: SocketAddr) -> Answer {
    let Err(error) = hear(to).await;
    match Answer::of_io(&error) {
        answer @ (Answer::NoRoute | Answer::NoNetwork | Answer::Refused | Answer::Forbidden) => {
            answer
        }
        _ => std::future::pending().await,
    }
}

async fn hear(to: SocketAddr) -> io::Result<Infallible> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(to).await?;
    socket.send(&[0]).await?;
    loop {
        // Whoever sends something here is not known for it: only an error counts.
        socket.recv(&mut [0; 1]).await?;
    }
}

/// The socket that an address names first.
fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let host: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::new(host, port)),
        _ => None,
    }
}
