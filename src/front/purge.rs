//! `PURGE` and `BAN` on a public listener: from the networks of `purge_from` they are carried out here
//! and never reach the origin; from others they are refused. Where no network is named they are methods
//! like any other, and the origin's business.

use super::handler::Ctx;
use super::respond;
use crate::config::Config;
use crate::policy::outcome::Served;
use crate::policy::purge::foreign;
use crate::render::Engine;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::net::IpAddr;

/// Whether the request is a purge, and purges are not the origin's business.
pub(super) fn is_meant_for_us(config: &Config, session: &Session) -> bool {
    !config.purging.from.is_empty() && foreign::is_purge(&session.req_header().method)
}

/// Carries the purge out, or refuses it.
///
/// # Errors
/// When the client has gone.
pub(super) async fn answer(engine: &Engine, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
    ctx.outcome.served = Served::Refused;
    ctx.outcome.detail = Some("purge");
    // What else it may have sent is not read.
    session.set_keepalive(None);
    let may = peer(session).is_some_and(|peer| ctx.setup.config.purging.from.iter().any(|net| net.contains(&peer)));
    let (status, body) =
        if may { purge(engine, session, ctx) } else { (StatusCode::METHOD_NOT_ALLOWED, REFUSED.into()) };
    let mut head = ResponseHeader::build(status, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.insert_header(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))?;
    }
    respond::send(session, ctx, head, Bytes::from(body), false).await?;
    Ok(true)
}

const REFUSED: &str = "{\"error\":\"purging is not for this client\"}\n";

fn peer(session: &Session) -> Option<IpAddr> {
    let peer = session.client_addr()?.as_inet()?.ip();
    // A dual-stack listener sees IPv4 clients with mapped addresses.
    Some(peer.to_canonical())
}

fn purge(engine: &Engine, session: &Session, ctx: &Ctx) -> (StatusCode, String) {
    let request = session.req_header();
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (config, routes) = (&ctx.setup.config, &ctx.setup.routes);
    match foreign::read(config, routes, &request.method, request.raw_path(), host, &request.headers) {
        Ok(purge) => {
            let sequence = engine.purge(&purge.rules, purge.mode);
            let (rules, mode) = (purge.rules.len(), purge.mode.as_str());
            tracing::info!(rules, mode, sequence = sequence.0, "purged");
            (StatusCode::OK, format!("{{\"accepted\":{rules},\"mode\":\"{mode}\",\"sequence\":{}}}\n", sequence.0))
        }
        Err(why) => (StatusCode::BAD_REQUEST, format!("{{\"error\":\"what is to be purged {why}\"}}\n")),
    }
}
