//! How a client's connection ends: what was sent arrives, whatever the client sent meanwhile.
//!
//! A socket that is closed while bytes of the client's are unread resets the connection, and a reset takes with it
//! what has not arrived: the end of an answer, a GOAWAY (RFC 9112 §9.6). So the writing side is closed first, and
//! the socket only when the client has closed its own side too, or after [`PATIENCE`].

use super::listen;
use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream as L4;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, GetTimingDigest, SocketDigest, TimingDigest};
use pingora::protocols::{Peek, Shutdown, Ssl, UniqueID, UniqueIDType};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long a client may take to close its side.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the end of a connection is.
#[derive(Debug, Default)]
pub(super) struct Farewell(Option<Pin<Box<Sleep>>>);

impl Farewell {
    /// To be polled in the place of the stream's own shutdown.
    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.0.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let late = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        let mut unread = [0; 4096];
        while late.as_mut().poll(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut unread);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut unread));
            if read.is_err() || unread.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Ends a connection that nobody else has got to know.
pub(super) async fn end(tcp: &mut TcpStream) {
    let mut farewell = Farewell::default();
    // A client that has gone cannot be told; the connection ends either way.
    let _ = std::future::poll_fn(|cx| farewell.poll(tcp, cx)).await;
}

/// A connection without TLS.
#[derive(Debug)]
pub(super) struct Plain {
    inner: L4,
    farewell: Farewell,
}

impl Plain {
    pub(super) fn new(tcp: TcpStream, peer: SocketAddr) -> Self {
        Plain { inner: listen::transport(tcp, peer), farewell: Farewell::default() }
    }

    /// Puts back what was read.
    pub(super) fn rewind(&mut self, read: &[u8]) {
        self.inner.rewind(read);
    }
}

impl AsyncRead for Plain {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.farewell.poll(&mut this.inner, cx)
    }
}

#[async_trait]
impl Shutdown for Plain {
    async fn shutdown(&mut self) {
        // A client that has gone cannot be told; the connection ends either way.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Plain {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Plain {}

#[async_trait]
impl Peek for Plain {}

impl GetTimingDigest for Plain {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for Plain {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Plain {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket};

    /// More than fits into the client's receive buffer, and little enough for the server's send buffer.
    const ANSWER: usize = 64 << 10;

    #[tokio::test]
    async fn an_answer_arrives_although_the_client_has_sent_more_than_was_read() {
        // The client reads only when the server has written all and said goodbye. Closed at once, the socket would
        // have reset the connection, with most of the answer on its way.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("it is not connected yet");
        let mut client = socket.connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (tcp, peer) = listener.accept().await.expect("a client");
        client.write_all(&[b'x'; 10_000]).await.expect("the server's buffer takes it");
        let mut server = Plain::new(tcp, peer);
        server.write_all(&vec![b'a'; ANSWER]).await.expect("the buffer takes it");
        let ending = tokio::spawn(async move { AsyncWriteExt::shutdown(&mut server).await });
        tokio::task::yield_now().await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("the connection is not reset");
        assert_eq!(answer.len(), ANSWER);
        drop(client);
        ending.await.expect("no panic").expect("it ends");
    }
}
