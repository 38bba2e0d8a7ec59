//! What tells pages of a route apart, what makes a request a bypass, and what is done to answers.

use crate::config::file::cursor::{At, Shape};
use crate::config::file::mistake::Wrong;
use crate::config::file::{names, schema};
use crate::config::{BypassCookies, CacheMode, ClientCacheControl, NamePatterns, QueryRule, SetCookie, VaryRule};
use http::HeaderValue;

/// What browsers are told about pages of ours: keep it, but ask.
const CLIENT_CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// Request fields that differ from visitor to visitor, so that hardly any page is served twice.
const TOO_MANY_VALUES: [&str; 3] = ["user-agent", "referer", "dnt"];

/// Which query parameters count.
pub(super) fn query(at: &At<'_>, tracking: &NamePatterns) -> QueryRule {
    if at.shape() != Shape::List {
        let read = at.read(|text| match text {
            "all" => Ok(QueryRule::All),
            "none" => Ok(QueryRule::None),
            name => Err(all_none_or_list("all", name)),
        });
        return read.unwrap_or(QueryRule::All);
    }
    let mut names = at.set(|text| {
        let name = names::parameter(text)?;
        if tracking.matches(&name) {
            return Err(Wrong::new("is a tracking parameter and never counts", "take it out, here or of tracking"));
        }
        Ok(name)
    });
    names.sort();
    if names.is_empty() { QueryRule::None } else { QueryRule::Only(names) }
}

fn all_none_or_list(all: &str, name: &str) -> Wrong {
    Wrong::new("is not known here", format!("write {all}, none or a list of names"))
        .suggest(format!("write {all}, none or a list: [ {name} ]"))
}

/// What a route keys on besides the URL. A cookie that makes a request a bypass cannot be in a key.
pub(super) fn vary(at: &At<'_>, bypass: &BypassCookies) -> VaryRule {
    let keys = at.section(&schema::VARY);
    let headers_at = keys.key("headers");
    let mut headers = headers_at.set(names::vary_header);
    headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    for name in headers.iter().filter(|name| TOO_MANY_VALUES.contains(&name.as_str())) {
        headers_at.warn(
            format!("{name} differs from visitor to visitor, so hardly any page is served twice"),
            "take it out, or let the origin send a page that suits all",
        );
    }
    let mut cookies = keys.key("cookies").set(|text| match names::cookie(text)? {
        name if takes(bypass, &name) => {
            Err(Wrong::new("is also in bypass.cookies, so no page is kept for it", "take it out of one of the two"))
        }
        name => Ok(name),
    });
    cookies.sort();
    VaryRule { headers, cookies }
}

fn takes(bypass: &BypassCookies, cookie: &str) -> bool {
    match bypass {
        BypassCookies::Any => true,
        BypassCookies::None => false,
        BypassCookies::Names(patterns) => patterns.matches(cookie),
    }
}

/// Cookies that make a request a bypass. Where renders are anonymous no cookie matters unless it is
/// named; on `headers` a request with cookies may be anybody's.
pub(super) fn bypass_cookies(at: &At<'_>, mode: CacheMode) -> BypassCookies {
    let default = if mode.is_anonymous() { BypassCookies::None } else { BypassCookies::Any };
    if at.shape() == Shape::List {
        let names = at.set(names::cookie_pattern);
        return if names.is_empty() { BypassCookies::None } else { BypassCookies::Names(NamePatterns::new(names)) };
    }
    let read = at.read(|text| match text {
        "any" => Ok(BypassCookies::Any),
        "none" => Ok(BypassCookies::None),
        name => Err(all_none_or_list("any", name)),
    });
    read.unwrap_or(default)
}

/// What a `Set-Cookie` of a render means.
pub(super) fn set_cookie(at: &At<'_>) -> SetCookie {
    let words = [("uncacheable", SetCookie::Uncacheable), ("strip", SetCookie::Strip)];
    at.choice(&words).unwrap_or(SetCookie::Uncacheable)
}

/// `Cache-Control` towards browsers.
pub(super) fn client_cache_control(at: &At<'_>, mode: CacheMode) -> ClientCacheControl {
    let read = at.read(|text| match text {
        "origin" => Ok(ClientCacheControl::Origin),
        _ => names::header_value(text).map(ClientCacheControl::Set),
    });
    let default =
        if mode.is_anonymous() { ClientCacheControl::Set(CLIENT_CACHE_CONTROL) } else { ClientCacheControl::Origin };
    read.unwrap_or(default)
}
