//! A client's TCP connection while it is the hit lane's. The system watches no more of it than is waited for: nothing
//! until it is needed, then what the client sends, and whether the client takes more only once it did not. A socket
//! that was just made takes whatever is written, so to watch for that would wake the thread for nothing.

use super::hit_lane::Connection;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWrite, Interest};

/// Octets that are put together before they are sent: a system call for several pieces costs more than to copy so few.
const MOST_JOINED: usize = 4 << 10;

thread_local! {
    /// Where they are put together.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection that does not block.
#[derive(Debug)]
pub(super) struct Watched(State);

#[derive(Debug)]
enum State {
    /// Nobody is woken.
    Not(TcpStream),
    /// For what the client sends.
    Reading(AsyncFd<TcpStream>),
    /// For that, and for room to write.
    Both(tokio::net::TcpStream),
    /// The descriptor could not be watched any more; the connection has ended.
    Gone,
}

impl Watched {
    /// A connection that is not watched yet.
    pub(super) fn not(tcp: TcpStream) -> Self {
        Watched(State::Not(tcp))
    }

    /// Watches for what the client sends.
    ///
    /// # Errors
    /// When there are too many files.
    pub(super) fn watch(self) -> io::Result<Self> {
        let State::Not(tcp) = self.0 else { return Ok(self) };
        #[expect(deprecated, reason = "what takes its place is unsafe, for types that change their descriptor")]
        let watched = AsyncFd::with_interest(tcp, Interest::READABLE)?;
        Ok(Watched(State::Reading(watched)))
    }

    /// The connection as everybody else has it.
    ///
    /// # Errors
    /// When there are too many files.
    pub(super) fn into_tcp(self) -> io::Result<tokio::net::TcpStream> {
        match self.0 {
            State::Not(tcp) => tokio::net::TcpStream::from_std(tcp),
            State::Reading(watched) => tokio::net::TcpStream::from_std(watched.into_inner()),
            State::Both(tcp) => Ok(tcp),
            State::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// What is there of what the client sent, without waiting; 0 at its end.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where nothing is there.
    pub(super) fn read_now(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.tcp().map_or(Err(ErrorKind::WouldBlock.into()), |tcp| receive(tcp, bytes))
    }

    /// The socket, unless it is watched for everything.
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            State::Not(tcp) => Some(tcp),
            State::Reading(watched) => Some(watched.get_ref()),
            State::Both(_) | State::Gone => None,
        }
    }

    /// Watches for room to write, too.
    fn watch_both(&mut self) -> io::Result<&mut tokio::net::TcpStream> {
        if !matches!(self.0, State::Both(_)) {
            let before = std::mem::replace(self, Watched(State::Gone));
            self.0 = State::Both(before.into_tcp()?);
        }
        match &mut self.0 {
            State::Both(tcp) => Ok(tcp),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Writes what is taken now, or waits for room.
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        now: impl Fn(&TcpStream) -> io::Result<usize>,
        later: impl FnOnce(Pin<&mut tokio::net::TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(tcp) = self.tcp() {
            match uninterrupted(|| now(tcp)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            if matches!(self.0, State::Not(_)) {
                return Poll::Pending;
            }
        }
        later(Pin::new(self.watch_both()?), cx)
    }
}

/// Sends what is in these pieces, of a size that is sooner put together than taken from several places.
fn send_joined(tcp: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    JOINED.with_borrow_mut(|joined| {
        joined.clear();
        pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        send(tcp, joined)
    })
}

fn send(tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(tcp, bytes, SendFlags::NOSIGNAL)?)
}

fn receive(tcp: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    uninterrupted(|| Ok(rustix::net::recv(tcp, spare_capacity(bytes), RecvFlags::empty())?.0))
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Connection for Watched {
    fn send_at_once(&self) {
        let done = match &self.0 {
            State::Both(tcp) => tcp.set_nodelay(true),
            _ => self.tcp().map_or(Ok(()), |tcp| tcp.set_nodelay(true)),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let watched = match &mut self.0 {
            State::Reading(watched) => watched,
            State::Both(tcp) => return pin!(tcp.read_buf(bytes)).poll(cx),
            State::Not(_) | State::Gone => return Poll::Ready(Err(ErrorKind::NotConnected.into())),
        };
        loop {
            let mut ready = ready!(watched.poll_read_ready(cx))?;
            let room = bytes.capacity() - bytes.len();
            let Ok(received) = ready.try_io(|watched| receive(watched.get_ref(), bytes)) else { continue };
            if received.as_ref().is_ok_and(|received| (1..room).contains(received)) {
                // That was all there is: what comes now is told anew, and to ask once more would be in vain.
                ready.clear_ready();
            }
            return Poll::Ready(received);
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |tcp| send(tcp, buf), |tcp, cx| tcp.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_small = bufs.iter().map(|piece| piece.len()).sum::<usize>() <= MOST_JOINED;
        let now = |tcp: &TcpStream| if is_small { send_joined(tcp, bufs) } else { Ok(rustix::io::writev(tcp, bufs)?) };
        self.poll_with(cx, now, |tcp, cx| tcp.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.watch_both()?).poll_shutdown(cx)
    }
}
