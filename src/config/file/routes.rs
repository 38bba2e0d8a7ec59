//! The routes: which keys a route may have, given its `cache`, and what each of them means.

mod claims;
mod lifetime;
mod rules;

use super::cursor::{At, Keys, Shape};
use super::mistake::Wrong;
use super::patterns::{Pattern, pattern};
use super::{compression, fallback, hosts, pages, paths, purging, schema};
use crate::config::{CacheMode, NamePatterns, Origin, OriginId, Route};
use crate::uri::path::OWN;
use std::sync::Arc;

/// The words of `cache`.
const MODES: [(&str, CacheMode); 4] =
    [("off", CacheMode::Off), ("static", CacheMode::Static), ("isr", CacheMode::Isr), ("headers", CacheMode::Headers)];

/// Keys of every route, whatever is kept.
const ALWAYS: &[&str] = &["match", "host", "origin", "cache", "invalidate", "paths", "error_page"];

/// Keys that `cache: headers` shares with `isr` and `static`.
const SHARED: &[&str] = &[
    "bypass",
    "tags",
    "uncacheable_ttl",
    "max_variants",
    "client_cache_control",
    "honour_request_cache_control",
    "compression",
];

/// What routes refer to.
pub(super) struct Known<'a> {
    pub(super) origins: &'a [Arc<Origin>],
    pub(super) hosts: Option<&'a [Box<str>]>,
    pub(super) tracking: &'a NamePatterns,
    pub(super) compression: &'a compression::Top,
}

/// The routes, in the order of the file; one for everything where the file names none.
pub(super) fn routes(at: &At<'_>, known: &Known<'_>) -> Vec<Arc<Route>> {
    let mut claims = claims::Claims::default();
    let items = if at.is_set() { at.items() } else { vec![at.clone()] };
    if items.is_empty() {
        at.wrong("is empty", "write at least one, or take it out for one route /{*rest} with cache: headers");
    }
    items.iter().map(|item| Arc::new(route(item, known, &mut claims))).collect()
}

fn route(at: &At<'_>, known: &Known<'_>, claims: &mut claims::Claims) -> Route {
    let mut keys = at.section(&schema::ROUTE);
    let cache = keys.key("cache");
    let read = if cache.is_set() { cache.choice(&MODES) } else { Some(CacheMode::Headers) };
    if let Some(mode) = read {
        refuse_what_has_no_effect(&mut keys, mode);
    }
    // With a word that is not known every key is read as on `isr`, which knows the most of them.
    let mode = read.unwrap_or(CacheMode::Isr);
    let host = host(&keys.key("host"), known);
    let patterns = patterns(&keys, host.as_deref(), claims);
    let first = patterns.first().map_or("", |pattern| &*pattern.text);
    let lifetime = lifetime::lifetime(&keys, mode);
    let bypass = keys.key("bypass").section(&schema::BYPASS);
    let bypass_cookies = rules::bypass_cookies(&bypass.key("cookies"), mode);
    let tags = purging::tags(&keys.key("tags"), mode, &patterns);
    let invalidate = purging::invalidate(&keys.key("invalidate"), &patterns);
    let fallback = fallback::fallback(&keys.key("fallback"));
    let paths = paths::paths(&keys.key("paths"), &patterns);
    Route {
        name: format!("{}{first}", host.as_deref().unwrap_or_default()).into(),
        patterns: patterns.into_iter().map(|pattern| pattern.text).collect(),
        host,
        origin: origin(&keys.key("origin"), known),
        paths,
        error_page: pages::error_page(&keys.key("error_page")),
        cache: mode,
        revalidate: lifetime.revalidate,
        respect: lifetime.respect,
        stale: lifetime.stale,
        not_found_ttl: lifetime.not_found_ttl,
        uncacheable_ttl: lifetime.uncacheable_ttl,
        heuristic_max: lifetime.heuristic_max,
        query: rules::query(&keys.key("query"), known.tracking),
        vary: rules::vary(&keys.key("vary"), &bypass_cookies),
        bypass_cookies,
        draft_cookie: purging::draft_cookie(&bypass.key("draft")),
        tag_headers: tags.headers,
        tags: tags.add,
        fallback,
        invalidate,
        max_variants: keys.key("max_variants").count(128, 1..=65_536),
        set_cookie: rules::set_cookie(&keys.key("set_cookie")),
        client_cache_control: rules::client_cache_control(&keys.key("client_cache_control"), mode),
        compression: compression::of_route(&keys.key("compression"), mode, known.compression),
        honour_request_cache_control: keys.key("honour_request_cache_control").flag(mode == CacheMode::Headers),
    }
}

