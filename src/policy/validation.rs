//! Conditional requests, of clients and of ours (RFC 9110 §13, RFC 9111 §4.3): what a client's
//! preconditions make of a stored page, what a refresh asks the origin with, and whether a 304 means
//! the page that is stored.

mod etag;

pub use etag::strong_etag;
pub(crate) use etag::{coded_etag, is_named, strong_match, weak_match};

use super::date;
use super::fields::Fields;
use super::page::Validators;
use super::request_fields::{Known, RequestFields};
use super::time::Timestamp;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

/// What a request's preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There are none, or they hold: the page is served.
    Proceed,
    /// 304: the client has the page.
    NotModified,
    /// 412: the client wanted another page than this one.
    Failed,
}

/// What a precondition may stand in.
static CONDITIONS: [Known; 4] = [
    Known::new("if-match"),
    Known::new("if-unmodified-since"),
    Known::new("if-none-match"),
    Known::new("if-modified-since"),
];

/// Evaluates preconditions against a stored page in the order of RFC 9110 §13.2.2. `stored_at` stands in
/// for a page's `Date` where it has none (RFC 9111 §4.3.2). Only 2xx pages have preconditions (§13.2.1).
/// `etag` is that of the representation which the request would get.
pub fn evaluate<'a>(
    method: &Method,
    request: impl Into<RequestFields<'a>>,
    status: StatusCode,
    page_fields: &Fields,
    etag: Option<&HeaderValue>,
    stored_at: Timestamp,
) -> Precondition {
    let request = request.into();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !status.is_success() || !reads {
        return Precondition::Proceed;
    }
    if !CONDITIONS.iter().any(|name| request.has(name)) {
        return Precondition::Proceed;
    }
    if !is_wanted(request, page_fields, etag) {
        return Precondition::Failed;
    }
    if request.has(&header::IF_NONE_MATCH) {
        let known = request.all(&header::IF_NONE_MATCH).any(|list| is_named(list, etag, weak_match));
        return if known { Precondition::NotModified } else { Precondition::Proceed };
    }
    if status == StatusCode::OK && is_unmodified(request, page_fields, stored_at) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// `If-Match`, and `If-Unmodified-Since` where it is absent (RFC 9110 §13.1.1, §13.1.4).
fn is_wanted(request: RequestFields<'_>, page_fields: &Fields, etag: Option<&HeaderValue>) -> bool {
    if request.has(&header::IF_MATCH) {
        return request.all(&header::IF_MATCH).any(|list| is_named(list, etag, strong_match));
    }
    let limit = single_date(request, &header::IF_UNMODIFIED_SINCE);
    let modified = date::of(page_fields, &header::LAST_MODIFIED);
    limit.zip(modified).is_none_or(|(limit, modified)| modified <= limit)
}

/// `If-Modified-Since` (RFC 9110 §13.1.3), against `Last-Modified`, or `Date`, or the arrival (RFC 9111 §4.3.2).
fn is_unmodified(request: RequestFields<'_>, page_fields: &Fields, stored_at: Timestamp) -> bool {
    let Some(since) = single_date(request, &header::IF_MODIFIED_SINCE) else {
        return false;
    };
    let named = match page_fields.get(&header::LAST_MODIFIED) {
        // A `Last-Modified` that is no date says nothing; `Date` does not speak for it.
        Some(value) => date::parse(value.as_bytes()),
        None => date::of(page_fields, &header::DATE).or(Some(stored_at)),
    };
    named.is_some_and(|modified| modified <= since)
}

/// A request's date; none where it is absent, repeated or malformed: the condition is then ignored.
fn single_date(request: RequestFields<'_>, name: &HeaderName) -> Option<Timestamp> {
    request.only(name).and_then(date::parse)
}

impl Validators {
    /// Whether there is any: without, a refresh cannot be conditional.
    pub fn any(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

/// The validators of an answer: its `ETag`, quoted or not, and its `Last-Modified` if that is a date.
pub fn validators(fields: &Fields) -> Validators {
    let etag = fields.get(&header::ETAG).filter(|value| !value.is_empty()).cloned();
    let dated = |value: &&HeaderValue| date::parse(value.as_bytes()).is_some();
    Validators { etag, last_modified: fields.get(&header::LAST_MODIFIED).filter(dated).cloned() }
}

/// What a refresh asks with (RFC 9111 §4.3.1): both validators, byte for byte.
pub fn conditionals(validators: &Validators) -> Fields {
    let etag = validators.etag.clone().map(|value| (header::IF_NONE_MATCH, value));
    let date = validators.last_modified.clone().map(|value| (header::IF_MODIFIED_SINCE, value));
    etag.into_iter().chain(date).collect()
}

/// Whether a 304 means the page with these validators (RFC 9111 §4.3.4): whatever validator it carries
/// has to be ours. One without any is believed, since it answers our own question.
pub fn confirms(validators: &Validators, not_modified: &Fields) -> bool {
    if let (Some(ours), Some(theirs)) = (&validators.etag, not_modified.get(&header::ETAG)) {
        return weak_match(ours.as_bytes(), theirs.as_bytes());
    }
    match (&validators.last_modified, not_modified.get(&header::LAST_MODIFIED)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    }
}

/// The fields of a page that a 304 to a client carries (RFC 9110 §15.4.5). `Last-Modified` only where
/// there is no `ETag`; `Age` and `Cache-Status` are written per response.
pub fn not_modified_fields(page_fields: &Fields) -> Fields {
    let tagged = page_fields.contains(&header::ETAG);
    let carried = |name: &HeaderName| match name.as_str() {
        "cache-control" | "cdn-cache-control" | "content-location" | "date" | "etag" | "expires" | "vary" => true,
        "last-modified" => !tagged,
        _ => false,
    };
    let all = page_fields.iter().filter(|(name, _)| carried(name));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Gives a page without an `ETag` one of ours, made from its body in its content coding.
pub fn ensure_etag(fields: &mut Fields, body: &[u8]) {
    if !fields.contains(&header::ETAG) {
        fields.append(header::ETAG, strong_etag(body));
    }
}

#[cfg(test)]
mod tests;
