//! Warming: pages are rendered before anybody asks for them, by a command through the running Breadbox or
//! at start.

mod terminal;

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, Run, eventually};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

fn sitemap(urls: &[String]) -> String {
    let urls: String = urls.iter().map(|url| format!("<url><loc>{url}</loc></url>")).collect();
    format!("<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{urls}</urlset>")
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn isr(origin: &Origin) -> Config {
    Config::new(origin).route("/raw/{*rest}", "\"off\"", &[]).route("/{*rest}", "isr", &["revalidate: 1h"])
}

/// Runs `breadbox warm ARGS…` against this Breadbox.
#[track_caller]
fn warm(proxy: &Breadbox, args: &[&str], config: Config) -> Run {
    let url = format!("http://{}", proxy.addr());
    let args: Vec<&str> = [&["warm", "--url", &url], args].concat();
    Run::with_config(&args, &String::from(config))
}

fn hit(proxy: &Breadbox, host: &str, path: &str) -> bool {
    proxy.ask(&Ask::get(path).header("Host", host)).is_hit()
}

#[test]
fn paths_are_rendered_and_a_summary_says_what_became_of_them() {
    // Each once; a visitor then gets a hit; a second run finds everything there.
    let origin = Origin::start();
    let proxy = Breadbox::start(isr(&origin));
    let args = ["/a", "/b?x=1", "/./%61", "/raw/c", "--concurrency", "2"];
    let run = warm(&proxy, &args, isr(&origin));
    assert_eq!(run.code, Some(0), "{}", run.output);
    for said in [
        "3 pages in ",
        "2 rendered, 0 there already, 1 not kept, 0 failed",
        "not kept: 1 because of off",
        "3 of 3 pages",
    ] {
        assert!(run.output.contains(said), "{said}: {}", run.output);
    }
    assert!(proxy.get("/a").is_hit() && proxy.get("/b?x=1").is_hit());
    assert_eq!((origin.renders("/a"), origin.renders("/b")), (1, 1));
    let again = warm(&proxy, &args, isr(&origin));
    assert!(again.output.contains("0 rendered, 2 there already"), "{}", again.output);
}

#[test]
fn failures_are_listed_and_make_the_command_fail() {
    let origin = Origin::start();
    origin.answer("/broken", Answer::status(500));
    origin.answer("/gone", Answer::html("none").with_status(404));
    let proxy = Breadbox::start(isr(&origin));
    let run = warm(&proxy, &["/good", "/broken", "/gone"], isr(&origin));
    assert_eq!(run.code, Some(1), "{}", run.output);
    for said in ["1 rendered", "2 failed", "/broken: 50", "/gone: 404", "2 of 3 pages failed"] {
        assert!(run.output.contains(said), "{said}: {}", run.output);
    }
    let nobody = Run::with_config(&["warm", "/a", "--url", "http://127.0.0.1:1"], &String::from(isr(&origin)));
    assert!(nobody.code == Some(1) && nobody.output.contains("1 failed"), "{}", nobody.output);
    let stranger = Run::with_config(&["warm", "/a", "--url", &origin.url()], &String::from(isr(&origin)));
    assert!(
        stranger.code == Some(1) && stranger.output.contains("without Cache-Status of Breadbox"),
        "{}",
        stranger.output
    );
}

#[test]
fn a_sitemap_is_fetched_through_breadbox_with_all_that_it_lists() {
    // An index behind a redirect, compressed parts, URLs of a host that is not served.
    let origin = Origin::start();
    let site = |path: &str| format!("http://shop.test{path}");
    let index = format!(
        "<sitemapindex><sitemap><loc>{}</loc></sitemap><sitemap><loc>{}</loc></sitemap></sitemapindex>",
        site("/one.xml.gz"),
        site("/two.xml")
    );
    origin.answer("/sitemap.xml", Answer::redirect(301, "/index.xml"));
    origin.answer("/index.xml", Answer::new(index));
    origin.answer("/one.xml.gz", Answer::new(gz(&sitemap(&[site("/1"), site("/caf\u{e9}?a=1&amp;b=2")]))));
    origin.answer("/two.xml", Answer::new(sitemap(&[site("/3"), "https://other.test/4".into()])));
    let config = || isr(&origin).top("hosts: [ shop.test ]");
    let proxy = Breadbox::start(config());
    let run = warm(&proxy, &["--sitemap", "/sitemap.xml"], config());
    assert_eq!(run.code, Some(0), "{}", run.output);
    assert!(run.output.contains("3 rendered") && run.output.contains("hosts are not served: 1"), "{}", run.output);
    for path in ["/1", "/caf%C3%A9?a=1&b=2", "/3"] {
        assert!(hit(&proxy, "shop.test", path), "{path}");
    }
    assert_eq!(origin.renders("/4"), 0);
}

#[test]
fn hosts_and_fields_say_for_whom_pages_are_rendered() {
    // Paths on every host of the configuration, or on those that are named; variants by their fields.
    let origin = Origin::start();
    let config = || {
        Config::new(&origin).top("hosts: [ a.test, b.test ]").route(
            "/{*rest}",
            "isr",
            &["revalidate: 1h", "vary: { headers: [ Accept-Language ] }"],
        )
    };
    let proxy = Breadbox::start(config());
    assert_eq!(warm(&proxy, &["/p", "--header", "Accept-Language: de"], config()).code, Some(0));
    let ask = |host: &str, language: &str| {
        proxy.ask(&Ask::get("/p").header("Host", host).header("Accept-Language", language))
    };
    assert!(ask("a.test", "de").is_hit() && ask("b.test", "de").is_hit() && !ask("a.test", "fr").is_hit());
    assert_eq!(warm(&proxy, &["/q", "--host", "B.test"], config()).code, Some(0));
    assert!(hit(&proxy, "b.test", "/q") && !hit(&proxy, "a.test", "/q"));
}

#[test]
fn a_run_that_failed_goes_on_where_it_was() {
    // What is done is in the state file, failures are not; when all is done the file is gone.
    let origin = Origin::start();
    origin.answer("/broken", Answer::status(500));
    let proxy = Breadbox::start(isr(&origin));
    let dir = tempfile::tempdir().expect("a directory");
    let (list, state) = (dir.path().join("list.txt"), dir.path().join("state"));
    std::fs::write(&list, "# pages\n/1\n/2 # two\n\n/broken\n").expect("the directory is writable");
    let [list, state_name] = [&list, &state].map(|path| path.to_str().expect("a path of ASCII"));
    let args = ["--file", list, "--state", state_name];
    let first = warm(&proxy, &args, isr(&origin));
    assert!(first.code == Some(1) && state.exists(), "{}", first.output);
    origin.answer("/broken", Answer::html("good"));
    eventually("the page is tried again", PATIENCE, || proxy.get("/broken").status == 200);
    let second = warm(&proxy, &args, isr(&origin));
    assert_eq!(second.code, Some(0), "{}", second.output);
    assert!(
        second.output.contains("1 pages in ") && second.output.contains("2 were done by an earlier run"),
        "{}",
        second.output
    );
    assert!(!state.exists());
    std::fs::write(&state, "something else\n").expect("the directory is writable");
    let other = warm(&proxy, &args, isr(&origin));
    assert!(other.code == Some(1) && other.output.contains("name another file"), "{}", other.output);
}

#[test]
fn not_more_pages_are_asked_for_at_once_than_are_allowed() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.otherwise(move |x| {
        x.hold(&held)?;
        x.answer(&Answer::html("page"))
    });
    let proxy = Breadbox::start(isr(&origin));
    let paths: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).chain(["--concurrency", "3"]).collect();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| warm(&proxy, &paths, isr(&origin)));
        origin.wait_for_in_flight(3);
        gate.open();
        let run = run.join().expect("the command ends");
        assert_eq!(run.code, Some(0), "{}", run.output);
    });
    assert_eq!((origin.count(), origin.max_in_flight()), (20, 3));
}

