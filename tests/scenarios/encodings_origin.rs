//! Origins that choose a content coding themselves, and `cache: headers`, where what an origin sends is
//! what clients get unless the route says otherwise (RFC 9110 §12.5.3, RFC 9111 §4.1).

use super::encodings::{decoded, text, until_coded};
use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin};
use std::io::Write;

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn accepting(path: &str, accept: &str) -> Ask {
    Ask::get(path).header("Accept-Encoding", accept)
}

#[test]
fn a_coding_that_the_origin_insists_on_is_kept_and_undone_for_others() {
    // It was asked for none. Clients that accept its coding get its bytes and its tag, the first one as they
    // arrive; all others get the page without, with a tag of its own, the first one as well.
    let (origin, page) = (Origin::start(), text("p", 16_000));
    let coded = gzipped(page.as_bytes());
    let answer = Answer::html(coded.clone()).header("Content-Encoding", "gzip").header("ETag", "\"v1\"");
    ["/a", "/b"].into_iter().for_each(|path| origin.answer(path, answer.clone()));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let first = proxy.ask(&accepting("/a", "gzip, br"));
    assert_eq!((first.header("content-encoding"), &first.body), (Some("gzip"), &coded));
    let plain = proxy.get("/b");
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, page.clone()));
    for path in ["/a", "/b"] {
        for (accept, coding) in [("gzip", Some("gzip")), ("br, gzip;q=0.1", Some("gzip")), ("br", None), ("", None)] {
            let answer = proxy.ask(&accepting(path, accept));
            assert_eq!((answer.header("content-encoding"), answer.header("vary")), (coding, Some("Accept-Encoding")));
            assert_eq!(String::from_utf8_lossy(&decoded(&answer)), page, "{accept}");
            let tag = answer.header("etag").expect("a tag").to_owned();
            assert_eq!(tag == "\"v1\"", coding.is_some(), "{tag}");
            let again = proxy.ask(&accepting(path, accept).header("If-None-Match", &tag));
            assert_eq!(again.status, 304, "{accept}");
        }
        assert_eq!(origin.requests(path)[0].header("accept-encoding"), Some("identity"));
        assert_eq!(origin.renders(path), 1);
    }
}

#[test]
fn a_coding_that_cannot_be_undone_is_passed_on_as_it_came() {
    // A bomb, a body that is not in its coding, two codings at once and one nobody knows: the same for everybody.
    let origin = Origin::start();
    let bomb = gzipped(&vec![0; 4 << 20]);
    let cases = [
        ("/bomb", "gzip", bomb),
        ("/broken", "br", b"not brotli at all".to_vec()),
        ("/two", "gzip, br", b"whatever".to_vec()),
        ("/unknown", "aes128gcm", b"whatever".to_vec()),
    ];
    for (path, coding, body) in &cases {
        origin.answer(path, Answer::html(body.clone()).header("Content-Encoding", coding));
    }
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).store("max_page: 1MiB"));
    for (path, coding, body) in &cases {
        for accept in ["gzip", "identity", "identity"] {
            let answer = proxy.ask(&accepting(path, accept));
            assert_eq!((answer.status, answer.header("content-encoding")), (200, Some(*coding)), "{path}");
            assert_eq!(&answer.body, body, "{path}");
        }
        assert_eq!(origin.renders(path), 1, "{path}");
    }
}

#[test]
fn no_transform_keeps_the_origins_coding_for_everybody() {
    // RFC 9111 §5.2.2.6.
    let origin = Origin::start();
    let coded = gzipped(text("p", 9000).as_bytes());
    let answer = Answer::html(coded.clone()).header("Content-Encoding", "gzip");
    origin.answer("/p", answer.header("Cache-Control", "no-transform"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    for _ in 0..2 {
        let answer = proxy.get("/p");
        assert_eq!((answer.header("content-encoding"), &answer.body), (Some("gzip"), &coded));
    }
}

#[test]
fn a_headers_route_keeps_what_the_origin_sent_for_each_client() {
    // The origin negotiates: it sees what clients accept, its `Vary` keeps its answers apart, and nothing is
    // recoded or added.
    let (origin, page) = (Origin::start(), text("p", 16_000));
    origin.otherwise(move |x| {
        let answer = Answer::html(page.clone()).header("Cache-Control", "max-age=60").header("ETag", "\"v1\"");
        match x.seen.header("accept-encoding") {
            Some(accept) if accept.contains("gzip") => {
                let coded = Answer { body: gzipped(page.as_bytes()), ..answer };
                x.answer(&coded.header("Content-Encoding", "gzip").header("Vary", "Accept-Encoding"))
            }
            _ => x.answer(&answer.header("Vary", "Accept-Encoding")),
        }
    });
    let proxy = Breadbox::start(Config::headers(&origin, &[]));
    for _ in 0..3 {
        for (accept, coding) in [("gzip", Some("gzip")), ("br", None), ("", None)] {
            let answer = proxy.ask(&accepting("/p", accept));
            assert_eq!(
                (answer.header("content-encoding"), answer.header("etag")),
                (coding, Some("\"v1\"")),
                "{accept}"
            );
        }
    }
    assert_eq!(origin.renders("/p"), 3);
}

#[test]
fn a_headers_route_that_compresses_negotiates_itself() {
    // Its renders ask for no coding, and one page serves all clients although the origin varies.
    let (origin, page) = (Origin::start(), text("p", 16_000));
    let answer = Answer::html(page.clone()).header("Cache-Control", "max-age=60").header("Vary", "Accept-Encoding");
    origin.answer("/p", answer);
    let proxy = Breadbox::start(Config::headers(&origin, &["compression: on"]));
    assert_eq!(proxy.ask(&accepting("/p", "gzip, br")).text(), page);
    until_coded(&proxy, "/p", "br");
    for (accept, coding) in [("gzip", Some("gzip")), ("br, gzip", Some("br")), ("", None)] {
        let answer = proxy.ask(&accepting("/p", accept));
        assert_eq!((answer.header("content-encoding"), answer.is_hit()), (coding, true), "{accept}");
        assert_eq!(String::from_utf8_lossy(&decoded(&answer)), page);
    }
    assert_eq!((origin.renders("/p"), origin.requests("/p")[0].header("accept-encoding")), (1, Some("identity")));
}

#[test]
fn whoever_reads_along_reads_to_the_end_although_the_page_is_compressed_by_then() {
    // A slow reader of the first render gets the bytes as the origin sent them, whatever becomes of the page.
    let (origin, page) = (Origin::start(), text("p", 2_000_000));
    let (gate, body) = (Gate::closed(), page.clone());
    let held = gate.clone();
    origin.on("/p", move |x| x.answer_held(&Answer::html(body.clone()), 1000, &held));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]));
    let mut slow = proxy.client();
    slow.send(&Ask::get("/p")).expect("a connection");
    slow.head().expect("a head");
    let mut read = slow.at_least(1000);
    gate.open();
    until_coded(&proxy, "/p", "br");
    read.extend(slow.rest().expect("the rest"));
    assert_eq!(read.len(), page.len());
    assert!(read == page.as_bytes());
}
