//! A request that may be answered from a page: look it up, ask policy, carry the verdict out.

mod explain;
mod visitor;
mod warm;

pub(crate) use explain::explain;
pub(super) use warm::{Warmed, warm};

use super::handler::{Ctx, Forward};
use super::head_update::ForwardedHead;
use super::question::{Question, Seen, Starter};
use super::respond;
use crate::config::{CacheMode, Route};
use crate::policy::admission::{BypassReason, Wanted};
use crate::policy::cache_control::RequestDirectives;
use crate::policy::encoding::{self, Accept, Coding};
use crate::policy::fallback::Audience;
use crate::policy::lookup::{BypassDetail, Meanwhile, Otherwise, Verdict};
use crate::policy::outcome::{Forwarded, Outcome, Served};
use crate::policy::{Page, RequestId, Standing, Timestamp, vary};
use crate::render::backoff::retry_after;
use crate::render::{Engine, Failure, Head, HeadKind, Order, Setup, Told, Waiter};
use http::{HeaderMap, StatusCode, header};
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a lookup is made again because the state it saw had changed before it acted; then the
/// request is forwarded.
const MAX_TURNS: usize = 8;

/// Whether the request is answered or goes on to the origin.
pub(super) enum Next {
    Answered,
    Forward(Forward),
}