#[test]
fn lines_that_name_no_page_are_refused_before_anything_is_asked() {
    let origin = Origin::start();
    let dir = tempfile::tempdir().expect("a directory");
    let list = dir.path().join("list.txt");
    std::fs::write(&list, "/1\n/2 3\n").expect("the directory is writable");
    let yaml = String::from(isr(&origin));
    let list = |list: &Path| list.to_str().expect("a path of ASCII").to_owned();
    for (args, said) in [
        (vec!["warm".to_owned(), "--file".into(), list(&dir.path().join("list.txt"))], "list.txt:2"),
        (vec!["warm".into(), "a".into()], "neither a path from / nor an http URL"),
        (vec!["warm".into()], "what is to be rendered?"),
        (vec!["warm".into(), "/a".into()], "on any port; give --url"),
        (vec!["warm".into(), "/a".into(), "--url".into(), "ftp://a".into()], "is no listener of Breadbox"),
    ] {
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        let url = "http://127.0.0.1:1";
        if said == "list.txt:2" || said.starts_with("neither") || said.starts_with("what") {
            args.extend(["--url", url]);
        }
        let run = Run::with_config(&args, &yaml);
        assert!(run.code == Some(1) && run.output.contains(said), "{said}: {}", run.output);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn at_start_the_pages_of_a_sitemap_are_rendered_behind_those_of_visitors() {
    // Within the concurrency that is named; the log says when it is done, and a visitor gets hits.
    let origin = Origin::start();
    let urls: Vec<String> = (0..30).map(|n| format!("https://shop.test/p/{n}")).collect();
    let more = ["https://shop.test/gone".to_owned(), "https://shop.test/raw/1".into(), "https://other.test/x".into()];
    origin.answer("/sitemap.xml", Answer::new(gz(&sitemap(&[urls, more.to_vec()].concat()))));
    origin.answer("/gone", Answer::html("none").with_status(404));
    let config = isr(&origin).top("hosts: [ shop.test ]").top("warm: { sitemap: /sitemap.xml, concurrency: 3 }");
    let proxy = Breadbox::start(config);
    let said = proxy.wait_for_output("\"warmed\"");
    assert!(said.contains("\"rendered\":30"), "{said}");
    for why in ["1 failed: 404", "1 not kept: off", "1 not kept: host"] {
        assert!(said.contains(why), "{why}: {said}");
    }
    assert!((0..30).all(|n| hit(&proxy, "shop.test", &format!("/p/{n}"))));
    assert_eq!(origin.requests("/raw/1").len(), 0);
    assert!(origin.max_in_flight() <= 3, "{}", origin.max_in_flight());
}

#[test]
fn at_start_an_origin_that_comes_later_is_waited_for() {
    let origin = Origin::start();
    origin.answer("/sitemap.xml", Answer::new(sitemap(&["http://shop.test/a".to_owned()])));
    origin.stop();
    let config = isr(&origin).top("hosts: [ shop.test ]").top("warm: { sitemap: [ /sitemap.xml ] }");
    let proxy = Breadbox::start(config);
    origin.start_again();
    proxy.wait_for_output("\"rendered\":1");
    assert!(hit(&proxy, "shop.test", "/a"));
}
