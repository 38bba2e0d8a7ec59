//! Content codings of pages (RFC 9110 §8.4, §12.5.3): made once and off the path of requests, negotiated,
//! each a representation of its own with its own tag, ranges and conditions.

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, Response, eventually};
use std::io::Read;

/// Text that compresses, of about so many bytes, different for every seed.
pub(super) fn text(seed: &str, bytes: usize) -> String {
    let line = |n: usize| format!("<li class=\"item\"><a href=\"/{seed}/{}\">number {n} of {seed}</a></li>\n", n * n);
    let mut text = String::from("<!doctype html><ul>\n");
    (0..).map(line).take_while(|_| true).try_for_each(|line| {
        text += &line;
        (text.len() < bytes).then_some(())
    });
    text
}

/// A body without its coding.
pub(super) fn decoded(answer: &Response) -> Vec<u8> {
    let (mut plain, body) = (Vec::new(), &answer.body[..]);
    let read = match answer.header("content-encoding") {
        None => return body.to_vec(),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("zstd") => zstd::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut plain)),
        Some(other) => panic!("{other} was not asked for"),
    };
    read.expect("a body in its coding");
    plain
}

fn accepting(path: &str, accept: &str) -> Ask {
    Ask::get(path).header("Accept-Encoding", accept)
}

/// Asks until the page comes in this coding.
pub(super) fn until_coded(proxy: &Breadbox, path: &str, coding: &str) -> Response {
    let mut last = None;
    eventually(&format!("{path} in {coding}"), PATIENCE, || {
        let answer = proxy.ask(&accepting(path, coding));
        let is_coded = answer.header("content-encoding") == Some(coding);
        last = Some(answer);
        is_coded
    });
    last.expect("an answer")
}

/// A page of 16 KB with a tag, on a route that lives for an hour and compresses like this.
fn started(compression: &str) -> (Origin, Breadbox, String) {
    let (origin, page) = (Origin::start(), text("p", 16_000));
    origin.answer("/p", Answer::html(page.clone()).header("ETag", "\"v1\"").header("Vary", "Cookie"));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h", compression]));
    (origin, proxy, page)
}

const ALL: &str = "compression: { codings: [ br, zstd, gzip ] }";

#[test]
fn every_coding_is_the_same_page_and_clients_choose() {
    // Every coding decodes to the origin's bytes, has a tag of its own and says what it varies on; the origin
    // was asked for no coding, once.
    let (origin, proxy, page) = started(ALL);
    let first = proxy.ask(&accepting("/p", "br"));
    assert_eq!((first.header("content-encoding"), first.text()), (None, page.clone()));
    until_coded(&proxy, "/p", "br");
    let mut tags = Vec::new();
    for (accept, coding) in [
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("gzip", Some("gzip")),
        ("gzip;q=0.5, zstd", Some("zstd")),
        ("deflate", None),
        ("", None),
        ("*;q=0, identity", None),
        ("identity;q=0, gzip", Some("gzip")),
        ("identity;q=0", None),
    ] {
        let answer = proxy.ask(&accepting("/p", accept));
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{accept}");
        assert!(answer.is_hit());
        assert_eq!(String::from_utf8_lossy(&decoded(&answer)), page, "{accept}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
        assert_eq!(answer.header("vary"), Some("Cookie, Accept-Encoding"), "{accept}");
        assert!(coding.is_none() || answer.body.len() < page.len() / 4, "{accept}: {} bytes", answer.body.len());
        tags.push((coding, answer.header("etag").expect("a tag").to_owned()));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
    assert_eq!(tags[0], (None, "\"v1\"".to_owned()));
    assert!(tags[1].1.starts_with("\"v1-br-") && tags[1].1.ends_with('"'), "{tags:?}");
    assert_eq!(proxy.get("/p").text(), page);
    let seen = origin.requests("/p");
    assert_eq!((seen.len(), seen[0].header("accept-encoding")), (1, Some("identity")));
}

#[test]
fn conditions_and_ranges_are_about_one_representation() {
    // RFC 9110 §13, §14: 304 and 206 of each coding; a tag of another that is acceptable selects that one.
    let (_origin, proxy, page) = started(ALL);
    proxy.get("/p");
    until_coded(&proxy, "/p", "gzip");
    for coding in ["br", "zstd", "gzip", "identity"] {
        let whole = proxy.ask(&accepting("/p", coding));
        let tag = whole.header("etag").expect("a tag");
        let same = proxy.ask(&accepting("/p", coding).header("If-None-Match", tag));
        assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(tag), 0), "{coding}");
        assert_eq!(same.header("vary"), Some("Cookie, Accept-Encoding"));
        let part = proxy.ask(&accepting("/p", coding).header("Range", "bytes=100-199").header("If-Range", tag));
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[100..200]), "{coding}");
        assert_eq!(part.header("content-range"), Some(format!("bytes 100-199/{}", whole.body.len()).as_str()));
        assert_eq!(part.header("content-encoding"), whole.header("content-encoding"));
        let end = proxy.ask(&accepting("/p", coding).header("Range", &format!("bytes={}-", whole.body.len())));
        assert_eq!(
            (end.status, end.header("content-range")),
            (416, Some(format!("bytes */{}", whole.body.len()).as_str()))
        );
        let head = proxy.ask(&Ask::head("/p").header("Accept-Encoding", coding));
        assert_eq!(head.header("content-length"), whole.header("content-length"), "{coding}");
        assert_eq!((head.header("etag"), head.body.len()), (Some(tag), 0));
    }
    let gzip = proxy.ask(&accepting("/p", "gzip"));
    let tag = gzip.header("etag").expect("a tag");
    let both = accepting("/p", "br, gzip");
    assert_eq!(proxy.ask(&both.clone().header("If-None-Match", tag)).status, 304);
    let resumed = proxy.ask(&both.clone().header("If-Range", tag).header("Range", "bytes=5-"));
    assert_eq!((resumed.status, &resumed.body[..]), (206, &gzip.body[5..]));
    // Not acceptable any more: the whole page in another coding.
    let other = proxy.ask(&accepting("/p", "br").header("If-None-Match", tag));
    assert_eq!((other.status, String::from_utf8_lossy(&decoded(&other)).into_owned()), (200, page));
    assert_eq!(proxy.ask(&accepting("/p", "br").header("If-Match", tag)).status, 412);
}

