//! Requests that go to the origin themselves, through pingora's proxy: which server, what the
//! request carries, what its answer makes void.

use super::handler::{Ctx, Forward};
use super::respond;
use super::tunnel;
use crate::policy::PurgeSeq;
use crate::policy::admission::{self, Incoming};
use crate::policy::forwarded;
use crate::policy::hop_by_hop;
use crate::policy::outcome::Served;
use crate::policy::parameters;
use crate::policy::request_id::REQUEST_ID;
use crate::policy::target::Target;
use crate::render::origin::OriginClient;
use crate::render::{Engine, is_html};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorSource, ErrorType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What clients are told to wait when the origin failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn plan(ctx: &Ctx) -> pingora::Result<&Forward> {
    ctx.forward
        .as_ref()
        .ok_or_else(|| pingora::Error::explain(ErrorType::InternalError, "a forwarded request has no plan"))
}

/// The server this attempt goes to.
///
/// # Errors
/// When no server's name resolves.
pub(super) async fn peer(session: &Session, ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
    let setup = Arc::clone(&ctx.setup);
    let origin = plan(ctx)?.origin;
    ctx.asked.get_or_insert_with(Instant::now);
    let client = &setup.origins[origin.0].client;
    let turn = ctx.turn.get_or_insert_with(|| client.turn());
    let mut peer = client
        .peer(turn, ctx.attempts)
        .await
        .map_err(|error| pingora::Error::because(ErrorType::ConnectError, "choosing a server", error).into_up())?;
    let headers = &session.req_header().headers;
    if may_be_silent(headers) {
        OriginClient::allow_silence(&mut peer);
    }
    if headers.contains_key(header::UPGRADE) {
        peer.options.custom_l4 = Some(Arc::new(tunnel::Connect { limit: setup.config.origin(origin).connect_timeout }));
        // Never a pooled connection, and never one for the pool.
        peer.group_key = rand::random();
    }
    Ok(peer)
}

/// Whether the request asks for a stream whose next message may be long in coming.
fn may_be_silent(headers: &HeaderMap) -> bool {
    let accepts_events = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| memchr::memmem::find(value.as_bytes(), b"text/event-stream").is_some());
    accepts_events || headers.contains_key(header::UPGRADE)
}

/// The next server is tried while there is one that has not been.
pub(super) fn after_failed_connect(ctx: &mut Ctx, mut error: Box<pingora::Error>) -> Box<pingora::Error> {
    ctx.attempts += 1;
    error.set_retry(ctx.attempts < servers(ctx));
    error
}

/// How many servers the origin of this request has.
pub(super) fn servers(ctx: &Ctx) -> usize {
    ctx.forward.as_ref().map_or(0, |forward| ctx.setup.config.origin(forward.origin).servers.len())
}

/// Sets the forwarding fields and the request's name; everything else goes as it came.
pub(super) fn prepare_request(incoming: &Incoming<'_>, request: &mut RequestHeader, ctx: &Ctx) -> pingora::Result<()> {
    let forward = plan(ctx)?;
    let changes = forwarded::bypass_fields(&ctx.setup.config, &forward.plan, incoming);
    for name in &changes.remove {
        request.remove_header(name);
    }
    for (name, value) in changes.set {
        request.insert_header(name, value)?;
    }
    request.insert_header(REQUEST_ID, ctx.id.header_value())?;
    Ok(())
}

