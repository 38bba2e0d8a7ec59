//! The hit lane: a connection's requests, read and answered here as long as they are hits, in front of
//! pingora (DESIGN §2 "The hit lane"). It is a transport: policy decides as it does for every other
//! request, and whatever is no hit is handed over as it came, one request at a time.
//!
//! A hit costs one wait, one read and one write, and allocates nothing. Deadlines: `idle_timeout` between
//! requests, `head_timeout` for a whole head however slowly it comes, and a least speed for who reads.

mod answer;
mod deadline;
mod laws;
mod request;
mod streams;

use super::handler::TRACEPARENT;
use super::listen::{self, LAST_REQUESTS, LiveLimits, Recent};
use super::wake::Rarely;
use crate::config::Scheme;
use crate::policy::admission::Incoming;
use crate::policy::forwarded;
use crate::render::{Engine, Setup};
use crate::telemetry::AccessEvent;
use crate::telemetry::access::{self, Times};
use answer::{Arrival, Hit, Scratch};
use deadline::Deadline;
use http::header;
pub use laws::check as check_reading;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use request::{Plain, Read};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
pub(super) use streams::Streams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

/// Room for what a client sends at once; a longer head makes it grow as far as `max_head`.
const ROOM: usize = 4096;
/// A connection gives room beyond this back when nothing is in it.
const MOST_ROOM: usize = 16 << 10;
/// How long a client may take to accept an answer, and a second more for this many bytes of it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: usize = 4096;

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
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// More is to be written than can be in one go: what is written is to be sent, however little it is.
    fn send_at_once(&self);
}

impl Connection for TcpStream {
    fn send_at_once(&self) {
        listen::send_at_once(self);
    }
}

impl Connection for Stream {
    /// Whoever made it has seen to that.
    fn send_at_once(&self) {}
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
    lane: &'a Lane,
    limits: Recent,
    peer: IpAddr,
    stopping: &'a ShutdownWatch,
    scratch: Scratch,
    deadline: Deadline,
    answered: u64,
}

/// What became of the first request that was read.
enum Turn {
    /// It was answered by then, and had this many bytes.
    Answered {
        len: usize,
        keeps_alive: bool,
        at: Instant,
    },
    /// It is a hit that the client has not taken all of.
    Begun(Box<Begun>),
    /// It is not all there.
    Partial,
    Other(Option<usize>),
    /// The client has gone.
    Gone,
}

/// An answer on its way.
struct Begun {
    hit: Hit,
    keeps_alive: bool,
    setup: Arc<Setup>,
    len: usize,
    written: usize,
    started: Instant,
}

