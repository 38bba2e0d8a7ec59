//! What a request is: malformed, not ours, a bypass, or a lookup of one page (DESIGN §2.1, §2.2).
//! Everything hostile about a request is decided here, before any page is looked at. It does not know
//! what is stored; that is the lookup's business.

mod bypass;
mod invalidation;
mod listed;
mod own;
mod sought;

pub use bypass::{Bypass, BypassReason, Effect};
pub use invalidation::invalidates;
pub use own::Own;
pub use sought::{Sought, Understood};

use super::connection;
use super::cookies::Cookies;
use super::forwarded;
use super::host::Host;
use super::key::{Key, KeyBuffer, KeyWriter};
use super::query::{self, Counted, RscParameter, TooManyParameters};
use super::render_request::{keyed_names, write_keyed};
use super::request_fields::{Known, RequestFields};
use super::route::RouteTable;
use super::target::readings::{further_readings, without_slash};
use super::target::{Encoding, Resource, Target};
use crate::config::{CacheMode, Config, OriginId, Route, RouteId, Scheme};
use http::Method;
use sought::{Found, Query};
use std::net::IpAddr;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request-target as it stands in the request line (for HTTP/2: `:path`).
    pub target: &'a [u8],
    /// All fields as they came (for HTTP/2: with `:authority` as `Host`).
    pub headers: RequestFields<'a>,
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
    /// The list of a route says that there is no such path: 404, and the origin is not asked.
    Unlisted {
        /// The route whose list it is.
        by: RouteId,
        /// The request as a bypass, for an editor who sees drafts and has proved it.
        draft: Bypass,
    },
    /// It asks for something of ours, below `/.breadbox`: no route has it and no origin hears of it.
    Own(Own),
    /// It goes to the origin as it is.
    Bypass(Bypass),
    /// It asks for a page that may be stored.
    Lookup(Box<Wanted>),
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

static RSC: Known = Known::new("rsc");
static HOST: Known = Known::new("host");
static AUTHORIZATION: Known = Known::new("authorization");
static CONTENT_LENGTH: Known = Known::new("content-length");
static TRANSFER_ENCODING: Known = Known::new("transfer-encoding");
static UPGRADE: Known = Known::new("upgrade");

/// Decides what a request is.
pub fn admit(config: &Config, table: &RouteTable, incoming: &Incoming<'_>) -> Admission {
    match judge(config, table, incoming, &mut KeyBuffer::default()) {
        Judged::Malformed(what) => Admission::Malformed(what),
        Judged::Misdirected => Admission::Misdirected,
        Judged::Unlisted { by, understood } => {
            Admission::Unlisted { by, draft: understood.bypass(incoming, BypassReason::Draft) }
        }
        Judged::Own(own) => Admission::Own(own),
        Judged::Bypass(understood, reason) => Admission::Bypass(understood.bypass(incoming, reason)),
        Judged::Lookup(sought) => Admission::Lookup(Box::new(sought.wanted(config, incoming))),
    }
}

