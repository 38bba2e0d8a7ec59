//! What Breadbox answers below `/.breadbox`: the long poll by which a fallback page waits for the real one, and
//! "not found" for everything else. No origin is asked, whatever is there.
//!
//! A poll ends when its render has something to tell, when the page has been shown for long enough, when the client
//! leaves, or when the process stops. It says which of them it was, and nothing of the page.

use crate::front::handler::{Ctx, Proxy};
use crate::front::respond;
use crate::metrics::PollEnd;
use crate::policy::admission::Own;
use crate::policy::fallback::token::{Refused, Token};
use crate::policy::forwarded;
use crate::policy::outcome::Served;
use crate::policy::request_id::REQUEST_ID;
use crate::render::{Awaited, Full};
use crate::uri::path::OWN;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::time::Duration;

/// What a page is told to wait before it loads the real one, where it cannot poll.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// Answers a request below `/.breadbox`.
///
/// # Errors
/// When the client has gone.
pub(in crate::front) async fn answer(
    proxy: &Proxy,
    session: &mut Session,
    ctx: &mut Ctx,
    own: &Own,
) -> pingora::Result<bool> {
    ctx.outcome.served = Served::Own;
    if has_body(&session.req_header().headers) {
        // It is not read, and must not be taken for the next request.
        session.set_keepalive(None);
        return say(session, ctx, StatusCode::BAD_REQUEST, "body").await;
    }
    let token = own.path.strip_prefix(OWN).and_then(|rest| rest.strip_prefix("/wait/"));
    let Some(token) = token.filter(|_| is_from_here(&session.req_header().headers)) else {
        return say(session, ctx, StatusCode::NOT_FOUND, "unknown").await;
    };
    if session.req_header().method != Method::GET {
        return say(session, ctx, StatusCode::METHOD_NOT_ALLOWED, "method").await;
    }
    let awaited = &proxy.engine.awaited;
    let token = match awaited.seal.open_poll(token.as_bytes(), &own.host, ctx.now) {
        Ok(token) => token,
        Err(Refused::Forged) => return say(session, ctx, StatusCode::NOT_FOUND, "unknown").await,
        Err(Refused::Expired) => return say(session, ctx, StatusCode::GONE, "expired").await,
    };
    let incoming = proxy.incoming(session);
    let client = forwarded::client(&ctx.setup.config, &incoming).unwrap_or(incoming.peer);
    let open = match awaited.open(&ctx.setup.config.long_polls, token.nonce, client) {
        Ok(open) => open,
        Err(full) => {
            ctx.setup.metrics.poll_refused(full_word(full));
            return say(session, ctx, StatusCode::TOO_MANY_REQUESTS, "busy").await;
        }
    };
    let counted = ctx.setup.metrics.poll_opens();
    let end = wait(awaited, &token, session, ctx).await;
    drop((open, counted));
    ctx.setup.metrics.poll_ended(end);
    match end {
        PollEnd::Left => {
            session.set_keepalive(None);
            Ok(true)
        }
        _ => say(session, ctx, StatusCode::OK, end.as_str()).await,
    }
}

const fn full_word(full: Full) -> &'static str {
    match full {
        Full::Token => "token",
        Full::Client => "client",
        Full::Total => "total",
    }
}

async fn wait(awaited: &Awaited, token: &Token, session: &mut Session, ctx: &Ctx) -> PollEnd {
    let Some(flight) = awaited.running(token.flight) else { return PollEnd::Answered };
    let left = token.until().since(ctx.now_at_edge());
    tokio::select! {
        biased;
        () = flight.answered() => PollEnd::Answered,
        () = tokio::time::sleep(left) => PollEnd::Held,
        () = awaited.closed() => PollEnd::Stopping,
        _ = session.as_mut().read_body_or_idle(true) => PollEnd::Left,
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0");
    length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Another site has no business here, even if it learned a token. Browsers that do not say are believed.
fn is_from_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    site.is_none_or(|site| site == b"same-origin" || site == b"none")
}

async fn say(session: &mut Session, ctx: &mut Ctx, status: StatusCode, state: &'static str) -> pingora::Result<bool> {
    let body = format!("{{\"state\":\"{state}\"}}\n");
    let mut head = ResponseHeader::build(status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header("x-robots-tag", "noindex")?;
    head.insert_header(REQUEST_ID, ctx.id.header_value())?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    if status == StatusCode::TOO_MANY_REQUESTS {
        head.insert_header(header::RETRY_AFTER, RETRY_AFTER.as_secs())?;
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.insert_header(header::ALLOW, "GET")?;
    }
    let is_head = session.req_header().method == Method::HEAD;
    respond::send(session, ctx, head, Bytes::from(body), is_head).await?;
    Ok(true)
}
