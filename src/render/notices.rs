//! What an operator is told once per route: why pages of it are not stored, or why they are although
//! the response asked otherwise, and the lines of `proxy.yaml` that change it.

use crate::config::{CacheMode, Config, RouteId};
use crate::policy::Fields;
use crate::policy::storability::{self, Reason};
use crate::policy::tags::{MAX_TAG_BYTES, MAX_TAGS};
use crate::telemetry::{Notice, Once};
use http::{HeaderName, header};
use serde::Serialize;
use std::io::Write;

/// What is said once per route.
#[derive(Debug)]
pub struct Notices {
    once: Once,
    speaks_plainly: bool,
}

impl Notices {
    /// Notices about this many routes that go to the log only.
    pub fn new(routes: usize) -> Self {
        Notices { once: Once::new(routes), speaks_plainly: false }
    }

    /// Notices that are also printed on standard output, for `run --origin`, whose user has no file yet.
    pub fn plain(routes: usize) -> Self {
        Notices { speaks_plainly: true, ..Notices::new(routes) }
    }

    /// An answer was not to be shared.
    pub(crate) fn uncacheable(&self, config: &Config, id: RouteId, reason: Reason, fields: &Fields) {
        let route = config.route(id);
        match (route.cache, reason) {
            (CacheMode::Headers, _) if super::is_html(fields) => {
                self.suggest_isr(config, id, reason.as_str(), fields.contains(&header::SET_COOKIE));
            }
            (_, Reason::SetCookie) if self.is_first(id, Notice::SetCookie) => tracing::warn!(
                route = %route.name,
                "pages carry Set-Cookie and are not stored; `set_cookie: strip` on the route takes it off and stores them"
            ),
            (_, Reason::Private | Reason::NoStore) if self.is_first(id, Notice::Private) => tracing::warn!(
                route = %route.name,
                reason = reason.as_str(),
                "responses forbid storing and lifetimes come from headers; `revalidate: 60s` on the route lets the file decide"
            ),
            _ => {}
        }
    }

    /// A visitor's cookie made an HTML page a bypass on a `cache: headers` route.
    pub(crate) fn cookie_bypass(&self, config: &Config, id: RouteId) {
        if self.is_first(id, Notice::CookieBypass) {
            self.suggest(config, id, "cookie", true);
        }
    }

    /// The lines of `proxy.yaml` that store HTML pages of this `cache: headers` route, if some could not be.
    pub(crate) fn remedy(&self, config: &Config, id: RouteId) -> Option<String> {
        let cookies = [Notice::CookieBypass, Notice::SetCookie].into_iter().any(|notice| self.once.given(id, notice));
        let refused = cookies || self.once.given(id, Notice::NotStored);
        (refused && config.route(id).cache == CacheMode::Headers).then(|| isr_lines(pattern(config, id), cookies))
    }

    /// An answer was kept: say so if its headers asked otherwise.
    pub(crate) fn kept(&self, config: &Config, id: RouteId, fields: &Fields) {
        let route = config.route(id);
        if storability::overrules(route, fields) && self.is_first(id, Notice::ConfigDecides) {
            tracing::info!(
                route = %route.name,
                "pages are stored although their Cache-Control says private or no-store, because the file decides; \
                 `respect: [private, no-store]` on the route makes them count"
            );
        }
    }

    /// A page varies on fields that the route does not key on.
    pub(crate) fn unkeyed_vary(&self, config: &Config, id: RouteId, names: &[HeaderName]) {
        // `Accept` is there for visitors who do not take HTML; nobody has to key on it.
        let names: Vec<&str> = names.iter().map(HeaderName::as_str).filter(|name| *name != "accept").collect();
        if names.is_empty() || !self.is_first(id, Notice::Vary) {
            return;
        }
        let list = names.join(", ");
        tracing::warn!(
            route = %config.route(id).name,
            vary = list,
            "pages vary on request fields that the route does not key on; requests that carry one are bypasses; \
             name them in `vary: {{ headers: [...] }}` to store a page for each value"
        );
    }

