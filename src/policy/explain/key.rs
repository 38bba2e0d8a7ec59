//! What identifies the page of a request: what counted of the URL, the fields and the cookies, and what
//! was left out.

use super::asked::Asked;
use crate::config::{Config, QueryRule, Route};
use crate::policy::admission::Wanted;
use crate::policy::cookies::Cookies;
use crate::policy::query::{RscParameter, Weight, weighed};
use crate::policy::render_request::keyed_fields;
use crate::policy::target::Target;
use http::header::{COOKIE, HOST};
use serde::Serialize;

/// A key, taken apart.
#[derive(Clone, Debug, Serialize)]
pub struct KeyParts {
    /// `http` or `https`, as the client sees it.
    pub scheme: &'static str,
    /// The host, with a port that is not the default.
    pub host: String,
    /// The normal form of the path.
    pub path: String,
    /// The query that counts, as it is in the key.
    pub query: Option<String>,
    /// Every parameter, in the order in which they came.
    pub parameters: Vec<Parameter>,
    /// What the route keys on, and what the request has there.
    pub variant: Vec<Keyed>,
    /// Names of fields and cookies that were sent and do not count.
    pub ignored: Vec<String>,
}

/// A query parameter.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Name and value in their normal form.
    pub parameter: String,
    /// `counts`, `tracking` or `not-listed`.
    pub weight: &'static str,
}

/// Something that the route keys on.
#[derive(Clone, Debug, Serialize)]
pub struct Keyed {
    /// `header accept-language` or `cookie currency`.
    pub what: String,
    /// What the request has there; nothing is not the same as an empty value.
    pub value: Option<String>,
}

/// The key of `wanted`, which `asked` asks for.
pub(super) fn parts(config: &Config, asked: &Asked, wanted: &Wanted) -> KeyParts {
    let route = config.route(wanted.route);
    let uri = wanted.key.uri();
    KeyParts {
        scheme: uri.scheme.as_str(),
        host: uri.host.to_owned(),
        path: uri.path.to_owned(),
        query: uri.query.map(str::to_owned),
        parameters: parameters(config, route, asked, wanted),
        variant: if route.cache.is_anonymous() { variant(route, asked) } else { Vec::new() },
        ignored: if route.cache.is_anonymous() { ignored(route, asked) } else { Vec::new() },
    }
}

fn parameters(config: &Config, route: &Route, asked: &Asked, wanted: &Wanted) -> Vec<Parameter> {
    let Ok(Target::Resource(resource)) = Target::parse(asked.target()) else { return Vec::new() };
    let rsc = if wanted.is_rsc { RscParameter::Counts } else { RscParameter::NeverCounts };
    let anonymous = route.cache.is_anonymous();
    // On `headers` the query is part of the key as it came, whatever is in it.
    let rule = if anonymous { &route.query } else { &QueryRule::All };
    let parameters = weighed(resource.raw_query, rule, &config.tracking, rsc).into_iter();
    parameters
        .map(|parameter| Parameter {
            parameter: parameter.normal,
            weight: match parameter.weight {
                _ if !anonymous => "counts",
                Weight::Counts => "counts",
                Weight::Tracking => "tracking",
                Weight::Nothing => "not-listed",
            },
        })
        .collect()
}

/// Names and normal forms of the parameters of `target` that are in the key of `wanted`.
pub(crate) fn parameters_that_count(config: &Config, wanted: &Wanted, target: &[u8]) -> Vec<(String, String)> {
    let Ok(Target::Resource(resource)) = Target::parse(target) else { return Vec::new() };
    let route = config.route(wanted.route);
    let anonymous = route.cache.is_anonymous();
    let rule = if anonymous { &route.query } else { &QueryRule::All };
    let parameters = weighed(resource.raw_query, rule, &config.tracking, RscParameter::NeverCounts).into_iter();
    let counts = parameters.filter(|parameter| !anonymous || parameter.weight == Weight::Counts);
    counts.map(|parameter| (parameter.name, parameter.normal)).collect()
}

fn variant(route: &Route, asked: &Asked) -> Vec<Keyed> {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = keyed_fields(route, asked.headers())
        .map(|(name, value)| Keyed { what: format!("header {name}"), value: value.map(|v| shown(v.as_bytes())) });
    let cookies = route.vary.cookies.iter().map(|name| Keyed {
        what: format!("cookie {name}"),
        value: Cookies::of(asked.headers()).keyed(name).map(|value| shown(&value)),
    });
    fields.chain(cookies).collect()
}

fn ignored(route: &Route, asked: &Asked) -> Vec<String> {
    let counts = |name: &http::HeaderName| keyed_fields(route, asked.headers()).any(|(keyed, _)| keyed == name);
    let fields = asked.headers().keys().filter(|name| **name != HOST && **name != COOKIE && !counts(name));
    let cookies = Cookies::of(asked.headers()).names();
    let cookies = cookies.filter(|name| !route.vary.cookies.iter().any(|keyed| keyed.as_bytes() == *name));
    let cookies = cookies.map(|name| format!("cookie {}", String::from_utf8_lossy(name)));
    fields.map(|name| format!("header {name}")).chain(cookies).collect()
}
