//! Writing a page, a streamed render or an error to a client.
//!
//! Everything that is written per response is written here: `Age`, `Cache-Status`, lengths, ranges,
//! conditional answers. What a page carries was made when it was stored.

use super::error_page::{self, Facts, Media};
use super::guard::Guarded;
use super::handler::Ctx;
use super::wire;
use crate::config::ErrorPage;
use crate::policy::encoding::Representation;
use crate::policy::outcome::{Outcome, Served};
use crate::policy::range::{self, RangeAnswer, multipart};
use crate::policy::request_id::REQUEST_ID;
use crate::policy::validation::{self, Precondition};
use crate::policy::{Fields, Page, Timestamp, cache_status, encoding, freshness};
use crate::render::origin::Informational;
use crate::render::{Engine, Head, Waiter};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Room for most heads.
const WIRE_HEAD: usize = 768;

/// How long a client may take to accept a piece of an answer, and a second more for this many bytes of it.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: usize = 4096;
const MAX_PIECE: usize = 256 << 10;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Serves a page to the request: whole, as a range, or as "not modified".
///
/// # Errors
/// When the client has gone.
pub(super) async fn page(
    session: &mut Session,
    ctx: &mut Ctx,
    engine: &Engine,
    page: &Arc<Page>,
    tracking: Option<&str>,
) -> pingora::Result<()> {
    let request = session.req_header();
    let is_head = request.method == Method::HEAD;
    let one = encoding::select(&request.headers, page);
    page.note_use(one);
    let etag = one.etag.as_ref();
    match validation::evaluate(&request.method, &request.headers, page.status, &page.fields, etag, page.lifetime.born) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            note_status(ctx, page, StatusCode::NOT_MODIFIED);
            if keeps_wire_head(session, ctx, page, one, StatusCode::NOT_MODIFIED) {
                let head = ResponseHeader::build_no_case(StatusCode::NOT_MODIFIED, None)?;
                return send_kept(session, ctx, head, Bytes::new(), true).await;
            }
            let fields = validation::not_modified_fields(&page.fields_of(one));
            let head = start(StatusCode::NOT_MODIFIED, &fields, ctx, Some(page))?;
            return send(session, ctx, head, Bytes::new(), true).await;
        }
        Precondition::Failed => {
            note_status(ctx, page, StatusCode::PRECONDITION_FAILED);
            return error(session, ctx, StatusCode::PRECONDITION_FAILED, None).await;
        }
    }
    let subject = range::Subject {
        status: page.status,
        fields: &page.fields,
        etag,
        len: one.len,
        is_negotiated: page.representations.is_negotiated(),
    };
    let ranges = if is_head { RangeAnswer::Whole } else { range::evaluate(&request.headers, &subject) };
    note_status(ctx, page, status_of(&ranges, page));
    let body = if is_head { Some(Bytes::new()) } else { engine.body_of(page, one) };
    let Some(body) = body else { return error(session, ctx, StatusCode::INTERNAL_SERVER_ERROR, None).await };
    let is_as_stored = matches!(ranges, RangeAnswer::Whole) && (tracking.is_none() || !page.status.is_redirection());
    if is_as_stored && keeps_wire_head(session, ctx, page, one, page.status) {
        let mut head = ResponseHeader::build_no_case(page.status, Some(1))?;
        head.insert_header(header::CONTENT_LENGTH, one.len)?;
        return send_kept(session, ctx, head, body, is_head).await;
    }
    let fields = page.fields_of(one);
    let (mut head, body) = match ranges {
        RangeAnswer::Whole => (start(page.status, &fields, ctx, Some(page))?, body),
        RangeAnswer::Single(range) => single_range(ctx, page, &fields, &body, &range)?,
        RangeAnswer::Multiple(ranges) => several_ranges(ctx, page, &fields, &body, &ranges)?,
        RangeAnswer::Unsatisfiable => {
            let mut head = start(StatusCode::RANGE_NOT_SATISFIABLE, &Fields::new(), ctx, Some(page))?;
            head.insert_header(header::CONTENT_RANGE, multipart::unsatisfied_content_range(one.len))?;
            (head, Bytes::new())
        }
    };
    let length = if is_head { one.len } else { body.len() as u64 };
    head.insert_header(header::CONTENT_LENGTH, length)?;
    with_tracking(&mut head, tracking)?;
    send(session, ctx, head, body, is_head).await
}

