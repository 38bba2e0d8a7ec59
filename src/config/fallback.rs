//! The page that a visitor sees while the page asked for is rendered for the first time: who it is for,
//! when it is shown, and the page itself, ready to be sent.
//!
//! A page is put together once, when the file is read: the script that waits for the real one goes into
//! it, and the policy (CSP) under which nothing else runs is made from what is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use html5gum::{DefaultEmitter, Token, Tokenizer};
use http::{HeaderValue, StatusCode};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// The page that is shipped.
const BUILTIN: &str = include_str!("../../config/fallback/page.html");

/// The script that every page gets; lines of `//` are not sent.
const SWAP: &str = include_str!("../../config/fallback/swap.js");

/// How often a browser without scripts asks again, in seconds.
const REFRESH: u32 = 3;

/// What a route shows in front of a miss.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// The page.
    pub page: Arc<ShellPage>,
    /// How long a request waits for the real page before it gets this one. Default 150 ms.
    pub after: Duration,
    /// The status it has. Default 200.
    pub status: StatusCode,
    /// How long a visitor is shown it at most; then the request waits as any other. Default 30 s.
    pub hold: Duration,
    /// What the browser is told to load meanwhile.
    pub preload: Preload,
}

/// Which preloads of a route's pages go with its fallback page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preload {
    /// At most this many; 0 for none. Default 8.
    pub max: usize,
    /// Origins besides the site's own that may be preloaded from: `https://cdn.example.com`. Default none.
    pub from: Vec<Box<str>>,
}

/// Bounds on long polls, by which fallback pages wait for the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPolls {
    /// Open at once for one page that was shown. Default 4.
    pub per_token: NonZeroUsize,
    /// Open at once from one client address (IPv6: from one /64). Default 256.
    pub per_client: NonZeroUsize,
    /// Open at once altogether. Default 20,000.
    pub total: NonZeroUsize,
}

/// A fallback page, ready to be sent.
#[derive(Debug)]
pub struct ShellPage {
    /// Up to where the token stands.
    before: Bytes,
    /// From behind the token.
    after: Bytes,
    policy: HeaderValue,
}

/// Who wrote a page: what is known to be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    /// We did: one style sheet, no other resource.
    Shipped,
    Operator,
}

impl ShellPage {
    /// The page that is shipped.
    pub fn builtin(hold: Duration, preload: &Preload) -> Self {
        ShellPage::new(BUILTIN, Author::Shipped, hold, preload)
    }

    /// A page of the operator's.
    pub fn of(html: &str, hold: Duration, preload: &Preload) -> Self {
        ShellPage::new(html, Author::Operator, hold, preload)
    }

    fn new(html: &str, author: Author, hold: Duration, preload: &Preload) -> Self {
        let script: String =
            SWAP.lines().filter(|line| !line.starts_with("//")).flat_map(|line| [line, "\n"]).collect();
        let at = end_of_head(html);
        let hold = hold.as_millis();
        let refresh = format!("<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH}\"></noscript>\n");
        let before = format!("{}{refresh}<script data-hold=\"{hold}\" data-wait=\"", &html[..at]);
        let after = format!("\">{script}</script>\n{}", &html[at..]);
        let policy = policy(html, author, &hash(&script), preload);
        ShellPage { before: before.into(), after: after.into(), policy }
    }

    /// The page with the token by which it waits. A token is of letters, digits, `-` and `_`.
    pub fn body(&self, token: &str) -> Bytes {
        [&self.before[..], token.as_bytes(), &self.after[..]].concat().into()
    }

    /// `Content-Security-Policy` of the page.
    pub fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

/// Where the head ends, or else the body, or else the page.
fn end_of_head(html: &str) -> usize {
    let lower = html.to_ascii_lowercase();
    lower.find("</head").or_else(|| lower.rfind("</body")).unwrap_or(html.len())
}

/// What the page may load and run. What it preloads for the next page counts as well.
fn policy(html: &str, author: Author, swap: &str, preload: &Preload) -> HeaderValue {
    let own = if preload.max > 0 { " 'self'" } else { "" };
    let others: String = preload.from.iter().filter(|_| preload.max > 0).flat_map(|from| [" ", &**from]).collect();
    let inline = inline(html);
    let list = |texts: &[String]| texts.iter().map(|text| format!(" {}", hash(text))).collect::<String>();
    let text = match author {
        Author::Shipped => format!(
            "default-src 'none'; script-src {swap}{own}{others}; style-src{}{own}{others}; img-src data:{own}{others}; \
             font-src{}{others}; connect-src 'self'{others}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            list(&inline.styles),
            if own.is_empty() { " 'none'" } else { own },
        ),
        Author::Operator => format!(
            "default-src 'none'; script-src 'self' {swap}{}{others}; style-src 'self' https: 'unsafe-inline'{others}; \
             img-src 'self' https: data:{others}; font-src 'self' https: data:{others}; media-src 'self' https:; \
             connect-src 'self'{others}; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'self'",
            list(&inline.scripts)
        ),
    };
    HeaderValue::try_from(text).expect("a policy of literals and base64 is ASCII")
}

/// `'sha256-…'`: what a policy calls an inline text by.
fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest))
}

