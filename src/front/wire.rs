//! The head of an answer with a stored page over HTTP/1, from bytes that are made once for a page and from what every
//! request has of its own.

use crate::policy::encoding::{Representation, WireHead};
use crate::policy::outcome::Outcome;
use crate::policy::{Fields, Page, RequestId, Timestamp, cache_status, date, freshness, validation};
use http::{HeaderName, StatusCode};
use pingora::http::ResponseHeader;
use std::cell::RefCell;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Writes the head of an answer with all of `one`, or of "not modified", in the place of what is in `head`: up to
/// `Connection`, which is missing with the empty line behind it. Nothing where it cannot be made of pieces.
pub(super) fn write(
    page: &Page,
    one: &Representation,
    status: StatusCode,
    outcome: &Outcome,
    id: &RequestId,
    now: Timestamp,
    head: &mut Vec<u8>,
) -> Option<()> {
    let wire = page.representations.wire_head(one, || wire_head(page, one))?;
    let is_whole = status != StatusCode::NOT_MODIFIED;
    head.clear();
    head.extend_from_slice(if is_whole { &wire.whole } else { &wire.not_modified });
    let age = freshness::age(&page.lifetime, now);
    head.extend_from_slice(b"Age: ");
    head.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
    head.extend_from_slice(b"\r\ncache-status: ");
    cache_status::write_member(outcome, now, head);
    head.extend_from_slice(b"\r\nx-request-id: ");
    head.extend_from_slice(id.as_bytes());
    head.extend_from_slice(b"\r\n");
    if is_whole {
        head.extend_from_slice(&wire.length);
    }
    if !wire.is_dated {
        write_date(now, head);
    }
    Some(())
}

/// The head of every whole answer with this representation; none where a request's own part would not stand
/// behind the rest.
#[cold]
fn wire_head(page: &Page, one: &Representation) -> Option<WireHead> {
    let fields = page.fields_of(one);
    let has_no_body = page.status.is_informational() || matches!(page.status.as_u16(), 204 | 205 | 304);
    if has_no_body || fields.contains(&CACHE_STATUS) || fields.contains(&http::header::AGE) {
        return None;
    }
    Some(WireHead {
        whole: lines(page.status, &fields)?,
        not_modified: lines(StatusCode::NOT_MODIFIED, &validation::not_modified_fields(&fields))?,
        length: format!("Content-Length: {}\r\n", one.len).into_bytes().into(),
        is_dated: fields.contains(&http::header::DATE),
    })
}

/// Status line and fields as pingora writes them.
fn lines(status: StatusCode, fields: &Fields) -> Option<Box<[u8]>> {
    let mut head = ResponseHeader::build(status, Some(fields.len())).ok()?;
    for (name, value) in fields.iter() {
        head.append_header(name, value).ok()?;
    }
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    head.header_to_h1_wire(&mut bytes);
    Some(bytes.into())
}

/// Writes the time of sending, which is formatted once a second.
fn write_date(now: Timestamp, head: &mut Vec<u8>) {
    thread_local!(static LINE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) });
    let second = now.millis() / 1000;
    LINE.with_borrow_mut(|(of, line)| {
        if *of != second {
            *of = second;
            line.clear();
            line.extend_from_slice(b"Date: ");
            line.extend_from_slice(date::format(now).as_bytes());
            line.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(line);
    });
}
