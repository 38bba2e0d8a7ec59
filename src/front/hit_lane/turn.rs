//! One turn of a connection in the hit lane: a request that has been read is answered, if it is a hit, as far as the
//! client takes it at once.

use super::Lane;
use super::answer::{self, Arrival, Hit, Scratch};
use super::request::{self, Plain, Read};
use crate::config::Limits;
use crate::front::handler::TRACEPARENT;
use crate::policy::admission::Incoming;
use crate::policy::forwarded;
use crate::render::Setup;
use crate::telemetry::AccessEvent;
use crate::telemetry::access::{self, Times};
use http::header;
use pingora::server::ShutdownWatch;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;

/// Whom the requests of a connection are from, and where they came in.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) lane: &'a Lane,
    pub(super) peer: IpAddr,
    pub(super) stopping: &'a ShutdownWatch,
}

/// What became of the first request that was read.
pub(super) enum Turn {
    /// It was answered by then, and had this many bytes.
    Answered { len: usize, keeps_alive: bool, at: Instant },
    /// It is a hit that the client has not taken all of.
    Begun(Box<Begun>),
    /// It is not all there.
    Partial,
    /// It is not the lane's, and has this many bytes, if that is known.
    Other(Option<usize>),
    /// The client has gone.
    Gone,
}

/// An answer on its way.
pub(super) struct Begun {
    pub(super) hit: Hit,
    pub(super) keeps_alive: bool,
    pub(super) setup: Arc<Setup>,
    pub(super) len: usize,
    pub(super) written: usize,
    pub(super) started: Instant,
    /// How long it took to begin.
    pub(super) first_byte: Duration,
}

impl Client<'_> {
    /// Whether the listener takes no more connections, and wants to be rid of those that it has.
    pub(super) fn is_stopping(self) -> bool {
        wants_an_end(self.stopping)
    }

    /// Answers the first request in `bytes` if it is a hit, as far as the connection takes it at once.
    pub(super) fn turn(
        self,
        cx: &mut Context<'_>,
        connection: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Turn {
        if let Some(turn) = self.turn_again(cx, connection, bytes, limits, scratch) {
            return turn;
        }
        scratch.repeat.forget();
        let mut space = request::space();
        let request = match request::read(bytes, &mut space, limits) {
            Read::Partial => return Turn::Partial,
            Read::Other(len) => return Turn::Other(len),
            Read::Plain(request) => request,
        };
        let started = Instant::now();
        let engine = &self.lane.engine;
        let setup = engine.setup_now();
        let arrival = Arrival { scheme: self.lane.scheme, peer: self.peer, now: engine.time_of(started) };
        let keeps_alive = request.keeps_alive && !self.is_stopping();
        let Scratch { key, head, repeat } = scratch;
        let write = |hit: &Hit| answer::write_head(hit, arrival.now, keeps_alive, &mut *head);
        let Some((hit, admitted)) = answer::hit(engine, &setup, arrival, &request, key, write) else {
            return Turn::Other(Some(request.len));
        };
        if let Some(admitted) = admitted {
            repeat.learn(&setup, limits, &request, &bytes[..request.len], admitted);
        }
        let answered = Answered { hit, keeps_alive, len: request.len, started };
        self.send(cx, connection, &setup, head, answered, |log| log(&request))
    }

    /// The same where the request is the one that the connection sent before, so that it need not be read.
    #[inline(always)]
    fn turn_again(
        self,
        cx: &mut Context<'_>,
        connection: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Option<Turn> {
        let Scratch { key, head, repeat } = scratch;
        let len = repeat.comes_again(bytes)?;
        let started = Instant::now();
        let engine = &self.lane.engine;
        let (setup, now) = (engine.setup_now(), engine.time_of(started));
        let keeps_alive = !self.is_stopping();
        let fields = repeat.fields();
        let asked = repeat.asked(&setup, limits, &fields, key)?;
        let write = |hit: &Hit| answer::write_head(hit, now, keeps_alive, &mut *head);
        let hit = answer::hit_again(engine, &setup, &asked, now, write)?;
        let answered = Answered { hit, keeps_alive, len, started };
        Some(self.send(cx, connection, &setup, head, answered, |log| read_and(log, &bytes[..len], limits)))
    }

    /// Sends an answer. `asked` says to whoever asks what request it is for.
    #[inline(always)]
    fn send(
        self,
        cx: &mut Context<'_>,
        connection: &mut (impl AsyncWrite + Unpin),
        setup: &Arc<Setup>,
        head: &[u8],
        answered: Answered,
        asked: impl FnOnce(&dyn Fn(&Plain<'_>)),
    ) -> Turn {
        let Answered { hit, keeps_alive, len, started } = answered;
        let mut written = match hit.joined(head, |whole| Pin::new(&mut *connection).poll_write(cx, whole)) {
            Some(Poll::Ready(Ok(written))) => written,
            Some(Poll::Ready(Err(_))) => return Turn::Gone,
            Some(Poll::Pending) | None => 0,
        };
        match poll_send(cx, connection, head, hit.body(), &mut written) {
            Poll::Ready(Ok(())) => {
                let at = self.record(setup, &hit, asked, started, None);
                Turn::Answered { len, keeps_alive, at }
            }
            Poll::Ready(Err(_)) => Turn::Gone,
            Poll::Pending => {
                let (setup, first_byte) = (Arc::clone(setup), started.elapsed());
                Turn::Begun(Box::new(Begun { hit, keeps_alive, setup, len, written, started, first_byte }))
            }
        }
    }

    /// Counts an answer that has ended now, and says when that is. Its first byte went with the last one if it is
    /// not said otherwise.
    pub(super) fn record(
        self,
        setup: &Setup,
        hit: &Hit,
        asked: impl FnOnce(&dyn Fn(&Plain<'_>)),
        started: Instant,
        first_byte: Option<Duration>,
    ) -> Instant {
        let now = Instant::now();
        let total = now.saturating_duration_since(started);
        let bytes = hit.body().len() as u64;
        setup.metrics.request(Some(hit.route), &hit.outcome, bytes, total);
        if access::is_wanted(&setup.config.log, &hit.outcome, hit.status.as_u16()) {
            let now = self.lane.engine.time_of(started);
            let arrival = Arrival { scheme: self.lane.scheme, peer: self.peer, now };
            let times = Times { total, first_byte: first_byte.or(Some(total)), origin: None };
            asked(&|request| log(setup, "HTTP/1.1", &arrival.incoming(request), hit, bytes, times));
        }
        now
    }
}

/// What is sent for a request.
struct Answered {
    hit: Hit,
    keeps_alive: bool,
    /// Bytes of the request.
    len: usize,
    started: Instant,
}

/// Reads a request again for `log`.
#[cold]
pub(super) fn read_and(log: &dyn Fn(&Plain<'_>), bytes: &[u8], limits: &Limits) {
    let mut space = request::space();
    if let Read::Plain(request) = request::read(bytes, &mut space, limits) {
        log(&request);
    }
}

/// Writes the access event of a hit.
pub(super) fn log(setup: &Setup, protocol: &'static str, incoming: &Incoming<'_>, hit: &Hit, bytes: u64, times: Times) {
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
        times,
    }
    .emit(&setup.config.log);
}

/// Sends head and body in one piece where the system takes it; `written` is how much it has taken.
pub(super) fn poll_send(
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

/// Whether a listener has said that it stops. Whether it has said anything is known without the lock that all
/// connections share; one that has gone since has said it before.
pub(super) fn wants_an_end(stopping: &ShutdownWatch) -> bool {
    stopping.has_changed().unwrap_or(true) && *stopping.borrow()
}
