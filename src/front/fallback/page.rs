//! Sending a fallback page. Nothing of the request is in it, nobody may keep it, and it is told which real page it
//! waits for by a token alone.

use crate::config::{Fallback, Scheme};
use crate::front::handler::Ctx;
use crate::front::respond;
use crate::policy::Key;
use crate::policy::fallback::cookie;
use crate::policy::fallback::token::{GRACE, Token, Use};
use crate::policy::request_id::REQUEST_ID;
use crate::render::{Awaited, Flight};
use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::sync::Arc;

/// Search engines that got here all the same.
const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");
/// For caches that go by their operator's lifetime, whatever `Cache-Control` says (RFC 9213).
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What is shown, and for which render.
pub(in crate::front) struct Shown<'a> {
    pub(in crate::front) fallback: &'a Fallback,
    pub(in crate::front) key: &'a Key,
    pub(in crate::front) host: &'a str,
    pub(in crate::front) scheme: Scheme,
    pub(in crate::front) flight: &'a Arc<Flight>,
    pub(in crate::front) preloads: Vec<HeaderValue>,
}

/// Sends the page and remembers that it was shown.
///
/// # Errors
/// When the client has gone.
pub(in crate::front) async fn send(
    awaited: &Awaited,
    shown: &Shown<'_>,
    session: &mut Session,
    ctx: &mut Ctx,
) -> pingora::Result<()> {
    let token = Token {
        flight: shown.flight.id(),
        since: ctx.visitor.shown_since.unwrap_or_else(|| ctx.now_at_edge()),
        hold: shown.fallback.hold,
        nonce: rand::random(),
    };
    awaited.show(shown.flight, token.nonce);
    let seal = |usage| awaited.seal.seal(&token, usage, shown.host, shown.key);
    let left = token.until().since(ctx.now_at_edge()) + GRACE;
    let cookie = cookie::set(&seal(Use::Cookie), session.req_header().raw_path(), left, shown.scheme);
    let body = shown.fallback.page.body(&seal(Use::Poll));
    let mut head = ResponseHeader::build(shown.fallback.status, Some(11 + shown.preloads.len()))?;
    head.insert_header(header::CONTENT_TYPE, "text/html; charset=utf-8")?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    head.insert_header(CDN_CACHE_CONTROL, NO_STORE)?;
    head.insert_header(HeaderName::from_static("x-robots-tag"), NOINDEX)?;
    head.insert_header(header::CONTENT_SECURITY_POLICY, shown.fallback.page.policy().clone())?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::SET_COOKIE, cookie)?;
    for link in &shown.preloads {
        head.append_header(header::LINK, link.clone())?;
    }
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    // Whether the render was its own or another's: what it got is this page.
    ctx.outcome.collapsed = false;
    head.append_header(
        HeaderName::from_static("cache-status"),
        respond::cache_status_value(&ctx.outcome, ctx.now_at_edge()),
    )?;
    head.insert_header(REQUEST_ID, ctx.id.header_value())?;
    respond::send(session, ctx, head, body, false).await
}
