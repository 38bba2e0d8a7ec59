//! A request that may be answered by a fallback page: who asks, how long it waits for the real page, and what it
//! is shown then.

use super::{Lookup, Next};
use crate::front::fallback::{Visitor, page};
use crate::front::handler::Ctx;
use crate::policy::Timestamp;
use crate::policy::fallback::token::name_of;
use crate::policy::fallback::{self, Shown};
use crate::policy::outcome::{Forwarded, Served};
use crate::render::Waiter;
use pingora::proxy::Session;

impl Lookup<'_> {
    /// Finds out who asks.
    pub(super) fn meet(&mut self, visitor: &mut Visitor, now: Timestamp) {
        let awaited = &self.engine.awaited;
        let (host, key) = (name_of(&self.wanted.host), &self.wanted.key);
        visitor.open(|value| awaited.seal.open_cookie(value, host, key, now).ok());
        let shown = fallback::shown(visitor.tokens(), now, |flight| awaited.running(flight).is_some());
        if let Shown::Since(since) = shown {
            visitor.shown_since = Some(since);
        }
        self.audience = fallback::audience(&self.setup.config, &self.route, self.wanted, &self.headers, shown);
    }

    /// Waits as long as the route lets its visitors wait; whether there is something to tell by then.
    pub(super) async fn is_soon(&self, waiter: &Waiter) -> bool {
        let after = self.route.fallback.as_ref().map(|fallback| fallback.after).unwrap_or_default();
        // A timer of no length still takes until the next tick of the clock, a millisecond.
        if after.is_zero() {
            return waiter.flight().is_answered();
        }
        tokio::time::timeout(after, waiter.flight().answered()).await.is_ok()
    }

    /// Shows the fallback page. The render goes on by itself.
    pub(super) async fn show(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        waiter: Waiter,
        why: Forwarded,
    ) -> pingora::Result<Next> {
        let Some(fallback) = &self.route.fallback else { return Ok(Next::Answered) };
        ctx.outcome.served = Served::Fallback;
        ctx.outcome.forwarded = Some(why);
        ctx.outcome.detail = Some("fallback");
        self.setup.metrics.fallback_shown(self.wanted.route);
        let shown = page::Shown {
            fallback,
            key: &self.wanted.key,
            host: name_of(&self.wanted.host),
            scheme: self.wanted.scheme,
            flight: waiter.flight(),
            preloads: self.engine.preloads.links(&self.route, &self.wanted.key, &fallback.preload),
        };
        page::send(&self.engine.awaited, &shown, session, ctx).await?;
        drop(waiter);
        Ok(Next::Answered)
    }
}
