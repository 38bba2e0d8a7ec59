//! Connections for requests that ask for an upgrade.
//!
//! pingora 0.9.1 passes the end of a request's body to its upstream half through a channel. When the
//! origin's 101 is read before that message, the half takes it for the end of the tunnel and hangs up.
//! A connection of ours lets one turn pass between sending the request and reading the answer: by
//! then the message, which was sent before the first read, has been taken.

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::GetSocketDigest;
use pingora::protocols::SocketDigest;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr};
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connects for an upgrade.
#[derive(Debug)]
pub(super) struct Connect {
    /// For the attempt: `connect_timeout`.
    pub(super) limit: Duration,
}

#[async_trait]
impl L4Connect for Connect {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "not an internet address");
        };
        let tcp = tokio::time::timeout(self.limit, TcpStream::connect(address))
            .await
            .or_err(ErrorType::ConnectTimedout, "connecting for an upgrade")?
            .or_err(ErrorType::ConnectError, "connecting for an upgrade")?;
        let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
        let mut stream = Stream::from(VirtualSocketStream::new(Box::new(Patient { tcp, has_written: false })));
        stream.set_socket_digest(digest);
        Ok(stream)
    }
}

/// A connection that lets a turn pass before the first read behind a write.
#[derive(Debug)]
struct Patient {
    tcp: TcpStream,
    has_written: bool,
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl VirtualSocket for Patient {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            _ => Ok(()),
        }
    }
}
