//! What the store and policy say to one request, whichever way it came: through pingora or in the hit
//! lane. It looks, asks and starts refreshes; it answers nobody.

use crate::config::{CacheMode, OriginId, Route, RouteId};
use crate::policy::admission::Wanted;
use crate::policy::cache_control::RequestDirectives;
use crate::policy::fallback::Audience;
use crate::policy::freshness::Demand;
use crate::policy::key::KeyRef;
use crate::policy::lookup::{self, ClientWish, KeyState, Refresh, Verdict};
use crate::policy::outcome::Forwarded;
use crate::policy::{Key, Page, RequestFields, RequestId, Timestamp, freshness, render_request, vary};
use crate::render::{Asker, Engine, Order, Renderer, Setup};
use crate::store::{Found, Loan};
use http::{HeaderMap, header};
use std::sync::Arc;

/// A request that was admitted, and whom to ask about it.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) setup: &'a Setup,
    pub(super) route_id: RouteId,
    pub(super) origin: OriginId,
    /// On `headers` routes without a variant.
    pub(super) key: KeyRef<'a>,
    pub(super) headers: RequestFields<'a>,
    /// The client's own directives, where the route honours them.
    pub(super) directives: Option<RequestDirectives>,
    /// Who asks.
    pub(super) audience: Audience,
}

/// What was found.
pub(super) struct Seen {
    pub(super) page: Option<Loan>,
    /// What a render for this request is called, where there is no page.
    flight: Option<Key>,
    pub(super) missing: Forwarded,
}

impl Seen {
    fn page(page: Loan) -> Self {
        Seen { page: Some(page), flight: None, missing: Forwarded::Stale }
    }

    fn nothing(flight: Key, missing: Forwarded) -> Self {
        Seen { page: None, flight: Some(flight), missing }
    }

    /// What a render for this request is called.
    pub(super) fn flight(&self) -> &Key {
        let of_page = self.page.as_ref().map(|page| &page.key);
        of_page.or(self.flight.as_ref()).expect("either there is a page or it has a name")
    }
}

/// What a render knows of the request that started it.
pub(super) struct Starter<'a> {
    pub(super) wanted: &'a Wanted,
    /// Nothing where nobody asked.
    pub(super) id: Option<&'a RequestId>,
    pub(super) sent_cookie: bool,
}

impl<'a> Question<'a> {
    /// The directives of a request that count on `route`.
    pub(super) fn directives(route: &Route, headers: RequestFields<'_>) -> Option<RequestDirectives> {
        route.honour_request_cache_control.then(|| RequestDirectives::parse(headers))
    }

    fn is_headers(&self) -> bool {
        self.setup.route(self.route_id).cache == CacheMode::Headers
    }

    /// The page that there is for the request: all that somebody asks for who answers nothing else.
    pub(super) fn look_for_page(&self) -> Option<Seen> {
        let page = if self.is_headers() {
            self.engine.store.find_page(self.key, self.headers)
        } else {
            self.engine.store.lend(self.key)
        };
        page.map(Seen::page)
    }

    /// The same, after what is on disk was brought into memory if that takes no waiting.
    pub(super) fn look_again(&self) -> Option<Seen> {
        if !self.engine.store.has_disk() {
            return None;
        }
        let route = self.setup.route(self.route_id);
        let recalled = self.engine.recall_now(self.setup, route, &self.key.into(), self.headers);
        if recalled { self.look_for_page() } else { None }
    }

    /// What there is for the request.
    pub(super) fn look(&self) -> Seen {
        let key = self.key;
        if !self.is_headers() {
            let page = self.engine.store.lend(key);
            return page.map_or_else(|| Seen::nothing(key.into(), Forwarded::UriMiss), Seen::page);
        }
        match self.engine.store.find(key, self.headers) {
            Found::Page(page) => Seen::page(page),
            Found::NoVariant(variant) => Seen::nothing(variant, Forwarded::VaryMiss),
            Found::Nothing => Seen::nothing(key.into(), Forwarded::UriMiss),
        }
    }

    /// What is to be done about it.
    pub(super) fn decide(&self, seen: &Seen, now: Timestamp) -> Verdict {
        let page = seen.page.as_deref().map(|page| &**page);
        let (wish, only_if_cached) = self.wish(page, now);
        let varies = page.is_some_and(|page| vary::carries_unkeyed(&page.unkeyed_vary, self.headers));
        let standing = page.map(|page| self.engine.standing(&self.setup.config, page)).unwrap_or_default();
        let mut state = KeyState { standing, only_if_cached, audience: self.audience, ..KeyState::default() };
        // Most requests find a fresh page, and need no lock.
        if page.is_none_or(|page| lookup::depends_on_renders(page, wish, standing, now)) {
            state.uncacheable = self.engine.store.is_uncacheable(seen.flight(), now);
            state.backing_off_until = self.engine.backing_off_until(self.setup, seen.flight(), self.origin, now);
        }
        lookup::decide(page, seen.missing, wish, varies, &state, now)
    }

    /// What the client's own directives ask for, and whether it wants nothing but what is stored.
    fn wish(&self, page: Option<&Page>, now: Timestamp) -> (ClientWish, bool) {
        let Some(directives) = &self.directives else { return (ClientWish::Anything, false) };
        let wish = match freshness::satisfies(directives, page.map(|page| &page.lifetime), now) {
            Demand::Page => ClientWish::Anything,
            Demand::Stale => ClientWish::StaleAllowed,
            Demand::Validate | Demand::Unavailable => ClientWish::Validated,
            Demand::Forward => ClientWish::Unstored,
        };
        (wish, directives.only_if_cached)
    }

    /// Whether a stale hit is to start a refresh now.
    pub(super) fn refreshes(&self, refresh: Refresh) -> bool {
        refresh == Refresh::Start || (refresh == Refresh::InTurn && self.engine.is_its_turn())
    }

    /// Starts a refresh in the background, if nobody has and it is still what is to be done.
    pub(super) fn refresh(&self, seen: &Seen, verdict: Verdict, now: Timestamp, order: impl FnOnce() -> Order) {
        let still_wanted = || self.decide(&self.look(), now) == verdict;
        self.engine.refresh(seen.flight(), self.renderer(), still_wanted, order);
    }

    /// By whom a render for this request is made.
    pub(super) fn renderer(&self) -> Renderer {
        Renderer::of(self.setup, self.route_id, self.origin)
    }

    /// What a render for this request is to do.
    pub(super) fn order(&self, seen: &Seen, setup: Arc<Setup>, starter: &Starter<'_>) -> Order {
        let mut request = render_request::build(&setup.config, starter.wanted, self.headers);
        if let Some(id) = starter.id.filter(|_| self.is_headers()) {
            request.set_id(id);
        }
        Order {
            route: self.route_id,
            origin: self.origin,
            key: seen.flight().clone(),
            request,
            asked_with: if self.is_headers() { self.headers.to_map() } else { HeaderMap::new() },
            asker: Asker { authorized: self.headers.has(&header::AUTHORIZATION), sent_cookie: starter.sent_cookie },
            prior: seen.page.as_deref().cloned(),
            setup,
        }
    }
}