#[test]
fn a_refresh_with_the_same_bytes_keeps_the_codings() {
    // Nothing is compressed twice; the origin is asked with its own validator, never with a tag of ours.
    let (origin, page) = (Origin::start(), text("p", 16_000));
    let answer = Answer::html(page.clone()).header("ETag", "W/\"v1\"");
    origin.on("/p", move |x| match x.nth {
        3 => x.answer(&Answer::status(304).header("ETag", "W/\"v1\"")),
        _ => x.answer(&answer),
    });
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 100ms"]));
    proxy.get("/p");
    let coded = until_coded(&proxy, "/p", "br");
    assert_eq!(coded.header("etag"), Some("W/\"v1-br\""));
    eventually("several refreshes", PATIENCE, || {
        let answer = proxy.ask(&accepting("/p", "br, gzip"));
        assert_eq!((answer.header("content-encoding"), answer.body == coded.body), (Some("br"), true));
        origin.renders("/p") >= 5
    });
    assert_eq!(proxy.metric("breadbox_encodings_total", &[("coding", "br"), ("result", "made")]) as u64, 1);
    for seen in &origin.requests("/p")[1..] {
        assert_eq!(seen.header("if-none-match"), Some("W/\"v1\""));
    }
}

#[test]
fn a_refresh_with_other_bytes_gets_codings_of_its_own() {
    let origin = Origin::start();
    origin.on("/p", |x| x.answer(&Answer::html(text(&format!("v{}", x.nth), 8000))));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 50ms"]));
    proxy.get("/p");
    let mut bodies = std::collections::BTreeSet::new();
    eventually("codings of several versions", PATIENCE, || {
        let answer = proxy.ask(&accepting("/p", "gzip"));
        let plain = String::from_utf8(decoded(&answer)).expect("text");
        assert!((1..=origin.renders("/p")).any(|nth| plain == text(&format!("v{nth}"), 8000)));
        if answer.header("content-encoding").is_some() {
            bodies.insert(plain);
        }
        bodies.len() >= 3
    });
}

#[test]
fn a_page_is_kept_without_a_coding_only_where_that_is_asked_for() {
    // Compressed, the page takes a fraction of the memory; where there is room, one request without a coding has the
    // body kept, and none asks the origin.
    let (origin, proxy, page) = started("compression: { codings: [ br, gzip ] }");
    proxy.get("/p");
    let stored = || proxy.metric("breadbox_store_bytes", &[]) as usize;
    until_coded(&proxy, "/p", "br");
    assert!(stored() < page.len() / 2, "{} bytes", stored());
    for _ in 0..20 {
        assert_eq!(proxy.get("/p").text(), page);
    }
    assert!(stored() > page.len(), "{} bytes", stored());
    assert_eq!(proxy.metric("breadbox_unpacked_pages_total", &[]) as u64, 1);
    assert_eq!(origin.renders("/p"), 1);
}