/// A key without an effect is a mistake: whoever wrote it believes that it does something.
fn refuse_what_has_no_effect(keys: &mut Keys<'_>, mode: CacheMode) {
    for key in schema::ROUTE.keys {
        let at = keys.key(key);
        let Some((problem, remedy)) = has_no_effect(key, mode).filter(|_| at.is_set()) else { continue };
        at.wrong(problem, remedy);
        keys.drop_key(key);
    }
}

fn has_no_effect(key: &str, mode: CacheMode) -> Option<(&'static str, &'static str)> {
    if ALWAYS.contains(&key) {
        return None;
    }
    match mode {
        CacheMode::Off => Some(("has no effect with cache: off: nothing is kept", "take it out, or use cache: isr")),
        CacheMode::Headers if !SHARED.contains(&key) && key != "heuristic_max" => {
            Some(("has no effect with cache: headers: the response's headers decide", "take it out, or use cache: isr"))
        }
        CacheMode::Isr | CacheMode::Static if key == "heuristic_max" => {
            Some(("has an effect only with cache: headers", "take it out, or use cache: headers"))
        }
        CacheMode::Static | CacheMode::Isr | CacheMode::Headers => None,
    }
}

fn host(at: &At<'_>, known: &Known<'_>) -> Option<Box<str>> {
    let host = at.read(hosts::host)?;
    if known.hosts.is_some_and(|hosts| !hosts.contains(&host)) {
        at.wrong(format!("{} is not among the hosts that are served", at.quoted()), "add it to the hosts at the top");
    }
    Some(host)
}

fn patterns(keys: &Keys<'_>, host: Option<&str>, claims: &mut claims::Claims) -> Vec<Pattern> {
    let at = keys.key("match");
    if !keys.at().is_set() {
        return vec![Pattern { text: "/{*rest}".into(), shape: "/{*}".into() }];
    }
    let items = at.items();
    if items.is_empty() && keys.at().shape() == Shape::Map {
        let place = if at.is_set() { &at } else { keys.at() };
        place.wrong("says nothing to match", "write match: /products/{id}, or match: /{*rest} for everything");
    }
    let mut patterns = Vec::new();
    for item in &items {
        let Some(pattern) = item.need(pattern) else { continue };
        if pattern.text.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            item.wrong(format!("{} is Breadbox's own path", item.quoted()), "take it out");
            continue;
        }
        claims.claim(item, host, &pattern);
        patterns.push(pattern);
    }
    patterns
}

fn origin(at: &At<'_>, known: &Known<'_>) -> OriginId {
    let names = || known.origins.iter().take(10).map(|origin| &*origin.name).collect::<Vec<_>>().join(", ");
    let position = at.read(|name| {
        let position = known.origins.iter().position(|origin| &*origin.name == name);
        position.ok_or_else(|| Wrong::new("is not the name of an origin", format!("write one of: {}", names())))
    });
    OriginId(position.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{ALWAYS, SHARED};
    use crate::config::file::schema;

    #[test]
    fn the_lists_of_keys_name_keys_that_exist() {
        for key in ALWAYS.iter().chain(SHARED) {
            assert!(schema::ROUTE.keys.contains(key), "{key}");
        }
    }
}
