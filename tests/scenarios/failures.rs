//! Only a good render replaces a good page (DESIGN: the gate). Every kind of failure keeps the last good
//! page for every client and is tried again; a 404, a 410 or a redirect is an answer and replaces it.

use super::harness::{
    Answer, Ask, Breadbox, Config, Exchange, Origin, PATIENCE, crowd, eventually, until_body, until_stale,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Failure = fn(&mut Exchange<'_>) -> io::Result<()>;

/// Every way in which a render can go wrong while the origin listens.
const FAILURES: &[(&str, Failure)] = &[
    ("500", |x| x.answer(&Answer::status(500))),
    ("502", |x| x.answer(&Answer::status(502))),
    ("503", |x| x.answer(&Answer::status(503))),
    ("429", |x| x.answer(&Answer::status(429))),
    ("403", |x| x.answer(&Answer::status(403))),
    ("fresh-500", |x| x.answer(&Answer::status(500).header("Cache-Control", "max-age=1000"))),
    ("204", |x| x.answer(&Answer::new("").with_status(204))),
    ("206", |x| x.answer(&Answer::html("par").with_status(206).header("Content-Range", "bytes 0-2/100"))),
    ("empty", |x| x.answer(&Answer::html(""))),
    ("oversize", |x| x.answer(&Answer::html("x".repeat(100_000)))),
    ("oversize-chunked", |x| x.answer(&Answer::html("x".repeat(100_000)).chunked())),
    ("truncated", |x| x.truncated(&Answer::html("only the beginning"), 1000)),
    ("truncated-chunked", |x| {
        x.close();
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly ")
    }),
    ("garbage", |x| {
        x.close();
        x.send(b"\x16\x03\x01 this is no answer\r\n\r\n")
    }),
    ("garbled-chunks", |x| {
        x.close();
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nonly\r\n")
    }),
    ("closed", |x| {
        x.close();
        Ok(())
    }),
    ("reset", |x| {
        x.reset();
        Ok(())
    }),
    ("reset-in-body", |x| {
        x.reset();
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nonly")
    }),
    ("hang", |x| x.hang()),
    ("hang-in-head", |x| {
        x.send(b"HTTP/1.1 200 OK\r\nContent-Ty")?;
        x.hang()
    }),
    ("hang-in-body", |x| {
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nonly")?;
        x.hang()
    }),
];

/// An origin with a page a kind of failure, good until the switch is set.
fn failing_origin(fails: &Arc<AtomicBool>) -> Origin {
    let origin = Origin::start();
    for (name, fail) in FAILURES {
        let fails = Arc::clone(fails);
        origin.on(&format!("/{name}"), move |x| {
            if fails.load(Ordering::SeqCst) {
                return fail(x);
            }
            let body = format!("good {}", x.seen.target);
            x.answer(&Answer::html(body))
        });
    }
    origin
}

fn impatient(config: Config) -> Config {
    let keys = ["first_byte_timeout: 500ms", "between_bytes_timeout: 500ms", "render_timeout: 5s", "max_renders: 64"];
    keys.iter().fold(config.store("max_page: 64KiB"), |config, key| config.origin(key))
}

#[test]
fn a_failed_refresh_keeps_the_last_good_page_for_every_client() {
    // After each kind of failure everybody gets the good page, the render is tried again, and recovery is seen.
    let fails = Arc::new(AtomicBool::new(false));
    let origin = failing_origin(&fails);
    let proxy = Breadbox::start(impatient(Config::isr(&origin, &["revalidate: 200ms"])));
    crowd(proxy.addr(), FAILURES.len(), |i, client| {
        let path = format!("/{}", FAILURES[i].0);
        assert_eq!(client.get(&path).text(), format!("good {path}"));
    });
    fails.store(true, Ordering::SeqCst);
    let before = |path: &str| origin.renders(path);
    crowd(proxy.addr(), FAILURES.len(), |i, _| {
        let path = format!("/{}", FAILURES[i].0);
        // Refreshes that began before the switch may still have been good: two more have failed for certain
        // once three more were seen.
        let good = before(&path);
        until_stale(proxy.addr(), &Ask::get(&path));
        eventually(&format!("{path} is tried again"), PATIENCE, || {
            let answer = proxy.get(&path);
            assert_eq!((answer.status, answer.text()), (200, format!("good {path}")), "{path}");
            origin.renders(&path) >= good + 3
        });
        let cookie = Ask::get(&path).header("Cookie", "session=1").header("Accept", "*/*");
        for ask in [Ask::get(&path), cookie, Ask::get(&path).header("Range", "bytes=0-3")] {
            let answer = proxy.ask(&ask);
            assert!(matches!(answer.status, 200 | 206) && answer.is_hit(), "{path}: {:?}", answer.head.headers);
            assert!(answer.text().starts_with("good"), "{path}: {}", answer.text());
        }
        assert_eq!(proxy.ask(&Ask::head(&path)).status, 200, "{path}");
    });
    fails.store(false, Ordering::SeqCst);
    let tries: Vec<_> = FAILURES.iter().map(|(name, _)| origin.renders(&format!("/{name}"))).collect();
    crowd(proxy.addr(), FAILURES.len(), |i, client| {
        let path = format!("/{}", FAILURES[i].0);
        eventually(&format!("{path} recovers"), PATIENCE, || {
            assert_eq!(client.get(&path).text(), format!("good {path}"));
            origin.renders(&path) > tries[i]
        });
    });
}

#[test]
fn a_refused_connection_keeps_the_last_good_page() {
    // The origin does not listen: the page stays; when it listens again the page is refreshed.
    let origin = Origin::start();
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms"]));
    proxy.get("/p");
    origin.stop();
    until_stale(proxy.addr(), &Ask::get("/p"));
    let failed = || proxy.metric("breadbox_backoffs_total", &[]);
    eventually("two refreshes fail", PATIENCE, || {
        let answer = proxy.get("/p");
        assert!(answer.status == 200 && answer.text().starts_with("page /p #"));
        failed() >= 2.0
    });
    let before = origin.renders("/p");
    origin.start_again();
    until_body(proxy.addr(), &Ask::get("/p"), &Origin::body("/p", before + 1));
}

#[test]
fn a_missing_page_and_a_redirect_replace_a_good_page() {
    // 404, 410 and redirects are what the origin has to say now.
    let origin = Origin::start();
    let cases = [("/404", 404), ("/410", 410), ("/301", 301), ("/302", 302), ("/307", 307), ("/308", 308)];
    for (path, status) in cases {
        origin.on(path, move |x| match x.nth {
            1 => x.answer(&Answer::html("good")),
            _ => x.answer(&Answer::redirect(status, "/elsewhere")),
        });
    }
    let proxy = Breadbox::start(Config::isr(&origin, &["revalidate: 200ms", "not_found_ttl: 1h"]));
    crowd(proxy.addr(), cases.len(), |i, client| {
        let (path, status) = cases[i];
        assert_eq!(client.get(path).text(), "good");
        let replaced = until_body(proxy.addr(), &Ask::get(path), &format!("origin says {status}"));
        assert_eq!((replaced.status, replaced.is_hit()), (status, true), "{path}");
    });
}

#[test]
fn what_the_origin_said_itself_goes_to_those_who_waited() {
    // On a miss an error of the origin is passed on as it came and not stored; 5xx and 429 back off, other 4xx do not.
    let origin = Origin::start();
    for status in [500, 503, 429, 400, 403] {
        origin.answer(&format!("/{status}"), Answer::status(status).header("X-Why", "because"));
    }
    let proxy = Breadbox::start(Config::isr(&origin, &[]));
    for status in [400, 403, 500, 503, 429] {
        let path = format!("/{status}");
        let first = proxy.get(&path);
        assert_eq!((first.status, first.text()), (status, format!("origin says {status}")));
        assert_eq!(first.header("x-why"), Some("because"));
        assert!(!first.cache_status().stored, "{path}");
        let second = proxy.get(&path);
        if matches!(status, 400 | 403) {
            assert_eq!((second.status, origin.renders(&path)), (status, 2), "{path} does not back off");
        } else {
            assert_eq!((second.status, origin.renders(&path)), (503, 1), "{path} backs off");
            assert!(second.header("retry-after").is_some_and(|v| v.parse::<u32>().is_ok()), "{path}");
        }
    }
}

#[test]
fn a_broken_miss_is_a_clean_error_or_a_visible_break() {
    // Without a page: 504 for silence, 502 for nonsense, and never a broken body that looks whole; nothing is stored.
    let fails = Arc::new(AtomicBool::new(true));
    let origin = failing_origin(&fails);
    let proxy = Breadbox::start(impatient(Config::isr(&origin, &[])));
    let clean = [("hang", 504), ("hang-in-head", 504), ("garbage", 502), ("closed", 502), ("reset", 502)];
    crowd(proxy.addr(), clean.len(), |i, client| {
        let (name, status) = clean[i];
        assert_eq!(client.get(&format!("/{name}")).status, status, "{name}");
    });
    let broken = ["truncated", "truncated-chunked", "garbled-chunks", "reset-in-body", "hang-in-body"];
    crowd(proxy.addr(), broken.len(), |i, client| {
        let path = format!("/{}", broken[i]);
        match client.try_ask(&Ask::get(&path)) {
            Ok(answer) => assert!(matches!(answer.status, 502 | 504), "{path}: {} {}", answer.status, answer.text()),
            Err(e) => assert_ne!(e.kind(), io::ErrorKind::WouldBlock, "{path} has to end"),
        }
        assert!(!proxy.get(&path).is_hit(), "{path}");
    });
}
