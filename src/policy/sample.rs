//! What the unit tests of this room are made of: fields, requests and routes in one line each.

use super::fields::Fields;
use super::time::Timestamp;
use crate::config::{
    BypassCookies, CacheMode, ClientCacheControl, OriginId, QueryRule, Respect, Revalidate, Route, SetCookie,
    StaleWindows, VaryRule, Window,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// When the tests' answers arrive: Sat, 14 Nov 2026 12:00:00 GMT.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_794_657_600_000);

/// The point `seconds` after [`NOW`], or before it.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { NOW.earlier(by) } else { NOW.later(by) }
}

/// [`at`] as an HTTP date.
pub(crate) fn date(seconds: i64) -> String {
    String::from_utf8(super::date::format(at(seconds)).as_bytes().to_vec()).expect("ASCII")
}

/// Fields from pairs; values may hold any bytes that a field may.
pub(crate) fn fields<V: AsRef<str>>(pairs: &[(&str, V)]) -> Fields {
    pairs.iter().map(|(name, value)| field(name, value.as_ref())).collect()
}

/// A request's fields from pairs.
pub(crate) fn request<V: AsRef<str>>(pairs: &[(&str, V)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let (name, value) = field(name, value.as_ref());
        map.append(name, value);
    }
    map
}

fn field(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
    (name, HeaderValue::from_bytes(value.as_bytes()).expect("a field value"))
}

/// A route with the defaults of its mode.
pub(crate) fn route(cache: CacheMode) -> Route {
    let stale = StaleWindows { while_revalidate: Window::Forever, if_error: Window::Forever };
    let revalidate = match cache {
        CacheMode::Static => Revalidate::Never,
        _ => Revalidate::FromHeaders { default: Duration::from_secs(60) },
    };
    let client_cache_control = match cache {
        CacheMode::Headers | CacheMode::Off => ClientCacheControl::Origin,
        _ => ClientCacheControl::Set(HeaderValue::from_static("public, max-age=0, must-revalidate")),
    };
    Route {
        name: "/".into(),
        patterns: vec!["/".into()],
        host: None,
        origin: OriginId(0),
        paths: None,
        error_page: None,
        cache,
        revalidate,
        respect: Respect::default(),
        stale,
        query: QueryRule::All,
        vary: VaryRule::default(),
        bypass_cookies: BypassCookies::None,
        draft_cookie: Some("__prerender_bypass".into()),
        tag_headers: vec![HeaderName::from_static("cache-tag")],
        tags: vec![],
        fallback: None,
        invalidate: vec![],
        not_found_ttl: Duration::from_secs(10),
        uncacheable_ttl: Duration::from_secs(10),
        max_variants: 128,
        set_cookie: SetCookie::Uncacheable,
        compression: None,
        client_cache_control,
        honour_request_cache_control: cache == CacheMode::Headers,
        heuristic_max: Duration::from_secs(86_400),
    }
}

/// An `isr` route whose lifetime the file fixes.
pub(crate) fn isr_after(seconds: u64) -> Route {
    Route { revalidate: Revalidate::After(Duration::from_secs(seconds)), ..route(CacheMode::Isr) }
}