    /// A page was kept for so long by its own headers that it will outlive a deploy, and no deploy was
    /// ever announced.
    pub(crate) fn outlives_deploys(&self, config: &Config, id: RouteId) {
        if self.is_first(id, Notice::LongLived) {
            tracing::info!(
                route = %config.route(id).name,
                "responses ask to be kept for more than a day, which is longer than a build of the origin may run; \
                 announce each deploy with `breadbox deploy ID`, so that the pages of earlier builds are rendered again"
            );
        }
    }

    /// Tags of a page were dropped.
    pub(crate) fn dropped_tags(&self, config: &Config, id: RouteId, dropped: usize) {
        if dropped > 0 && self.is_first(id, Notice::Tags) {
            tracing::warn!(
                route = %config.route(id).name,
                dropped,
                "pages carry more than {MAX_TAGS} tags, or tags of more than {MAX_TAG_BYTES} bytes; \
                 a purge of those that were dropped misses these pages"
            );
        }
    }

    fn suggest_isr(&self, config: &Config, id: RouteId, reason: &'static str, sets_cookie: bool) {
        // Remembered for `remedy`, also where another page of the route was the first.
        let _ = sets_cookie && self.is_first(id, Notice::SetCookie);
        if self.is_first(id, Notice::NotStored) {
            self.suggest(config, id, reason, sets_cookie);
        }
    }

    fn suggest(&self, config: &Config, id: RouteId, reason: &'static str, cookies: bool) {
        let lines = isr_lines(pattern(config, id), cookies);
        tracing::info!(
            route = %config.route(id).name,
            reason,
            proxy_yaml = %lines,
            "HTML pages of this route cannot be stored as they are; these lines of proxy.yaml make them ISR; \
             under bypass, name the cookies of signed-in visitors"
        );
        if self.speaks_plainly {
            // Nobody may be reading; the log has it too.
            let _ = writeln!(
                std::io::stdout(),
                "\nHTML pages could not be stored ({reason}). These lines in proxy.yaml make them ISR:\n\n{lines}"
            );
        }
    }

    fn is_first(&self, id: RouteId, notice: Notice) -> bool {
        self.once.first(id, notice)
    }
}

fn pattern(config: &Config, id: RouteId) -> &str {
    config.route(id).patterns.first().map_or("/{*rest}", |pattern| pattern)
}

/// The lines of `proxy.yaml` that make a route ISR.
#[derive(Serialize)]
struct Suggestion<'a> {
    routes: [SuggestedRoute<'a>; 1],
}

#[derive(Serialize)]
struct SuggestedRoute<'a> {
    #[serde(rename = "match")]
    pattern: &'a str,
    cache: &'static str,
    revalidate: &'static str,
    /// Pages set cookies: they are taken off before a page is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_cookie: Option<&'static str>,
    /// The cookie of signed-in visitors; its name is the application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    bypass: Option<SuggestedBypass>,
}

#[derive(Serialize)]
struct SuggestedBypass {
    cookies: [&'static str; 1],
}

/// The route as it would stand in `proxy.yaml`.
fn isr_lines(pattern: &str, cookies: bool) -> String {
    let route = SuggestedRoute {
        pattern,
        cache: "isr",
        revalidate: "60s",
        set_cookie: cookies.then_some("strip"),
        bypass: cookies.then_some(SuggestedBypass { cookies: ["session"] }),
    };
    serde_yaml::to_string(&Suggestion { routes: [route] }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::isr_lines;
    use crate::config::{CacheMode, Config, SetCookie};
    use std::path::Path;

    #[test]
    fn the_suggested_lines_are_a_configuration_that_does_what_they_promise() {
        for cookies in [false, true] {
            let text = format!("origins: {{ web: {{ servers: [\"http://a\"] }} }}\n{}", isr_lines("/{*rest}", cookies));
            let config = Config::parse(&text, Path::new("proxy.yaml"), &|_| None).expect("a valid configuration");
            assert_eq!(config.routes[0].cache, CacheMode::Isr);
            assert_eq!(config.routes[0].set_cookie == SetCookie::Strip, cookies);
        }
    }
}
