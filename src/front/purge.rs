//! `PURGE` and `BAN` on a public listener: from the networks of `purge_from` they are carried out here
//! and never reach the origin; from others they are refused. Where no network is named they are methods
//! like any other, and the origin's business.

use super::handler::{Ctx, Proxy};
use super::respond;
use crate::config::Config;
use crate::policy::forwarded;
use crate::policy::outcome::Served;
use crate::policy::purge::foreign;
use crate::render::Engine;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// Whether the request is a purge, and purges are not the origin's business.
pub(super) fn is_meant_for_us(config: &Config, session: &Session) -> bool {
    !config.purging.from.is_empty() && foreign::is_purge(&session.req_header().method)
}

/// Carries the purge out, or refuses it.
///
/// # Errors
/// When the client has gone.
pub(super) async fn answer(proxy: &Proxy, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
    ctx.outcome.served = Served::Refused;
    ctx.outcome.detail = Some("purge");
    // What else it may have sent is not read.
    session.set_keepalive(None);
    let config = &ctx.setup.config;
    let may = forwarded::is_from(&config.purging.from, config, &proxy.incoming(session));
    let (status, body) =
        if may { purge(&proxy.engine, session, ctx).await } else { (StatusCode::METHOD_NOT_ALLOWED, REFUSED.into()) };
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

async fn purge(engine: &Engine, session: &Session, ctx: &Ctx) -> (StatusCode, String) {
    let request = session.req_header();
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (config, routes) = (&ctx.setup.config, &ctx.setup.routes);
    let read = foreign::read(config, routes, &request.method, request.raw_path(), host, &request.headers);
    let purge = match read {
        Ok(purge) => purge,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{{\"error\":\"what is to be purged {why}\"}}\n")),
    };
    let (rules, mode) = (purge.rules.len(), purge.mode.as_str());
    match engine.purge(&purge.rules, purge.mode).await {
        Ok(sequence) => {
            tracing::info!(rules, mode, sequence = sequence.0, "purged");
            (StatusCode::OK, format!("{{\"accepted\":{rules},\"mode\":\"{mode}\",\"sequence\":{}}}\n", sequence.0))
        }
        Err(why) => {
            tracing::error!(rules, mode, "purged, but {why}");
            // What the device says is for the log.
            let error = "purged, but not written down: a restart could undo it";
            (StatusCode::SERVICE_UNAVAILABLE, format!("{{\"error\":\"{error}\"}}\n"))
        }
    }
}
