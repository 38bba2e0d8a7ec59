//! What a page has browsers load, as `Link` values (RFC 8288, preload): what its own `Link` fields and its head
//! name. With them a fallback page has the next page's assets on their way while that is rendered.
//!
//! A page is a stranger's text: only what is understood, of this site or of origins that were listed, is written
//! anew; nothing is copied.

use super::list::members;
use super::{Fields, Key};
use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use http::HeaderValue;
use http::header::LINK;
use std::collections::BTreeMap;

/// Bytes of a page that are read: heads are short.
const READ: usize = 64 << 10;

/// Bytes of the longest URL.
const LONGEST: usize = 512;

/// Candidates that are kept of one page.
const MOST: usize = 32;

/// Something that a page has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// A path of the site, or a URL of another origin.
    url: Box<str>,
    kind: Kind,
    crossorigin: Option<CrossOrigin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CrossOrigin {
    Anonymous,
    UseCredentials,
}

/// What is loaded: the values of `as` that browsers know, and modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Style,
    Script,
    Module,
    Font,
    Image,
    Fetch,
}

impl Kind {
    fn of(text: &str) -> Option<Kind> {
        Some(match text.to_ascii_lowercase().as_str() {
            "style" => Kind::Style,
            "script" => Kind::Script,
            "font" => Kind::Font,
            "image" => Kind::Image,
            "fetch" => Kind::Fetch,
            _ => return None,
        })
    }

    const fn parameters(self) -> &'static str {
        match self {
            Kind::Style => "rel=preload; as=style",
            Kind::Script => "rel=preload; as=script",
            Kind::Module => "rel=modulepreload",
            Kind::Font => "rel=preload; as=font",
            Kind::Image => "rel=preload; as=image",
            Kind::Fetch => "rel=preload; as=fetch",
        }
    }

    /// Whether all pages of a route are likely to have it: a picture may be that of one product.
    const fn is_shared(self) -> bool {
        matches!(self, Kind::Style | Kind::Script | Kind::Module | Kind::Font)
    }
}

impl Candidate {
    /// Whether another page of the route is likely to have it too, given what the page before had.
    pub(crate) fn is_likely(&self, before: &[Candidate]) -> bool {
        self.kind.is_shared() || before.is_empty() || before.contains(self)
    }

    /// Whether it is the site's own, or of one of these origins.
    pub(crate) fn is_from(&self, listed: &[Box<str>]) -> bool {
        let of = |origin: &str| self.url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        self.url.starts_with('/') || listed.iter().any(|origin| of(origin))
    }

    /// The `Link` value.
    pub(crate) fn link(&self) -> HeaderValue {
        let crossorigin = match self.crossorigin {
            None => "",
            Some(CrossOrigin::Anonymous) => "; crossorigin",
            Some(CrossOrigin::UseCredentials) => "; crossorigin=use-credentials",
        };
        HeaderValue::try_from(format!("<{}>; {}{crossorigin}", self.url, self.kind.parameters()))
            .expect("a URL of URI characters is ASCII")
    }
}

/// What a page of `key` with these fields and this body has loaded, in its order, without repetitions.
pub(crate) fn candidates(key: &Key, fields: &Fields, body: &[u8]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |candidate: Candidate| {
        if found.len() < MOST && !found.iter().any(|other| other.url == candidate.url) {
            found.push(candidate);
        }
    };
    for value in fields.iter().filter(|(name, _)| *name == LINK).map(|(_, value)| value) {
        members(value.as_bytes()).filter_map(|member| of_link(key, member)).for_each(&mut add);
    }
    let start = &body[..body.len().min(READ)];
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    for Ok(token) in Tokenizer::new_with_emitter(start, emitter) {
        match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"body" || tag.name.as_slice() == b"base" => break,
            Token::StartTag(tag) => of_tag(key, &tag).into_iter().for_each(&mut add),
            Token::EndTag(tag) if tag.name.as_slice() == b"head" => break,
            _ => {}
        }
    }
    found
}

