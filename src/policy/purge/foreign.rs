//! Purges in the form that other caches taught publishing software: `PURGE` of a URL (nginx, Varnish,
//! WordPress' Proxy Cache Purge and its relatives), `BAN` with tags (Drupal's purger, FOSHttpCache),
//! `PURGE` with a pattern of tags (Magento), `PURGEKEYS` (the xkey module).
//!
//! They speak in regular expressions, which are read as what they are used for: lists of tags, hosts
//! or beginnings of paths. An expression that is more than that covers more here, never less. What
//! such software purges it expects to be gone, so pages are deleted, except by a soft purge.

use super::request::{self, MAX_RULES, RequestError};
use super::{Rule, Scope};
use crate::config::{Config, PurgeMode};
use crate::policy::route::RouteTable;
use crate::policy::target::Target;
use http::{HeaderMap, Method};

/// Methods that purge.
const METHODS: [&str; 4] = ["PURGE", "BAN", "URIBAN", "PURGEKEYS"];

/// Request fields that list tags, some of them as an expression.
const TAG_FIELDS: [&str; 9] = [
    "x-magento-tags-pattern",
    "cache-tags",
    "x-cache-tags",
    "cache-tag",
    "surrogate-key",
    "xkey",
    "xkey-purge",
    "xkey-softpurge",
    "x-acquia-purge-tags",
];

/// Fields that say how the URL is meant.
const METHOD_FIELDS: [&str; 2] = ["x-purge-method", "x-vc-purge-method"];

/// Fields that name the host in place of `Host`.
const HOST_FIELDS: [&str; 2] = ["x-vc-purge-host", "x-host"];

/// A purge as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What it covers; never empty.
    pub rules: Vec<Rule>,
    /// What becomes of it.
    pub mode: PurgeMode,
}

/// Whether a method is one of those that purge.
pub fn is_purge(method: &Method) -> bool {
    METHODS.contains(&method.as_str())
}

/// Reads a purge. `target` is the request-target as it came; `host` is the one that was asked, where
/// it can be one of the site's.
///
/// # Errors
/// What is wrong with it.
pub fn read(
    config: &Config,
    table: &RouteTable,
    method: &Method,
    target: &[u8],
    host: Option<&str>,
    headers: &HeaderMap,
) -> Result<Purge, RequestError> {
    let mode = if headers.contains_key("xkey-softpurge") { PurgeMode::Stale } else { PurgeMode::Delete };
    let lists: Vec<&str> = TAG_FIELDS
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .map(|value| std::str::from_utf8(value.as_bytes()).map_err(|_| RequestError::NotATag))
        .collect::<Result<_, _>>()?;
    let rules = if lists.is_empty() { of_url(config, table, method, target, host, headers)? } else { of_tags(&lists)? };
    if rules.len() > MAX_RULES {
        return Err(RequestError::TooMany);
    }
    Ok(Purge { rules, mode })
}

/// Tags are purged on every host.
fn of_tags(lists: &[&str]) -> Result<Vec<Rule>, RequestError> {
    let mut rules = Vec::new();
    for list in lists {
        match words(list) {
            None => return Ok(vec![Rule::anywhere(Scope::All)]),
            Some(words) => rules.extend(request::tags(&words.join(","), None)?),
        }
    }
    Ok(rules)
}

fn of_url(
    config: &Config,
    table: &RouteTable,
    method: &Method,
    target: &[u8],
    host: Option<&str>,
    headers: &HeaderMap,
) -> Result<Vec<Rule>, RequestError> {
    let Ok(Target::Resource(resource)) = Target::parse(target) else { return Err(RequestError::NotAPath) };
    let named = text_of(headers, &HOST_FIELDS).or(match resource.authority {
        Some(authority) => std::str::from_utf8(authority).ok(),
        None => host,
    });
    let hosts = hosts(named)?;
    let given = text_of(headers, &["x-url"]);
    let raw = std::str::from_utf8(&resource.origin_form).map_err(|_| RequestError::NotAPath)?;
    let url = given.unwrap_or(raw);
    let says_regex = text_of(headers, &METHOD_FIELDS).is_some_and(|method| method.eq_ignore_ascii_case("regex"));
    let is_pattern = given.is_some() || says_regex || *method != Method::from_bytes(b"PURGE").unwrap_or_default();
    let mut rules = Vec::new();
    for host in hosts {
        let host = host.as_deref();
        if is_pattern || url.ends_with(".*") {
            rules.push(beginning(url, host)?);
        } else if let Some(start) = url.strip_suffix('*') {
            rules.push(request::prefix(start, host)?);
        } else {
            rules.extend(request::path(config, table, url, host)?);
        }
    }
    Ok(rules)
}

