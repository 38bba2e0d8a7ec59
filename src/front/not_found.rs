//! The answer to a request for a path that the list of its route does not have: 404, and the origin
//! hears nothing of it.

use super::handler::Ctx;
use super::respond;
use crate::config::RouteId;
use crate::policy::outcome::Served;
use http::{StatusCode, header};
use pingora::proxy::Session;

/// Answers; `by` is the route whose list it is.
///
/// # Errors
/// When the client has gone.
pub(super) async fn answer(session: &mut Session, ctx: &mut Ctx, by: RouteId) -> pingora::Result<bool> {
    ctx.route = Some(by);
    ctx.outcome.served = Served::NotFound;
    ctx.outcome.detail = Some("unknown-path");
    let headers = &session.req_header().headers;
    let has_body = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    if has_body || headers.contains_key(header::UPGRADE) {
        // What follows is not a request, and nobody reads it.
        session.set_keepalive(None);
    }
    respond::error(session, ctx, StatusCode::NOT_FOUND, None).await?;
    Ok(true)
}
