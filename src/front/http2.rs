//! The requests of one HTTP/2 connection (RFC 9113): hits are answered in the hit lane, where there is one, and
//! everything else is handed to a pingora application.
//!
//! The loop is ours rather than pingora's, so that a connection that ends is told so (GOAWAY), and one
//! that says nothing does not stay. Pingora's bounds on what a client may do are kept.

use super::gather::Push;
use super::hit_lane::{self, Lane};
use super::listen::LiveLimits;
use crate::config::Limits;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Malformed requests on a connection; each was answered or reset on its own.
const MAX_MALFORMED: usize = 32;

/// Bytes of request bodies that a client may send ahead: on a stream, and on the connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A client that has been told that the connection ends, and has no stream left, is waited for this long.
const GOODBYE: Duration = Duration::from_secs(5);

/// What became of a connection while it was waited for.
enum Event {
    Request(Box<HttpSession>),
    Malformed,
    Stop,
    Timer,
    Ended,
}

/// Serves a connection until it ends, idles for too long, or `stopping` says so.
pub(super) async fn serve<A>(
    lane: Option<&Lane>,
    app: &Arc<A>,
    stream: Stream,
    push: Push,
    peer: SocketAddr,
    limits: &Arc<LiveLimits>,
    stopping: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let limits = limits.for_good();
    let digest = Arc::new(Digest {
        ssl_digest: None,
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let preface = server::handshake(stream, Some(options(&limits)));
    let Ok(Ok(mut connection)) = tokio::time::timeout(limits.head_timeout, preface).await else { return };
    let streams = Arc::new(Streams::default());
    let mut hits = lane.map(|lane| hit_lane::Streams::new(lane, peer.ip()));
    push.gather();
    let mut timer = pin!(tokio::time::sleep(limits.idle_timeout));
    let mut watch = stopping.clone();
    let mut stop = pin!(watch.wait_for(|stop| *stop));
    let (mut malformed, mut ends) = (0, false);
    loop {
        let event = {
            let mut accepting = pin!(HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)));
            std::future::poll_fn(|cx| {
                if let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
                    return Poll::Ready(match accepted {
                        Ok(Some(H2Accept::Session(session))) => Event::Request(Box::new(session)),
                        Ok(Some(H2Accept::Rejected)) => Event::Malformed,
                        Ok(None) | Err(_) => Event::Ended,
                    });
                }
                push.now();
                if !ends && stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Stop);
                }
                timer.as_mut().poll(cx).map(|()| Event::Timer)
            })
            .await
        };
        match event {
            Event::Request(mut session) => {
                let open = streams.enter();
                let answering = AssertUnwindSafe(|| hits.as_mut().and_then(|hits| hits.begin(&mut session)));
                let Ok(answering) = catch_unwind(answering) else { continue };
                if let Some(answering) = answering {
                    begin(async move {
                        answering.finish(session).await;
                        drop(open);
                    })
                    .await;
                    continue;
                }
                let (app, stopping) = (Arc::clone(app), stopping.clone());
                begin(async move {
                    app.process_new_http(ServerSession::new_http2(*session), &stopping).await;
                    drop(open);
                })
                .await;
            }
            Event::Malformed => {
                malformed += 1;
                if malformed >= MAX_MALFORMED {
                    return;
                }
            }
            Event::Timer => {
                // What was answered may still be on its way to a slow reader.
                let patience = if ends && !connection.has_streams() { GOODBYE } else { limits.idle_timeout };
                let idle = streams.idle_since().map_or(Duration::ZERO, |since| since.elapsed());
                let left = patience.saturating_sub(idle);
                match (left.is_zero(), ends) {
                    (false, _) => wait(timer.as_mut(), left),
                    (true, true) => return,
                    (true, false) => {
                        ends = true;
                        connection.graceful_shutdown();
                        wait(timer.as_mut(), GOODBYE);
                    }
                }
            }
            Event::Stop => {
                ends = true;
                connection.graceful_shutdown();
                wait(timer.as_mut(), GOODBYE);
            }
            Event::Ended => return,
        }
    }
}

/// Does at once what can be done without waiting, and the rest beside the other streams: a page that is there is
/// answered without a task of its own. What panics ends its own stream, as it would in a task.
async fn begin(request: impl Future<Output = ()> + Send + 'static) {
    let mut request = Box::pin(request);
    let first = std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(cx)));
        Poll::Ready(polled.unwrap_or(Poll::Ready(())))
    });
    if first.await.is_pending() {
        tokio::spawn(request);
    }
}

fn wait(timer: std::pin::Pin<&mut Sleep>, time: Duration) {
    timer.reset(Instant::now() + time);
}

/// Pingora's bounds with those of the listener.
fn options(limits: &Limits) -> H2Options {
    let mut options = server::default_h2_options();
    options.max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX));
    options.max_concurrent_streams(limits.max_streams);
    options.initial_window_size(STREAM_WINDOW);
    options.initial_connection_window_size(CONNECTION_WINDOW);
    options
}

/// The streams of a connection that are being served.
struct Streams {
    open: AtomicUsize,
    /// When the last of them ended.
    ended: Mutex<Instant>,
}

impl Default for Streams {
    fn default() -> Self {
        Streams { open: AtomicUsize::new(0), ended: Mutex::new(Instant::now()) }
    }
}

impl Streams {
    /// Counts one more until the guard is dropped.
    fn enter(self: &Arc<Self>) -> OpenStream {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(self))
    }

    /// Since when there is none; `None` while there is one.
    fn idle_since(&self) -> Option<Instant> {
        (self.open.load(Ordering::Acquire) == 0).then(|| *self.ended.lock())
    }
}

/// A stream that is being served, counted while it lives.
struct OpenStream(Arc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        *self.0.ended.lock() = Instant::now();
        self.0.open.fetch_sub(1, Ordering::Release);
    }
}