fn text_of<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

/// The hosts that a name, an expression for several, or nothing means; any host where it cannot be told.
fn hosts(named: Option<&str>) -> Result<Vec<Option<Box<str>>>, RequestError> {
    let Some(named) = named else { return Ok(vec![None]) };
    match words(named) {
        None => Ok(vec![None]),
        Some(words) => words.iter().map(|word| request::host(word).map(Some)).collect(),
    }
}

/// The rule for what certainly begins every path that the expression matches.
fn beginning(pattern: &str, host: Option<&str>) -> Result<Rule, RequestError> {
    let start = literal_start(pattern.strip_prefix('^').unwrap_or(pattern));
    // Half a percent-encoding says nothing.
    let tail = start.rfind('%').filter(|at| start.len() - at < 3).unwrap_or(start.len());
    let start = &start[..tail];
    if !start.starts_with('/') {
        let host = host.map(request::host).transpose()?;
        return Ok(Rule { scope: Scope::All, host });
    }
    request::prefix(start.split('?').next().unwrap_or(start), host)
}

/// What stands in front of the first sign that has a meaning in an expression; nothing where there
/// are alternatives.
fn literal_start(pattern: &str) -> String {
    let mut start = String::new();
    let mut signs = pattern.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '|' => return String::new(),
            '\\' => match signs.next() {
                Some(literal) if literal.is_ascii_punctuation() => start.push(literal),
                _ => return alone(start, pattern),
            },
            // A query that nobody escaped.
            '?' if signs.peek().is_some_and(char::is_ascii_alphanumeric) => return alone(start, pattern),
            // What may be repeated may also be missing.
            '*' | '?' | '{' => {
                start.pop();
                return alone(start, pattern);
            }
            '.' if signs.peek().is_some_and(|next| matches!(next, '*' | '+' | '?' | '{')) => {
                return alone(start, pattern);
            }
            '[' | ']' | '(' | ')' | '+' | '^' | '$' => return alone(start, pattern),
            literal => start.push(literal),
        }
    }
    start
}

/// The beginning, unless the expression has alternatives further on.
fn alone(start: String, pattern: &str) -> String {
    if pattern.contains('|') { String::new() } else { start }
}

/// The words of a list, or of an expression that is one: `a b`, `a|b`, `(a|b)(,.+)?$`,
/// `((^|,)a(,|$))|((^|,)b(,|$))`. `None` where it matches more than a list of words.
fn words(list: &str) -> Option<Vec<String>> {
    const DECORATIONS: [&str; 7] = ["(^|,)", "(,|$)", "(,.+)?$", "(^| )", "( |$)", "(^|\\s)", "(\\s|$)"];
    let mut bare = list.to_owned();
    for decoration in DECORATIONS {
        bare = bare.replace(decoration, " ");
    }
    let separates = |c: char| matches!(c, '|' | ',' | '(' | ')') || c.is_whitespace();
    let words = bare.split(separates).map(|word| word.trim_start_matches('^').trim_end_matches('$'));
    words.filter(|word| !word.is_empty()).map(unescaped).collect()
}

/// A word without its backslashes; `None` where another sign of an expression stands in it.
fn unescaped(word: &str) -> Option<String> {
    let mut plain = String::new();
    let mut signs = word.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => plain.push(signs.next().filter(char::is_ascii_punctuation)?),
            '*' | '+' | '?' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            literal => plain.push(literal),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