/// `</app.css>; rel=preload; as=style`
fn of_link(key: &Key, member: &[u8]) -> Option<Candidate> {
    let text = std::str::from_utf8(member).ok()?;
    let (url, rest) = text.strip_prefix('<')?.split_once('>')?;
    let parameters: BTreeMap<String, String> = rest
        .split(';')
        .filter_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = name.trim().to_ascii_lowercase();
            (!name.is_empty()).then(|| (name, value.trim().trim_matches('"').to_owned()))
        })
        .collect();
    candidate(key, url, |name| parameters.get(name).map(String::as_str))
}

fn of_tag(key: &Key, tag: &StartTag<()>) -> Option<Candidate> {
    let get = |name: &str| {
        let value: &HtmlString = tag.attributes.get(name.as_bytes()).map(|value| &**value)?;
        std::str::from_utf8(value.as_slice()).ok()
    };
    match tag.name.as_slice() {
        b"link" => candidate(key, get("href")?, get),
        b"script" if get("nomodule").is_none() && get("integrity").is_none() => {
            let kind = match get("type").unwrap_or_default().trim() {
                "module" => Kind::Module,
                "" | "text/javascript" | "application/javascript" => Kind::Script,
                _ => return None,
            };
            Some(Candidate { url: url(key, get("src")?)?, kind, crossorigin: crossorigin(get("crossorigin")) })
        }
        _ => None,
    }
}

/// A link by its attributes. One with a condition (`media`, `imagesrcset`) is not preloaded, nor one whose bytes are
/// checked (`integrity`), which browsers load once more.
fn candidate<'a>(key: &Key, href: &str, get: impl Fn(&str) -> Option<&'a str>) -> Option<Candidate> {
    const CONDITIONS: [&str; 5] = ["media", "imagesrcset", "integrity", "disabled", "anchor"];
    if CONDITIONS.iter().any(|name| get(name).is_some()) {
        return None;
    }
    let rel = get("rel")?.to_ascii_lowercase();
    let mut relations = rel.split_ascii_whitespace();
    let kind = relations.find_map(|relation| match relation {
        "alternate" => Some(None),
        "preload" => Some(get("as").and_then(Kind::of)),
        "modulepreload" => Some(Some(Kind::Module)),
        "stylesheet" => Some(Some(Kind::Style)),
        _ => None,
    })??;
    Some(Candidate { url: url(key, href)?, kind, crossorigin: crossorigin(get("crossorigin")) })
}

fn crossorigin(value: Option<&str>) -> Option<CrossOrigin> {
    let value = value?;
    let credentials = value.eq_ignore_ascii_case("use-credentials");
    Some(if credentials { CrossOrigin::UseCredentials } else { CrossOrigin::Anonymous })
}

/// A URL as it stands in a page of `key`: of the site itself as a path, of others whole.
fn url(key: &Key, text: &str) -> Option<Box<str>> {
    let text = text.trim_ascii();
    let fits = |b: u8| b.is_ascii_graphic() && !b"<>\"'\\^`{|}#".contains(&b);
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
        return None;
    }
    let page = key.uri();
    let scheme = page.scheme.as_str();
    let absolute = match text.strip_prefix("//") {
        Some(rest) => format!("{scheme}://{rest}"),
        None if text.starts_with('/') => return Some(text.into()),
        None if text.split(['/', '?']).next().is_some_and(|start| start.contains(':')) => text.to_owned(),
        None => return relative(page.path, text),
    };
    let (scheme_of, rest) = absolute.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let authority = authority.to_ascii_lowercase();
    if authority == page.host && scheme_of == scheme {
        return Some(path.into());
    }
    (!authority.contains('@')).then(|| format!("{scheme_of}://{authority}{path}").into())
}

