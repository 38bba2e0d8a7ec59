//! The assets that a page links: what scripts, styles, images and the like in its HTML refer to on its
//! own host. It reads the page as a browser's tokenizer does and looks at no other attribute.

use html5gum::{Token, Tokenizer};
use std::collections::BTreeSet;
use url::Url;

/// Assets that are found in one page; what comes later is not looked for.
pub const MAX_LINKS: usize = 64;

/// Bytes of a page that are read.
const MAX_HTML: usize = 2 << 20;

/// Paths (with their queries) on the page's own origin that `wants` takes, in no order and each once.
/// `page` is the page's URL. A URL that cannot be read is passed over.
pub fn assets(html: &[u8], page: &Url, wants: impl Fn(&str) -> bool) -> Vec<String> {
    let html = &html[..html.len().min(MAX_HTML)];
    let mut base = page.clone();
    let mut found = BTreeSet::new();
    for token in Tokenizer::new(html).flatten() {
        let Token::StartTag(tag) = token else { continue };
        let name = match &tag.name[..] {
            b"script" | b"img" | b"source" | b"video" | b"audio" | b"track" | b"embed" | b"iframe" => &b"src"[..],
            b"link" | b"base" => &b"href"[..],
            _ => continue,
        };
        let Some(value) = tag.attributes.get(name) else { continue };
        let Some(url) = std::str::from_utf8(value).ok().and_then(|value| base.join(value.trim()).ok()) else {
            continue;
        };
        if &tag.name[..] == b"base" {
            base = url;
        } else if url.origin() == page.origin() && wants(url.path()) {
            found.insert(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
        }
        if found.len() == MAX_LINKS {
            break;
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(html: &str) -> Vec<String> {
        let page = Url::parse("https://a.com/shop/one").unwrap();
        assets(html.as_bytes(), &page, |path| path.starts_with("/_next/static/"))
    }

    #[test]
    fn assets_of_the_pages_own_origin_are_found() {
        let html = r#"<!doctype html><link rel=preload href="/_next/static/a.css?v=1"><script async src='../_next/static/b.js'></script>
            <script src="https://a.com/_next/static/c.js#x"></script><script src="//b.com/_next/static/no.js"></script>
            <script src="http://a.com/_next/static/no.js"></script><img src="/images/no.png"><img src="/_next/static/a.css?v=1">
            <a href="/_next/static/no.html">x</a><!-- <script src="/_next/static/no.js"></script> -->
            <script>document.write('<img src="/_next/static/no.png">')</script>"#;
        let found = found(html);
        assert_eq!(&found[..3], ["/_next/static/a.css?v=1", "/_next/static/b.js", "/_next/static/c.js"]);
    }

    #[test]
    fn a_base_is_heeded_and_what_is_no_url_is_passed_over() {
        assert_eq!(found(r#"<base href="/_next/"><script src="static/a.js">"#), ["/_next/static/a.js"]);
        assert!(found(r#"<base href="https://b.com/"><script src="/_next/static/a.js">"#).is_empty());
        assert!(found(r#"<script src="http://[/_next/static/a.js">"#).is_empty());
    }

    #[test]
    fn no_more_than_so_many_are_looked_for() {
        let html: String = (0..1000).map(|n| format!("<img src=/_next/static/{n}>")).collect();
        assert_eq!(found(&html).len(), MAX_LINKS);
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(html in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let page = Url::parse("http://a.com/").unwrap();
            assets(&html, &page, |_| true);
        }
    }
}
