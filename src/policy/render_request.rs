//! What exactly a render sends to the origin (DESIGN §2.4). On `isr` and `static` it is written anew
//! from the key and what the route keys on, so nothing else of a visitor can get into a page; on
//! `headers` it is the request that started it, without what belongs to its connection, its
//! conditionals and its ranges.

use super::admission::Wanted;
use super::connection::is_hop_by_hop;
use super::cookies::Cookies;
use super::fields::Fields;
use super::forwarded::{FORWARDED_HOST, FORWARDED_PROTO, host_value, is_forwarding};
use super::request_fields::RequestFields;
use super::request_id::{REQUEST_ID, RequestId};
use crate::config::{Config, Route};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, USER_AGENT,
};
use http::{HeaderName, HeaderValue};

/// The request of a render; the method is always GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderRequest {
    /// The request-target in origin-form.
    pub target: String,
    /// `Host`.
    pub host: HeaderValue,
    /// All other fields.
    pub fields: Fields,
}

impl RenderRequest {
    /// Carries this name, whatever it carried before.
    pub fn set_id(&mut self, id: &RequestId) {
        self.fields.set(REQUEST_ID, id.header_value());
    }

    /// The name it carries; `fresh` from now on where it carries none, or one that is not well-formed.
    pub fn id_or(&mut self, fresh: RequestId) -> RequestId {
        let id = self.fields.get(&REQUEST_ID).and_then(|sent| RequestId::accept(sent.as_bytes())).unwrap_or(fresh);
        self.set_id(&id);
        id
    }
}

/// What a browser accepts when it navigates; frameworks vary on less than that (FRAMEWORKS.md 2).
const BROWSER_ACCEPT: HeaderValue =
    HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
/// The codings that renders on `isr` and `static` ask for: none yet, pages are stored as they are.
const RENDER_ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("identity");

/// The request of the render of `wanted`, which a request with these headers started.
pub fn build<'a>(config: &Config, wanted: &Wanted, headers: impl Into<RequestFields<'a>>) -> RenderRequest {
    let headers = headers.into();
    let route = config.route(wanted.route);
    let origin = config.origin(wanted.origin);
    let mut fields = if route.cache.is_anonymous() {
        anonymous_fields(route, &origin.user_agent, headers)
    } else {
        end_to_end_fields(headers)
    };
    let host = host_value(&wanted.host);
    fields.append(FORWARDED_HOST, host.clone());
    fields.append(FORWARDED_PROTO, HeaderValue::from_static(wanted.scheme.as_str()));
    RenderRequest { target: wanted.target.clone(), host: origin.host_header.clone().unwrap_or(host), fields }
}

/// The fields a route keys on and what the request has in them, several of one name in one list
/// (RFC 9110 §5.3). Absent is not empty.
pub(crate) fn keyed_fields<'a>(
    route: &'a Route,
    headers: impl Into<RequestFields<'a>>,
) -> impl Iterator<Item = (&'a HeaderName, Option<HeaderValue>)> {
    let headers = headers.into();
    keyed_names(route).map(move |name| (name, combined(headers, name)))
}

/// The names of the fields that a route keys on.
pub(crate) fn keyed_names(route: &Route) -> impl Iterator<Item = &HeaderName> {
    route.vary.headers.iter().filter(|name| may_be_keyed(name))
}

/// Writes what the request has in the field, as [`keyed_fields`] has it, and answers whether it has anything.
pub(crate) fn write_keyed(headers: RequestFields<'_>, name: &HeaderName, out: &mut Vec<u8>) -> bool {
    let mut has = false;
    for value in headers.all(name) {
        if has {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value);
        has = true;
    }
    has
}

fn anonymous_fields(route: &Route, user_agent: &HeaderValue, headers: RequestFields<'_>) -> Fields {
    let mut fields = Fields::new();
    fields.append(ACCEPT, BROWSER_ACCEPT);
    fields.append(USER_AGENT, user_agent.clone());
    fields.append(ACCEPT_ENCODING, RENDER_ACCEPT_ENCODING);
    for (name, value) in keyed_fields(route, headers) {
        // Also where the visitor sent none: ours would be the same as a visitor's who sends just that.
        fields.remove(name);
        if let Some(value) = value {
            fields.append(name.clone(), value);
        }
    }
    if let Some(cookies) = Cookies::of(headers).keyed_field(&route.vary.cookies) {
        fields.append(COOKIE, cookies);
    }
    fields
}

fn end_to_end_fields(headers: RequestFields<'_>) -> Fields {
    let mut fields = Fields::from(&headers.to_map());
    fields.retain(|name, _| *name != HOST && !is_hop_by_hop(name) && !is_forwarding(name) && !is_of_one_request(name));
    fields
}

/// Whether a render may carry the field because its route keys on it. The rest is ours to say, or is
/// never shared; a route that names such a field is keyed as if it did not.
fn may_be_keyed(name: &HeaderName) -> bool {
    let ours = [HOST, ACCEPT_ENCODING, COOKIE, AUTHORIZATION].contains(name);
    !(ours || is_hop_by_hop(name) || is_forwarding(name) || is_of_one_request(name))
}

/// Fields that make sense for one client's copy of a page or one client's body.
fn is_of_one_request(name: &HeaderName) -> bool {
    const FIELDS: [HeaderName; 7] =
        [CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];
    FIELDS.contains(name)
}

fn combined(headers: RequestFields<'_>, name: &HeaderName) -> Option<HeaderValue> {
    let mut list = Vec::new();
    let has = write_keyed(headers, name, &mut list);
    has.then(|| HeaderValue::from_bytes(&list).expect("field values joined by commas are a field value"))
}

#[cfg(test)]
mod tests;