impl<'a> Hits<'a> {
    /// Of a connection from `peer`; its first request has `head_timeout` from now.
    pub(super) fn new(lane: &'a Lane, peer: IpAddr, stopping: &'a ShutdownWatch) -> Self {
        let mut limits = lane.limits.recent();
        let deadline = Deadline::new(limits.now().head_timeout);
        Hits { lane, limits, peer, stopping, scratch: Scratch::default(), deadline, answered: 0 }
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
        let stopped = pin!(stopped(self.stopping.clone()));
        let mut stopped = Rarely::new(stopped);
        // That a head has begun whose deadline is not set yet: most are all there when it would be.
        let mut is_untimed = false;
        loop {
            if bytes.len() - at >= enough {
                match poll_fn(|cx| Poll::Ready(self.turn(cx, connection, &bytes[at..]))).await {
                    Turn::Answered { len, keeps_alive, at: now } => {
                        at += len;
                        if !keeps_alive {
                            return if at == bytes.len() && !self.is_stopping() { Left::Ended } else { Left::Over };
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

    /// Whether the listener takes no more connections, and wants to be rid of those that it has.
    fn is_stopping(&self) -> bool {
        wants_an_end(self.stopping)
    }

    /// Reads more, unless the connection has ended or is to.
    fn poll_more<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut S,
        bytes: &mut Vec<u8>,
        is_idle: bool,
        stopped: &mut Rarely<impl Future<Output = ()> + Unpin>,
    ) -> Poll<Result<(), Left>> {
        let read = pin!(connection.read_buf(bytes)).poll(cx);
        if let Poll::Ready(read) = read {
            return Poll::Ready(if read.is_ok_and(|length| length > 0) { Ok(()) } else { Err(Left::Ended) });
        }
        if is_idle && stopped.poll(cx).is_ready() {
            return Poll::Ready(Err(Left::Over));
        }
        self.deadline.poll(cx).map(|()| Err(Left::Over))
    }

    /// Answers the first request in `bytes` if it is a hit, as far as the client takes it at once.
    fn turn(&mut self, cx: &mut Context<'_>, connection: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Turn {
        let mut space = request::space();
        let request = match request::read(bytes, &mut space, self.limits.now()) {
            Read::Partial => return Turn::Partial,
            Read::Other(len) => return Turn::Other(len),
            Read::Plain(request) => request,
        };
        let started = Instant::now();
        let engine = &self.lane.engine;
        let setup = engine.setup_now();
        let arrival = Arrival { scheme: self.lane.scheme, peer: self.peer, now: engine.time_of(started) };
        let keeps_alive = request.keeps_alive && !self.is_stopping();
        let Scratch { key, head } = &mut self.scratch;
        let write = |hit: &Hit| answer::write_head(hit, arrival.now, keeps_alive, head);
        let Some(hit) = answer::hit(engine, &setup, arrival, &request, key, write) else {
            return Turn::Other(Some(request.len));
        };
        let mut written = 0;
        match poll_send(cx, connection, &self.scratch.head, hit.body(), &mut written) {
            Poll::Ready(Ok(())) => {
                let at = self.record(&setup, &hit, &request, started);
                Turn::Answered { len: request.len, keeps_alive, at }
            }
            Poll::Ready(Err(_)) => Turn::Gone,
            Poll::Pending => {
                let setup = Arc::clone(&setup);
                Turn::Begun(Box::new(Begun { hit, keeps_alive, setup, len: request.len, written, started }))
            }
        }
    }

    /// Sends the rest of an answer; `false` where the client does not take it.
    async fn finish<S>(&mut self, connection: &mut S, mut begun: Begun, request: &[u8]) -> bool
    where
        S: Connection,
    {
        connection.send_at_once();
        let body = begun.hit.body();
        let time = WRITE_TIMEOUT + Duration::from_secs((body.len() / BYTES_PER_SECOND) as u64);
        let head = &self.scratch.head;
        let sending = poll_fn(|cx| poll_send(cx, connection, head, body, &mut begun.written));
        let sent = tokio::time::timeout(time, sending).await;
        let mut space = request::space();
        if let Read::Plain(request) = request::read(request, &mut space, self.limits.now()) {
            self.record(&begun.setup, &begun.hit, &request, begun.started);
        }
        matches!(sent, Ok(Ok(())))
    }

    /// Counts an answer that has ended now, and says when that is.
    fn record(&self, setup: &Setup, hit: &Hit, request: &Plain<'_>, started: Instant) -> Instant {
        let now = Instant::now();
        let total = now.saturating_duration_since(started);
        let bytes = hit.body().len() as u64;
        setup.metrics.request(Some(hit.route), &hit.outcome, bytes, total);
        if access::is_wanted(&setup.config.log, &hit.outcome, hit.status.as_u16()) {
            let now = self.lane.engine.time_of(started);
            let arrival = Arrival { scheme: self.lane.scheme, peer: self.peer, now };
            log(setup, "HTTP/1.1", &arrival.incoming(request), hit, bytes, total);
        }
        now
    }
}

/// Whether a head may have ended in what was read behind the first `before` bytes.
fn ends_a_head(bytes: &[u8], before: usize) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    memchr::memmem::find(&bytes[before.saturating_sub(END.len() - 1)..], END).is_some()
}

fn log(setup: &Setup, protocol: &'static str, incoming: &Incoming<'_>, hit: &Hit, bytes: u64, total: Duration) {
    let field = |name| incoming.headers.first(name);
    AccessEvent {
        id: &hit.id,
        client: forwarded::client(&setup.config, incoming).unwrap_or(incoming.peer),
        protocol,
        method: incoming.method.as_str(),
        scheme: incoming.listener_scheme.as_str(),
        host: field(&header::HOST).unwrap_or_default(),
        target: incoming.target,
        agent: field(&header::USER_AGENT).unwrap_or_default(),
        traceparent: field(&TRACEPARENT),
        route: &setup.route(hit.route).name,
        status: hit.status.as_u16(),
        outcome: &hit.outcome,
        received: 0,
        bytes,
        times: Times { total, first_byte: Some(total), origin: None },
    }
    .emit(&setup.config.log);
}

/// Sends head and body in one piece where the system takes it; `written` is how much it has taken.
fn poll_send(
    cx: &mut Context<'_>,
    connection: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    let mut stream = Pin::new(connection);
    while *written < head.len() + body.len() {
        let rest = [&head[(*written).min(head.len())..], &body[written.saturating_sub(head.len())..]];
        let pieces = rest.map(IoSlice::new);
        let pieces = if rest[0].is_empty() { &pieces[1..] } else { &pieces[..] };
        match ready!(stream.as_mut().poll_write_vectored(cx, pieces))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => *written += sent,
        }
    }
    stream.poll_flush(cx)
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

/// Whether a listener has said that it stops. Whether it has said anything is known without the lock that all
/// connections share; one that has gone since has said it before.
fn wants_an_end(stopping: &ShutdownWatch) -> bool {
    stopping.has_changed().unwrap_or(true) && *stopping.borrow()
}

/// Ends when a connection that is idle is to be closed, because its listener is to stop.
async fn stopped(mut stopping: ShutdownWatch) {
    // Whoever can no longer tell to stop has stopped.
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_REQUESTS).await;
}

#[cfg(test)]
mod tests;
