//! Who may purge and how much is remembered; the tags of a route, what a write through it purges, and
//! the cookie that asks for drafts.

use super::cursor::{At, Keys, Shape};
use super::deploys::per_second;
use super::mistake::Wrong;
use super::patterns::Pattern;
use super::{hosts, names, schema};
use crate::config::{CacheMode, Invalidated, Invalidation, PurgeMode, Purging, Template};
use http::HeaderName;

/// The fields in which backends send tags.
const TAG_HEADERS: [HeaderName; 3] =
    [HeaderName::from_static("cache-tag"), HeaderName::from_static("surrogate-key"), HeaderName::from_static("xkey")];

/// The cookie of Next.js' draft mode.
const DRAFT_COOKIE: &str = "__prerender_bypass";

/// Tags and invalidations that a route may name.
const MAX_TEMPLATES: usize = 32;

/// Bytes of a tag or path that a route names.
const MAX_TEMPLATE: usize = 2048;

/// The keys of purging at the top of the file.
pub(super) fn purging(keys: &Keys<'_>) -> Purging {
    let from_at = keys.key("purge_from");
    let from = from_at.set(hosts::network);
    if from.iter().any(|network| network.prefix_len() == 0) {
        from_at.warn("every client may purge", "list the machines that publish");
    }
    Purging {
        from,
        max_rules: keys.key("max_purge_rules").positive(10_000, 1_000_000),
        refresh: keys.key("purge_refresh").read(|text| per_second(text, &(0..=100_000))).unwrap_or(50),
    }
}

/// Where a route's tags come from.
pub(super) struct Tags {
    pub(super) headers: Vec<HeaderName>,
    pub(super) add: Vec<Template>,
}

/// `tags`: fields of answers, and tags of every page. On `headers` every field is passed on unless it
/// is named here.
pub(super) fn tags(at: &At<'_>, mode: CacheMode, patterns: &[Pattern]) -> Tags {
    let default = || if mode.is_anonymous() { TAG_HEADERS.to_vec() } else { Vec::new() };
    if at.shape() == Shape::List {
        return Tags { headers: default(), add: templates(at, patterns, tag) };
    }
    let keys = at.section(&schema::TAGS);
    let header = keys.key("header");
    let headers = if header.is_set() { header.set(names::tag_header) } else { default() };
    Tags { headers, add: templates(&keys.key("add"), patterns, tag) }
}

/// `invalidate`: what a successful unsafe request purges.
pub(super) fn invalidate(at: &At<'_>, patterns: &[Pattern]) -> Vec<Invalidation> {
    let items = at.items();
    if items.len() > MAX_TEMPLATES {
        at.wrong(format!("has more than {MAX_TEMPLATES} entries"), "purge a tag that these pages share");
    }
    items.iter().filter_map(|item| invalidation(item, patterns)).collect()
}

fn invalidation(at: &At<'_>, patterns: &[Pattern]) -> Option<Invalidation> {
    if at.shape() != Shape::Map {
        let path = template(at, patterns, path)?;
        return Some(Invalidation { what: Invalidated::Path { path, host: None }, mode: PurgeMode::Delete });
    }
    let keys = at.section(&schema::INVALIDATE);
    let [path_at, tag_at, host_at] = ["path", "tag", "host"].map(|key| keys.key(key));
    let modes = PurgeMode::ALL.map(|mode| (mode.as_str(), mode));
    let mode = keys.key("mode").choice(&modes).unwrap_or(PurgeMode::Delete);
    if path_at.is_set() == tag_at.is_set() {
        at.wrong("names neither or both of path and tag", "write path: /products/{id}, or tag: product-{id}");
        return None;
    }
    if tag_at.is_set() {
        if host_at.is_set() {
            host_at.wrong("has no effect with a tag", "take it out; a tag is purged on every host");
        }
        let tag = template(&tag_at, patterns, tag)?;
        return Some(Invalidation { what: Invalidated::Tag(tag), mode });
    }
    let path = template(&path_at, patterns, path)?;
    Some(Invalidation { what: Invalidated::Path { path, host: host_at.read(hosts::host) }, mode })
}

fn templates(at: &At<'_>, patterns: &[Pattern], shape: fn(&str) -> Result<(), Wrong>) -> Vec<Template> {
    let items = at.items();
    if items.len() > MAX_TEMPLATES {
        at.wrong(format!("has more than {MAX_TEMPLATES} entries"), "write fewer");
    }
    items.iter().filter_map(|item| template(item, patterns, shape)).collect()
}

/// A text whose parameters every pattern of the route has.
fn template(at: &At<'_>, patterns: &[Pattern], shape: fn(&str) -> Result<(), Wrong>) -> Option<Template> {
    let template = at.need(|text| {
        shape(text)?;
        Template::parse(text).map_err(|problem| Wrong::new(problem, "write {name} for a parameter of match"))
    })?;
    for name in template.parameters() {
        let Some(pattern) = patterns.iter().find(|pattern| !pattern.has_parameter(name)) else { continue };
        at.wrong(format!("{{{name}}} is no parameter of {}", pattern.text), "use a parameter that match names");
        return None;
    }
    Some(template)
}

fn tag(text: &str) -> Result<(), Wrong> {
    let separates = |c: char| c == ',' || c.is_whitespace() || c.is_control();
    if text.is_empty() || text.len() > MAX_TEMPLATE || text.contains(separates) {
        return Err(Wrong::new("is not a tag", "write one word, as in product-{id}"));
    }
    Ok(())
}

fn path(text: &str) -> Result<(), Wrong> {
    let remedy = "write a path, as in /products/{id}, or { tag: \"product-{id}\" }";
    if !text.starts_with('/') || text.len() > MAX_TEMPLATE {
        return Err(Wrong::new("is not a path", remedy));
    }
    if text.contains(['?', '#']) {
        return Err(Wrong::new("is more than a path", "write the path alone; all its queries are purged"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return Err(Wrong::new("has a character that is in no path", remedy));
    }
    Ok(())
}

/// `bypass.draft`: `{ cookie: NAME }`, or `none`.
pub(super) fn draft_cookie(at: &At<'_>) -> Option<Box<str>> {
    if at.shape() == Shape::Scalar {
        let remedy = "write { cookie: NAME }, or none";
        return match at.read(|text| if text == "none" { Ok(()) } else { Err(Wrong::new("is not known here", remedy)) })
        {
            Some(()) => None,
            None => Some(DRAFT_COOKIE.into()),
        };
    }
    let cookie = at.section(&schema::DRAFT).key("cookie").read(names::cookie);
    Some(cookie.unwrap_or_else(|| DRAFT_COOKIE.into()))
}
