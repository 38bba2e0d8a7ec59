//! What has to hold of the lane's reading whatever a client sends: checked by a fuzzer (`fuzz/`), over its
//! corpus in the tests, and over generated requests.

use super::request::{Read, read, space};
use crate::config::Limits;
use crate::front::head_check;
use http::Version;

/// Reads `bytes` as the lane does and checks the laws.
///
/// # Panics
/// When one of them does not hold.
pub fn check(bytes: &[u8]) {
    let limits = Limits::DEFAULT;
    let mut lines = space();
    let (len, target) = match read(bytes, &mut lines, &limits) {
        Read::Partial => return assert!(!has_end(bytes), "a head that has ended is not partial"),
        Read::Other(len) => return assert!(len.is_none_or(|len| len >= head_len(bytes)), "a request has its head"),
        Read::Plain(plain) => {
            let head = &bytes[..plain.len];
            let map = plain.fields.to_map();
            // Where there is one `Host`, the other path would not refuse what the lane takes.
            if map.get_all(http::header::HOST).iter().count() == 1 {
                assert!(head_check::check(head, Version::HTTP_11, &map, &limits).is_ok(), "the other path refuses it");
            }
            (plain.len, plain.target.to_vec())
        }
    };
    assert_eq!(len, head_len(bytes), "the lane reads a head and no more");
    // What stands behind a head does not change what is read of it.
    let (alone, followed) = (bytes[..len].to_vec(), [&bytes[..len], b"X / HTTP/1.1\r\n\r\n"].concat());
    for bytes in [alone, followed] {
        let mut lines = space();
        let Read::Plain(again) = read(&bytes, &mut lines, &limits) else { panic!("it is read otherwise") };
        assert_eq!((again.len, again.target), (len, &*target), "it is read otherwise");
    }
    for end in [len - 1, len / 2] {
        assert!(matches!(read(&bytes[..end], &mut space(), &limits), Read::Partial), "half a head is none");
    }
}

fn has_end(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\r\n\r\n").is_some()
}

fn head_len(bytes: &[u8]) -> usize {
    memchr::memmem::find(bytes, b"\r\n\r\n").map_or(0, |at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::check;
    use proptest::prelude::*;

    #[test]
    fn the_corpus_of_the_fuzzer_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/hit_lane");
        let mut files = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus is there") {
            check(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
            files += 1;
        }
        assert!(files > 20, "{files} files");
    }

    proptest! {
        #[test]
        fn any_request_holds(
            start in "(GET|HEAD|POST|get|G) (/|/a|[*]|http://a/|/a b|/%zz)( HTTP/1[.][01])?",
            lines in proptest::collection::vec("(\r\n|\n)(Host|host|Connection|Content-Length|Transfer-Encoding|X)( ?): ?(a|close|5|chunked|keep-alive, x|\t)", 0..5),
            end in "(\r\n\r\n|\n\n|\r\n|)(GET / HTTP/1.1\r\n\r\n)?",
        ) {
            check(format!("{start}{}{end}", lines.concat()).as_bytes());
        }

        #[test]
        fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            check(&bytes);
            check(&[b"GET / HTTP/1.1\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat());
        }
    }
}
