//! One render from its place in the queue to its landing: ask, judge, stream, store.
//!
//! The task is detached. Whatever happens to it, its flight leaves the map and its waiters are told.

mod builds;
mod traces;
mod unstored;

use super::flight::{Failure, Flight, HeadKind};
use super::gate::{self, Backoff, Circumstances, Gate, NotShared};
use super::mishap::Mishap;
use super::origin::{Answer, Informational, OriginRequest};
use super::scheduler::{Class, Rejected};
use super::{Engine, Order, page};
use crate::config::{CacheMode, Origin, Route};
use crate::metrics::RenderResult;
use crate::policy::storability::{self, Reason};
use crate::policy::{Fields, Lifetime, RequestId, Standing, Timestamp, hop_by_hop, validation, vary};
use crate::telemetry::ids;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What clients are told to wait when the origin failed and said nothing itself.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Runs the render of `order` for `flight`.
pub(super) async fn fly(engine: Arc<Engine>, flight: Arc<Flight>, mut order: Order, class: Class) {
    let id = order.request.id_or(ids::fresh());
    let landing = Landing { engine: &engine, flight: &flight };
    let setup = Arc::clone(&order.setup);
    let origin = Arc::clone(setup.config.origin(order.origin));
    let waits = setup.metrics.render_waits(order.origin);
    let permit = match setup.scheduler(order.origin).acquire(class).await {
        Ok(permit) => permit,
        Err(rejected) => {
            let reason = match rejected {
                Rejected::Full => "queue-full",
                Rejected::TimedOut => "queue-timeout",
            };
            flight.fail(Failure { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: RETRY_AFTER, reason });
            order.record_failure(&engine, reason);
            setup.metrics.render(order.route, RenderResult::Rejected, Duration::ZERO);
            return;
        }
    };
    drop(waits);
    let runs = setup.metrics.render_runs(order.origin);
    flight.ask(|| engine.store.purge_seq());
    let started = Instant::now();
    let route = Arc::clone(setup.route(order.route));
    let run = Run { engine: &engine, flight: &flight, order: &order, route: &route, origin: &origin, started, id };
    let result = run.run().await;
    setup.metrics.render(order.route, result, started.elapsed());
    drop(landing);
    drop(runs);
    drop(permit);
}

/// Makes sure that a flight ends, even if its task panics.
struct Landing<'a> {
    engine: &'a Engine,
    flight: &'a Arc<Flight>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.engine.leave_flights(self.flight);
        if !self.flight.is_told() {
            self.flight.fail(Failure { status: StatusCode::BAD_GATEWAY, retry_after: RETRY_AFTER, reason: "internal" });
        }
        self.flight.break_off();
    }
}

struct Run<'a> {
    engine: &'a Arc<Engine>,
    flight: &'a Arc<Flight>,
    order: &'a Order,
    route: &'a Route,
    origin: &'a Origin,
    started: Instant,
    id: RequestId,
}

/// An answer's head and the times of its request and arrival.
struct Arrived {
    answer: Answer,
    requested_at: Timestamp,
    received_at: Timestamp,
}

impl Arrived {
    fn head(&self) -> storability::Answer<'_> {
        storability::Answer {
            status: self.answer.status,
            fields: &self.answer.fields,
            requested_at: self.requested_at,
            received_at: self.received_at,
        }
    }
}

