//! What a request is: malformed, not ours, a bypass, or a lookup of one page (DESIGN §2.1, §2.2).
//! Everything hostile about a request is decided here, before any page is looked at. It does not know
//! what is stored; that is the lookup's business.

mod bypass;
mod invalidation;

pub use bypass::{Bypass, BypassReason, Effect};
pub use invalidation::invalidates;

use super::connection;
use super::cookies::Cookies;
use super::forwarded;
use super::host::Host;
use super::key::{Key, KeyUri};
use super::query::{self, Counted, RscParameter};
use super::render_request::keyed_fields;
use super::route::RouteTable;
use super::target::readings::further_readings;
use super::target::{Encoding, Resource, Target};
use crate::config::{CacheMode, Config, OriginId, Route, RouteId, Scheme};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::net::IpAddr;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request-target as it stands in the request line (for HTTP/2: `:path`).
    pub target: &'a [u8],
    /// All fields as they came (for HTTP/2: with `:authority` as `Host`).
    pub headers: &'a HeaderMap,
    /// Whether the listener speaks TLS.
    pub listener_scheme: Scheme,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
}

/// What a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It cannot be understood: 400. The word says what, for the log.
    Malformed(&'static str),
    /// Its host is not served here: 421.
    Misdirected,
    /// It asks for something of ours, below `/.breadbox`: no route has it and no origin hears of it.
    Own(Own),
    /// It goes to the origin as it is.
    Bypass(Bypass),
    /// It asks for a page that may be stored.
    Lookup(Box<Wanted>),
}

/// Something below [`OWN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The name of the host, normalised, without a port.
    pub host: Box<str>,
    /// The path in its normal form.
    pub path: String,
}

/// The page a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The route that takes it.
    pub route: RouteId,
    /// Who renders it.
    pub origin: OriginId,
    /// What identifies it: on `headers` routes without a variant, which only its response can tell.
    pub key: Key,
    /// The scheme as the client sees it.
    pub scheme: Scheme,
    /// The host, normalised, with a port that is not the default.
    pub host: Box<str>,
    /// The request-target in origin-form that a render sends.
    pub target: String,
    /// The client's own tracking parameters (`a=1&b=2`), to be appended to a redirect.
    pub tracking: Option<String>,
    /// HEAD, answered from GET's page.
    pub method_is_head: bool,
    /// The request carries the `RSC` field and the route keys on it: the page is none in HTML (FRAMEWORKS.md 1).
    pub is_rsc: bool,
    /// What the request is if it cannot be answered from a page; its reason is not known yet.
    otherwise: Bypass,
}

impl Wanted {
    /// The request as a bypass, where it turns out that no page can answer it.
    pub fn bypass(&self, reason: BypassReason) -> Bypass {
        Bypass { reason, ..self.otherwise.clone() }
    }
}

/// Bytes of a path that is looked up.
const MAX_PATH: usize = 8 << 10;
/// Bytes of a query that is looked up.
const MAX_QUERY: usize = 8 << 10;
/// Bytes of all that tells a variant apart.
const MAX_VARIANT: usize = 8 << 10;

pub use crate::uri::path::OWN;

const RSC: HeaderName = HeaderName::from_static("rsc");

/// Decides what a request is.
pub fn admit(config: &Config, table: &RouteTable, incoming: &Incoming<'_>) -> Admission {
    let (resource, host) = match understand(incoming) {
        Ok(understood) => understood,
        Err(what) => return Admission::Malformed(what),
    };
    if config.hosts.as_ref().is_some_and(|hosts| !hosts.iter().any(|entry| host.is_meant_by(entry))) {
        return Admission::Misdirected;
    }
    if let Some(resource) = resource.as_ref().filter(|resource| is_own(&resource.path)) {
        return Admission::Own(Own { host: host.name().into(), path: resource.path.clone() });
    }
    let route = resource.as_ref().and_then(|resource| table.find(&host, &resource.path));
    let bypass = bypass(config, incoming, resource.as_ref(), route, &host);
    let request = Request { config, table, incoming, host };
    match resource.ok_or(BypassReason::Method).and_then(|resource| request.wanted(&resource, &bypass)) {
        Ok(wanted) => Admission::Lookup(Box::new(wanted)),
        Err(reason) => Admission::Bypass(Bypass { reason, ..bypass }),
    }
}

