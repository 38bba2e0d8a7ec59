//! Fallback pages and what they wait by: the cookie that a visitor brings back, the pages, and everything below
//! `/.breadbox`, of which no origin ever hears.

pub(super) mod page;
mod wait;

pub(super) use wait::answer;

use super::handler::Ctx;
use crate::policy::Timestamp;
use crate::policy::fallback::cookie;
use crate::policy::fallback::token::Token;
use crate::policy::outcome::{Outcome, Served};
use crate::render::Engine;
use crate::uri::path::OWN;
use http::header;
use pingora::proxy::Session;

/// What a request brought back of a fallback page.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    values: Vec<Box<[u8]>>,
    tokens: Vec<Token>,
    /// Since when it has been shown the page, if it may be shown it again.
    pub(super) shown_since: Option<Timestamp>,
}

impl Visitor {
    /// Keeps what `open` takes for good.
    pub(super) fn open(&mut self, open: impl Fn(&[u8]) -> Option<Token>) {
        self.tokens = self.values.iter().filter_map(|value| open(value)).collect();
    }

    /// What it brought back for the page that it asks for.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

/// Takes our cookie out of the request, before anybody looks at it.
///
/// # Errors
/// Never: what is left of a field is a field.
pub(super) fn take_cookie(session: &mut Session, ctx: &mut Ctx) -> pingora::Result<()> {
    let Some(taken) = cookie::take(&session.req_header().headers) else { return Ok(()) };
    let request = session.req_header_mut();
    request.remove_header(&header::COOKIE);
    for field in taken.fields {
        request.append_header(header::COOKIE, field)?;
    }
    ctx.visitor.values = taken.values;
    Ok(())
}

/// Counts the fallback pages that gave way to what this request was answered with.
pub(super) fn settle(engine: &Engine, ctx: &Ctx) {
    if ctx.visitor.tokens.is_empty() || ctx.outcome.served == Served::Fallback || ctx.status == 0 {
        return;
    }
    for token in &ctx.visitor.tokens {
        if let Some(route) = ctx.route.filter(|_| engine.awaited.gave_way(token.nonce)) {
            ctx.setup.metrics.fallback_gave_way(route, ctx.now_at_edge().since(token.since));
        }
    }
}

/// The target for the log: a token does not belong there.
pub(super) fn loggable<'a>(target: &'a [u8], outcome: &Outcome) -> &'a [u8] {
    if outcome.served == Served::Own { OWN.as_bytes() } else { target }
}
