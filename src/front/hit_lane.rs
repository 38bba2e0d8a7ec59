//! The hit lane: a connection's requests, read and answered here as long as they are hits, in front of
//! pingora (DESIGN §2 "The hit lane"). It is a transport: policy decides as it does for every other
//! request, and whatever is no hit is handed over as it came, one request at a time.
//!
//! A hit costs one wait, one read and one write, and allocates nothing. Deadlines: `idle_timeout` between
//! requests, `head_timeout` for a whole head however slowly it comes, and a least speed for who reads.

mod answer;
mod deadline;
mod greeting;
mod laws;
mod repeat;
mod request;
mod streams;
mod turn;

use super::listen::{LAST_REQUESTS, LiveLimits, Recent};
use super::respond::time_to_send;
use super::wake::Rarely;
use crate::config::Scheme;
use crate::render::Engine;
use answer::Scratch;
use deadline::Deadline;
pub(super) use greeting::{Greeting, greet};
pub use laws::check as check_reading;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use request::Plain;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
pub(super) use streams::Streams;
use tokio::io::{AsyncReadExt, AsyncWrite};
use turn::{Begun, Client, Turn, poll_send, read_and};

/// Room for what a client sends at once; a longer head makes it grow as far as `max_head`.
const ROOM: usize = 4096;
/// A connection gives room beyond this back when nothing is in it.
const MOST_ROOM: usize = 16 << 10;

/// What is served, the same for all connections of a listener.
pub(crate) struct Lane {
    pub(super) engine: Arc<Engine>,
    pub(super) scheme: Scheme,
    pub(super) limits: Arc<LiveLimits>,
}

impl Lane {
    /// The lane of a listener.
    pub(crate) fn new(engine: &Arc<Engine>, scheme: Scheme, limits: Arc<LiveLimits>) -> Self {
        Lane { engine: Arc::clone(engine), scheme, limits }
    }
}

/// A client's connection.
pub(super) trait Connection: AsyncWrite + Unpin {
    /// More is to be written than can be in one go: what is written is to be sent, however little it is.
    fn send_at_once(&self);

    /// Reads into the room that there is behind `bytes`, and answers how much; 0 at the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<usize>>;
}

impl Connection for Stream {
    /// Whoever made it has seen to that.
    fn send_at_once(&self) {}

    fn poll_receive(&mut self, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        pin!(self.read_buf(bytes)).poll(cx)
    }
}

/// Why the lane is left.
pub(super) enum Left {
    /// The connection is to be closed, which the client may not know.
    Over,
    /// The connection has ended, and the client knows: it closed it, or asked for that with its last request.
    Ended,
    /// The next bytes are a request of this many, which is not the lane's.
    Request(usize),
    /// What follows is not the lane's, nor is it known how much it is. The head in it must have ended by then.
    All(tokio::time::Instant),
}

/// The requests of one connection.
pub(super) struct Hits<'a> {
    client: Client<'a>,
    limits: Recent,
    scratch: Scratch,
    deadline: Deadline,
    answered: u64,
    /// What became of the first request, if it was read before.
    first: Option<Turn>,
}

impl<'a> Hits<'a> {
    /// Of a connection from `peer`; its first request has `head_timeout` from now.
    pub(super) fn new(lane: &'a Lane, peer: IpAddr, stopping: &'a ShutdownWatch) -> Self {
        Hits::with(lane, peer, stopping, Scratch::default(), None)
    }

    /// The same where the connection has begun, with what is not answered of that.
    pub(super) fn go_on(
        lane: &'a Lane,
        peer: IpAddr,
        stopping: &'a ShutdownWatch,
        greeting: Greeting,
    ) -> (Self, Vec<u8>) {
        let Greeting { scratch, bytes, turn } = greeting;
        (Hits::with(lane, peer, stopping, scratch, turn), bytes)
    }

    fn with(lane: &'a Lane, peer: IpAddr, stopping: &'a ShutdownWatch, scratch: Scratch, first: Option<Turn>) -> Self {
        let mut limits = lane.limits.recent();
        let deadline = Deadline::new(limits.now().head_timeout);
        let client = Client { lane, peer, stopping };
        Hits { client, limits, scratch, deadline, answered: 0, first }
    }

    /// Leaves to the next connection what it can use.
    pub(super) fn leave(self, bytes: Vec<u8>) {
        greeting::keep(self.scratch, bytes);
    }

