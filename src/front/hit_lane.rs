//! The hit lane: a connection's requests, read and answered here as long as they are hits, in front of
//! pingora (DESIGN §2 "The hit lane"). It is a transport: policy decides as it does for every other
//! request, and whatever is no hit is handed over as it came, one request at a time.
//!
//! A hit costs one wait, one read and one write, and allocates nothing. Deadlines: `idle_timeout` between
//! requests, `head_timeout` for a whole head however slowly it comes, and a least speed for who reads.

mod answer;
mod laws;
mod request;

use super::guard::Guarded;
use super::handler::TRACEPARENT;
use super::listen::{LAST_REQUESTS, LiveLimits};
use crate::config::Scheme;
use crate::policy::admission::Incoming;
use crate::policy::forwarded;
use crate::render::{Engine, Setup};
use crate::telemetry::AccessEvent;
use crate::telemetry::access::{self, Times};
use answer::{Arrival, Hit, Scratch};
use http::header;
pub use laws::check as check_reading;
use pingora::protocols::GetSocketDigest;
use pingora::server::ShutdownWatch;
use request::{Plain, Read};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Sleep;

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

/// Why the lane is left.
pub(super) enum Left {
    /// The connection is to be closed.
    Over,
    /// The next bytes are a request of this many, which is not the lane's.
    Request(usize),
    /// What follows is not the lane's, nor is it known how much it is. The head in it must have ended by then.
    All(tokio::time::Instant),
}

/// The requests of one connection.
pub(super) struct Hits<'a> {
    lane: &'a Lane,
    peer: IpAddr,
    stopping: &'a ShutdownWatch,
    scratch: Scratch,
    deadline: Deadline,
    answered: u64,
}

/// What became of the first request that was read.
enum Turn {
    /// It was answered, and had this many bytes.
    Answered {
        len: usize,
        keeps_alive: bool,
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
    setup: Arc<Setup>,
    len: usize,
    written: usize,
    started: Instant,
}

impl<'a> Hits<'a> {
    pub(super) fn new(lane: &'a Lane, connection: &Guarded, stopping: &'a ShutdownWatch) -> Self {
        let digest = connection.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet().map(|peer| peer.ip()));
        Hits {
            lane,
            peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            stopping,
            scratch: Scratch::default(),
            deadline: Deadline::new(lane.limits.now().head_timeout),
            answered: 0,
        }
    }

    /// Answers hits until there is something else to do.
    pub(super) async fn answer(&mut self, connection: &mut Guarded) -> Left {
        let mut bytes = std::mem::take(&mut connection.ahead);
        let left = self.answer_from(connection, &mut bytes).await;
        connection.ahead = bytes;
        left
    }

    async fn answer_from(&mut self, connection: &mut Guarded, bytes: &mut Vec<u8>) -> Left {
        let mut at = 0;
        // A head that is not all there is read again only when twice as much of it has come.
        let mut enough = 1;
        self.expect_request(bytes.is_empty());
        let mut stopped = pin!(stopped(self.stopping.clone()));
        loop {
            if bytes.len() - at >= enough {
                match poll_fn(|cx| Poll::Ready(self.turn(cx, connection, &bytes[at..]))).await {
                    Turn::Answered { len, keeps_alive } => {
                        at += len;
                        if !keeps_alive {
                            return Left::Over;
                        }
                        self.answered += 1;
                        enough = 1;
                        self.expect_request(at == bytes.len());
                        continue;
                    }
                    Turn::Begun(begun) => {
                        let (len, keeps_alive) = (begun.len, begun.hit.keeps_alive);
                        if !self.finish(connection, *begun, &bytes[at..at + len]).await || !keeps_alive {
                            return Left::Over;
                        }
                        at += len;
                        self.answered += 1;
                        self.expect_request(at == bytes.len());
                        continue;
                    }
                    Turn::Gone => return Left::Over,
                    Turn::Other(len) => {
                        bytes.drain(..at);
                        return len.map_or(Left::All(self.deadline.at), Left::Request);
                    }
                    Turn::Partial => enough = 2 * (bytes.len() - at),
                }
            }
            make_room(bytes, &mut at);
            let is_idle = bytes.is_empty();
            let read = poll_fn(|cx| self.poll_more(cx, connection, bytes, is_idle, stopped.as_mut())).await;
            if !read {
                return Left::Over;
            }
            if is_idle {
                self.deadline.set(self.lane.limits.now().head_timeout);
            }
            let tail = bytes.len().min(4096);
            if memchr::memmem::find(&bytes[bytes.len() - tail..], b"\r\n\r\n").is_some()
                || bytes.len() > self.lane.limits.now().max_head
            {
                enough = 1;
            }
        }
    }

