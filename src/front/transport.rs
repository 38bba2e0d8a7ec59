//! A client's connection in the form in which pingora takes connections, whatever it is underneath: TCP, TLS, or
//! TCP whose writes are gathered. It ends so that what was sent arrives.

use super::farewell::Farewell;
use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, GetTimingDigest, SocketDigest, TimingDigest};
use pingora::protocols::{Peek, Shutdown, Ssl, UniqueID, UniqueIDType};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A client that does not read is not told for longer that the connection ends.
const GOODBYE: Duration = Duration::from_secs(5);

/// A client's connection.
#[derive(Debug)]
pub(super) struct Transport<S> {
    inner: S,
    fd: RawFd,
    socket: Arc<SocketDigest>,
    farewell: Farewell,
}

impl<S: AsRawFd> Transport<S> {
    /// A connection from `peer`.
    pub(super) fn new(inner: S, peer: SocketAddr) -> Self {
        let fd = inner.as_raw_fd();
        let socket = SocketDigest::from_raw_fd(fd);
        // The cell is new, so it is empty.
        let _ = socket.peer_addr.set(Some(peer.into()));
        Transport { inner, fd, socket: Arc::new(socket), farewell: Farewell::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
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
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Shutdown for Transport<S> {
    async fn shutdown(&mut self) {
        // A client that has gone cannot be told; the connection ends either way.
        let _ = tokio::time::timeout(GOODBYE, AsyncWriteExt::shutdown(self)).await;
    }
}

impl<S> UniqueID for Transport<S> {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl<S> Ssl for Transport<S> {}

#[async_trait]
impl<S: Send + Sync> Peek for Transport<S> {}

impl<S> GetTimingDigest for Transport<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<S> GetProxyDigest for Transport<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S> GetSocketDigest for Transport<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.socket = Arc::new(digest);
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
        let mut server = Transport::new(tcp, peer);
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
