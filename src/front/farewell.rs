//! How a client's connection ends: what was sent arrives, whatever the client sent meanwhile.
//!
//! A socket that is closed while bytes of the client's are unread resets the connection, and a reset takes with it
//! what has not arrived: the end of an answer, a GOAWAY (RFC 9112 §9.6). So the writing side is closed first, and
//! the socket only when the client has closed its own side too, or after [`PATIENCE`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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
