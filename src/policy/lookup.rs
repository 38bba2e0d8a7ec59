//! What to do with a request for which a page is stored, or none: the only place that decides.
//!
//! A pure function of (page or nothing, what the client said, the state of the key's renders, now).
//! It compares numbers that were computed when the page was stored; it does not parse, render or wait.

use super::fallback::Audience;
use super::outcome::Forwarded;
use super::page::{Lifetime, Page};
use super::purge::Standing;
use super::time::Timestamp;

/// What the client's own directives ask for (RFC 9111 §5.2.1), where the route honours them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientWish {
    /// Whatever the cache would serve.
    #[default]
    Anything,
    /// A page that is fresh in a stricter sense than ours, or one that was just validated.
    Validated,
    /// A page that is stale by no more than the client allows: it may be served without a refresh.
    StaleAllowed,
    /// An answer of the origin that is not stored (`no-store`).
    Unstored,
}

/// What is known of a key besides its page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// The key is remembered as uncacheable: its requests are bypasses.
    pub uncacheable: bool,
    /// Until when no render of the key is tried, because the last ones failed.
    pub backing_off_until: Option<Timestamp>,
    /// The client asked not to be forwarded (`only-if-cached`).
    pub only_if_cached: bool,
    /// How the page stands after the purges since its render.
    pub standing: Standing,
    /// Who asks.
    pub audience: Audience,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve the page; it is fresh.
    Fresh,
    /// Serve the page; it is stale. Where `refresh` says so, start a render in the background.
    Stale(Refresh),
    /// Start a render or join the one that runs, and wait for it.
    Render {
        /// Why the page, if there is one, does not do.
        why: Forwarded,
        /// What may be served if the render fails.
        otherwise: Otherwise,
        /// What the client gets if it takes longer than the route lets it wait.
        meanwhile: Meanwhile,
    },
    /// There is nothing to serve and the last renders failed: an error page at once.
    BackingOff {
        /// When the next render may start.
        until: Timestamp,
    },
    /// The client asked not to be forwarded and there is nothing to serve: 504 (RFC 9111 §5.2.1.7).
    NotCached,
    /// Forward the client's own request.
    Bypass(BypassDetail),
}

/// Whether a stale hit starts a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It does, unless one runs.
    Start,
    /// It does when its turn comes: an earlier build of the origin made the page, which is otherwise
    /// fresh, and so many of these are rendered again a second.
    InTurn,
    /// It does not: the key's last render failed and its wait is not over, or the client wanted it so.
    Hold,
}

/// What a waiter gets when the render it waits for fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The stale page.
    StalePage,
    /// An error page.
    ErrorPage,
}

/// What a waiter gets when the render takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing: it goes on waiting.
    Nothing,
    /// The route's fallback page.
    Fallback,
}

/// Why a looked-up request is forwarded after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassDetail {
    /// The key is remembered as uncacheable.
    Uncacheable,
    /// The client wants nothing stored (`no-store`).
    Unstored,
    /// The page varies on a field that the route does not key on, and the request carries it.
    Vary,
}

impl BypassDetail {
    /// The word for `detail`.
    pub const fn as_str(self) -> &'static str {
        match self {
            BypassDetail::Uncacheable => "uncacheable",
            BypassDetail::Unstored => "no-store",
            BypassDetail::Vary => "vary",
        }
    }
}

/// How fresh a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Before `fresh_until`.
    Fresh,
    /// May be served while a render refreshes it.
    WhileRevalidate,
    /// May be served if its refresh fails.
    IfError,
    /// Past its windows: never served.
    Expired,
}

impl Freshness {
    /// How fresh a page with this lifetime is.
    pub fn of(lifetime: &Lifetime, now: Timestamp) -> Freshness {
        if now < lifetime.fresh_until {
            Freshness::Fresh
        } else if now < lifetime.while_revalidate_until {
            Freshness::WhileRevalidate
        } else if now < lifetime.if_error_until {
            Freshness::IfError
        } else {
            Freshness::Expired
        }
    }

