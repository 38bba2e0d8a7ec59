//! How parts of a page are written (RFC 9110 §14.4, §14.6): `Content-Range` and `multipart/byteranges`.
//!
//! The boundary is the caller's: up to 70 letters and digits that do not occur in the page.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use std::ops::Range;

/// `Content-Range` of a part of a page with `len` bytes.
pub fn content_range(range: &Range<u64>, len: u64) -> HeaderValue {
    ascii(&format!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1)))
}

/// `Content-Range` of a 416.
pub fn unsatisfied_content_range(len: u64) -> HeaderValue {
    ascii(&format!("bytes */{len}"))
}

/// `Content-Type` of an answer with several parts.
pub fn content_type(boundary: &str) -> HeaderValue {
    ascii(&format!("multipart/byteranges; boundary={boundary}"))
}

/// What stands in front of each part, the first included.
pub fn part_head(boundary: &str, content_type: Option<&HeaderValue>, range: &Range<u64>, len: u64) -> Bytes {
    let mut head = BytesMut::new();
    head.put_slice(b"\r\n--");
    head.put_slice(boundary.as_bytes());
    if let Some(content_type) = content_type {
        head.put_slice(b"\r\nContent-Type: ");
        head.put_slice(content_type.as_bytes());
    }
    head.put_slice(b"\r\nContent-Range: ");
    head.put_slice(content_range(range, len).as_bytes());
    head.put_slice(b"\r\n\r\n");
    head.freeze()
}

/// What stands behind the last part.
pub fn end(boundary: &str) -> Bytes {
    Bytes::from(format!("\r\n--{boundary}--\r\n"))
}

/// A whole multipart body. The parts are slices of the page, so its bytes are not copied: at most
/// [`super::MAX_RANGES`] × 2 + 1 chunks, to be written one after the other.
pub fn body(boundary: &str, content_type: Option<&HeaderValue>, ranges: &[Range<u64>], page: &Bytes) -> Vec<Bytes> {
    let len = page.len() as u64;
    let mut chunks = Vec::with_capacity(ranges.len() * 2 + 1);
    for range in ranges {
        chunks.push(part_head(boundary, content_type, range, len));
        chunks.push(part(page, range));
    }
    chunks.push(end(boundary));
    chunks
}

/// A part of a page, without copying; what lies beyond its end is left out.
pub fn part(page: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(page.len());
    let (start, end) = (within(range.start), within(range.end));
    page.slice(start.min(end)..end)
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and a boundary are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed_and_described() {
        // RFC 9110 §14.6.
        let page = Bytes::from_static(b"0123456789");
        let html = HeaderValue::from_static("text/html");
        let written = body("B", Some(&html), &[0..2, 8..10], &page).concat();
        let expected = "\r\n--B\r\nContent-Type: text/html\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
                        \r\n--B\r\nContent-Type: text/html\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--B--\r\n";
        assert_eq!(written, expected.as_bytes());
        assert_eq!(content_type("B"), "multipart/byteranges; boundary=B");
    }

    #[test]
    fn a_416_names_the_length() {
        // RFC 9110 §15.5.17.
        assert_eq!(unsatisfied_content_range(10), "bytes */10");
    }

    #[test]
    fn a_part_never_reaches_beyond_the_page() {
        let page = Bytes::from_static(b"0123");
        assert_eq!(part(&page, &(2..4)), "23");
        assert_eq!(part(&page, &(2..90)), "23");
        assert_eq!(part(&page, &(9..90)), "");
    }
}
