//! Pages outlive the process: restarts, kills, purges before them, and what is not ours on the disk.

mod damage;
mod devices;
mod faults;
mod operator;
mod popular;
mod torture;

use super::harness::{Answer, Ask, Breadbox, Config, Origin, PATIENCE, crowd, eventually};
use std::path::Path;
use tempfile::TempDir;

/// A directory for pages that outlives the processes of a scenario.
fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

/// With a disk tier at `path`.
fn on_disk(config: Config, path: &Path) -> Config {
    on_disk_of(config, path, "64MiB")
}

fn on_disk_of(config: Config, path: &Path, capacity: &str) -> Config {
    let token = config.admin("token: secret");
    token.store(&format!("disk: {{ path: {:?}, capacity: {capacity} }}", path.to_str().expect("UTF-8")))
}

/// Ports change from one process to the next, and keys have them; this host has none.
fn of(target: &str) -> Ask {
    Ask::get(target).header("Host", "shop.test")
}

/// Asks for a purge with the token.
#[track_caller]
fn purge(proxy: &Breadbox, document: &str) -> u16 {
    let ask = Ask::new("POST", "/-/purge").header("Authorization", "Bearer secret").body(document.as_bytes());
    proxy.admin_ask(&ask).status
}

#[track_caller]
fn stop(proxy: &Breadbox) {
    proxy.sigterm();
    assert_eq!(proxy.wait_exit(PATIENCE).code(), Some(0));
}

/// Waits until nothing waits to be written.
#[track_caller]
fn until_written(proxy: &Breadbox, pages: usize) {
    eventually("the pages are written", PATIENCE, || {
        proxy.metric("breadbox_disk_unwritten_bytes", &[]) == 0.0
            && proxy.metric("breadbox_disk_pages", &[]) >= pages as f64
    });
}

#[test]
fn the_origin_is_off_the_machine_restarts_and_every_page_is_online() {
    // Pages of every kind are rendered, the proxy ends, the origin dies, the proxy starts: all of them are there.
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| {
        let body = format!("page {} {}", x.seen.target, "x".repeat(x.seen.target.len() * 700));
        let answer = Answer::html(body).header("ETag", "\"v1\"").header("X-Kind", "kept");
        x.answer(&if x.seen.target.contains("moved") { Answer::redirect(301, "/elsewhere") } else { answer })
    });
    let config = Config::new(&origin)
        .route("/static/{*rest}", "static", &[])
        .route("/plain/{*rest}", "headers", &["heuristic_max: 1d"])
        .route("/{*rest}", "isr", &["revalidate: 1ms"]);
    let config = on_disk(config, data.path());
    let paths: Vec<String> = (0..60)
        .map(|i| match i % 4 {
            0 => format!("/static/{i}"),
            1 => format!("/moved/{i}"),
            2 => format!("/shop/{i}?b=2&a=1"),
            _ => format!("/deep/{i}/{}", "d".repeat(i)),
        })
        .collect();
    let before = Breadbox::start(config.clone());
    paths.iter().for_each(|path| drop(before.ask(&of(path))));
    let first: Vec<_> = paths.iter().map(|path| before.ask(&of(path))).collect();
    stop(&before);
    origin.stop();
    let after = Breadbox::start(config);
    for (path, first) in paths.iter().zip(&first) {
        let again = after.ask(&of(path));
        assert_eq!(again.status, first.status, "{path}");
        assert!(again.body == first.body, "{path}");
        assert_eq!(again.header("x-kind"), first.header("x-kind"), "{path}");
        assert_eq!(again.header("location"), first.header("location"), "{path}");
        assert_eq!(again.header("etag"), first.header("etag"), "{path}");
        assert!(again.is_hit() || again.is_stale(), "{path}: {:?}", again.header("cache-status"));
    }
    assert_eq!(after.admin_ask(&Ask::get("/readyz")).status, 200);
    assert_eq!(after.metric("breadbox_disk_up", &[]), 1.0);
    assert!(after.metric("breadbox_disk_reads_total", &[("result", "hit")]) >= paths.len() as f64);
}

#[test]
fn variants_of_a_url_come_back_with_it() {
    // `Vary` on a plain route: each language is there after a restart, and one that is not is rendered.
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| {
        let language = x.seen.header("accept-language").unwrap_or("none").to_owned();
        let answer = Answer::html(format!("in {language}")).header("Cache-Control", "max-age=3600");
        x.answer(&answer.header("Vary", "Accept-Language"))
    });
    let config = on_disk(Config::headers(&origin, &[]), data.path());
    let ask = |language: &str| of("/p").header("Accept-Language", language);
    let before = Breadbox::start(config.clone());
    for language in ["de", "fr"] {
        assert_eq!(before.ask(&ask(language)).text(), format!("in {language}"));
    }
    stop(&before);
    let after = Breadbox::start(config);
    for language in ["de", "fr"] {
        let answer = after.ask(&ask(language));
        assert!(answer.is_hit(), "{:?}", answer.header("cache-status"));
        assert_eq!(answer.text(), format!("in {language}"));
    }
    assert_eq!(origin.count(), 2);
    assert_eq!(after.ask(&ask("nl")).text(), "in nl");
}

