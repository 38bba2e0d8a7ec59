//! Lists that come from sitemaps: read in the background from the origin and nobody else, read again, and
//! never a reason for a site to be gone.

use super::harness::{Answer, Ask, Breadbox, Config, Gate, Origin, PATIENCE, eventually};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn sitemap(paths: &[&str]) -> String {
    let urls: String = paths.iter().map(|path| format!("<url><loc>https://shop.test{path}</loc></url>")).collect();
    format!("<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{urls}</urlset>")
}

fn xml(text: impl Into<Vec<u8>>) -> Answer {
    Answer::new(text).header("Content-Type", "application/xml")
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn config(origin: &Origin, paths: &str) -> Config {
    Config::new(origin).top("hosts: [ shop.test ]").route(
        "/{*rest}",
        "isr",
        &["revalidate: 1h", &format!("paths: {paths}")],
    )
}

fn get(proxy: &Breadbox, path: &str) -> u16 {
    proxy.ask(&Ask::get(path).header("Host", "shop.test")).status
}

fn ready(proxy: &Breadbox) -> String {
    proxy.admin_ask(&Ask::get("/readyz")).text()
}

#[test]
fn an_index_with_compressed_sitemaps_says_which_paths_exist() {
    // Also over a redirect, as WordPress answers; pages of other hosts are not ours.
    let origin = Origin::start();
    let index = "<sitemapindex><sitemap><loc>https://shop.test/one.xml.gz</loc></sitemap>\
                 <sitemap><loc>https://shop.test/two.xml?page=1&amp;x=2</loc></sitemap></sitemapindex>";
    origin.answer("/sitemap.xml", Answer::status(301).header("Location", "https://shop.test/index.xml"));
    origin.answer("/index.xml", xml(index));
    origin.answer("/one.xml.gz", xml(gz(&sitemap(&["/a", "/caf\u{e9}?x=1#y"]))));
    origin.answer(
        "/two.xml",
        xml(sitemap(&["/b/./c"]).replace("</urlset>", "<url><loc>https://other.test/no</loc></url></urlset>")),
    );
    let proxy = Breadbox::start(config(&origin, "{ sitemap: https://shop.test/sitemap.xml }"));
    proxy.wait_for_output("sitemap read");
    for path in ["/a", "/caf%C3%A9", "/b/c"] {
        assert_eq!(get(&proxy, path), 200, "{path}");
    }
    for path in ["/", "/no", "/d", "/sitemap.xml"] {
        assert_eq!(get(&proxy, path), 404, "{path}");
    }
    let asked = origin.wait_for_requests("/two.xml?page=1&x=2", 1);
    assert_eq!((asked[0].header("host"), asked[0].header("x-forwarded-proto")), (Some("shop.test"), Some("https")));
    assert_eq!(asked[0].header("cookie"), None);
    assert_eq!(proxy.metric("breadbox_listed_paths", &[]), 3.0);
    assert_eq!(proxy.metric("breadbox_sitemap_reads_total", &[("result", "good")]), 1.0);
    assert!(ready(&proxy).contains("\"ready\""), "{}", ready(&proxy));
}

#[test]
fn until_a_sitemap_could_be_read_every_path_is_let_through() {
    // The log and readyz say so; when it can be read, the list holds and the trouble is over.
    let origin = Origin::start();
    origin.answer("/sitemap.xml", Answer::status(500));
    let proxy = Breadbox::start(config(&origin, "{ sitemap: /sitemap.xml, refresh: 1s }"));
    proxy.wait_for_output("sitemap could not be read");
    assert_eq!(get(&proxy, "/anything"), 200);
    assert!(
        ready(&proxy).contains("degraded") && ready(&proxy).contains("every path is let through"),
        "{}",
        ready(&proxy)
    );
    origin.answer("/sitemap.xml", xml(sitemap(&["/a"])));
    eventually("the list holds", PATIENCE, || get(&proxy, "/anything") == 404);
    assert_eq!(get(&proxy, "/a"), 200);
    assert!(ready(&proxy).contains("\"ready\""), "{}", ready(&proxy));
    assert_eq!(proxy.count_logged("WARN", "sitemap could not be read"), 1);
}

#[test]
fn a_sitemap_is_read_again_and_a_broken_one_changes_nothing() {
    let origin = Origin::start();
    origin.answer("/sitemap.xml", xml(sitemap(&["/a"])));
    let proxy = Breadbox::start(config(&origin, "{ sitemap: /sitemap.xml, refresh: 1s }"));
    eventually("the list holds", PATIENCE, || get(&proxy, "/b") == 404);
    origin.answer("/sitemap.xml", xml(sitemap(&["/a", "/b"])));
    eventually("the new page is there", PATIENCE, || get(&proxy, "/b") == 200);
    for broken in [
        Answer::html("<!doctype html><html>maintenance</html>"),
        xml(sitemap(&[])),
        xml("<urlset><url><loc>https://other.test/x</loc></url></urlset>"),
    ] {
        let before = origin.renders("/sitemap.xml");
        origin.answer("/sitemap.xml", broken);
        origin.wait_for_requests("/sitemap.xml", before + 2);
        eventually("readyz says so", PATIENCE, || ready(&proxy).contains("the list that was read before stays"));
        assert_eq!((get(&proxy, "/a"), get(&proxy, "/b"), get(&proxy, "/c")), (200, 200, 404));
        origin.answer("/sitemap.xml", xml(sitemap(&["/a", "/b"])));
        eventually("the trouble is over", PATIENCE, || ready(&proxy).contains("\"ready\""));
    }
}

#[test]
fn a_sitemap_never_keeps_anybody_waiting() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/sitemap.xml", move |x| {
        x.hold(&held)?;
        x.answer(&xml(sitemap(&["/a"])))
    });
    let proxy = Breadbox::start(config(&origin, "{ sitemap: /sitemap.xml }"));
    origin.wait_for_requests("/sitemap.xml", 1);
    assert_eq!(get(&proxy, "/b"), 200);
    gate.open();
    eventually("the list holds", PATIENCE, || get(&proxy, "/b") == 404);
}