/// Has the connection put the head of a stored page, as bytes, in the place of the one that pingora is about to write;
/// `false` where it has to be written anew.
fn keeps_wire_head(session: &Session, ctx: &Ctx, page: &Page, one: &Representation, status: StatusCode) -> bool {
    let knows = session.req_header().version == Version::HTTP_11;
    let Some(guarded) = Guarded::of(session).filter(|_| knows) else { return false };
    let mut head = Vec::with_capacity(WIRE_HEAD);
    let written = wire::write(page, one, status, &ctx.outcome, &ctx.id, ctx.now_at_edge(), &mut head);
    if written.is_some() {
        guarded.phase().keep_head(head);
    }
    written.is_some()
}

fn status_of(ranges: &RangeAnswer, page: &Page) -> StatusCode {
    match ranges {
        RangeAnswer::Whole => page.status,
        RangeAnswer::Single(_) | RangeAnswer::Multiple(_) => StatusCode::PARTIAL_CONTENT,
        RangeAnswer::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
    }
}

/// A client that was answered otherwise than the origin answered is told what that was (RFC 9211 §2.3).
fn note_status(ctx: &mut Ctx, page: &Page, status: StatusCode) {
    if ctx.outcome.served == Served::Miss && ctx.outcome.fwd_status.is_none() && status != page.status {
        ctx.outcome.fwd_status = Some(page.status.as_u16());
    }
}

fn single_range(
    ctx: &Ctx,
    page: &Page,
    fields: &Fields,
    body: &Bytes,
    range: &Range<u64>,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let mut head = start(StatusCode::PARTIAL_CONTENT, fields, ctx, Some(page))?;
    head.insert_header(header::CONTENT_RANGE, multipart::content_range(range, body.len() as u64))?;
    Ok((head, multipart::part(body, range)))
}

fn several_ranges(
    ctx: &Ctx,
    page: &Page,
    fields: &Fields,
    body: &Bytes,
    ranges: &[Range<u64>],
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let boundary = format!("{:032x}", rand::random::<u128>());
    let mut head = start(StatusCode::PARTIAL_CONTENT, fields, ctx, Some(page))?;
    let content_type = fields.get(&header::CONTENT_TYPE);
    let body = multipart::body(&boundary, content_type, ranges, body).concat();
    head.insert_header(header::CONTENT_TYPE, multipart::content_type(&boundary))?;
    Ok((head, Bytes::from(body)))
}

/// Passes a 1xx answer of the origin on (RFC 9110 §15.2): an HTTP/1.0 client does not know them, and
/// pingora writes none over HTTP/2.
///
/// # Errors
/// When the client has gone.
pub(super) async fn interim(session: &mut Session, said: &Informational) -> pingora::Result<()> {
    if session.req_header().version < Version::HTTP_11 {
        return Ok(());
    }
    let mut head = ResponseHeader::build_no_case(said.status, Some(said.fields.len()))?;
    for (name, value) in said.fields.iter() {
        head.append_header(name, value)?;
    }
    session.write_response_header(Box::new(head), false).await
}