    /// Answers hits until there is something else to do. `bytes` is what was read of the client and not yet
    /// answered.
    pub(super) async fn answer<S>(&mut self, connection: &mut S, bytes: &mut Vec<u8>) -> Left
    where
        S: Connection,
    {
        let mut at = 0;
        // A head that is not all there is read again only when twice as much of it has come.
        let mut enough = 1;
        self.expect_request(bytes.is_empty(), Instant::now());
        let stopped = pin!(stopped(self.client.stopping.clone()));
        let mut stopped = Rarely::new(stopped);
        // That a head has begun whose deadline is not set yet: most are all there when it would be.
        let mut is_untimed = false;
        loop {
            if bytes.len() - at >= enough {
                match self.next(connection, &bytes[at..]).await {
                    Turn::Answered { len, keeps_alive, at: now } => {
                        at += len;
                        if !keeps_alive {
                            return if at == bytes.len() && !self.client.is_stopping() {
                                Left::Ended
                            } else {
                                Left::Over
                            };
                        }
                        (enough, is_untimed) = (1, false);
                        self.note_answer(connection);
                        self.expect_request(at == bytes.len(), now);
                        continue;
                    }
                    Turn::Begun(begun) => {
                        let (len, keeps_alive) = (begun.len, begun.keeps_alive);
                        if !self.finish(connection, *begun, &bytes[at..at + len]).await || !keeps_alive {
                            return Left::Over;
                        }
                        at += len;
                        (enough, is_untimed) = (1, false);
                        self.note_answer(connection);
                        self.expect_request(at == bytes.len(), Instant::now());
                        continue;
                    }
                    Turn::Gone => return Left::Over,
                    Turn::Other(len) => {
                        self.expect_end_of_head(&mut is_untimed);
                        // Should the connection come back, it has been.
                        self.answered += 1;
                        bytes.drain(..at);
                        return len.map_or(Left::All(self.deadline.at), Left::Request);
                    }
                    Turn::Partial => {
                        self.expect_end_of_head(&mut is_untimed);
                        enough = 2 * (bytes.len() - at);
                    }
                }
            }
            make_room(bytes, &mut at);
            let (is_idle, before) = (bytes.is_empty(), bytes.len());
            let read = poll_fn(|cx| self.poll_more(cx, connection, bytes, is_idle, &mut stopped)).await;
            if let Err(left) = read {
                return left;
            }
            if is_idle {
                is_untimed = true;
            }
            if enough > bytes.len() && (ends_a_head(bytes, before) || bytes.len() > self.limits.now().max_head) {
                enough = 1;
            }
        }
    }

    /// An answer was given, and there may be others: from now on each is sent at once. A connection that brings one
    /// request is spared that.
    fn note_answer(&mut self, connection: &impl Connection) {
        if self.answered == 0 {
            connection.send_at_once();
        }
        self.answered += 1;
    }

    /// Sets the deadline for the next request.
    fn expect_request(&mut self, is_idle: bool, now: Instant) {
        let limits = self.limits.now();
        let time = if is_idle && self.answered > 0 { limits.idle_timeout } else { limits.head_timeout };
        self.deadline.set(now, time);
    }

    /// Sets the deadline for the rest of a head, once, when it turns out that one has begun.
    fn expect_end_of_head(&mut self, is_untimed: &mut bool) {
        if std::mem::take(is_untimed) {
            self.deadline.set(Instant::now(), self.limits.now().head_timeout);
        }
    }

    /// What becomes of the first request in `bytes`.
    async fn next(&mut self, connection: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Turn {
        if let Some(turn) = self.first.take() {
            return turn;
        }
        let (limits, scratch) = (self.limits.now(), &mut self.scratch);
        poll_fn(|cx| Poll::Ready(self.client.turn(cx, connection, bytes, limits, scratch))).await
    }

    /// Reads more, unless the connection has ended or is to.
    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut impl Connection,
        bytes: &mut Vec<u8>,
        is_idle: bool,
        stopped: &mut Rarely<impl Future<Output = ()> + Unpin>,
    ) -> Poll<Result<(), Left>> {
        if let Poll::Ready(read) = connection.poll_receive(cx, bytes) {
            return Poll::Ready(if read.is_ok_and(|length| length > 0) { Ok(()) } else { Err(Left::Ended) });
        }
        if is_idle && stopped.poll(cx).is_ready() {
            return Poll::Ready(Err(Left::Over));
        }
        self.deadline.poll(cx).map(|()| Err(Left::Over))
    }

    /// Sends the rest of an answer; `false` where the client does not take it.
    async fn finish<S>(&mut self, connection: &mut S, mut begun: Begun, request: &[u8]) -> bool
    where
        S: Connection,
    {
        connection.send_at_once();
        let body = begun.hit.body();
        let head = &self.scratch.head;
        let sending = poll_fn(|cx| poll_send(cx, connection, head, body, &mut begun.written));
        let sent = tokio::time::timeout(time_to_send(body.len()), sending).await;
        let limits = self.limits.now();
        let asked = |log: &dyn Fn(&Plain<'_>)| read_and(log, request, limits);
        self.client.record(&begun.setup, &begun.hit, asked, begun.started, Some(begun.first_byte));
        matches!(sent, Ok(Ok(())))
    }
}

/// Whether a head may have ended in what was read behind the first `before` bytes.
fn ends_a_head(bytes: &[u8], before: usize) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    memchr::memmem::find(&bytes[before.saturating_sub(END.len() - 1)..], END).is_some()
}

/// Leaves room behind what is not read yet.
fn make_room(bytes: &mut Vec<u8>, at: &mut usize) {
    bytes.drain(..std::mem::take(at));
    if bytes.is_empty() && (bytes.capacity() > MOST_ROOM || bytes.capacity() == 0) {
        *bytes = Vec::with_capacity(ROOM);
    }
    if bytes.capacity() - bytes.len() < ROOM / 4 {
        bytes.reserve(bytes.len().max(ROOM));
    }
}

/// Ends when a connection that is idle is to be closed, because its listener is to stop.
async fn stopped(mut stopping: ShutdownWatch) {
    // Whoever can no longer tell to stop has stopped.
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_REQUESTS).await;
}

#[cfg(test)]
mod tests;