#[derive(Default)]
struct Inline {
    scripts: Vec<String>,
    styles: Vec<String>,
}

/// The texts of a page's `<script>` and `<style>` elements.
fn inline(html: &str) -> Inline {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut found = Inline::default();
    let mut open: Option<(bool, String)> = None;
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"script" => open = Some((true, String::new())),
            Token::StartTag(tag) if tag.name.as_slice() == b"style" => open = Some((false, String::new())),
            Token::String(text) => {
                if let Some((_, inside)) = &mut open {
                    inside.push_str(&String::from_utf8_lossy(&text));
                }
            }
            Token::EndTag(_) => match open.take() {
                Some((_, text)) if text.trim().is_empty() => {}
                Some((true, text)) => found.scripts.push(text),
                Some((false, text)) => found.styles.push(text),
                None => {}
            },
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(30);
    const NONE: Preload = Preload { max: 0, from: vec![] };

    fn text(page: &ShellPage) -> String {
        String::from_utf8(page.body("TOKEN").to_vec()).expect("text")
    }

    #[test]
    fn the_shipped_page_runs_one_script_and_loads_nothing() {
        let page = ShellPage::builtin(HOLD, &NONE);
        let body = text(&page);
        assert_eq!(body.matches("<script").count(), 1, "{body}");
        assert!(body.contains("<script data-hold=\"30000\" data-wait=\"TOKEN\">"), "{body}");
        let (_, script) = body.split_once("data-wait=\"TOKEN\">").expect("a script");
        let (script, _) = script.split_once("</script>").expect("it ends");
        let (_, style) = body.split_once("<style>").expect("a style");
        let (style, _) = style.split_once("</style>").expect("it ends");
        let policy = page.policy().to_str().expect("ASCII");
        assert!(policy.contains(&format!("script-src {};", hash(script))), "{policy}");
        assert!(policy.contains(&format!("style-src {};", hash(style))), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert!(!body.contains("http://") && !body.contains("https://") && !body.contains("src="), "{body}");
        assert!(!script.contains("//"), "comments are not sent: {script}");
    }

    #[test]
    fn what_is_preloaded_may_be_loaded() {
        let preload = Preload { max: 1, from: vec!["https://cdn.test".into()] };
        for page in [ShellPage::builtin(HOLD, &preload), ShellPage::of("x", HOLD, &preload)] {
            let policy = page.policy().to_str().expect("ASCII");
            for kind in ["script-src", "style-src", "font-src", "img-src"] {
                let directive = policy.split("; ").find(|directive| directive.starts_with(kind)).expect(kind);
                assert!(directive.contains(" 'self'") && directive.contains(" https://cdn.test"), "{directive}");
            }
        }
    }

    #[test]
    fn a_page_of_the_operators_keeps_what_is_in_it() {
        let html = "<!doctype html><title>x</title><HEAD><script>let a = '&lt;';</script></HEAD><body>hi</body>";
        let page = ShellPage::of(html, HOLD, &NONE);
        let body = text(&page);
        let (head, rest) = body.split_once("<noscript>").expect("a refresh");
        assert!(head.ends_with("let a = '&lt;';</script>") && rest.ends_with("</HEAD><body>hi</body>"), "{body}");
        let policy = page.policy().to_str().expect("ASCII");
        assert!(policy.contains(&hash("let a = '&lt;';")), "{policy}");
    }

    #[test]
    fn the_script_goes_in_wherever_the_page_leaves_room() {
        for (html, before) in
            [("a</body></html>", "a<noscript>"), ("just text", "just text<noscript>"), ("", "<noscript>")]
        {
            assert!(text(&ShellPage::of(html, HOLD, &NONE)).starts_with(before), "{html}");
        }
    }
}
