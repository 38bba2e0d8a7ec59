//! What pingora lets through although RFC 9112 wants it refused: two framings in one request, no
//! `Host` or several, bare line feeds, white space in the target, folded lines. Reads the head as it came.

use crate::config::Limits;
use http::{HeaderMap, StatusCode, Version, header};

/// Why a head is refused; the client gets the status and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHead {
    /// 400 or 431.
    pub(super) status: StatusCode,
    /// For the log.
    pub(super) reason: &'static str,
}

/// White space where none belongs.
pub(super) const ODD_REQUEST_LINE: BadHead = bad("white space in the request line");

const fn bad(reason: &'static str) -> BadHead {
    BadHead { status: StatusCode::BAD_REQUEST, reason }
}

/// Checks an HTTP/1 head: its bytes as they came, and what pingora made of them.
///
/// # Errors
/// [`BadHead`] says why the request must not be served.
pub(super) fn check(raw: &[u8], version: Version, headers: &HeaderMap, limits: &Limits) -> Result<(), BadHead> {
    if raw.len() > limits.max_head || headers.len() > limits.max_headers {
        return Err(BadHead { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason: "head too large" });
    }
    check_lines(raw)?;
    if version == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(bad("not exactly one Host"));
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(bad("several Host fields"));
    }
    check_framing(raw)
}

/// Checks what is left to check of an HTTP/2 head: its size was when it was read.
///
/// # Errors
/// [`BadHead`] says why the request must not be served.
pub(super) fn check_count(headers: &HeaderMap, limits: &Limits) -> Result<(), BadHead> {
    if headers.len() > limits.max_headers {
        return Err(BadHead { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason: "too many fields" });
    }
    Ok(())
}

fn check_lines(raw: &[u8]) -> Result<(), BadHead> {
    let first_end = memchr::memchr(b'\n', raw).unwrap_or(raw.len());
    let request_line = &raw[..first_end];
    if request_line.iter().filter(|byte| **byte == b' ').count() != 2 || request_line.contains(&b'\t') {
        return Err(ODD_REQUEST_LINE);
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', raw) {
        if end == 0 || raw[end - 1] != b'\r' {
            return Err(bad("bare line feed"));
        }
        if start > 0 && matches!(raw.get(start), Some(b' ' | b'\t')) {
            return Err(bad("folded header line"));
        }
        if memchr::memchr(b'\r', &raw[start..end - 1]).is_some() {
            return Err(bad("bare carriage return"));
        }
        start = end + 1;
    }
    Ok(())
}

/// pingora drops `Content-Length` where there is `Transfer-Encoding`; another hop may not.
fn check_framing(raw: &[u8]) -> Result<(), BadHead> {
    let mut lengths = 0;
    let mut encodings = 0;
    for line in raw.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = &line[..colon];
        if name.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(bad("white space before a colon"));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths += 1;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            encodings += 1;
        }
    }
    if encodings > 1 || lengths > 1 || (encodings > 0 && lengths > 0) {
        return Err(bad("contradictory framing"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use http::HeaderValue;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_head: 1024,
            max_headers: 3,
            max_streams: 100,
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: std::num::NonZeroUsize::MIN,
        }
    }

    fn checked(raw: &str, hosts: usize) -> Result<(), u16> {
        let mut headers = HeaderMap::new();
        for _ in 0..hosts {
            headers.append(header::HOST, HeaderValue::from_static("a"));
        }
        check(raw.as_bytes(), Version::HTTP_11, &headers, &limits()).map_err(|bad| bad.status.as_u16())
    }

    #[test]
    fn a_plain_head_passes() {
        assert_eq!(checked("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1), Ok(()));
        assert_eq!(checked("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", 1), Ok(()));
    }

    #[test]
    fn heads_that_two_parsers_could_read_in_two_ways_are_refused() {
        for raw in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        ] {
            assert_eq!(checked(raw, 1), Err(400), "{raw:?}");
        }
        assert_eq!(checked("GET / HTTP/1.1\r\n\r\n", 0), Err(400));
        assert_eq!(checked("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 2), Err(400));
    }

    #[test]
    fn a_head_beyond_its_bounds_is_431() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000));
        assert_eq!(checked(&long, 1), Err(431));
        assert_eq!(checked("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 4), Err(431));
    }
}