/// The same as [`Admission`], borrowed from the request and from the buffer that its key was written into.
#[derive(Debug)]
pub enum Judged<'a, 'k> {
    /// It cannot be understood.
    Malformed(&'static str),
    /// Its host is not served here.
    Misdirected,
    /// The list of a route says that there is no such path.
    Unlisted {
        /// The route whose list it is.
        by: RouteId,
        /// What was understood.
        understood: Understood<'a>,
    },
    /// It asks for something of ours.
    Own(Own),
    /// It goes to the origin as it is.
    Bypass(Understood<'a>, BypassReason),
    /// It asks for a page that may be stored.
    Lookup(Sought<'a, 'k>),
}

/// Decides what a request is. Where its target and its host are in their normal forms, as nearly all are,
/// nothing is allocated.
pub fn judge<'a, 'k>(
    config: &Config,
    table: &RouteTable,
    incoming: &Incoming<'a>,
    key: &'k mut KeyBuffer,
) -> Judged<'a, 'k> {
    let (resource, host) = match understand(incoming) {
        Ok(understood) => understood,
        Err(what) => return Judged::Malformed(what),
    };
    if config.hosts.as_ref().is_some_and(|hosts| !hosts.iter().any(|entry| host.is_meant_by(entry))) {
        return Judged::Misdirected;
    }
    if let Some(resource) = resource.as_ref().filter(|resource| own::is_own(resource)) {
        return Judged::Own(Own { host: host.name().into(), path: resource.path.clone().into_owned() });
    }
    let route = resource.as_ref().and_then(|resource| table.find(&host, &resource.path));
    let origin = route.map_or(OriginId(0), |route| config.route(route).origin);
    let fixed = config.origin(origin).public_scheme;
    let scheme = fixed.unwrap_or_else(|| forwarded::client_scheme(config, incoming));
    let understood = Understood { route, origin, scheme, host, resource };
    if let Some(by) = listed::refused_by(table, &understood) {
        return Judged::Unlisted { by, understood };
    }
    let request = Request { config, table, incoming };
    match request.sought(&understood, key) {
        Ok((id, found)) => Judged::Lookup(Sought { route: id, understood, found }),
        Err(reason) => Judged::Bypass(understood, reason),
    }
}

/// What the request-target names (nothing for `*`) and on which host (RFC 9112 §3.2, §3.2.2).
fn understand<'a>(incoming: &Incoming<'a>) -> Result<(Option<Resource<'a>>, Host<'a>), &'static str> {
    let target = Target::parse(incoming.target).map_err(|_| "target")?;
    let field = incoming.headers.only(&HOST).ok_or("host")?;
    // Also where the target's authority wins, an invalid field makes the request malformed.
    let host = Host::parse(field).map_err(|_| "host")?;
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

/// A request that was understood.
struct Request<'r, 'a> {
    config: &'r Config,
    table: &'r RouteTable,
    incoming: &'r Incoming<'a>,
}

impl<'a> Request<'_, 'a> {
    /// The page the request asks for and its route, or why it is a bypass.
    fn sought<'k>(
        &self,
        understood: &Understood<'a>,
        buffer: &'k mut KeyBuffer,
    ) -> Result<(RouteId, Found<'k>), BypassReason> {
        let resource = understood.resource.as_ref().ok_or(BypassReason::Method)?;
        check_message(self.incoming)?;
        let id = understood.route.ok_or(BypassReason::NoRoute)?;
        let route = self.config.route(id);
        check_route(route, self.incoming.headers)?;
        self.check_path(resource, &understood.host, id)?;
        if resource.raw_query.is_some_and(|query| query.len() > MAX_QUERY) {
            return Err(BypassReason::Query);
        }
        let found = if route.cache.is_anonymous() {
            self.anonymous(understood, resource, route, buffer)
        } else {
            untouched(understood, resource, buffer)
        };
        Ok((id, found?))
    }

    /// The key on `isr` and `static`: only what counts is in it.
    fn anonymous<'k>(
        &self,
        understood: &Understood<'a>,
        resource: &Resource<'a>,
        route: &Route,
        buffer: &'k mut KeyBuffer,
    ) -> Result<Found<'k>, BypassReason> {
        let headers = self.incoming.headers;
        let is_rsc = route.vary.keys_on_rsc() && headers.has(&RSC);
        let counted = match resource.raw_query {
            Some(query) => Some(counted(self.config, route, query, is_rsc).map_err(|_| BypassReason::Query)?),
            None => None,
        };
        let counted = counted.as_ref();
        let host = understood.host.authority(understood.scheme);
        let mut key = buffer.start(understood.scheme, &host, &resource.path, |out| {
            counted.is_some_and(|counted| counted.write_identity(out))
        });
        write_variant(route, headers, counted, &mut key);
        if key.variant_len() > MAX_VARIANT {
            return Err(BypassReason::Vary);
        }
        let has_tracking = counted.is_some_and(Counted::has_tracking);
        Ok(Found { key: key.finish(), query: Query::Counts { has_tracking }, is_rsc })
    }

    /// The path must mean one thing only, as far as it matters: no reading of it may lead to a route
    /// on which this request would be a bypass.
    fn check_path(&self, resource: &Resource<'_>, host: &Host<'_>, id: RouteId) -> Result<(), BypassReason> {
        if resource.encoding == Encoding::Invalid || resource.path.len() > MAX_PATH {
            return Err(BypassReason::Path);
        }
        if !resource.reads_twice {
            return Ok(());
        }
        // On `headers` a render carries what the visitor sent, so a path without a route is stricter too.
        let cares_for_no_route = self.config.route(id).cache == CacheMode::Headers;
        let is_stricter = |reading: &str| match self.table.find(host, reading) {
            None => cares_for_no_route,
            Some(other) => other != id && check_route(self.config.route(other), self.incoming.headers).is_err(),
        };
        let stricter = match without_slash(&resource.path) {
            Some(path) => is_stricter(path),
            None => {
                let readings = further_readings(&resource.path).map_err(|_| BypassReason::Path)?;
                readings.iter().any(|reading| is_stricter(reading))
            }
        };
        if stricter { Err(BypassReason::Path) } else { Ok(()) }
    }
}