    /// How fresh it is after the purges since its render: a page that one made stale is not fresh,
    /// and what it may be used for is what its windows allow a stale page.
    fn standing(lifetime: &Lifetime, standing: Standing, now: Timestamp) -> Freshness {
        let unpurged = Freshness::of(lifetime, now);
        let fresh_until = lifetime.fresh_until;
        // Windows of a page that is fresh for ever end where it does and say nothing.
        let may = |window: Timestamp| window > fresh_until || fresh_until == Timestamp::FOREVER;
        match (standing, unpurged) {
            (Standing::Void, _) => Freshness::Expired,
            // The page is as good as its lifetime says; that another build is out is only a reason to ask.
            (Standing::Deployed, Freshness::Fresh) => Freshness::WhileRevalidate,
            (Standing::Stale, Freshness::Fresh) if may(lifetime.while_revalidate_until) => Freshness::WhileRevalidate,
            (Standing::Stale, Freshness::Fresh) if may(lifetime.if_error_until) => Freshness::IfError,
            (Standing::Stale, Freshness::Fresh) => Freshness::Expired,
            (Standing::Fine | Standing::Deployed | Standing::Stale, unpurged) => unpurged,
        }
    }
}

/// Decides. `page` is what is stored for the key and not void; `missing` says why there is none.
pub fn decide(
    page: Option<&Page>,
    missing: Forwarded,
    wish: ClientWish,
    varies_unkeyed: bool,
    state: &KeyState,
    now: Timestamp,
) -> Verdict {
    if varies_unkeyed {
        return Verdict::Bypass(BypassDetail::Vary);
    }
    if wish == ClientWish::Unstored {
        return Verdict::Bypass(BypassDetail::Unstored);
    }
    let Some(page) = page else { return without_page(missing, state, now) };
    let freshness = Freshness::standing(&page.lifetime, state.standing, now);
    match (freshness, wish) {
        (Freshness::Fresh, ClientWish::Anything | ClientWish::StaleAllowed) => Verdict::Fresh,
        (Freshness::WhileRevalidate, ClientWish::Anything) => Verdict::Stale(refresh(page, state, now)),
        (Freshness::WhileRevalidate | Freshness::IfError, ClientWish::StaleAllowed) => Verdict::Stale(Refresh::Hold),
        (Freshness::Expired, _) => without_page(Forwarded::Stale, state, now),
        (Freshness::Fresh | Freshness::WhileRevalidate | Freshness::IfError, _) => {
            let why = if wish == ClientWish::Validated { Forwarded::Request } else { Forwarded::Stale };
            validated(why, freshness, state, now)
        }
    }
}

/// The page may be used only if the origin fails.
fn validated(why: Forwarded, freshness: Freshness, state: &KeyState, now: Timestamp) -> Verdict {
    if state.only_if_cached {
        return Verdict::NotCached;
    }
    if state.uncacheable {
        return Verdict::Bypass(BypassDetail::Uncacheable);
    }
    let usable = freshness <= Freshness::IfError;
    if usable && is_backing_off(state, now) {
        return if freshness == Freshness::Fresh { Verdict::Fresh } else { Verdict::Stale(Refresh::Hold) };
    }
    let otherwise = if usable { Otherwise::StalePage } else { Otherwise::ErrorPage };
    Verdict::Render { why, otherwise, meanwhile: Meanwhile::Nothing }
}

fn without_page(why: Forwarded, state: &KeyState, now: Timestamp) -> Verdict {
    if state.only_if_cached {
        return Verdict::NotCached;
    }
    if state.uncacheable {
        return Verdict::Bypass(BypassDetail::Uncacheable);
    }
    match state.backing_off_until {
        Some(until) if now < until => Verdict::BackingOff { until },
        _ => Verdict::Render { why, otherwise: Otherwise::ErrorPage, meanwhile: meanwhile(state) },
    }
}

/// Only where there is nothing to serve: a page that is kept for errors alone is being refreshed.
fn meanwhile(state: &KeyState) -> Meanwhile {
    match state.audience {
        Audience::Visitor => Meanwhile::Fallback,
        Audience::Waits => Meanwhile::Nothing,
    }
}

fn refresh(page: &Page, state: &KeyState, now: Timestamp) -> Refresh {
    let by_deploy_alone = state.standing == Standing::Deployed && now < page.lifetime.fresh_until;
    match (is_backing_off(state, now), by_deploy_alone) {
        (true, _) => Refresh::Hold,
        (false, true) => Refresh::InTurn,
        (false, false) => Refresh::Start,
    }
}

fn is_backing_off(state: &KeyState, now: Timestamp) -> bool {
    state.backing_off_until.is_some_and(|until| now < until)
}

#[cfg(test)]
mod tests;
