//! What a render for a request is to do.

use super::{Lookup, Seen};
use crate::config::CacheMode;
use crate::front::handler::Ctx;
use crate::policy::render_request;
use crate::render::{Asker, Order};
use http::{HeaderMap, header};
use std::sync::Arc;

impl Lookup<'_> {
    pub(super) fn order(&self, seen: &Seen, ctx: &Ctx) -> Order {
        let mut order = self.order_of(seen);
        if self.route.cache == CacheMode::Headers {
            order.request.set_id(&ctx.id);
        }
        order.asker.sent_cookie = ctx.sent_cookie;
        order
    }

    /// What a render for this request is to do, whoever asks.
    pub(super) fn order_of(&self, seen: &Seen) -> Order {
        Order {
            setup: Arc::clone(&self.setup),
            route: self.wanted.route,
            origin: self.wanted.origin,
            key: seen.flight.clone(),
            request: render_request::build(&self.setup.config, self.wanted, &self.headers),
            asked_with: if self.route.cache == CacheMode::Headers { self.headers.clone() } else { HeaderMap::new() },
            asker: Asker { authorized: self.headers.contains_key(header::AUTHORIZATION), sent_cookie: false },
            prior: seen.page.clone(),
        }
    }
}