/// Whether a path is ours, or somebody could read it so.
fn is_own(path: &str) -> bool {
    let below = |path: &str| path.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below(path) {
        return true;
    }
    let looks_so = memchr::memmem::find(path.as_bytes(), OWN.trim_start_matches("/.").as_bytes()).is_some();
    looks_so && further_readings(path).map_or(true, |readings| readings.iter().any(|reading| below(reading)))
}

/// What the request-target names (nothing for `*`) and on which host (RFC 9112 §3.2, §3.2.2).
fn understand<'a>(incoming: &Incoming<'a>) -> Result<(Option<Resource<'a>>, Host), &'static str> {
    let target = Target::parse(incoming.target).map_err(|_| "target")?;
    let mut fields = incoming.headers.get_all(HOST).iter();
    let field = fields.next().ok_or("host")?;
    if fields.next().is_some() {
        return Err("host");
    }
    // Also where the target's authority wins, an invalid field makes the request malformed.
    let host = Host::parse(field.as_bytes()).map_err(|_| "host")?;
    match target {
        _ if *incoming.method == Method::CONNECT => Err("method"),
        Target::Asterisk if *incoming.method != Method::OPTIONS => Err("target"),
        Target::Asterisk => Ok((None, host)),
        Target::Resource(resource) => {
            let host = resource.authority.map_or(Ok(host), Host::parse).map_err(|_| "host")?;
            Ok((Some(resource), host))
        }
    }
}

/// The request as a bypass; its reason is yet to be found.
fn bypass(
    config: &Config,
    incoming: &Incoming<'_>,
    resource: Option<&Resource<'_>>,
    route: Option<RouteId>,
    host: &Host,
) -> Bypass {
    let origin = route.map_or(OriginId(0), |route| config.route(route).origin);
    let fixed = config.origin(origin).public_scheme;
    let scheme = fixed.unwrap_or_else(|| forwarded::client_scheme(config, incoming));
    Bypass {
        reason: BypassReason::Method,
        origin,
        route,
        scheme,
        host: host.authority(scheme).into(),
        target: resource.map_or(&b"*"[..], |resource| &resource.origin_form).into(),
        effect: if incoming.method.is_safe() { Effect::Safe } else { Effect::Unsafe },
    }
}

/// A request that was understood.
struct Request<'a> {
    config: &'a Config,
    table: &'a RouteTable,
    incoming: &'a Incoming<'a>,
    host: Host,
}

impl Request<'_> {
    /// The page the request asks for, or why it is a bypass.
    fn wanted(&self, resource: &Resource<'_>, bypass: &Bypass) -> Result<Wanted, BypassReason> {
        check_message(self.incoming)?;
        let id = bypass.route.ok_or(BypassReason::NoRoute)?;
        let route = self.config.route(id);
        check_route(route, self.incoming.headers)?;
        self.check_path(resource, id)?;
        if resource.raw_query.is_some_and(|query| query.len() > MAX_QUERY) {
            return Err(BypassReason::Query);
        }
        let wanted = Wanted {
            route: id,
            origin: bypass.origin,
            key: Key::of(KeyUri { scheme: bypass.scheme, host: &bypass.host, path: &resource.path, query: None }),
            scheme: bypass.scheme,
            host: bypass.host.clone(),
            target: resource.path.clone(),
            tracking: None,
            method_is_head: *self.incoming.method == Method::HEAD,
            is_rsc: false,
            otherwise: bypass.clone(),
        };
        if route.cache.is_anonymous() { self.anonymous(resource, route, wanted) } else { untouched(resource, wanted) }
    }

    /// Completes what is wanted on `isr` and `static`: only what counts is in the key.
    fn anonymous(&self, resource: &Resource<'_>, route: &Route, wanted: Wanted) -> Result<Wanted, BypassReason> {
        let headers = self.incoming.headers;
        let is_rsc = route.vary.keys_on_rsc() && headers.contains_key(RSC);
        let rsc = if is_rsc { RscParameter::Counts } else { RscParameter::NeverCounts };
        let counted = query::counted(resource.raw_query, route, &self.config.tracking, rsc);
        let counted = counted.map_err(|_| BypassReason::Query)?;
        let variant = variant(route, headers, &counted);
        if variant.iter().flatten().map(Vec::len).sum::<usize>() > MAX_VARIANT {
            return Err(BypassReason::Vary);
        }
        let uri = KeyUri { query: counted.identity.as_deref(), ..wanted.key.uri() };
        let key = Key::with_components(uri, variant.iter().map(Option::as_deref));
        let target = with_query(&resource.path, counted.sent.as_deref());
        Ok(Wanted { key, target, tracking: counted.tracking, is_rsc, ..wanted })
    }

    /// The path must mean one thing only, as far as it matters: no reading of it may lead to a route
    /// on which this request would be a bypass.
    fn check_path(&self, resource: &Resource<'_>, id: RouteId) -> Result<(), BypassReason> {
        if resource.encoding == Encoding::Invalid || resource.path.len() > MAX_PATH {
            return Err(BypassReason::Path);
        }
        let readings = further_readings(&resource.path).map_err(|_| BypassReason::Path)?;
        // On `headers` a render carries what the visitor sent, so a path without a route is stricter too.
        let cares_for_no_route = self.config.route(id).cache == CacheMode::Headers;
        let is_stricter = |reading: &String| match self.table.find(&self.host, reading) {
            None => cares_for_no_route,
            Some(other) => other != id && check_route(self.config.route(other), self.incoming.headers).is_err(),
        };
        if readings.iter().any(is_stricter) { Err(BypassReason::Path) } else { Ok(()) }
    }
}