#[test]
fn a_page_that_left_memory_is_read_once_for_everybody() {
    // Memory holds a part of the pages; the others come from disk, one read for a crowd, and no render.
    const PAGE: usize = 64 * 1024;
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| x.answer(&Answer::html(format!("{:>64}", x.seen.target).repeat(PAGE / 64))));
    let config = Config::isr(&origin, &["revalidate: 1h"])
        .store("memory: 4MiB")
        .store("max_page: 256KiB")
        .top("compression: off");
    let proxy = Breadbox::start(on_disk(config, data.path()));
    let path = |i: usize| format!("/p/{i}");
    for i in 0..200 {
        assert_eq!(proxy.ask(&of(&path(i))).body.len(), PAGE);
    }
    assert!(proxy.metric("breadbox_store_evictions_total", &[]) > 50.0);
    until_written(&proxy, 200);
    for i in 0..200 {
        let answer = proxy.ask(&of(&path(i)));
        assert!(answer.is_hit(), "{i}: {:?}", answer.header("cache-status"));
        assert!(answer.text().trim_start().starts_with(&path(i)));
    }
    assert_eq!(origin.count(), 200);
    crowd(proxy.addr(), 16, |_, client| assert!(client.ask(&of(&path(3))).is_hit()));
}

#[test]
fn a_purge_outlives_the_process_in_either_mode() {
    // What was purged is not fresh after a restart, whether it ended in good order or was killed.
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| {
        let answer = Answer::html(format!("{} #{}", x.seen.target, x.nth)).header("Cache-Tag", "all t");
        x.answer(&answer)
    });
    let config = on_disk(Config::isr(&origin, &["revalidate: never"]), data.path());
    let paths = ["/a/1", "/a/2", "/b/1", "/b/2"];
    let first = Breadbox::start(config.clone());
    paths.iter().for_each(|path| assert_eq!(first.ask(&of(path)).status, 200));
    until_written(&first, 4);
    assert_eq!(purge(&first, r#"{"prefix": "/a/", "mode": "delete"}"#), 200);
    first.kill();
    let second = Breadbox::start(config.clone());
    assert_eq!(second.ask(&of("/a/1")).text(), "/a/1 #2");
    assert!(second.ask(&of("/b/1")).is_hit());
    assert_eq!(purge(&second, r#"{"tag": "t"}"#), 200);
    stop(&second);
    origin.stop();
    let third = Breadbox::start(config);
    let stale = third.ask(&of("/b/1"));
    assert!(stale.is_stale() && stale.text() == "/b/1 #1", "{:?}", stale.header("cache-status"));
    let gone = third.ask(&of("/a/2"));
    assert!(matches!(gone.status, 502..=504), "{}", gone.status);
}

#[test]
fn what_a_write_invalidated_stays_invalid_after_a_kill() {
    // RFC 9111 §4.4 over a restart: the answer to the POST went out, so the old page is never served again.
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| {
        x.answer(&Answer::html(format!("{} {}", x.seen.method, x.nth)).header("Cache-Control", "max-age=3600"))
    });
    let config = on_disk(Config::headers(&origin, &[]), data.path());
    let proxy = Breadbox::start(config.clone());
    assert_eq!(proxy.ask(&of("/cart")).text(), "GET 1");
    until_written(&proxy, 1);
    assert_eq!(proxy.ask(&Ask::new("POST", "/cart").header("Host", "shop.test").body(b"x")).status, 200);
    proxy.kill();
    let again = Breadbox::start(config);
    assert_eq!(again.ask(&of("/cart")).text(), "GET 3");
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    // Its message names the directory and the process; the first one is not disturbed.
    let (origin, data) = (Origin::start(), directory());
    let config = on_disk(Config::isr(&origin, &[]), data.path());
    let first = Breadbox::start(config.clone());
    let second = super::harness::Run::with_config(&["run"], &String::from(config));
    assert_eq!(second.code, Some(1), "{}", second.output);
    assert!(second.output.contains("another Breadbox uses this directory (process"), "{}", second.output);
    assert_eq!(first.ask(&of("/p")).status, 200);
    assert_eq!(first.metric("breadbox_disk_up", &[]), 1.0);
}

#[test]
fn rewriting_some_pages_pushes_no_other_page_out() {
    // Everything fits; a few pages are rendered again and again, more often than the disk has room for.
    let (origin, data) = (Origin::start(), directory());
    origin.otherwise(|x| {
        let body = format!("{} #{} {}", x.seen.target, x.nth, "x".repeat(40_000));
        x.answer(&Answer::html(body))
    });
    let config =
        Config::new(&origin).route("/still/{*rest}", "static", &[]).route("/{*rest}", "isr", &["revalidate: 1ms"]);
    let config = on_disk_of(config.store("max_page: 256KiB"), data.path(), "8MiB");
    let before = Breadbox::start(config.clone());
    for i in 0..60 {
        before.ask(&of(&format!("/still/{i}")));
    }
    let mut client = before.client();
    for round in 1..=100 {
        for page in ["/busy/1", "/busy/2", "/busy/3", "/busy/4"] {
            // One that was asked for while the next render landed may have started another.
            eventually(&format!("{page} #{round}"), PATIENCE, || {
                let text = client.ask(&of(page)).text();
                let number = text.split(['#', ' ']).nth(2).and_then(|number| number.parse::<u32>().ok());
                number.expect("a number") >= round
            });
        }
    }
    client.ask(&of("/still/0"));
    stop(&before);
    let used: u64 = std::fs::read_dir(data.path())
        .expect("a directory")
        .map(|f| f.expect("a file").metadata().expect("a file").len())
        .sum();
    assert!(used <= 9 << 20, "{used} bytes in a store of 8 MiB");
    let renders = origin.count();
    let after = Breadbox::start(config);
    for i in 0..60 {
        assert!(after.ask(&of(&format!("/still/{i}"))).is_hit(), "/still/{i}");
    }
    assert_eq!(origin.count(), renders);
}