    /// Sets the deadline for the next request.
    fn expect_request(&mut self, is_idle: bool) {
        let limits = self.lane.limits.now();
        self.deadline.set(if is_idle && self.answered > 0 { limits.idle_timeout } else { limits.head_timeout });
    }

    /// Reads more; `false` where the connection has ended or is to.
    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Guarded,
        bytes: &mut Vec<u8>,
        is_idle: bool,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<bool> {
        let read = pin!(connection.inner().read_buf(bytes)).poll(cx);
        if let Poll::Ready(read) = read {
            return Poll::Ready(read.is_ok_and(|length| length > 0));
        }
        if is_idle && stopped.poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        self.deadline.poll(cx).map(|()| false)
    }

    /// Answers the first request in `bytes` if it is a hit, as far as the client takes it at once.
    fn turn(&mut self, cx: &mut Context<'_>, connection: &mut Guarded, bytes: &[u8]) -> Turn {
        let mut space = request::space();
        let request = match request::read(bytes, &mut space, &self.lane.limits.now()) {
            Read::Partial => return Turn::Partial,
            Read::Other(len) => return Turn::Other(len),
            Read::Plain(request) => request,
        };
        let started = Instant::now();
        let engine = &self.lane.engine;
        let setup = engine.setup_now();
        let arrival = Arrival {
            scheme: self.lane.scheme,
            peer: self.peer,
            now: engine.time_of(started),
            is_last: *self.stopping.borrow(),
        };
        let Some(hit) = answer::hit(engine, &setup, arrival, &request, &mut self.scratch) else {
            return Turn::Other(Some(request.len));
        };
        let mut written = 0;
        match poll_send(cx, connection, &self.scratch.head, hit.body(), &mut written) {
            Poll::Ready(Ok(())) => {
                self.record(&setup, &hit, &request, started);
                Turn::Answered { len: request.len, keeps_alive: hit.keeps_alive }
            }
            Poll::Ready(Err(_)) => Turn::Gone,
            Poll::Pending => {
                let setup = Arc::clone(&setup);
                Turn::Begun(Box::new(Begun { hit, setup, len: request.len, written, started }))
            }
        }
    }

    /// Sends the rest of an answer; `false` where the client does not take it.
    async fn finish(&mut self, connection: &mut Guarded, mut begun: Begun, request: &[u8]) -> bool {
        let body = begun.hit.body();
        let time = WRITE_TIMEOUT + Duration::from_secs((body.len() / BYTES_PER_SECOND) as u64);
        let head = &self.scratch.head;
        let sending = poll_fn(|cx| poll_send(cx, connection, head, body, &mut begun.written));
        let sent = tokio::time::timeout(time, sending).await;
        let mut space = request::space();
        if let Read::Plain(request) = request::read(request, &mut space, &self.lane.limits.now()) {
            self.record(&begun.setup, &begun.hit, &request, begun.started);
        }
        matches!(sent, Ok(Ok(())))
    }

    fn record(&self, setup: &Setup, hit: &Hit, request: &Plain<'_>, started: Instant) {
        let total = started.elapsed();
        let bytes = hit.body().len() as u64;
        setup.metrics.request(Some(hit.route), &hit.outcome, bytes, total);
        if access::is_wanted(&setup.config.log, &hit.outcome, hit.status.as_u16()) {
            let arrival = Arrival {
                scheme: self.lane.scheme,
                peer: self.peer,
                now: self.lane.engine.time_of(started),
                is_last: false,
            };
            log(setup, &arrival.incoming(request), hit, bytes, total);
        }
    }
}

fn log(setup: &Setup, incoming: &Incoming<'_>, hit: &Hit, bytes: u64, total: Duration) {
    let field = |name| incoming.headers.first(name);
    AccessEvent {
        id: &hit.id,
        client: forwarded::client(&setup.config, incoming).unwrap_or(incoming.peer),
        protocol: "HTTP/1.1",
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
    connection: &mut Guarded,
    head: &[u8],
    body: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    let mut stream = Pin::new(connection.inner());
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

/// Ends when a connection that is idle is to be closed, because its listener is to stop.
async fn stopped(mut stopping: ShutdownWatch) {
    // Whoever can no longer tell to stop has stopped.
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_REQUESTS).await;
}

/// A point in time by which something is to happen. Moving it further away costs nothing: the timer that
/// was set earlier finds that it is not yet time.
struct Deadline {
    at: tokio::time::Instant,
    timer: Pin<Box<Sleep>>,
    /// The timer knows whom to wake.
    is_set: bool,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(after));
        Deadline { at: timer.deadline(), timer, is_set: false }
    }

    fn set(&mut self, after: Duration) {
        self.at = tokio::time::Instant::now() + after;
        if self.at < self.timer.deadline() {
            self.is_set = false;
            self.timer.as_mut().reset(self.at);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_set && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.is_set = true;
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.at <= tokio::time::Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
        Poll::Pending
    }
}