/// What of a query counts on `isr` and `static`.
fn counted<'q>(
    config: &Config,
    route: &Route,
    query: &'q [u8],
    is_rsc: bool,
) -> Result<Counted<'q>, TooManyParameters> {
    let rsc = if is_rsc { RscParameter::Counts } else { RscParameter::NeverCounts };
    query::counted(Some(query), route, &config.tracking, rsc)
}

/// The key on `headers`: the query is part of it as it came.
fn untouched<'a, 'k>(
    understood: &Understood<'a>,
    resource: &Resource<'a>,
    buffer: &'k mut KeyBuffer,
) -> Result<Found<'k>, BypassReason> {
    let query = resource.raw_query.map(std::str::from_utf8).transpose().map_err(|_| BypassReason::Query)?;
    let host = understood.host.authority(understood.scheme);
    let key = buffer.start(understood.scheme, &host, &resource.path, |out| {
        out.extend_from_slice(query.unwrap_or_default().as_bytes());
        query.is_some()
    });
    Ok(Found { key: key.finish(), query: Query::Untouched, is_rsc: false })
}

/// What makes a request a bypass whatever it asks for.
fn check_message(incoming: &Incoming<'_>) -> Result<(), BypassReason> {
    let headers = incoming.headers;
    if !matches!(*incoming.method, Method::GET | Method::HEAD) {
        return Err(BypassReason::Method);
    }
    if headers.has(&UPGRADE) {
        return Err(BypassReason::Upgrade);
    }
    let has_length = headers.all(&CONTENT_LENGTH).any(|length| length != b"0");
    if has_length || headers.has(&TRANSFER_ENCODING) {
        return Err(BypassReason::Body);
    }
    if connection::nominates_what_counts(headers) {
        return Err(BypassReason::Connection);
    }
    Ok(())
}

/// What makes a request a bypass on this route.
fn check_route(route: &Route, headers: RequestFields<'_>) -> Result<(), BypassReason> {
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
    if headers.has(&AUTHORIZATION) {
        return Err(BypassReason::Authorization);
    }
    // Most fields begin with another letter than those that are looked for.
    let begins_so = |name: &str| matches!(name.as_bytes().first(), Some(b'n' | b'N' | b'r' | b'R'));
    let keys_on = |name: &str| route.vary.headers.iter().any(|keyed| keyed.as_str().eq_ignore_ascii_case(name));
    if headers.names().any(|name| begins_so(name) && is_next_router(name) && !keys_on(name)) {
        return Err(BypassReason::Rsc);
    }
    Ok(())
}

/// Fields that make Next.js answer something other than a page (FRAMEWORKS.md 1).
fn is_next_router(name: &str) -> bool {
    const PREFIX: &str = "next-router-";
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    begins(PREFIX) || ["rsc", "next-action"].iter().any(|whole| name.eq_ignore_ascii_case(whole))
}

/// What tells the variants of a URI apart on `isr` and `static`: as many components on every request of a route.
fn write_variant(route: &Route, headers: RequestFields<'_>, counted: Option<&Counted<'_>>, key: &mut KeyWriter<'_>) {
    for name in keyed_names(route) {
        key.component(|out| write_keyed(headers, name, out));
    }
    for name in &route.vary.cookies {
        key.component(|out| Cookies::of(headers).write_keyed(name, out));
    }
    if route.vary.keys_on_rsc() {
        key.component(|out| counted.is_some_and(|counted| counted.write_rsc(out)));
    }
}

#[cfg(test)]
mod tests;
