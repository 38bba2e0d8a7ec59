//! What sitemaps say, the shapes in which they come, and hostile ones.

use super::parse::{Document, MAX_DOCUMENT, ParseError, parse};
use super::walk::WalkError;
use super::*;
use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::collections::HashMap;
use std::io::Write;

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn pages(bytes: &[u8]) -> Vec<String> {
    match parse(bytes) {
        Ok(Document::Pages(pages)) => pages,
        other => panic!("{other:?}"),
    }
}

fn sitemap(urls: &[&str]) -> String {
    let entries: String = urls.iter().map(|url| format!("<url><loc>{url}</loc></url>")).collect();
    format!("<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{entries}</urlset>")
}

fn index(urls: &[&str]) -> String {
    let entries: String = urls.iter().map(|url| format!("<sitemap><loc>{url}</loc></sitemap>")).collect();
    format!("<sitemapindex>{entries}</sitemapindex>")
}

#[test]
fn the_locations_of_pages_are_read_and_those_of_extensions_are_not() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
        <?xml-stylesheet type="text/xsl" href="x.xsl"?> <!-- a comment -->
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
          <url>
            <loc> https://a.test/?a=1&amp;b=&#x32; </loc><lastmod>2026-01-01</lastmod>
            <image:image><image:loc>https://a.test/no.png</image:loc></image:image>
            <xhtml:link rel="alternate" href="https://a.test/de"/>
          </url>
          <url><loc><![CDATA[https://a.test/<&>]]></loc></url>
          <url><image:loc>https://a.test/no.png</image:loc></url>
          <url><loc/></url>
        </urlset>"#;
    assert_eq!(pages(text.as_bytes()), ["https://a.test/?a=1&b=2", "https://a.test/<&>"]);
    assert_eq!(pages(format!("\u{feff}{}", sitemap(&["https://a.test/é"])).as_bytes()), ["https://a.test/é"]);
    assert_eq!(pages(&gz(sitemap(&["/x"]).as_bytes())), ["/x"]);
    assert_eq!(pages(b"https://a.test/1\r\n\r\n  http://a.test/2\n"), ["https://a.test/1", "http://a.test/2"]);
}

#[test]
fn prefixes_for_sitemaps_themselves_are_understood() {
    let text = "<sm:urlset xmlns:sm=\"x\"><sm:url><sm:loc>/a</sm:loc></sm:url></sm:urlset>";
    assert_eq!(pages(text.as_bytes()), ["/a"]);
}

#[test]
fn what_is_no_sitemap_is_refused() {
    let said = |bytes: &[u8]| parse(bytes).expect_err("no sitemap").to_string();
    assert!(said(b"<!doctype html><html><body>Not found</body></html>").contains("begins with <html>"));
    assert!(said(b"<urlset><url><loc>/a</loc>").contains("ends in the middle"));
    assert!(said(b"<urlset><url></urlset>").contains("not well-formed"));
    assert!(said(b"hello").contains("neither XML nor a list"));
    assert!(said(b"").contains("neither XML nor a list"));
    assert!(said(b"<urlset>\xff</urlset>").contains("not UTF-8"));
    assert!(said(&[0x1f, 0x8b, 1, 2, 3]).contains("not gzip"));
    let whole = gz(sitemap(&["/x"]).as_bytes());
    assert!(said(&whole[..whole.len() - 9]).contains("not gzip"));
    assert!(said("<a>".repeat(10).as_bytes()).contains("begins with <a>"));
    assert!(said(format!("<urlset>{}", "<a>".repeat(100)).as_bytes()).contains("32 elements"));
    assert!(said(sitemap(&[&"x".repeat(9000)]).as_bytes()).contains("8KiB"));
}

#[test]
fn a_bomb_goes_off_nowhere() {
    // 100 MiB of zeros in 100 KiB, and entities that would multiply.
    assert!(matches!(parse(&gz(&vec![b' '; MAX_DOCUMENT + 10])), Err(ParseError::TooLarge)));
    let lol = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><urlset><url><loc>/&b;</loc></url></urlset>";
    assert_eq!(pages(lol.as_bytes()), ["/&b;"]);
}

struct Site(HashMap<&'static str, Vec<u8>>);

#[async_trait]
impl Fetch for Site {
    async fn fetch(&self, location: &str) -> Result<Vec<u8>, String> {
        self.0.get(location).cloned().ok_or_else(|| "is not there".to_owned())
    }
}

async fn walked(site: &[(&'static str, Vec<u8>)], most: usize) -> (Result<Walked, WalkError>, Vec<String>) {
    let mut pages = Vec::new();
    let site = Site(site.iter().cloned().collect());
    let walked = walk("/i", &site, Bounds { pages: most }, &mut |page| pages.push(page)).await;
    (walked, pages)
}

#[tokio::test]
async fn an_index_is_followed_in_its_order_and_each_document_once() {
    let site = [
        ("/i", index(&["/a", "/b.gz", "/a", "/i"]).into_bytes()),
        ("/a", index(&["/c"]).into_bytes()),
        ("/b.gz", gz(sitemap(&["/3"]).as_bytes())),
        ("/c", sitemap(&["/1", "/2"]).into_bytes()),
    ];
    let (walked, pages) = walked(&site, 3).await;
    assert_eq!(walked.expect("all are there"), Walked { documents: 4, pages: 3 });
    assert_eq!(pages, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn what_is_not_whole_is_an_error_that_names_the_document() {
    let missing = [("/i", index(&["/a", "/gone"]).into_bytes()), ("/a", sitemap(&["/1"]).into_bytes())];
    assert_eq!(walked(&missing, 9).await.0.expect_err("one is missing").to_string(), "/gone is not there");
    let deep =
        [("/i", index(&["/a"]).into_bytes()), ("/a", index(&["/b"]).into_bytes()), ("/b", index(&["/c"]).into_bytes())];
    assert!(walked(&deep, 9).await.0.expect_err("too deep").to_string().contains("not followed"));
    let many = [("/i", sitemap(&["/1", "/2"]).into_bytes())];
    assert!(matches!(walked(&many, 1).await.0, Err(WalkError::TooManyPages(1))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in "(<|</|>|urlset|url|loc|sitemapindex|&|;|#x|amp|!\\[CDATA\\[|\\]\\]|/|\"|a|é){0,40}") {
        let _ = parse(text.as_bytes());
        let _ = parse(format!("<urlset><url><loc>{text}").as_bytes());
        let _ = parse(&[&[0x1f, 0x8b], text.as_bytes()].concat());
    }
}
