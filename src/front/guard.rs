//! A client's connection that does not wait for ever: a total deadline for reading a request's head
//! and one for idling between requests (pingora's own timeout starts anew with every byte). It also
//! sends the head of a page together with its body, which pingora writes one after the other, and with
//! the `Date` that the page has.

use super::head_bytes;
use super::listen::LiveLimits;
use async_trait::async_trait;
use http::HeaderValue;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{GetProxyDigest, GetSocketDigest, GetTimingDigest, SocketDigest, TimingDigest};
use pingora::protocols::{Peek, Shutdown, Ssl, Stream, UniqueID, UniqueIDType};
use pingora::proxy::Session;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Waiting for the first byte of a request.
const IDLE: u8 = 0;
/// Reading its head.
const HEAD: u8 = 1;
/// The head is read; what follows has other limits.
const OPEN: u8 = 2;

/// Where a connection is in a request, shared between the stream and those who use it.
#[derive(Debug, Default)]
pub(super) struct Phase {
    now: AtomicU8,
    hold: AtomicBool,
    odd_request_line: AtomicBool,
    kept: Mutex<Option<Kept>>,
}

impl Phase {
    /// The next bytes belong to a new request.
    pub(super) fn expect_head(&self) {
        self.now.store(IDLE, Ordering::Relaxed);
        self.odd_request_line.store(false, Ordering::Relaxed);
        self.kept.lock().take();
    }

    /// Whether nothing of a request has come.
    pub(super) fn is_idle(&self) -> bool {
        self.now.load(Ordering::Relaxed) == IDLE
    }

    /// Whether the request line as it came has white space where none belongs; pingora escapes it
    /// before anybody else sees it.
    pub(super) fn has_odd_request_line(&self) -> bool {
        self.odd_request_line.load(Ordering::Relaxed)
    }

    /// The head has been read.
    pub(super) fn open(&self) {
        self.now.store(OPEN, Ordering::Relaxed);
    }

    /// What is written next is followed at once by more, by a flush, or by a read: it may wait for that.
    pub(super) fn hold_next(&self) {
        self.hold.store(true, Ordering::Relaxed);
    }

    /// The next final head carries this `Date`, whatever pingora writes into it; the time of sending
    /// where there is none.
    pub(super) fn keep_date(&self, date: Option<HeaderValue>) {
        *self.kept.lock() = date.map(Kept::Date);
    }

    /// The next final head is this one, whatever pingora writes, but for what it says of the connection.
    pub(super) fn keep_head(&self, head: Vec<u8>) {
        *self.kept.lock() = Some(Kept::Head(head));
    }
}

/// What the next final head has of its own.
#[derive(Debug)]
enum Kept {
    /// `Date`.
    Date(HeaderValue),
    /// All up to `Connection`.
    Head(Vec<u8>),
}

/// A connection with deadlines.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Stream,
    phase: Arc<Phase>,
    limits: Arc<LiveLimits>,
    timer: Pin<Box<Sleep>>,
    /// The phase the timer was set for.
    timed: u8,
    requests: u64,
    /// A head that waits for the body behind it.
    held: Vec<u8>,
    /// Bytes of the writer's that are in `held` although it has not been told so.
    taken: usize,
    /// What was read of the client and belongs to whoever reads next.
    pub(super) ahead: Vec<u8>,
    /// How much of it, and of what follows, whoever reads now may have; all of it where there is none.
    fence: Option<usize>,
}

/// Bytes behind a fence that are read while one waits for the client to hang up.
const MAX_AHEAD: usize = 64 << 10;

impl Guarded {
    /// Guards `inner`; the first request has `head_timeout` from now.
    pub(super) fn new(inner: Stream, limits: Arc<LiveLimits>) -> Self {
        let head_timeout = limits.now().head_timeout;
        Guarded {
            inner,
            phase: Arc::default(),
            limits,
            timer: Box::pin(tokio::time::sleep(head_timeout)),
            timed: IDLE,
            requests: 0,
            held: Vec::new(),
            taken: 0,
            ahead: Vec::new(),
            fence: None,
        }
    }

    /// The connection under a request, where it is one of ours.
    pub(super) fn of(session: &Session) -> Option<&Guarded> {
        session.stream().and_then(|stream| (**stream).as_any().downcast_ref::<Guarded>())
    }

    /// The phase, for those who read requests from this connection.
    pub(super) fn phase(&self) -> &Arc<Phase> {
        &self.phase
    }

    /// Sets the timer when the phase has changed since it was set.
    fn set_timer(&mut self, phase: u8) {
        if phase == self.timed {
            return;
        }
        self.timed = phase;
        let wait = match phase {
            IDLE if self.requests > 0 => self.limits.now().idle_timeout,
            IDLE | HEAD => self.limits.now().head_timeout,
            _ => return,
        };
        self.timer.as_mut().reset(Instant::now() + wait);
    }
}