/// Completes what is wanted on `headers`: the query is part of the key as it came.
fn untouched(resource: &Resource<'_>, wanted: Wanted) -> Result<Wanted, BypassReason> {
    let query = resource.raw_query.map(std::str::from_utf8).transpose().map_err(|_| BypassReason::Query)?;
    let key = Key::of(KeyUri { query, ..wanted.key.uri() });
    Ok(Wanted { key, target: with_query(&resource.path, query), ..wanted })
}

/// What makes a request a bypass whatever it asks for.
fn check_message(incoming: &Incoming<'_>) -> Result<(), BypassReason> {
    let headers = incoming.headers;
    if !matches!(*incoming.method, Method::GET | Method::HEAD) {
        return Err(BypassReason::Method);
    }
    if headers.contains_key(UPGRADE) {
        return Err(BypassReason::Upgrade);
    }
    let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(BypassReason::Body);
    }
    if connection::nominates_what_counts(headers) {
        return Err(BypassReason::Connection);
    }
    Ok(())
}

/// What makes a request a bypass on this route.
fn check_route(route: &Route, headers: &HeaderMap) -> Result<(), BypassReason> {
    if route.cache == CacheMode::Off {
        return Err(BypassReason::Off);
    }
    let cookies = Cookies::of(headers);
    if cookies.ask_for_a_draft(route.draft_cookie.as_deref()) {
        return Err(BypassReason::Draft);
    }
    if cookies.make_a_bypass(&route.bypass_cookies) {
        return Err(BypassReason::Cookie);
    }
    if !route.cache.is_anonymous() {
        return Ok(());
    }
    if headers.contains_key(AUTHORIZATION) {
        return Err(BypassReason::Authorization);
    }
    if headers.keys().any(|name| is_next_router(name) && !route.vary.headers.contains(name)) {
        return Err(BypassReason::Rsc);
    }
    Ok(())
}

/// Fields that make Next.js answer something other than a page (FRAMEWORKS.md 1).
fn is_next_router(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("next-router-") || matches!(name, "rsc" | "next-action")
}

/// What tells the variants of a URI apart on `isr` and `static`: as many components on every request of a route.
fn variant(route: &Route, headers: &HeaderMap, counted: &Counted) -> Vec<Option<Vec<u8>>> {
    let fields =
        keyed_fields(route, headers).map(|(_, value)| value.as_ref().map(HeaderValue::as_bytes).map(<[u8]>::to_vec));
    let cookies = route.vary.cookies.iter().map(|name| Cookies::of(headers).keyed(name));
    let rsc = (!counted.rsc.is_empty()).then(|| counted.rsc.join("&").into_bytes());
    fields.chain(cookies).chain(route.vary.keys_on_rsc().then_some(rsc)).collect()
}

fn with_query(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests;