/// Streams a render to the request as it arrives. Returns whether the body arrived whole.
///
/// # Errors
/// When the client has gone or the render broke off: the connection is not to be used again.
pub(super) async fn stream(
    session: &mut Session,
    ctx: &mut Ctx,
    head: &Head,
    waiter: &mut Waiter,
    tracking: Option<&str>,
) -> pingora::Result<()> {
    let is_head = session.req_header().method == Method::HEAD;
    // An HTTP/1.0 client does not know chunks; the end of the connection ends its body.
    let knows_chunks = session.req_header().version >= Version::HTTP_11;
    let own = head.for_starter.as_ref().filter(|_| !waiter.is_follower());
    let mut response = start(head.status, own.unwrap_or(&head.fields), ctx, None)?;
    if let Some(age) = head.born.map(|born| ctx.now_at_edge().since(born).as_secs()).filter(|age| *age > 0) {
        response.insert_header(header::AGE, age)?;
    }
    if let Some(length) = head.length {
        response.insert_header(header::CONTENT_LENGTH, length)?;
    } else if !is_head && knows_chunks {
        response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    with_tracking(&mut response, tracking)?;
    ctx.status = head.status.as_u16();
    let bodyless = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodyless && waiter.has_chunk() {
        hold_head(session);
    }
    keep_date(session, &response);
    ctx.answers();
    session.write_response_header(Box::new(response), bodyless).await?;
    if bodyless {
        return Ok(());
    }
    while let Some(chunk) = next_chunk(session, waiter).await? {
        ctx.bytes += chunk.len() as u64;
        write(session, chunk, false).await?;
    }
    session.write_response_body(None, true).await
}

/// How long a client may take to accept so many bytes that are written at once.
pub(super) fn time_to_send(bytes: usize) -> Duration {
    WRITE_TIMEOUT + Duration::from_secs((bytes / BYTES_PER_SECOND) as u64)
}

/// The next piece of a body that is written at once. Of a large one the client gets one after the other, so that one
/// who reads slowly gets all of it, and one who does not read is soon known.
pub(super) fn next_piece(body: &mut Bytes) -> (Bytes, Duration) {
    let piece = body.split_to(body.len().min(MAX_PIECE));
    let time = time_to_send(piece.len());
    (piece, time)
}

async fn write(session: &mut Session, mut body: Bytes, ends: bool) -> pingora::Result<()> {
    while !body.is_empty() {
        let (piece, time) = next_piece(&mut body);
        session.set_write_timeout(Some(time));
        session.write_response_body(Some(piece), ends && body.is_empty()).await?;
    }
    Ok(())
}

/// The head goes out with the `Date` it has (over HTTP/2 pingora's time of sending takes its place).
pub(super) fn keep_date(session: &Session, head: &ResponseHeader) {
    if let Some(guarded) = Guarded::of(session) {
        guarded.phase().keep_date(head.headers.get(header::DATE).cloned());
    }
}

/// The head that is written next goes out together with what is written or read after it.
pub(super) fn hold_head(session: &Session) {
    if let Some(guarded) = Guarded::of(session) {
        guarded.phase().hold_next();
    }
}

async fn next_chunk(session: &mut Session, waiter: &mut Waiter) -> pingora::Result<Option<Bytes>> {
    match waiter.chunk().await {
        Ok(chunk) => Ok(chunk),
        Err(broken) => {
            // The client must be able to tell that this is not the whole page.
            session.set_keepalive(None);
            Err(pingora::Error::because(pingora::ErrorType::ReadError, "reading along", broken).into_up())
        }
    }
}

/// Answers with an error page of ours in the form that `Accept` asks for.
///
/// # Errors
/// When the client has gone.
pub(super) async fn error(
    session: &mut Session,
    ctx: &mut Ctx,
    status: StatusCode,
    retry_after: Option<Duration>,
) -> pingora::Result<()> {
    let request = session.req_header();
    let is_head = request.method == Method::HEAD;
    let media = Media::wanted(&request.headers);
    let retry_after = retry_after.map(|wait| u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1));
    let own = page_of(ctx);
    let facts = Facts { status, retry_after, request_id: Some(ctx.id.as_str()) };
    let body = error_page::body(own.as_deref().unwrap_or(error_page::BUILTIN), &facts, media);
    let mut head = ResponseHeader::build_no_case(status, Some(9))?;
    head.insert_header(header::CONTENT_TYPE, media.content_type())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    if media == Media::Html && own.is_none() {
        head.insert_header(header::CONTENT_SECURITY_POLICY, error_page::POLICY)?;
    }
    if let Some(seconds) = retry_after {
        head.insert_header(header::RETRY_AFTER, seconds.to_string())?;
    }
    head.append_header(CACHE_STATUS, cache_status_value(&ctx.outcome, ctx.now_at_edge()))?;
    head.insert_header(REQUEST_ID, ctx.id.header_value())?;
    send(session, ctx, head, body, is_head).await
}

