//! The requests of one HTTP/1 connection, one after the other: hits are answered in the hit lane, where
//! there is one, and everything else is handed to a pingora application.

use super::farewell;
use super::guard::{Guarded, Phase};
use super::hit_lane::{Greeting, Hits, Lane, Left};
use super::listen::{self, LAST_REQUESTS, LiveLimits};
use super::transport::Transport;
use super::watched::Watched;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4;
use pingora::server::ShutdownWatch;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Serves a connection over TCP that began so, as [`serve`] does; pingora hears of it when there is something else
/// than hits.
pub(super) async fn serve_tcp<A>(
    lane: &Lane,
    app: &Arc<A>,
    mut tcp: Watched,
    peer: SocketAddr,
    greeting: Option<Greeting>,
    limits: &Arc<LiveLimits>,
    stopping: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let greeting = greeting.unwrap_or_else(Greeting::nothing);
    let (mut hits, mut ahead) = Hits::go_on(lane, peer.ip(), stopping, greeting);
    let left = hits.answer(&mut tcp, &mut ahead).await;
    if let Left::Ended = left {
        return hits.leave(ahead);
    }
    let mut tcp = match tcp.into_tcp() {
        Ok(tcp) => tcp,
        // The client sees it close.
        Err(error) => return tracing::warn!(%error, "a connection could not be served to its end"),
    };
    if let Left::Over = left {
        return Box::pin(farewell::end(&mut tcp)).await;
    }
    listen::send_at_once(&tcp);
    let mut connection = Box::new(Guarded::new(plain(tcp, peer, &[]), Arc::clone(limits)));
    connection.ahead = ahead;
    Box::pin(serve_from(hits, left, app, connection, stopping)).await;
}

/// A connection without TLS, of which this was read and is to be read again.
pub(super) fn plain(tcp: TcpStream, peer: SocketAddr, read: &[u8]) -> Stream {
    let mut tcp = L4::from(tcp);
    tcp.rewind(read);
    Box::new(Transport::new(tcp, peer))
}

/// Serves a connection until it ends, idles for too long, or `stopping` says so.
pub(super) async fn serve<A>(
    lane: Option<&Lane>,
    app: &Arc<A>,
    transport: Stream,
    peer: SocketAddr,
    limits: &Arc<LiveLimits>,
    stopping: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut connection = Box::new(Guarded::new(transport, Arc::clone(limits)));
    let Some(lane) = lane else { return serve_rest(app, connection, stopping).await };
    let mut hits = Hits::new(lane, peer.ip(), stopping);
    let left = answer(&mut hits, &mut connection).await;
    serve_from(hits, left, app, connection, stopping).await;
}

async fn answer(hits: &mut Hits<'_>, connection: &mut Guarded) -> Left {
    let mut ahead = std::mem::take(&mut connection.ahead);
    let left = hits.answer(connection.inner(), &mut ahead).await;
    connection.ahead = ahead;
    left
}

/// Goes on behind the first hits.
async fn serve_from<A>(
    mut hits: Hits<'_>,
    mut left: Left,
    app: &Arc<A>,
    mut connection: Box<Guarded>,
    stopping: &ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    loop {
        match left {
            Left::Over | Left::Ended => {
                // A client that has gone cannot be told; the connection ends either way.
                let _ = connection.shutdown().await;
                return;
            }
            Left::Request(len) => {
                connection.hand_over(len);
                let Some(behind) = serve_one(app, connection, stopping).await else { return };
                connection = behind;
            }
            Left::All(deadline) => {
                connection.hand_over_all(deadline);
                return serve_rest(app, connection, stopping).await;
            }
        }
        left = answer(&mut hits, &mut connection).await;
    }
}

fn session(stream: Stream, stopping: &ShutdownWatch) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    // 0: kept for as long as the guard allows.
    session.set_keepalive((!*stopping.borrow()).then_some(0));
    session.set_pipelining_enabled(true);
    session
}

/// Serves the request that was handed over; the connection comes back if it can be used again.
async fn serve_one<A>(app: &Arc<A>, connection: Box<Guarded>, stopping: &ShutdownWatch) -> Option<Box<Guarded>>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let reused = app.process_new_http(session(connection, stopping), stopping).await?;
    let (stream, _) = reused.consume();
    let mut connection = stream.into_any().downcast::<Guarded>().ok()?;
    connection.take_back().then_some(connection)
}

/// Serves all that follows.
async fn serve_rest<A>(app: &Arc<A>, connection: Box<Guarded>, stopping: &ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let phase = Arc::clone(connection.phase());
    let mut session = session(connection, stopping);
    loop {
        let served = tokio::select! {
            biased;
            served = app.process_new_http(session, stopping) => served,
            () = idles_at_the_end(&phase, stopping.clone()) => return,
        };
        let Some(reused) = served else { return };
        phase.expect_head();
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

/// Ends when the listener stops and the connection has brought no more request.
async fn idles_at_the_end(phase: &Phase, mut stopping: ShutdownWatch) {
    // Whoever can no longer tell to stop has stopped.
    let _ = stopping.wait_for(|stopping| *stopping).await;
    tokio::time::sleep(LAST_REQUESTS).await;
    if !phase.is_idle() {
        std::future::pending::<()>().await;
    }
}