#[test]
fn a_sitemap_in_a_file_holds_from_the_first_request_on() {
    let origin = Origin::start();
    let files = [("site.xml", sitemap(&["/a"]))];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let proxy = Breadbox::start_with(config(&origin, "{ sitemap: site.xml }"), &[], &files);
    assert_eq!((get(&proxy, "/b"), get(&proxy, "/a")), (404, 200));
    assert_eq!(origin.count(), 1);
}

#[test]
fn too_long_a_sitemap_is_not_taken_in_part() {
    let origin = Origin::start();
    origin.answer("/sitemap.xml", xml(sitemap(&["/a", "/b", "/c"])));
    let proxy = Breadbox::start(config(&origin, "{ sitemap: /sitemap.xml, max_paths: 2 }"));
    proxy.wait_for_output("has more than 2 pages");
    assert_eq!(get(&proxy, "/c"), 200);
}

#[test]
fn a_reload_lets_nothing_through_that_the_list_did_not() {
    // What was read of the same sitemap goes on counting while the new configuration cannot read it.
    let origin = Origin::start();
    origin.answer("/sitemap.xml", xml(sitemap(&["/a"])));
    let config = || config(&origin, "{ sitemap: /sitemap.xml }").admin("token: t");
    let proxy = Breadbox::start(config());
    eventually("the list holds", PATIENCE, || get(&proxy, "/b") == 404);
    origin.answer("/sitemap.xml", Answer::status(500));
    assert_eq!(proxy.reload(config()).status, 200);
    assert_eq!((get(&proxy, "/a"), get(&proxy, "/b")), (200, 404));
    eventually("readyz says so", PATIENCE, || ready(&proxy).contains("the list that was read before stays"));
    assert_eq!((get(&proxy, "/a"), get(&proxy, "/b")), (200, 404));
}
