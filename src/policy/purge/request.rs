//! From what somebody wrote to the rules that it means: hosts, paths, prefixes and tags in the form in
//! which pages are known (DESIGN §2.1, §5).

use super::{Rule, Scope};
use crate::config::{Config, Scheme};
use crate::policy::host::Host;
use crate::policy::percent::Encoding;
use crate::policy::query::{self, RscParameter};
use crate::policy::route::RouteTable;
use crate::policy::tags::MAX_TAG_BYTES;
use crate::policy::target::{Resource, Target};
use std::collections::BTreeSet;
use thiserror::Error;

/// Rules that one request may make.
pub const MAX_RULES: usize = 4096;

/// Why something cannot be purged: a sentence for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// No path, or a URL of another scheme.
    #[error("is not a path; write /products/1, or https://host/products/1")]
    NotAPath,
    /// `%` without two hex digits.
    #[error("has a % that is no percent-encoding")]
    Encoding,
    /// A URL, and a host beside it.
    #[error("names a host, and `host` names another")]
    TwoHosts,
    /// No host.
    #[error("is not a host; write shop.example.com, or shop.example.com:8080 for one port")]
    NotAHost,
    /// A prefix is of paths.
    #[error("has a query; a prefix is the beginning of a path")]
    PrefixWithQuery,
    /// More parameters than any page has.
    #[error("has too many query parameters")]
    TooManyParameters,
    /// Empty, too long, or with control characters.
    #[error("is not a tag; a tag is a word of at most 256 bytes")]
    NotATag,
    /// More than [`MAX_RULES`].
    #[error("names more than 4096 things at once; send several requests, or purge a tag or a prefix")]
    TooMany,
}

/// A host in the form that rules have: the default port of either scheme taken off.
///
/// # Errors
/// [`RequestError::NotAHost`].
pub fn host(text: &str) -> Result<Box<str>, RequestError> {
    let host = Host::parse(text.as_bytes()).map_err(|_| RequestError::NotAHost)?;
    let [http, https] = [Scheme::Http, Scheme::Https].map(|scheme| host.authority(scheme));
    Ok(if http.len() < https.len() { http } else { https }.into())
}

/// The rules for a path or URL: all its queries, unless it has one; all hosts, unless one is named.
///
/// # Errors
/// What is wrong with it.
pub fn path(config: &Config, table: &RouteTable, text: &str, host: Option<&str>) -> Result<Vec<Rule>, RequestError> {
    let (resource, host) = resource(text, host)?;
    let path: Box<str> = resource.path.as_ref().into();
    let Some(query) = resource.raw_query else {
        return Ok(vec![Rule { scope: Scope::Path(path), host }]);
    };
    let queries = queries(config, table, &resource.path, query, host.as_deref())?;
    let rule = |query: Option<String>| {
        let scope = Scope::Uri { path: path.clone(), query: query.map(Into::into) };
        Rule { scope, host: host.clone() }
    };
    Ok(queries.into_iter().map(rule).collect())
}

/// The rule for all paths that begin with this one.
///
/// # Errors
/// What is wrong with it.
pub fn prefix(text: &str, host: Option<&str>) -> Result<Rule, RequestError> {
    let (resource, host) = resource(text, host)?;
    if resource.raw_query.is_some() {
        return Err(RequestError::PrefixWithQuery);
    }
    Ok(Rule { scope: Scope::Prefix(resource.path.into()), host })
}

/// The rules for tags, separated by commas or white space as in the fields that carry them.
///
/// # Errors
/// [`RequestError::NotATag`].
pub fn tags(text: &str, host: Option<&str>) -> Result<Vec<Rule>, RequestError> {
    let host = host.map(self::host).transpose()?;
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let rules: Result<Vec<Rule>, RequestError> = words
        .map(|tag| {
            if tag.len() > MAX_TAG_BYTES || tag.contains(char::is_control) {
                return Err(RequestError::NotATag);
            }
            Ok(Rule { scope: Scope::Tag(tag.into()), host: host.clone() })
        })
        .collect();
    rules.and_then(|rules| if rules.is_empty() { Err(RequestError::NotATag) } else { Ok(rules) })
}

fn resource<'a>(text: &'a str, beside: Option<&str>) -> Result<(Resource<'a>, Option<Box<str>>), RequestError> {
    let Ok(Target::Resource(resource)) = Target::parse(text.as_bytes()) else { return Err(RequestError::NotAPath) };
    if resource.encoding == Encoding::Invalid {
        return Err(RequestError::Encoding);
    }
    let named = resource.authority.map(|authority| std::str::from_utf8(authority).unwrap_or_default());
    let host = match (named, beside) {
        (Some(_), Some(_)) => return Err(RequestError::TwoHosts),
        (named, beside) => named.or(beside).map(host).transpose()?,
    };
    Ok((resource, host))
}