/// Whether what is there of the first line has more than two spaces, or other white space.
fn is_odd(bytes: &[u8]) -> bool {
    let line = &bytes[..memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter().filter(|byte| **byte == b' ').count() > 2
        || line.iter().any(|byte| matches!(byte, b'\t' | b'\r' | 0x0b | 0x0c))
}

impl Guarded {
    /// The next bytes are a whole request of this many bytes, and nothing behind them is for whoever reads it.
    pub(super) fn hand_over(&mut self, request: usize) {
        self.phase.expect_head();
        self.phase.odd_request_line.store(is_odd(&self.ahead), Ordering::Relaxed);
        self.phase.open();
        self.requests += 1;
        self.fence = Some(request);
    }

    /// Whoever reads next has everything there is; where a head has begun, it must have ended by `deadline`.
    pub(super) fn hand_over_all(&mut self, deadline: Instant) {
        self.phase.expect_head();
        self.fence = None;
        self.timed = IDLE;
        self.timer.as_mut().reset(deadline);
        // The first read finds what was read ahead, and must not move the deadline.
        self.requests += 1;
        self.phase.odd_request_line.store(is_odd(&self.ahead), Ordering::Relaxed);
        if !self.ahead.is_empty() {
            self.phase.now.store(HEAD, Ordering::Relaxed);
            self.timed = HEAD;
        }
    }

    /// Takes the fence down where the request that was handed over has been read to its end; answers
    /// whether it has.
    pub(super) fn take_back(&mut self) -> bool {
        self.fence.take() == Some(0) && self.held.is_empty() && self.taken == 0
    }

    /// The connection itself.
    pub(super) fn inner(&mut self) -> &mut Stream {
        &mut self.inner
    }

    /// Reads what is within the fence.
    fn poll_within(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.fence == Some(0) {
            return self.poll_hangup(cx);
        }
        let most = self.fence.unwrap_or(usize::MAX).min(buf.remaining());
        if !self.ahead.is_empty() {
            let part = self.ahead.len().min(most);
            buf.put_slice(&self.ahead[..part]);
            self.ahead.drain(..part);
            self.fence = self.fence.map(|left| left - part);
            return Poll::Ready(Ok(()));
        }
        let Some(left) = self.fence else { return Pin::new(&mut self.inner).poll_read(cx, buf) };
        let mut within = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut within))?;
        let part = within.filled().len();
        buf.advance(part);
        self.fence = Some(left - part);
        Poll::Ready(Ok(()))
    }

    /// Waits for the client to hang up; what it sends meanwhile is the next request's.
    fn poll_hangup(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < MAX_AHEAD {
            let read = std::pin::pin!(self.inner.read_buf(&mut self.ahead)).poll(cx);
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Whoever waits for the client has nothing to write behind a head that is held. An error is the next write's.
        let _ = this.poll_release(cx);
        let phase = this.phase.now.load(Ordering::Relaxed);
        this.set_timer(phase);
        let before = buf.filled().len();
        if let Poll::Ready(read) = this.poll_within(cx, buf) {
            if phase == IDLE && buf.filled().len() > before {
                this.requests += 1;
                if is_odd(&buf.filled()[before..]) {
                    this.phase.odd_request_line.store(true, Ordering::Relaxed);
                }
                this.phase.now.store(HEAD, Ordering::Relaxed);
                this.set_timer(HEAD);
            }
            return Poll::Ready(read);
        }
        if phase == OPEN {
            return Poll::Pending;
        }
        ready!(this.timer.as_mut().poll(cx));
        let message = if phase == IDLE { "no request in time" } else { "no whole request head in time" };
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl Guarded {
    /// Holds `head` with what was kept for it, if something was and it is a final head.
    fn take_kept(&mut self, head: &[u8]) -> bool {
        let mut kept = self.phase.kept.lock();
        let taken = match &*kept {
            None => false,
            Some(Kept::Date(date)) => head_bytes::write_with_date(head, date, &mut self.held),
            Some(Kept::Head(own)) => head_bytes::write_with_connection(head, own, &mut self.held),
        };
        if taken {
            kept.take();
        }
        taken
    }

    /// Writes what is held.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is held and `buf` behind it, in one piece where the system takes it; answers how
    /// much of `buf` was taken.
    fn poll_write_behind(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let pieces = [io::IoSlice::new(&self.held), io::IoSlice::new(buf)];
            let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &pieces))?;
            let of_held = written.min(self.held.len());
            self.held.drain(..of_held);
            if written == 0 || written > of_held || (buf.is_empty() && self.held.is_empty()) {
                return Poll::Ready(Ok(written - of_held));
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let holds = self.phase.hold.swap(false, Ordering::Relaxed);
        if self.held.is_empty() && self.taken == 0 {
            let kept = self.take_kept(buf);
            if holds {
                if !kept {
                    self.held.extend_from_slice(buf);
                }
                return Poll::Ready(Ok(buf.len()));
            }
            self.taken = if kept { buf.len() } else { 0 };
        }
        if self.taken > 0 {
            ready!(self.poll_release(cx))?;
            return Poll::Ready(Ok(std::mem::take(&mut self.taken)));
        }
        if self.held.is_empty() {
            return Pin::new(&mut self.inner).poll_write(cx, buf);
        }
        self.poll_write_behind(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Guarded {
    async fn shutdown(&mut self) {
        // A client that has gone cannot be told; the connection ends either way.
        let _ = self.flush().await;
        Shutdown::shutdown(&mut *self.inner).await;
    }
}

impl UniqueID for Guarded {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Guarded {}

#[async_trait]
impl Peek for Guarded {}

impl GetTimingDigest for Guarded {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for Guarded {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Guarded {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}
