//! Counts the bytes that go over all streams, and those of the bulk plane among them.
//!
//! Totals are taken at the stream muxer, so that they hold every protocol. Packet headers,
//! encryption and retransmission are below it and not counted.

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

/// Bytes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficStatus {
    /// Bytes received, on all planes.
    pub received: u64,
    /// Bytes sent, on all planes.
    pub sent: u64,
    /// Bytes received on the bulk plane.
    pub bulk_received: u64,
    /// Bytes sent on the bulk plane.
    pub bulk_sent: u64,
}

impl TrafficStatus {
    /// Bytes received on the control and discovery planes.
    pub fn control_received(&self) -> u64 {
        self.received.saturating_sub(self.bulk_received)
    }

    /// Bytes sent on the control and discovery planes.
    pub fn control_sent(&self) -> u64 {
        self.sent.saturating_sub(self.bulk_sent)
    }
}

/// The counters behind [`TrafficStatus`].
#[derive(Debug, Default)]
pub(super) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    bulk_received: AtomicU64,
    bulk_sent: AtomicU64,
}

impl Traffic {
    pub(super) fn bulk_received(&self, bytes: usize) {
        self.bulk_received.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn bulk_sent(&self, bytes: usize) {
        self.bulk_sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn status(&self) -> TrafficStatus {
        TrafficStatus {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            bulk_received: self.bulk_received.load(Relaxed),
            bulk_sent: self.bulk_sent.load(Relaxed),
        }
    }
}

/// A muxer whose streams are counted.
pub(super) struct CountedMuxer<M> {
    inner: M,
    traffic: Arc<Traffic>,
}

impl<M> CountedMuxer<M> {
    pub(super) fn new(inner: M, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic }
    }
}

impl<M: StreamMuxer + Unpin> StreamMuxer for CountedMuxer<M>
where
    M::Substream: Unpin,
{
    type Substream = CountedStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let inner = ready!(Pin::new(&mut this.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(CountedStream {
            inner,
            traffic: this.traffic.clone(),
        }))
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let inner = ready!(Pin::new(&mut this.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(CountedStream {
            inner,
            traffic: this.traffic.clone(),
        }))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }
}

/// A stream whose bytes are counted.
pub(super) struct CountedStream<S> {
    inner: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        this.traffic.received.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut this.inner).poll_write(cx, buffer))?;
        this.traffic.sent.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}
