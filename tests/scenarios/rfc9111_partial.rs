//! Ranges on `cache: headers` (RFC 9110 §14, RFC 9111 §3.3, §3.4): they are cut from whole pages.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, Response};

fn shared(origin: &Origin) -> Breadbox {
    Breadbox::start(Config::headers(origin, &["bypass: { cookies: none }"]))
}

fn part(proxy: &Breadbox, range: &str) -> Response {
    proxy.ask(&Ask::get("/p").header("Range", range))
}

#[test]
fn a_range_on_a_miss_renders_the_whole_page() {
    // The origin is asked without the range; the client gets its part and the next one too.
    let origin = Origin::start();
    origin.answer("/p", Answer::new("0123456789").header("Cache-Control", "max-age=60"));
    let proxy = shared(&origin);
    let first = part(&proxy, "bytes=2-4");
    assert_eq!((first.status, first.text().as_str()), (206, "234"));
    assert_eq!(first.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(first.all("cache-status"), ["breadbox; fwd=uri-miss; fwd-status=200; stored"]);
    assert_eq!(origin.requests("/p")[0].header("range"), None);
    for (range, status, text) in [("bytes=-3", 206, "789"), ("bytes=8-", 206, "89"), ("bytes=10-", 416, "")] {
        let answer = part(&proxy, range);
        assert_eq!((answer.status, answer.text().as_str(), answer.is_hit()), (status, text, true), "{range}");
    }
    assert_eq!(part(&proxy, "bytes=10-").header("content-range"), Some("bytes */10"));
    let several = part(&proxy, "bytes=0-1,-1");
    assert!(several.header("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges")));
    assert!(proxy.get("/p").text() == "0123456789" && origin.renders("/p") == 1);
}

#[test]
fn a_part_is_never_stored_as_the_whole() {
    // An origin that answers 206 although nobody asked: it goes to the one client, and no further.
    let origin = Origin::start();
    origin.on("/p", |x| {
        let answer = Answer::new(format!("part {}", x.nth)).with_status(206);
        x.answer(&answer.header("Content-Range", "bytes 0-5/100").header("Cache-Control", "max-age=60"))
    });
    let proxy = shared(&origin);
    for nth in 1..=3 {
        let answer = proxy.get("/p");
        assert_eq!((answer.is_hit(), answer.text()), (false, format!("part {nth}")));
    }
}

#[test]
fn a_range_counts_only_for_the_page_that_if_range_names() {
    // Compared strongly; otherwise the whole page comes.
    let origin = Origin::start();
    origin.answer("/p", Answer::new("0123456789").header("Cache-Control", "max-age=60").header("ETag", "\"v1\""));
    let proxy = shared(&origin);
    for (validator, status) in [("\"v1\"", 206), ("\"v0\"", 200), ("W/\"v1\"", 200)] {
        let ask = Ask::get("/p").header("Range", "bytes=0-1").header("If-Range", validator);
        assert_eq!(proxy.ask(&ask).status, status, "{validator}");
    }
}
