//! A connection's first request, answered before anybody waits for it. Where a client sends its request with its
//! connection and wants no other, the connection begins and ends here: no task is made for it, no timer, and the
//! system is not asked to watch it.

use super::answer::Scratch;
use super::turn::{Client, Turn};
use super::{Lane, MOST_ROOM, ROOM};
use pingora::server::ShutdownWatch;
use rustix::buffer::spare_capacity;
use rustix::net::RecvFlags;
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{IpAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

/// What a connection brought at once.
pub(in crate::front) struct Greeting {
    pub(super) scratch: Scratch,
    /// What was read, what is answered of it included.
    pub(super) bytes: Vec<u8>,
    /// What became of the first request in it.
    pub(super) turn: Option<Turn>,
}

thread_local! {
    /// What the last connection that ended at once has left.
    static SPARE: Cell<Option<(Scratch, Vec<u8>)>> = const { Cell::new(None) };
}

impl Greeting {
    /// Nothing was read; there is room for what will be.
    pub(in crate::front) fn nothing() -> Self {
        let (scratch, mut bytes) = SPARE.take().unwrap_or_default();
        bytes.reserve(ROOM);
        Greeting { scratch, bytes, turn: None }
    }
}

/// What a connection leaves to the next one.
pub(super) fn keep(scratch: Scratch, mut bytes: Vec<u8>) {
    bytes.clear();
    bytes.shrink_to(MOST_ROOM);
    SPARE.set(Some((scratch, bytes)));
}

/// Reads what is there of the first request, and answers it if it is a hit. Nothing if the connection has ended with
/// that.
pub(in crate::front) fn greet(
    lane: &Lane,
    tcp: &TcpStream,
    peer: IpAddr,
    stopping: &ShutdownWatch,
) -> Option<Greeting> {
    let client = Client { lane, peer, stopping };
    let Greeting { mut scratch, mut bytes, .. } = Greeting::nothing();
    let turn = match rustix::net::recv(tcp, spare_capacity(&mut bytes), RecvFlags::empty()) {
        Ok((0, _)) => Turn::Gone,
        Ok(_) => {
            let cx = &mut Context::from_waker(Waker::noop());
            client.turn(cx, &mut AtOnce(tcp), &bytes, &lane.limits.now(), &mut scratch)
        }
        // Whoever goes on finds out what else it is.
        Err(_) => Turn::Partial,
    };
    let has_ended = match turn {
        Turn::Answered { len, keeps_alive, .. } => !keeps_alive && len == bytes.len() && !client.is_stopping(),
        Turn::Gone => true,
        _ => false,
    };
    if has_ended {
        keep(scratch, bytes);
        return None;
    }
    // Half a head is read again with the other half.
    let turn = Some(turn).filter(|turn| !matches!(turn, Turn::Partial));
    Some(Greeting { scratch, bytes, turn })
}

/// A connection as it takes bytes now; nobody is woken when it takes more.
struct AtOnce<'a>(&'a TcpStream);

impl AtOnce<'_> {
    fn poll(mut write: impl FnMut() -> io::Result<usize>) -> Poll<io::Result<usize>> {
        loop {
            match write() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for AtOnce<'_> {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AtOnce::poll(|| (&mut &*self.0).write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AtOnce::poll(|| (&mut &*self.0).write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