/// Appends `Cache-Status` and names the request; a successful unsafe request makes pages void (RFC 9111 §4.4),
/// and the sequence of that has to be written down before the client hears of it.
pub(super) fn finish_response(
    engine: &Engine,
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Ctx,
) -> pingora::Result<Option<PurgeSeq>> {
    for name in hop_by_hop::of_an_answer(&response.headers) {
        response.remove_header(&name);
    }
    if response.status.is_informational() {
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            response.remove_header(&header::CONNECTION);
        }
        return Ok(None);
    }
    ctx.status = response.status.as_u16();
    ctx.origin_answered();
    let invalidated = invalidate(engine, session, response, ctx);
    ctx.answers();
    if let (Some(head), Some(route)) = (ctx.forward.as_ref().and_then(|forward| forward.head.as_ref()), ctx.route) {
        head.settle(engine, ctx.setup.route(route), response.status, &response.headers);
    }
    suggest(session, response, ctx);
    let value = respond::cache_status_value(&ctx.outcome, ctx.now_at_edge());
    response.append_header(HeaderName::from_static("cache-status"), value)?;
    response.insert_header(REQUEST_ID, ctx.id.header_value())?;
    respond::keep_date(session, response);
    // The body is often here with the head, and otherwise pingora goes on to see whether the client hangs up; while
    // it reads an upload it may wait for something else.
    if session.is_body_done() {
        respond::hold_head(session);
    }
    Ok(invalidated)
}

fn invalidate(engine: &Engine, session: &Session, response: &ResponseHeader, ctx: &Ctx) -> Option<PurgeSeq> {
    let request = session.req_header();
    if request.method.is_safe() || response.status.is_client_error() || response.status.is_server_error() {
        return None;
    }
    let forward = ctx.forward.as_ref()?;
    let location = response.headers.get(header::LOCATION).map(|value| value.as_bytes());
    let content_location = response.headers.get(header::CONTENT_LOCATION).map(|value| value.as_bytes());
    let mut last = None;
    for hash in admission::invalidates(&ctx.setup.config, &ctx.setup.routes, &forward.plan, location, content_location)
    {
        last = Some(engine.store.invalidate(hash));
        ctx.setup.metrics.invalidated();
    }
    if let (Some(id), Ok(Target::Resource(resource))) = (ctx.route, Target::parse(&forward.plan.target)) {
        for changed in parameters::changed(ctx.setup.route(id), &resource.path) {
            last = Some(engine.write_through(&forward.plan.host, changed));
            ctx.setup.metrics.invalidated();
        }
    }
    last
}

/// HTML that only a cookie kept from being stored is worth a word to the operator.
fn suggest(session: &Session, response: &ResponseHeader, ctx: &Ctx) {
    let Some(route) = ctx.route else { return };
    let by_cookie = ctx.outcome.detail == Some("cookie");
    let headers = ctx.setup.route(route).cache == crate::config::CacheMode::Headers;
    let is_page = session.req_header().method == Method::GET && response.status == StatusCode::OK;
    if by_cookie && headers && is_page && is_html(&(&response.headers).into()) {
        ctx.setup.notices.cookie_bypass(&ctx.setup.config, route);
    }
}

/// Answers for an origin that could not.
pub(super) async fn failed(session: &mut Session, error: &pingora::Error, ctx: &mut Ctx) -> FailToProxy {
    let client_has_gone = matches!(error.esource(), ErrorSource::Downstream);
    let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
    if client_has_gone || answered {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    let status = status_of(error);
    if let Some(forward) = &ctx.forward {
        tracing::warn!(
            origin = %ctx.setup.config.origin(forward.origin).name,
            reason = error.etype().as_str(),
            "a forwarded request failed"
        );
    }
    ctx.outcome.served = Served::Failed;
    session.set_keepalive(None);
    if respond::error(session, ctx, status, Some(RETRY_AFTER)).await.is_err() {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false }
}

fn status_of(error: &pingora::Error) -> StatusCode {
    match error.etype() {
        ErrorType::ConnectTimedout
        | ErrorType::ReadTimedout
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::WriteTimedout => StatusCode::GATEWAY_TIMEOUT,
        ErrorType::HTTPStatus(code) => StatusCode::from_u16(*code).unwrap_or(StatusCode::BAD_GATEWAY),
        _ => StatusCode::BAD_GATEWAY,
    }
}
