//! Decisions as sentences. Every value of the enums that decide has one.

use super::{Facts, Now};
use crate::config::{BypassCookies, CacheMode, Paths, Revalidate, Route, Window};
use crate::policy::admission::BypassReason;
use crate::policy::lookup::{BypassDetail, Meanwhile, Otherwise, Refresh, Verdict};
use crate::policy::outcome::Forwarded;
use crate::policy::{Page, Standing};
use http::HeaderMap;
use http::header::COOKIE;
use std::time::Duration;

/// A length of time as a person says it.
pub fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) const fn of_mode(mode: CacheMode) -> &'static str {
    match mode {
        CacheMode::Off => "off",
        CacheMode::Static => "static",
        CacheMode::Isr => "isr",
        CacheMode::Headers => "headers",
    }
}

pub(super) fn of_lifetime(route: &Route) -> String {
    match (route.cache, route.revalidate) {
        (CacheMode::Off, _) => "nothing is kept".to_owned(),
        (CacheMode::Headers, _) => "the response's headers decide (RFC 9111)".to_owned(),
        (_, Revalidate::Never) => "kept until it is purged".to_owned(),
        (_, Revalidate::After(ttl)) => format!("fresh for {} (the file decides), {}", human(ttl), stale(route)),
        (_, Revalidate::FromHeaders { default }) => {
            format!(
                "fresh for as long as the response says, {} where it says nothing, {}",
                human(default),
                stale(route)
            )
        }
    }
}

fn stale(route: &Route) -> String {
    match route.stale.while_revalidate {
        Window::Forever => "then served stale while it is refreshed".to_owned(),
        Window::For(time) if time.is_zero() => "then not served stale".to_owned(),
        Window::For(time) => format!("then served stale for {} while it is refreshed", human(time)),
    }
}

pub(super) fn of_bypass(reason: BypassReason, route: Option<&Route>, headers: &HeaderMap) -> String {
    let why = match reason {
        BypassReason::Method => "its method is neither GET nor HEAD",
        BypassReason::Upgrade => "it asks for another protocol (`Upgrade`)",
        BypassReason::Body => "it has a body",
        BypassReason::Connection => "its `Connection` field names a field that counts",
        BypassReason::NoRoute => "no route takes the path",
        BypassReason::Off => "the route is `cache: off`",
        BypassReason::Draft => "it is in draft mode (the cookie `__prerender_bypass`)",
        BypassReason::Cookie => return of_cookie(route, headers),
        BypassReason::Authorization => "it carries `Authorization`, and pages of this route are for everybody",
        BypassReason::Rsc => {
            "it carries `RSC`, `Next-Action` or `Next-Router-*` and the route does not key on that; \
             `vary: { headers: [RSC, Next-Router-State-Tree, Next-Router-Prefetch, Next-Router-Segment-Prefetch, Next-Url] }` \
             on the route makes it a hit"
        }
        BypassReason::Path => "its path can be read in more than one way, and one of them leads to a stricter route",
        BypassReason::Query => "its query is too long, has too many parameters or is no text",
        BypassReason::Vary => "what tells its variant apart is too long",
        BypassReason::Uncacheable => "its answers were not to be shared a moment ago",
        BypassReason::PassThrough => "its answer outgrew `store.max_page` or is an event stream",
    };
    why.to_owned()
}

fn of_cookie(route: Option<&Route>, headers: &HeaderMap) -> String {
    let field = headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let names: Vec<&str> = field.split(';').filter_map(|pair| Some(pair.split('=').next()?.trim())).collect();
    match route.map(|route| &route.bypass_cookies) {
        Some(BypassCookies::Names(patterns)) => {
            let listed: Vec<&str> = names.into_iter().filter(|name| patterns.matches(name)).collect();
            format!("it carries a cookie of `bypass.cookies` ({})", listed.join(", "))
        }
        _ => format!("it carries cookies ({}), and `bypass.cookies` of the route is `any`", names.join(", ")),
    }
}

/// The list of a route: what it is and how many paths it has.
pub(super) fn of_list(route: &Route, paths: Option<usize>) -> String {
    let number = paths.map(|paths| format!(" ({paths} paths and patterns)")).unwrap_or_default();
    match &route.paths {
        None => "no list".to_owned(),
        Some(Paths::File { path, .. }) => format!("the list {}{number}", path.display()),
        Some(Paths::Sitemap(sitemap)) => format!("the sitemap {}{number}", sitemap.source),
    }
}

/// What the list of the route has to do with a request that got past it.
pub(super) fn of_listed(route: &Route, paths: Option<usize>) -> String {
    let list = of_list(route, paths);
    match paths {
        Some(_) => format!("{list} has this path; what it does not have is a 404"),
        None => format!("{list} has not been read here, so every path is let through"),
    }
}

