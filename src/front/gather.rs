//! A TCP connection whose small pieces leave together. HTTP/2 writes one frame after the other, and the answers to
//! requests that came together would leave in as many segments as there are frames. Here the kernel holds what does
//! not fill a segment (`TCP_CORK`) until it is pushed, at the end of a round.

use super::listen;
use parking_lot::Mutex;
use rustix::net::sockopt::set_tcp_cork;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A TCP connection that holds what is written until it is pushed, or fills a segment.
#[derive(Debug)]
pub(super) struct Gathered {
    /// To be read before the rest.
    ahead: &'static [u8],
    read: OwnedReadHalf,
    write: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    half: OwnedWriteHalf,
    /// Something was written since the last push.
    held: bool,
}

/// Sends what a [`Gathered`] connection holds.
pub(super) struct Push(Arc<Mutex<Written>>);

impl Gathered {
    /// Whatever is written leaves at once, until [`Push::gather`] is called.
    pub(super) fn new(tcp: TcpStream) -> (Self, Push) {
        let (read, half) = tcp.into_split();
        let write = Arc::new(Mutex::new(Written { half, held: false }));
        (Gathered { ahead: &[], read, write: Arc::clone(&write) }, Push(write))
    }

    /// The same, where this was read of the client before and is to be read again.
    pub(super) fn read_again(self, ahead: &'static [u8]) -> Self {
        Gathered { ahead, ..self }
    }
}

impl Push {
    /// From here on what is written is held.
    pub(super) fn gather(&self) {
        if let Err(error) = set_tcp_cork(self.0.lock().half.as_ref(), true) {
            tracing::debug!(%error, "TCP_CORK could not be set");
        }
    }

    /// Sends what is held. Were it forgotten, the kernel would send it after 200 ms.
    pub(super) fn now(&self) {
        let mut written = self.0.lock();
        if std::mem::take(&mut written.held) {
            // Linux pushes when this is set, corked or not (tcp(7), `TCP_NODELAY`).
            listen::send_at_once(written.half.as_ref());
        }
    }
}

impl AsRawFd for Gathered {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_ref().as_raw_fd()
    }
}

impl AsyncRead for Gathered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.read).poll_read(cx, buf);
        }
        let (now, later) = self.ahead.split_at(self.ahead.len().min(buf.remaining()));
        buf.put_slice(now);
        self.ahead = later;
        Poll::Ready(Ok(()))
    }
}

impl Gathered {
    fn poll_with(
        &self,
        write: impl FnOnce(Pin<&mut OwnedWriteHalf>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut written = self.write.lock();
        written.held = true;
        write(Pin::new(&mut written.half))
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(|half| half.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(|half| half.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is held is sent by whoever pushes, who knows whether more comes.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write.lock().half).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// After twice that the kernel sends what is held.
    const SOON: Duration = Duration::from_millis(100);

    async fn pair() -> (std::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (tcp, _) = listener.accept().await.expect("a client");
        (client, tcp)
    }

    #[tokio::test]
    async fn what_is_written_leaves_when_it_is_pushed() {
        let (mut client, tcp) = pair().await;
        let (mut gathered, push) = Gathered::new(tcp);
        let mut arrived = [0; 16];
        gathered.write_all(b"at once").await.expect("the buffer takes it");
        assert_eq!(client.read(&mut arrived).expect("it has arrived"), 7);
        push.gather();
        client.set_nonblocking(true).expect("a socket");
        for _ in 0..10 {
            let start = Instant::now();
            gathered.write_all(b"head").await.expect("the buffer takes it");
            gathered.flush().await.expect("it is a connection");
            gathered.write_all(b"body").await.expect("the buffer takes it");
            let early = client.read(&mut arrived);
            let was_soon = start.elapsed() < SOON;
            push.now();
            client.set_nonblocking(false).expect("a socket");
            if was_soon {
                assert_eq!(early.expect_err("it is held").kind(), ErrorKind::WouldBlock);
                client.set_read_timeout(Some(SOON)).expect("a socket");
                assert_eq!(client.read(&mut arrived).expect("both have arrived"), 8);
                return;
            }
            client.read_exact(&mut arrived[..8 - early.unwrap_or(0)]).expect("it is all there");
            client.set_nonblocking(true).expect("a socket");
        }
        panic!("this machine is too busy to tell");
    }

    #[tokio::test]
    async fn what_was_read_before_is_read_again_in_pieces_of_any_size() {
        let (mut client, tcp) = pair().await;
        std::io::Write::write_all(&mut client, b"behind").expect("the buffer takes it");
        let mut gathered = Gathered::new(tcp).0.read_again(b"before ");
        let mut piece = [0; 3];
        gathered.read_exact(&mut piece).await.expect("it is there");
        assert_eq!(&piece, b"bef");
        let mut rest = [0; 10];
        gathered.read_exact(&mut rest).await.expect("it is there");
        assert_eq!(&rest, b"ore behind");
    }

    #[tokio::test]
    async fn what_is_held_when_the_connection_ends_arrives() {
        let (mut client, tcp) = pair().await;
        let (mut gathered, push) = Gathered::new(tcp);
        push.gather();
        gathered.write_all(b"last words").await.expect("the buffer takes it");
        gathered.shutdown().await.expect("it is a connection");
        let mut arrived = String::new();
        client.read_to_string(&mut arrived).expect("it ends");
        assert_eq!(arrived, "last words");
    }
}