impl Run<'_> {
    async fn run(&self) -> RenderResult {
        let mut conditional = self.may_ask_conditionally();
        loop {
            let arrived = match self.ask(conditional).await {
                Ok(arrived) => arrived,
                Err(error) => return self.origin_failed(&error),
            };
            let gate = gate::judge(&self.circumstances(conditional), &arrived.head());
            if gate == Gate::AskAgain && conditional {
                conditional = false;
                continue;
            }
            return self.carry_out(gate, arrived).await;
        }
    }

    fn circumstances(&self, conditional: bool) -> Circumstances<'_> {
        Circumstances {
            route: self.route,
            authorized: self.order.asker.authorized,
            personal: self.order.asker.authorized || self.order.asker.sent_cookie,
            prior: self.order.prior.as_deref(),
            conditional,
            immutable: self.is_immutable(),
            spread: rand::random(),
        }
    }

    /// A page that a purge has made void is not asked about: a 304 would bring it back.
    fn may_ask_conditionally(&self) -> bool {
        self.order.prior.as_ref().is_some_and(|prior| {
            let validators = &prior.origin_validators;
            (validators.etag.is_some() || validators.last_modified.is_some())
                && self.engine.store.standing(prior) != Standing::Void
        })
    }

    async fn ask(&self, conditional: bool) -> Result<Arrived, Mishap> {
        let mut fields = Fields::new();
        fields.append(header::HOST, self.order.request.host.clone());
        for (name, value) in self.order.request.fields.iter() {
            fields.append(name.clone(), value.clone());
        }
        if let Some(prior) = self.order.prior.as_ref().filter(|_| conditional) {
            for (name, value) in validation::conditionals(&prior.origin_validators).iter() {
                fields.append(name.clone(), value.clone());
            }
        }
        let request = OriginRequest { method: Method::GET, target: self.order.request.target.clone(), fields };
        let client = &self.order.setup.origins[self.order.origin.0].client;
        let requested_at = self.engine.now();
        let hear = |said: &Informational| self.pass_on(said);
        let answer = self.in_time(client.send_and_hear(&request, &hear)).await??;
        Ok(Arrived { answer, requested_at, received_at: self.engine.now() })
    }

    /// A 1xx answer goes to the client whose request this is (RFC 9110 §15.2); a 100 answers nothing
    /// that a request without a body has asked.
    fn pass_on(&self, said: &Informational) {
        if self.route.cache == CacheMode::Headers && said.status != StatusCode::CONTINUE {
            let mut said = said.clone();
            hop_by_hop::strip_hop_by_hop(&mut said.fields);
            self.flight.interim(said);
        }
    }

    /// Within the render's total time.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Mishap> {
        tokio::time::timeout_at(self.started + self.origin.render_timeout, work)
            .await
            .map_err(|_| Mishap::RenderTimeout)
    }

    async fn carry_out(&self, gate: Gate, arrived: Arrived) -> RenderResult {
        let gate = self.guard_rsc(gate, &arrived);
        if let Gate::Uncacheable(NotShared::Policy(reason)) = gate {
            self.order.setup.notices.uncacheable(
                &self.order.setup.config,
                self.order.route,
                reason,
                &arrived.answer.fields,
            );
        }
        match gate {
            Gate::Renew => self.renew(arrived).await,
            Gate::Keep(lifetime) => self.keep(arrived, lifetime).await,
            Gate::Uncacheable(reason) => self.hand_over(arrived, reason).await,
            Gate::Refusal(backoff) => self.refuse(arrived, backoff, HeadKind::Refusal).await,
            Gate::PrivateRefusal(backoff) => self.refuse(arrived, backoff, HeadKind::Private).await,
            Gate::Unexpected | Gate::AskAgain => self.origin_failed(&Mishap::Unexpected(arrived.answer.status)),
        }
    }

    /// A payload of React Server Components never lands under a key without `RSC`, nor HTML under
    /// one with it (FRAMEWORKS.md 1).
    fn guard_rsc(&self, gate: Gate, arrived: &Arrived) -> Gate {
        let Gate::Keep(_) = gate else { return gate };
        let asked = self.order.request.fields.iter().any(|(name, _)| name == "rsc");
        let fields = &arrived.answer.fields;
        let mixed_up = if asked { gate::is_html(fields) } else { gate::is_component(fields) };
        if mixed_up { Gate::Uncacheable(NotShared::Component) } else { gate }
    }

    /// The origin confirmed the prior page.
    async fn renew(&self, mut arrived: Arrived) -> RenderResult {
        let Some(prior) = &self.order.prior else { return RenderResult::Garbled };
        while let Ok(Ok(Some(_))) = self.in_time(arrived.answer.chunk()).await {}
        let renewed =
            page::renewed(self.route, self.order, prior, &arrived.head(), self.flight.purge_seq(), rand::random());
        let page = Arc::new(renewed.page);
        if page.key != prior.key || !renewed.keep {
            self.forget(prior);
        }
        if renewed.keep {
            self.put(&page);
        }
        self.good();
        self.flight.land_confirmed(page);
        RenderResult::NotModified
    }

    /// A good answer: everybody reads it as it comes, and it is stored if it arrives whole.
    async fn keep(&self, arrived: Arrived, mut lifetime: Lifetime) -> RenderResult {
        let answered = arrived.answer.status;
        self.keep_for_every_build(answered, &mut lifetime);
        let stands_stale = lifetime.while_revalidate_until > arrived.received_at;
        let says_stale = self.route.cache.is_anonymous() && stands_stale && storability::says_stale(&arrived.head());
        let recipe = match page::Recipe::new(self.route, self.order, &arrived.head(), lifetime, self.flight.purge_seq())
        {
            Ok(recipe) => recipe,
            Err(vary::VaryStar) => return self.hand_over(arrived, NotShared::Policy(Reason::VaryStar)).await,
        };
        self.order.setup.notices.kept(&self.order.setup.config, self.order.route, &arrived.answer.fields);
        self.order.setup.notices.dropped_tags(&self.order.setup.config, self.order.route, recipe.dropped_tags());
        self.note_lifetime(&lifetime);
        let head = Arc::new(recipe.head(&arrived.answer));
        self.order.setup.notices.unkeyed_vary(&self.order.setup.config, self.order.route, &head.unkeyed_vary);
        if head.length.is_some_and(|length| length > self.max_page()) {
            return self.outgrown_at_head(arrived, head).await;
        }
        let length = head.length;
        self.flight.tell_head(head);
        match self.gather(arrived, length).await {
            Gathered::Whole(body) => {
                if body.is_empty() && answered == StatusCode::OK && recipe.is_html() {
                    self.flight.end();
                    return self.not_good("empty", Backoff::Wait, None, RenderResult::Garbled);
                }
                let plain = recipe.decoded(&body, self.window()).await;
                let page = Arc::new(recipe.bake(body.clone(), plain, self.order.prior.as_deref()));
                self.engine.preloads.learn(self.route, &page, &body);
                self.put(&page);
                if says_stale {
                    // The origin's own cache is behind: it is asked again soon, but not at once.
                    self.wait_for_origins_cache();
                } else {
                    self.good();
                }
                self.engine.want_assets_of(&page, &body);
                self.flight.land(page, body);
                result_of(answered)
            }
            Gathered::Outgrown => RenderResult::Oversize,
            Gathered::Failed(error) => {
                self.flight.break_off();
                self.origin_failed(&error)
            }
        }
    }

    /// Reads the body to its end while waiters read along; past `store.max_page` the flight becomes
    /// a pipe to those who are reading. The piece that completes a body of known length is left to the
    /// landing: whoever has read all of a page finds it stored.
    async fn gather(&self, mut arrived: Arrived, length: Option<u64>) -> Gathered {
        let mut body: Vec<Bytes> = Vec::new();
        let mut total = 0_u64;
        loop {
            let chunk = match self.in_time(arrived.answer.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Gathered::Whole(Bytes::from(body.concat())),
                Ok(Err(error)) => return Gathered::Failed(error.into()),
                Err(late) => return Gathered::Failed(late),
            };
            total += chunk.len() as u64;
            if total > self.max_page() {
                drop(body);
                self.outgrown(arrived, chunk).await;
                return Gathered::Outgrown;
            }
            body.push(chunk.clone());
            if length != Some(total) {
                self.flight.push(chunk).await;
            }
        }
    }

    /// The origin gave no answer that anybody could use.
    fn origin_failed(&self, error: &Mishap) -> RenderResult {
        let result = error.result();
        self.not_good(error.kind(), Backoff::Wait, None, result);
        self.flight.fail(Failure { status: error.status(), retry_after: RETRY_AFTER, reason: error.kind() });
        result
    }

    fn not_good(
        &self,
        reason: &'static str,
        backoff: Backoff,
        wait: Option<Duration>,
        result: RenderResult,
    ) -> RenderResult {
        if backoff == Backoff::Wait {
            self.backoff(wait);
            self.log_failure(reason);
        }
        result
    }

    fn log_failure(&self, reason: &'static str) {
        self.order.record_failure(self.engine, reason);
        let complaints = &self.order.setup.origins[self.order.origin.0].complaints;
        let Some(unlogged) = complaints.admit(self.engine.now()) else { return };
        tracing::warn!(
            origin = %self.origin.name,
            route = %self.route.name,
            path = self.order.loggable_path(),
            id = self.id.as_str(),
            reason,
            unlogged,
            page = if self.order.prior.is_some() { "kept" } else { "none" },
            "render failed"
        );
    }

    fn max_page(&self) -> u64 {
        self.order.setup.config.store.max_page as u64
    }

    fn window(&self) -> usize {
        self.order.setup.config.store.max_page
    }
}

/// How reading a body ended.
enum Gathered {
    Whole(Bytes),
    Outgrown,
    Failed(Mishap),
}

fn result_of(status: StatusCode) -> RenderResult {
    match status.as_u16() {
        404 | 410 => RenderResult::NotFound,
        300..=399 => RenderResult::Redirect,
        _ => RenderResult::Good,
    }
}