/// The queries under which pages of this one may be known: which parameters count is the route's
/// choice, and which route it is may depend on the host.
fn queries(
    config: &Config,
    table: &RouteTable,
    path: &str,
    query: &[u8],
    host: Option<&str>,
) -> Result<BTreeSet<Option<String>>, RequestError> {
    // A host that no route names stands for all those.
    const ANY_OTHER: &str = "other.invalid";
    let named = config.routes.iter().filter_map(|route| route.host.as_deref());
    let hosts: BTreeSet<&str> = host.map_or_else(|| named.chain([ANY_OTHER]).collect(), |host| [host].into());
    let mut queries = BTreeSet::new();
    for host in hosts.into_iter().filter_map(|host| Host::parse(host.as_bytes()).ok()) {
        let Some(route) = table.find(&host, path).map(|id| config.route(id)) else { continue };
        if route.cache.is_anonymous() {
            let counted = query::counted(Some(query), route, &config.tracking, RscParameter::NeverCounts);
            queries.insert(counted.map_err(|_| RequestError::TooManyParameters)?.identity());
        } else {
            queries.insert(Some(String::from_utf8_lossy(query).into_owned()));
        }
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CacheMode;
    use crate::policy::testing;

    fn rules(text: &str, host: Option<&str>) -> Result<Vec<Rule>, RequestError> {
        let mut raw = testing::route("/raw/{*rest}");
        raw.cache = CacheMode::Headers;
        let mut other = testing::route("/{*rest}");
        other.host = Some("b.com".into());
        other.query = crate::config::QueryRule::None;
        let config = testing::config(vec![testing::route("/{*rest}"), raw, other]);
        path(&config, &RouteTable::new(&config).unwrap(), text, host)
    }

    fn uri(path: &str, query: Option<&str>, host: Option<&str>) -> Rule {
        Rule { scope: Scope::Uri { path: path.into(), query: query.map(Into::into) }, host: host.map(Into::into) }
    }

    #[test]
    fn a_path_is_brought_into_its_normal_form() {
        for text in ["/b", "/%62", "/a/../b"] {
            assert_eq!(rules(text, None), Ok(vec![Rule::anywhere(Scope::Path("/b".into()))]), "{text}");
        }
        let on_host = Rule { scope: Scope::Path("/b".into()), host: Some("a.com".into()) };
        for (text, host) in [("HTTPS://A.com:443/b", None), ("http://a.com./b", None), ("/b", Some("A.com:80"))] {
            assert_eq!(rules(text, host), Ok(vec![on_host.clone()]), "{text}");
        }
    }

    #[test]
    fn a_query_is_known_as_the_pages_know_it_on_every_host() {
        assert_eq!(rules("/x?b&utm_source=1&a", Some("a.com")), Ok(vec![uri("/x", Some("a&b"), Some("a.com"))]));
        assert_eq!(rules("/x?b&a", None), Ok(vec![uri("/x", None, None), uri("/x", Some("a&b"), None)]));
        assert_eq!(rules("/raw/x?b&a", Some("a.com")), Ok(vec![uri("/raw/x", Some("b&a"), Some("a.com"))]));
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_reason() {
        for (text, host, why) in [
            ("", None, RequestError::NotAPath),
            ("a", None, RequestError::NotAPath),
            ("/a b", None, RequestError::NotAPath),
            ("/a#b", None, RequestError::NotAPath),
            ("*", None, RequestError::NotAPath),
            ("ftp://a/b", None, RequestError::NotAPath),
            ("/%zz", None, RequestError::Encoding),
            ("/a", Some("a/b"), RequestError::NotAHost),
            ("http://a@b/c", None, RequestError::NotAHost),
            ("http://a/b", Some("a"), RequestError::TwoHosts),
        ] {
            assert_eq!(rules(text, host), Err(why), "{text}");
        }
        assert_eq!(prefix("/a?b", None), Err(RequestError::PrefixWithQuery));
    }

    #[test]
    fn tags_are_separated_as_in_answers() {
        let tag = |tag: &str| Rule::anywhere(Scope::Tag(tag.into()));
        assert_eq!(tags(" a, b\tc:1 ", None), Ok(vec![tag("a"), tag("b"), tag("c:1")]));
        for text in ["", " ,", "\u{1}", &"x".repeat(257)] {
            assert_eq!(tags(text, None), Err(RequestError::NotATag), "{text:?}");
        }
    }
}