/// One request on its way through lookup and render.
pub(super) struct Lookup<'a> {
    engine: &'a Arc<Engine>,
    setup: Arc<Setup>,
    route: Arc<Route>,
    wanted: &'a Wanted,
    headers: HeaderMap,
    accept: Accept,
    /// The client's own directives, where the route honours them.
    directives: Option<RequestDirectives>,
    /// Who asks.
    audience: Audience,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(engine: &'a Arc<Engine>, setup: Arc<Setup>, wanted: &'a Wanted, mut headers: HeaderMap) -> Self {
        let route = Arc::clone(setup.route(wanted.route));
        let accept = Accept::of(&headers);
        encoding::ask_for_none(&route, &mut headers);
        let directives = Question::directives(&route, (&headers).into());
        Lookup { engine, setup, route, wanted, headers, accept, directives, audience: Audience::Waits }
    }

    /// Answers the request, or says how it is to be forwarded.
    ///
    /// # Errors
    /// When the client has gone, or a body broke off half-way.
    pub(super) async fn run(&mut self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<Next> {
        self.meet(&mut ctx.visitor, ctx.now);
        for turn in 0..MAX_TURNS {
            if turn > 0 {
                ctx.now = self.engine.now();
            }
            let seen = self.look_everywhere(turn, ctx).await;
            if turn == 0 {
                self.engine.store.count_use(self.wanted.key.as_ref(), seen.page.as_ref());
            }
            let verdict = self.decide(&seen, ctx.now);
            let page = seen.page.as_deref().cloned();
            match (verdict, page) {
                (Verdict::Fresh, Some(page)) => return self.serve(session, ctx, &page, Served::Hit).await,
                (Verdict::Stale(refresh), Some(page)) => {
                    let question = self.question();
                    if question.refreshes(refresh) {
                        question.refresh(&seen, verdict, ctx.now, || self.order(&seen, ctx));
                    }
                    return self.serve(session, ctx, &page, Served::StaleHit).await;
                }
                (Verdict::Render { why, otherwise, meanwhile }, _) => {
                    let Some(waiter) = self.join_or_start(&seen, verdict, ctx) else { continue };
                    if meanwhile == Meanwhile::Fallback && !self.is_soon(&waiter).await {
                        return self.show(session, ctx, waiter, why).await;
                    }
                    if let Some(next) = self.wait(session, ctx, waiter, why, otherwise, &seen).await? {
                        return Ok(next);
                    }
                }
                (Verdict::BackingOff { until }, _) => {
                    let wait = until.since(ctx.now);
                    return self
                        .fail(session, ctx, StatusCode::SERVICE_UNAVAILABLE, wait, "backoff", seen.missing)
                        .await;
                }
                (Verdict::NotCached, _) => {
                    ctx.outcome.served = Served::Refused;
                    ctx.outcome.detail = Some("only-if-cached");
                    respond::error(session, ctx, StatusCode::GATEWAY_TIMEOUT, None).await?;
                    return Ok(Next::Answered);
                }
                (Verdict::Bypass(why), page) => {
                    let mut forward = self.forward(ctx, why);
                    forward.head = page.and_then(|page| self.head_of(page, why, ctx));
                    return Ok(Next::Forward(forward));
                }
                (Verdict::Fresh | Verdict::Stale(_), None) => {}
            }
        }
        Ok(Next::Forward(self.forward(ctx, BypassDetail::Uncacheable)))
    }

    fn question(&self) -> Question<'_> {
        Question {
            engine: self.engine,
            setup: &self.setup,
            route_id: self.wanted.route,
            origin: self.wanted.origin,
            key: self.wanted.key.as_ref(),
            headers: (&self.headers).into(),
            directives: self.directives,
            audience: self.audience,
        }
    }

    /// In memory, and in the first turn on disk.
    async fn look_everywhere(&self, turn: usize, ctx: &mut Ctx) -> Seen {
        let seen = self.look();
        if turn > 0 || seen.page.is_some() || !self.recall().await {
            return seen;
        }
        ctx.now = self.engine.now();
        self.look()
    }

    async fn recall(&self) -> bool {
        self.engine.recall(&self.setup, &self.route, &self.wanted.key, &self.headers).await
    }

    fn look(&self) -> Seen {
        self.question().look()
    }

    fn decide(&self, seen: &Seen, now: Timestamp) -> Verdict {
        self.question().decide(seen, now)
    }

    fn order(&self, seen: &Seen, ctx: &Ctx) -> Order {
        self.order_of(seen, Some(&ctx.id), ctx.sent_cookie)
    }

    /// What a render is to do, for the request with this id or for nobody's.
    fn order_of(&self, seen: &Seen, id: Option<&RequestId>, sent_cookie: bool) -> Order {
        let starter = Starter { wanted: self.wanted, id, sent_cookie };
        self.question().order(seen, Arc::clone(&self.setup), &starter)
    }

    fn join_or_start(&self, seen: &Seen, verdict: Verdict, ctx: &Ctx) -> Option<Waiter> {
        let still_wanted = || self.decide(&self.look(), ctx.now) == verdict;
        self.engine.join_or_start(seen.flight(), self.question().renderer(), still_wanted, || self.order(seen, ctx))
    }

    /// Waits for a render and answers with what it brings; `None` means: look again.
    async fn wait(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut waiter: Waiter,
        why: Forwarded,
        otherwise: Otherwise,
        seen: &Seen,
    ) -> pingora::Result<Option<Next>> {
        ctx.outcome.served = Served::Miss;
        ctx.outcome.forwarded = Some(why);
        ctx.outcome.collapsed = waiter.is_follower();
        ctx.asked.get_or_insert_with(Instant::now);
        while let Some(said) = waiter.interim().await {
            respond::interim(session, &said).await?;
        }
        let mut told = waiter.told().await;
        if matches!(&told, Told::Stream(head) if head.kind == HeadKind::Storable && self.needs_whole_page(head)) {
            told = waiter.whole().await;
        }
        ctx.origin_answered();
        let is_void = |page: &Page| self.engine.store.standing(page) == Standing::Void;
        let stale = seen.page.as_deref().cloned().filter(|page| otherwise == Otherwise::StalePage && !is_void(page));
        match told {
            Told::Page(page) => self.landed(session, ctx, &waiter, &page).await,
            Told::Stream(head) => {
                if let Some(page) = stale.filter(|_| head.has_failed()) {
                    return self.serve(session, ctx, &page, Served::StaleHit).await.map(Some);
                }
                if self.route.error_page.is_some() && head.gives_way_to_an_error_page() {
                    return self.give_way(session, ctx, &head).await.map(Some);
                }
                self.read_along(session, ctx, &mut waiter, &head).await
            }
            Told::AskYourself(why) => self.forward_in_turn(session, ctx, why).await.map(Some),
            Told::Failed(failure) => match stale {
                Some(page) => self.serve(session, ctx, &page, Served::StaleHit).await.map(Some),
                None => self.failed(session, ctx, &failure, why).await.map(Some),
            },
        }
    }

    /// The page has landed before this request read any of it.
    async fn landed(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        waiter: &Waiter,
        page: &Arc<Page>,
    ) -> pingora::Result<Option<Next>> {
        if vary::carries_unkeyed(&page.unkeyed_vary, &self.headers) {
            return self.forward_in_turn(session, ctx, BypassDetail::Vary).await.map(Some);
        }
        if waiter.is_follower() && !vary::matches(&page.selecting, &self.headers) {
            return Ok(None);
        }
        if waiter.is_follower() && page.lifetime.while_revalidate_until <= page.lifetime.born {
            return self.forward_in_turn(session, ctx, BypassDetail::Uncacheable).await.map(Some);
        }
        ctx.outcome.stored = !waiter.is_follower();
        ctx.outcome.fwd_status = waiter.was_confirmed().then_some(StatusCode::NOT_MODIFIED.as_u16());
        respond::page(session, ctx, self.engine, page, self.wanted.tracking.as_deref()).await?;
        Ok(Some(Next::Answered))
    }

    /// The head is here and the body is on its way.
    async fn read_along(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        waiter: &mut Waiter,
        head: &Head,
    ) -> pingora::Result<Option<Next>> {
        if vary::carries_unkeyed(&head.unkeyed_vary, &self.headers) {
            return self.forward_in_turn(session, ctx, BypassDetail::Vary).await.map(Some);
        }
        if waiter.is_follower() && !vary::matches(&head.selecting, &self.headers) {
            return Ok(None);
        }
        if waiter.is_follower() && head.kind == HeadKind::ValidateAlways {
            return self.forward_in_turn(session, ctx, BypassDetail::Uncacheable).await.map(Some);
        }
        let kept = matches!(head.kind, HeadKind::Storable | HeadKind::ValidateAlways);
        ctx.outcome.stored = kept && !waiter.is_follower();
        if head.kind == HeadKind::Private {
            ctx.outcome.detail = head.why.or(Some(BypassDetail::Uncacheable.as_str()));
        }
        respond::stream(session, ctx, head, waiter, self.wanted.tracking.as_deref()).await?;
        Ok(Some(Next::Answered))
    }

    async fn serve(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        page: &Arc<Page>,
        served: Served,
    ) -> pingora::Result<Next> {
        let Outcome { stored, fwd_status, .. } = ctx.outcome;
        ctx.outcome = Outcome { stored, fwd_status, ..Outcome::of_hit(served, &page.lifetime, ctx.now) };
        respond::page(session, ctx, self.engine, page, self.wanted.tracking.as_deref()).await?;
        Ok(Next::Answered)
    }

    async fn failed(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        failure: &Failure,
        why: Forwarded,
    ) -> pingora::Result<Next> {
        self.fail(session, ctx, failure.status, failure.retry_after, failure.reason, why).await
    }

    /// The route has a page of its own for what the origin refused; the status stays.
    async fn give_way(&self, session: &mut Session, ctx: &mut Ctx, head: &Head) -> pingora::Result<Next> {
        ctx.outcome.served = Served::Failed;
        ctx.outcome.detail = Some("error-page");
        let wait = retry_after(&head.fields, ctx.now).or_else(|| head.has_failed().then_some(Duration::from_secs(1)));
        respond::error(session, ctx, head.status, wait).await?;
        Ok(Next::Answered)
    }

    async fn fail(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        status: StatusCode,
        wait: Duration,
        reason: &'static str,
        why: Forwarded,
    ) -> pingora::Result<Next> {
        ctx.outcome.served = Served::Failed;
        ctx.outcome.forwarded = Some(why);
        ctx.outcome.detail = Some(reason);
        respond::error(session, ctx, status, Some(wait)).await?;
        Ok(Next::Answered)
    }

    /// The request waited for an answer that turned out not to be for it: it goes to the origin
    /// itself, at once but under the origin's limit.
    async fn forward_in_turn(&self, session: &mut Session, ctx: &mut Ctx, why: BypassDetail) -> pingora::Result<Next> {
        let scheduler = self.setup.scheduler(self.wanted.origin);
        match scheduler.acquire(crate::render::scheduler::Class::Miss).await {
            Ok(permit) => {
                ctx.permit = Some(permit);
                Ok(Next::Forward(self.forward(ctx, why)))
            }
            Err(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                self.fail(session, ctx, status, Duration::from_secs(1), "queue-full", Forwarded::Bypass).await
            }
        }
    }

    /// A HEAD that is forwarded although its page is stored tells whether the page is still the same.
    fn head_of(&self, page: Arc<Page>, why: BypassDetail, ctx: &Ctx) -> Option<ForwardedHead> {
        let tells = self.wanted.method_is_head && self.route.cache == CacheMode::Headers;
        tells.then(|| ForwardedHead {
            page,
            purge_seq: self.engine.store.purge_seq(),
            requested_at: ctx.now,
            authorized: self.headers.contains_key(header::AUTHORIZATION),
            may_renew: why != BypassDetail::Unstored,
        })
    }

    fn forward(&self, ctx: &mut Ctx, why: BypassDetail) -> Forward {
        ctx.outcome.served = Served::Bypass;
        ctx.outcome.forwarded = Some(Forwarded::Bypass);
        ctx.outcome.collapsed = false;
        ctx.outcome.detail = Some(why.as_str());
        let reason = match why {
            BypassDetail::Uncacheable | BypassDetail::Unstored => BypassReason::Uncacheable,
            BypassDetail::Vary => BypassReason::Vary,
        };
        Forward::of_wanted(self.wanted, reason)
    }

    /// Ranges and conditionals are answered from a whole page, and so are those who rather have it without
    /// the coding that it comes in.
    fn needs_whole_page(&self, head: &Head) -> bool {
        if self.accept.weight(head.coding) < self.accept.weight(Coding::Identity) {
            return true;
        }
        [header::RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE]
            .iter()
            .any(|name| self.headers.contains_key(name))
    }
}