/// The operator's page for a render that failed, if there is one.
fn page_of(ctx: &Ctx) -> Option<Arc<str>> {
    if ctx.outcome.served != Served::Failed {
        return None;
    }
    let config = &ctx.setup.config;
    match ctx.route.and_then(|id| config.route(id).error_page.as_ref()).unwrap_or(&config.error_page) {
        ErrorPage::Builtin => None,
        ErrorPage::File { html, .. } => Some(Arc::clone(html)),
    }
}

/// Fields that every answer has besides a page's.
pub(super) const OWN_FIELDS: usize = 5;

/// The head of a response made from stored fields.
fn start(status: StatusCode, fields: &Fields, ctx: &Ctx, page: Option<&Page>) -> pingora::Result<ResponseHeader> {
    let head = ResponseHeader::build_no_case(status, Some(fields.len() + OWN_FIELDS))?;
    let age = page.map(|page| freshness::age(&page.lifetime, ctx.now_at_edge()));
    with_fields(head, fields, age, &ctx.outcome, ctx.now_at_edge(), ctx.id.header_value())
}

/// The same with stored fields and what is ours to say.
///
/// # Errors
/// Never: they are fields already.
pub(super) fn with_fields(
    mut head: ResponseHeader,
    fields: &Fields,
    age: Option<u64>,
    outcome: &Outcome,
    now: Timestamp,
    id: HeaderValue,
) -> pingora::Result<ResponseHeader> {
    for (name, value) in fields.iter() {
        head.append_header(name, value)?;
    }
    if let Some(age) = age {
        head.insert_header(header::AGE, age)?;
    }
    head.append_header(CACHE_STATUS, cache_status_value(outcome, now))?;
    head.insert_header(REQUEST_ID, id)?;
    Ok(head)
}

/// Our member of `Cache-Status`.
pub(super) fn cache_status_value(outcome: &Outcome, now: Timestamp) -> HeaderValue {
    HeaderValue::from_str(&cache_status::member(outcome, now)).unwrap_or_else(|_| HeaderValue::from_static("breadbox"))
}

/// A redirect gets the client's own tracking parameters appended (DESIGN §3 "Query").
fn with_tracking(head: &mut ResponseHeader, tracking: Option<&str>) -> pingora::Result<()> {
    let Some(tracking) = tracking.filter(|_| head.status.is_redirection()) else { return Ok(()) };
    let Some(location) = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    let (target, fragment) = match location.split_once('#') {
        Some((target, fragment)) => (target, Some(fragment)),
        None => (location, None),
    };
    let separator = if target.contains('?') { '&' } else { '?' };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    let longer = format!("{target}{separator}{tracking}{fragment}");
    head.insert_header(header::LOCATION, longer)?;
    Ok(())
}

/// Writes a response whose body is here.
///
/// # Errors
/// When the client has gone.
pub(super) async fn send(
    session: &mut Session,
    ctx: &mut Ctx,
    head: ResponseHeader,
    body: Bytes,
    is_head: bool,
) -> pingora::Result<()> {
    keep_date(session, &head);
    send_kept(session, ctx, head, body, is_head).await
}

/// The same where it is said what the connection keeps for the head.
async fn send_kept(
    session: &mut Session,
    ctx: &mut Ctx,
    head: ResponseHeader,
    body: Bytes,
    is_head: bool,
) -> pingora::Result<()> {
    ctx.status = head.status.as_u16();
    let bodyless = is_head || body.is_empty();
    if !bodyless {
        hold_head(session);
    }
    ctx.answers();
    session.write_response_header(Box::new(head), bodyless).await?;
    if bodyless {
        return Ok(());
    }
    ctx.bytes += body.len() as u64;
    write(session, body, true).await
}