/// A path relative to the folder of the page (RFC 3986 §5.2.3).
fn relative(page: &str, text: &str) -> Option<Box<str>> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    if path.is_empty() {
        return None;
    }
    let folder = &page[..=page.rfind('/')?];
    let merged = format!("{folder}{path}");
    let merged = crate::uri::path::remove_dot_segments(&merged).unwrap_or(merged);
    // The page's path may hold what no URL does; two slashes in front would be another host.
    let fits = merged.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"'\\".contains(&b)) && !merged.starts_with("//");
    fits.then(|| query.map_or(merged.clone(), |query| format!("{merged}?{query}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;
    use crate::policy::key::KeyUri;
    use crate::policy::sample::fields;
    use proptest::prelude::*;

    fn key() -> Key {
        Key::of(KeyUri { scheme: Scheme::Https, host: "shop.test", path: "/products/7", query: None })
    }

    fn links(pairs: &[(&str, &str)], body: &str) -> Vec<String> {
        let found = candidates(&key(), &fields(pairs), body.as_bytes());
        found.iter().map(|found| found.link().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_the_head_loads_is_found_in_every_form() {
        let body = "<!doctype html><HTML><head><link rel=icon href=/i.png>\
            <link rel=\"stylesheet\" href='/a.css?x=1&amp;y=2'><link rel=stylesheet href=/print.css media=print>\
            <link rel='alternate stylesheet' href=/alt.css><link rel=preload as=font href=/f.woff2 crossorigin>\
            <script src=b.js></script><script type=module src=https://shop.test/c.js></script>\
            <script nomodule src=/old.js></script><script>'<link rel=stylesheet href=/no.css>'</script>\
            <!-- <link rel=stylesheet href=/no2.css> --><link rel=modulepreload href=//cdn.test/d.js>\
            <link rel=stylesheet href=/s.css integrity=sha256-x></head><body><link rel=stylesheet href=/late.css>";
        assert_eq!(
            links(
                &[
                    ("link", "</h.css>; rel=preload; as=style, </p>; rel=\"prev\""),
                    ("link", "</a.js>;rel=modulepreload")
                ],
                body
            ),
            [
                "</h.css>; rel=preload; as=style",
                "</a.js>; rel=modulepreload",
                "</a.css?x=1&y=2>; rel=preload; as=style",
                "</f.woff2>; rel=preload; as=font; crossorigin",
                "</products/b.js>; rel=preload; as=script",
                "</c.js>; rel=modulepreload",
                "<https://cdn.test/d.js>; rel=modulepreload",
            ]
        );
    }

    #[test]
    fn what_is_no_url_of_a_site_is_left_out() {
        for href in
            ["javascript:alert(1)", "data:,x", "/a b", "/a>b", "/a\u{e9}", "/\r\nX: y", "", "https://u@h/", "#x"]
        {
            let page = format!("<link rel=stylesheet href=\"{href}\">");
            assert_eq!(links(&[], &page), Vec::<String>::new(), "{href}");
        }
        assert_eq!(
            links(&[("link", "</a b>; rel=preload; as=style, <>; rel=preload; as=style")], ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn other_origins_count_where_they_are_listed() {
        let found = candidates(&key(), &fields::<&str>(&[]), b"<link rel=stylesheet href=https://cdn.test/a.css>");
        assert!(!found[0].is_from(&[]) && found[0].is_from(&["https://cdn.test".into()]));
        assert!(!found[0].is_from(&["https://cdn.te".into()]) && !found[0].is_from(&["http://cdn.test".into()]));
    }

    #[test]
    fn pictures_count_where_the_page_before_had_them_too() {
        let of = |image: &str| {
            let body = format!("<link rel=stylesheet href=/a.css><link rel=preload as=image href={image}>");
            candidates(&key(), &fields::<&str>(&[]), body.as_bytes())
        };
        let (one, other) = (of("/1.png"), of("/2.png"));
        assert!(one.iter().all(|found| found.is_likely(&[])));
        assert!(one.iter().all(|found| found.is_likely(&one)));
        assert_eq!(one.iter().map(|found| found.is_likely(&other)).collect::<Vec<_>>(), [true, false]);
    }

    proptest! {
        #[test]
        fn no_page_makes_a_link_that_is_none(body in proptest::collection::vec(any::<u8>(), 0..200), href in "\\PC{0,30}") {
            let page = [b"<link rel=stylesheet href=\"", href.as_bytes(), b"\">", &body[..]].concat();
            for found in candidates(&key(), &Fields::new(), &page) {
                let link = found.link();
                let text = link.to_str().unwrap();
                prop_assert_eq!(text.matches('>').count(), 1);
            }
        }
    }
}
