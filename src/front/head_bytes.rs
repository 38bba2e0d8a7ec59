//! Puts what is a response's own into a head that pingora has written. Its `Date`: pingora writes the time of sending
//! over it, and a cache must not make what it serves look younger than it is (RFC 9110 §6.6.1, RFC 9111 §4.2.3). Or all
//! of it but `Connection`, which is pingora's to say.
//!
//! It works on the bytes of one HTTP/1 head; it must not touch anything else in them.

use http::HeaderValue;

/// Writes `head` behind what `out` holds, with `date` in its `Date` line. Answers `false`, and writes
/// nothing, where the bytes are no head of a final response or it has no such line.
pub(super) fn write_with_date(head: &[u8], date: &HeaderValue, out: &mut Vec<u8>) -> bool {
    let Some((from, to)) = value_of(b"date:", head).filter(|_| is_final(head)) else { return false };
    out.extend_from_slice(&head[..from]);
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(&head[to..]);
    true
}

/// Writes `own`, a head up to its `Connection`, in the place of `head`, and what `head` says of the connection behind it.
/// Answers `false`, and writes nothing, where the bytes are no head of a final response.
pub(super) fn write_with_connection(head: &[u8], own: &[u8], out: &mut Vec<u8>) -> bool {
    if !is_final(head) || !head.ends_with(b"\r\n\r\n") {
        return false;
    }
    out.extend_from_slice(own);
    if let Some((from, to)) = value_of(b"connection:", head) {
        out.extend_from_slice(b"Connection: ");
        out.extend_from_slice(&head[from..to]);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Whether these are the first bytes of a response that is not a 1xx.
fn is_final(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && head.get(9).is_some_and(|hundreds| (b'2'..=b'9').contains(hundreds))
}

/// Where the value of the line begins and ends that begins with `name`, in lower case and with its colon. Nothing where
/// there is none, or no end of the head.
fn value_of(name: &[u8], head: &[u8]) -> Option<(usize, usize)> {
    let (mut found, mut at) = (None, 0);
    loop {
        at += memchr::memchr(b'\n', &head[at..])? + 1;
        let line = &head[at..];
        if line.starts_with(b"\r\n") {
            return found;
        }
        if found.is_none() && line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            let from = name.len() + usize::from(line.get(name.len()) == Some(&b' '));
            found = Some((at + from, at + memchr::memchr(b'\r', line)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATE: HeaderValue = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");

    fn put_right(head: &str) -> Option<String> {
        let mut out = Vec::new();
        let done = write_with_date(head.as_bytes(), &DATE, &mut out);
        done.then(|| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_date_is_replaced_and_nothing_else() {
        let head = "HTTP/1.1 200 OK\r\nX-Date: 1\r\ndAtE: now\r\nConnection: close\r\n\r\nDate: body";
        let expected = "HTTP/1.1 200 OK\r\nX-Date: 1\r\ndAtE: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\nDate: body";
        assert_eq!(put_right(head).as_deref(), Some(expected));
    }

    #[test]
    fn all_is_replaced_but_what_is_said_of_the_connection() {
        let put = |head: &str| {
            let mut out = b"before ".to_vec();
            let done = write_with_connection(head.as_bytes(), b"HTTP/1.1 200 OK\r\nA: b\r\n", &mut out);
            (done, String::from_utf8(out).expect("text"))
        };
        for (said, expected) in
            [("Connection: close\r\n", "Connection: close\r\n"), ("cONNECTION:x\r\n", "Connection: x\r\n"), ("", "")]
        {
            let (done, text) = put(&format!("HTTP/1.1 304 Not Modified\r\nX-Connection: y\r\n{said}Date: now\r\n\r\n"));
            assert!(done);
            assert_eq!(text, format!("before HTTP/1.1 200 OK\r\nA: b\r\n{expected}\r\n"));
        }
        for head in ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\n", "body\r\n\r\n", ""] {
            assert_eq!(put(head), (false, "before ".to_owned()), "{head}");
        }
    }

    #[test]
    fn what_is_no_final_head_is_left_alone() {
        for head in [
            "HTTP/1.1 103 Early Hints\r\nDate: now\r\n\r\n",
            "HTTP/1.1 200 OK\r\nDate: now\r\n",
            "HTTP/1.1 200 OK\r\nX: y\r\n\r\nDate: body\r\n\r\n",
            "Date: now\r\n\r\n",
            "",
        ] {
            assert_eq!(put_right(head), None, "{head}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_head_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let head = [b"HTTP/1.1 200 OK\r\ndate:".as_slice(), &bytes].concat();
            write_with_date(&head, &DATE, &mut Vec::new());
            write_with_date(&bytes, &DATE, &mut Vec::new());
            write_with_connection(&[&head, b"\r\n\r\n".as_slice()].concat(), b"", &mut Vec::new());
        }
    }
}
