//! The requests of one HTTP/1 connection, one after the other, handed to a pingora application.

use super::guard::Guarded;
use super::listen::LiveLimits;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use std::sync::Arc;

/// Serves a connection until it ends, idles for too long, or `stopping` says so.
pub(super) async fn serve<A>(app: &Arc<A>, transport: Stream, limits: &Arc<LiveLimits>, stopping: &ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let guarded = Guarded::new(transport, Arc::clone(limits));
    let phase = Arc::clone(guarded.phase());
    let mut session = ServerSession::new_http1(Box::new(guarded) as Stream);
    // 0: kept for as long as the guard allows.
    session.set_keepalive((!*stopping.borrow()).then_some(0));
    session.set_pipelining_enabled(true);
    loop {
        phase.expect_head();
        let Some(reused) = app.process_new_http(session, stopping).await else { return };
        let (stream, settings) = reused.consume();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}