#[test]
fn a_fuller_store_keeps_it_once_it_is_asked_for_more_often() {
    // From the second request on where half of the memory is taken, from the fourth where seven eighths are.
    for (taken, unpacked) in [(600_000, 2), (960_000, 4)] {
        let (origin, page) = (Origin::start(), text("p", 8000));
        origin.answer("/p", Answer::html(page.clone()));
        origin.answer("/image", Answer::new(vec![7; taken]).header("Content-Type", "image/png"));
        let isr = Config::isr(&origin, &["revalidate: 1h", "compression: { codings: [ br, gzip ] }"]);
        let proxy = Breadbox::start(isr.store("memory: 1MiB").store("max_page: 1MiB"));
        proxy.get("/image");
        proxy.get("/p");
        until_coded(&proxy, "/p", "br");
        for _ in 0..20 {
            assert_eq!(proxy.get("/p").text(), page);
        }
        assert_eq!(proxy.metric("breadbox_unpacked_pages_total", &[]) as u64, unpacked, "{taken} bytes taken");
        assert_eq!(origin.renders("/p") + origin.renders("/image"), 2);
        assert!(proxy.get("/image").is_hit());
    }
}

#[test]
fn what_would_not_gain_is_left_alone() {
    // Small pages, media that are compressed already, noise, `no-transform`, digests, and routes that say so.
    let origin = Origin::start();
    let noise: Vec<u8> = (0_u32..5000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let page = text("p", 9000);
    origin.answer("/small", Answer::html(text("s", 300)));
    origin.answer("/image", Answer::new(page.clone()).header("Content-Type", "image/png"));
    origin.answer("/noise", Answer::new(noise.clone()).header("Content-Type", "text/plain"));
    origin.answer("/fixed", Answer::html(page.clone()).header("Cache-Control", "max-age=60, no-transform"));
    origin.answer("/digest", Answer::html(page.clone()).header("Content-Digest", "sha-256=:x:"));
    origin.answer("/off/p", Answer::html(page.clone()));
    origin.answer("/last", Answer::html(page.clone()));
    origin.answer("/anyway/p", Answer::html(page).header("Cache-Control", "no-transform"));
    let config = Config::isr(&origin, &["revalidate: 1h"]).route("/off/{id}", "isr", &["compression: off"]).route(
        "/anyway/{id}",
        "isr",
        &["compression: { ignore_no_transform: true }", "revalidate: 1h"],
    );
    let proxy = Breadbox::start(config);
    let paths = ["/small", "/image", "/noise", "/fixed", "/digest", "/off/p"];
    paths.into_iter().for_each(|path| drop(proxy.get(path)));
    // The queue is in order: once the last one is done, so would be the others.
    for path in ["/last", "/anyway/p"] {
        proxy.get(path);
        until_coded(&proxy, path, "gzip");
    }
    for path in paths {
        let answer = proxy.ask(&accepting(path, "br, gzip"));
        assert!(answer.is_hit(), "{path}");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None), "{path}");
    }
    assert_eq!(proxy.ask(&accepting("/noise", "gzip")).body, noise);
}

#[test]
fn explain_shows_the_codings() {
    // Which there are, how large, and which body is only made when it is asked for.
    let (origin, page) = (Origin::start(), text("p", 16_000));
    origin.answer("/p", Answer::html(page.clone()));
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 1h"]).admin("token: s3cret"));
    proxy.get("/p");
    let br = until_coded(&proxy, "/p", "br");
    let url = format!("/-/explain?url=http://{}/p", proxy.addr());
    let ask = Ask::get(&url).header("Authorization", "Bearer s3cret");
    let said: serde_json::Value =
        serde_json::from_str(&proxy.admin_ask(&ask.clone().header("Accept", "application/json")).text()).expect("JSON");
    let codings = said["state"]["page"]["encodings"].as_array().expect("a list");
    assert_eq!(codings[0], serde_json::json!({ "coding": "br", "bytes": br.body.len(), "kept": true }));
    assert_eq!(codings[2], serde_json::json!({ "coding": "identity", "bytes": page.len(), "kept": false }));
    let text = proxy.admin_ask(&ask.header("Accept", "text/plain")).text();
    assert!(text.contains(&format!("in br {} bytes, gzip ", br.body.len())), "{text}");
}