/// What a verdict means for the request.
pub(super) fn of_verdict(facts: &Facts<'_>) -> Now {
    match facts.verdict {
        Verdict::Fresh => Now { what: "hit", why: format!("it gets the stored page, which is {}", freshness(facts)) },
        Verdict::Stale(refresh) => of_stale(facts, refresh),
        Verdict::Render { why, otherwise, meanwhile } => of_render(facts, why, otherwise, meanwhile),
        Verdict::BackingOff { until } => {
            let wait = human(until.since(facts.now));
            let why = format!(
                "it is answered 503 at once with Retry-After: nothing is stored, its last render failed, and the next \
                 one is tried in {wait}"
            );
            Now { what: "backoff", why }
        }
        Verdict::NotCached => {
            let why = "it is answered 504: it says `only-if-cached`, and nothing is stored that it may have";
            Now { what: "not-cached", why: why.to_owned() }
        }
        Verdict::Bypass(detail) => Now { what: "bypass", why: of_detail(detail).to_owned() },
    }
}

fn freshness(facts: &Facts<'_>) -> String {
    match facts.page {
        Some(page) if page.lifetime.has_ttl => {
            format!("fresh for another {}", human(page.lifetime.fresh_until.since(facts.now)))
        }
        _ => "fresh until it is purged".to_owned(),
    }
}

fn of_stale(facts: &Facts<'_>, refresh: Refresh) -> Now {
    let then = match (refresh, facts.under_way, facts.key_state.backing_off_until) {
        (Refresh::Start | Refresh::InTurn, Some(_), _) => "a render that refreshes it is under way".to_owned(),
        (Refresh::InTurn, None, _) => "it is rendered again in its turn (deploy_refresh)".to_owned(),
        (Refresh::Start, None, _) => "one render in the background refreshes it".to_owned(),
        (Refresh::Hold, _, Some(until)) if facts.now < until => {
            let wait = human(until.since(facts.now));
            format!("no render is started, because the last one failed; the next is tried in {wait}")
        }
        (Refresh::Hold, ..) => "no render is started, because the request's own Cache-Control accepts it so".to_owned(),
    };
    Now { what: "stale", why: format!("it gets the stored page at once, {}; {then}", how_stale(facts)) }
}

fn how_stale(facts: &Facts<'_>) -> String {
    let within = |page: &&Page| facts.now < page.lifetime.fresh_until;
    match (facts.page.filter(within), facts.key_state.standing) {
        (Some(_), Standing::Deployed) => "which an earlier build of the origin rendered".to_owned(),
        (Some(_), _) => "which a purge has made stale".to_owned(),
        (None, _) => {
            let past = facts.page.map_or(Duration::ZERO, |page| facts.now.since(page.lifetime.fresh_until));
            format!("{} past its lifetime", human(past))
        }
    }
}

fn of_render(facts: &Facts<'_>, why: Forwarded, otherwise: Otherwise, meanwhile: Meanwhile) -> Now {
    let because = match why {
        _ if facts.void.is_some() => "the stored page was purged",
        Forwarded::VaryMiss => "other variants are stored, but none for what this request carries",
        Forwarded::Stale => "the stored page is past every window in which it may be served",
        Forwarded::Request => "the request's own Cache-Control asks for an answer that was just validated",
        Forwarded::UriMiss | Forwarded::Bypass | Forwarded::Method => "nothing is stored",
    };
    let waits = if facts.under_way.is_some() {
        "it waits for the render that is under way"
    } else {
        "it starts a render and waits for it"
    };
    let long = match meanwhile {
        Meanwhile::Nothing => "",
        Meanwhile::Fallback => "; if that takes longer than `fallback.after` it is shown the fallback page",
    };
    let fails = match otherwise {
        Otherwise::StalePage => "the stored page is served if that fails",
        Otherwise::ErrorPage => "if that fails it gets an error page",
    };
    Now { what: "render", why: format!("{because}: {waits}{long}; {fails}") }
}

const fn of_detail(detail: BypassDetail) -> &'static str {
    match detail {
        BypassDetail::Uncacheable => {
            "it goes to the origin as it is: the last answer was not to be shared, and that is remembered for a while \
             (`uncacheable_ttl`)"
        }
        BypassDetail::Unstored => "it goes to the origin as it is: its own Cache-Control says `no-store`",
        BypassDetail::Vary => {
            "it goes to the origin as it is: the stored page varies on a field that it carries and that the route does \
             not key on"
        }
    }
}
