//! Reads a request's head as the hit lane takes it: a strict subset of HTTP/1.1 (DESIGN §2 "The hit lane").
//! Whatever is not plainly in it is handed over as it came; nothing is refused here, and nothing forwarded.

use crate::config::Limits;
use crate::policy::RequestFields;
use crate::policy::request_fields::{Known, Lines};
use http::Method;
use httparse::{Header, Status};
use std::mem::MaybeUninit;

/// Lines of a head that are looked at; a head with more is handed over.
const MAX_LINES: usize = 128;

/// Where the lines of a head are kept while it is looked at.
pub(super) type Space<'b> = [MaybeUninit<Header<'b>>; MAX_LINES];

/// Room for the lines of a head.
pub(super) const fn space<'b>() -> Space<'b> {
    [const { MaybeUninit::uninit() }; MAX_LINES]
}

static CONNECTION: Known = Known::new("connection");
static CONTENT_LENGTH: Known = Known::new("content-length");
static TRANSFER_ENCODING: Known = Known::new("transfer-encoding");
static UPGRADE: Known = Known::new("upgrade");
static EXPECT: Known = Known::new("expect");
static TE: Known = Known::new("te");
static TRAILER: Known = Known::new("trailer");

pub(super) static GET: Method = Method::GET;
pub(super) static HEAD: Method = Method::HEAD;

/// What the bytes of a client begin with.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// A head that is not all there.
    Partial,
    /// A request in the subset.
    Plain(Plain<'a>),
    /// Another request, of this many bytes with its body; none where nobody knows before it is read.
    Other(Option<usize>),
}

/// A request in the subset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<'a> {
    /// GET or HEAD.
    pub(super) method: &'static Method,
    /// In origin-form.
    pub(super) target: &'a [u8],
    pub(super) fields: RequestFields<'a>,
    /// Whether the connection stays open behind it.
    pub(super) keeps_alive: bool,
    /// Bytes of the head.
    pub(super) len: usize,
}

/// Reads the first head in `bytes`.
pub(super) fn read<'a>(bytes: &'a [u8], space: &'a mut Space<'a>, limits: &Limits) -> Read<'a> {
    let Some(end) = end_of_head(bytes) else { return Read::Other(None) };
    let head = &bytes[..end.unwrap_or(bytes.len())];
    if head.len() > limits.max_head {
        return Read::Other(None);
    }
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, space) {
        Ok(Status::Partial) if end.is_none() => Read::Partial,
        // An empty line in front of a request: its end is not where it seemed.
        Ok(Status::Partial) | Err(_) => Read::Other(None),
        Ok(Status::Complete(len)) => {
            let fields = RequestFields::Lines(Lines::new(&*request.headers));
            let head = Head { method: request.method, target: request.path, version: request.version, fields };
            let fits = request.headers.len() <= limits.max_headers && head_starts_at_once(bytes);
            match head.plain(len).filter(|_| fits) {
                Some(plain) => Read::Plain(plain),
                None => Read::Other(head.body().and_then(|body| len.checked_add(body))),
            }
        }
    }
}

/// Where the head ends, if it is all there: behind its first empty line. `None` where a line of it ends in a
/// line feed alone: two parsers may read such a head in two ways.
fn end_of_head(bytes: &[u8]) -> Option<Option<usize>> {
    let mut line = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        if at == line || bytes[at - 1] != b'\r' {
            return None;
        }
        let is_empty = at == line + 1;
        line = at + 1;
        // An empty line in front of a request ends nothing.
        if is_empty && at > 1 {
            return Some(Some(line));
        }
    }
    Some(None)
}

fn head_starts_at_once(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

/// A head as it was parsed.
struct Head<'a> {
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: Option<u8>,
    fields: RequestFields<'a>,
}

impl<'a> Head<'a> {
    fn plain(&self, len: usize) -> Option<Plain<'a>> {
        let method = match self.method? {
            "GET" => &GET,
            "HEAD" => &HEAD,
            _ => return None,
        };
        let target = self.target.filter(|target| target.starts_with('/'))?;
        if self.version != Some(1) || !is_plain(self.fields) {
            return None;
        }
        let keeps_alive = keeps_alive(self.fields)?;
        Some(Plain { method, target: target.as_bytes(), fields: self.fields, keeps_alive, len })
    }

    /// Bytes of the body; `None` where its end is found by reading it.
    fn body(&self) -> Option<usize> {
        let unknown = self.fields.has(&TRANSFER_ENCODING) || self.fields.has(&UPGRADE);
        if unknown || self.method == Some("CONNECT") {
            return None;
        }
        if !self.fields.has(&CONTENT_LENGTH) {
            return Some(0);
        }
        let length = self.fields.only(&CONTENT_LENGTH)?;
        let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(length).ok().filter(|_| is_number)?.parse().ok()
    }
}

/// Whether nothing in these fields asks for more than a page.
fn is_plain(fields: RequestFields<'_>) -> bool {
    !fields.has(&TE) && is_plain_without_trailers(fields)
}

/// The same over HTTP/2, where `TE` says that trailers are taken, and nothing else (RFC 9113 §8.2.2). A hit has none.
pub(super) fn is_plain_without_trailers(fields: RequestFields<'_>) -> bool {
    let not_plain = [&CONTENT_LENGTH, &TRANSFER_ENCODING, &UPGRADE, &EXPECT, &TRAILER];
    !not_plain.iter().any(|name| fields.has(*name))
}

/// What `Connection` says, where it says no more than that.
fn keeps_alive(fields: RequestFields<'_>) -> Option<bool> {
    if !fields.has(&CONNECTION) {
        return Some(true);
    }
    let said = fields.only(&CONNECTION)?.trim_ascii();
    if said.eq_ignore_ascii_case(b"keep-alive") {
        Some(true)
    } else {
        said.eq_ignore_ascii_case(b"close").then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits { max_head: 1024, max_headers: 8, ..Limits::DEFAULT }
    }

    fn read_as(bytes: &str) -> String {
        let mut space = space();
        match read(bytes.as_bytes(), &mut space, &limits()) {
            Read::Partial => "partial".to_owned(),
            Read::Plain(plain) => format!("plain {} {}", plain.len, plain.keeps_alive),
            Read::Other(len) => format!("other {len:?}"),
        }
    }

    #[test]
    fn a_plain_get_is_the_lanes() {
        assert_eq!(read_as("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET"), "plain 28 true");
        assert_eq!(read_as("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"), "plain 48 false");
        assert_eq!(read_as("GET /a HTTP/1.1\r\nHost: a\r\n\r"), "partial");
        assert_eq!(read_as(""), "partial");
    }

    #[test]
    fn what_has_a_body_ends_behind_it_and_what_nobody_can_tell_is_handed_over_whole() {
        assert_eq!(read_as("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), "other Some(52)");
        assert_eq!(read_as("GET / HTTP/1.0\r\n\r\n"), "other Some(18)");
        for bytes in [
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(read_as(bytes), "other None", "{bytes:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2000));
        assert_eq!(read_as(&long), "other None");
    }

    #[test]
    fn what_is_unusual_in_any_way_is_not_the_lanes() {
        for line in
            ["Connection: keep-alive, x", "Expect: 100-continue", "TE: trailers", "Content-Length: 0", "Trailer: x"]
        {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
            assert_eq!(read_as(&bytes), format!("other Some({})", bytes.len()), "{line}");
        }
        let absolute = "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(read_as(absolute), format!("other Some({})", absolute.len()));
        assert_eq!(limits().head_timeout, Duration::from_secs(10));
    }
}
