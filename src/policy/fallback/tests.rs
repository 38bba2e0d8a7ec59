//! Who is shown a fallback page, request by request.

use super::*;
use crate::config::{Crawlers, Fallback, Preload, ShellPage};
use crate::policy::admission::{Admission, admit};
use crate::policy::route::RouteTable;
use crate::policy::testing::{self, Ask};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const HOLD: Duration = Duration::from_secs(30);

fn fallback() -> Fallback {
    let preload = Preload { max: 8, from: vec![] };
    Fallback {
        page: Arc::new(ShellPage::builtin(HOLD, &preload)),
        after: Duration::ZERO,
        status: StatusCode::OK,
        hold: HOLD,
        preload,
    }
}

fn who(method: &str, fields: &[(&str, &str)], shown: Shown) -> Audience {
    let mut route = testing::route("/{*rest}");
    route.fallback = Some(fallback());
    let mut config = testing::config(vec![route]);
    config.crawlers = Crawlers::new(["bot", "curl/"]);
    let table = RouteTable::new(&config).unwrap();
    let ask = fields.iter().fold(Ask::get("/p").method(method), |ask, (name, value)| ask.field(name, value));
    let Admission::Lookup(wanted) = admit(&config, &table, &ask.incoming()) else { panic!("a lookup") };
    audience(&config, config.route(wanted.route), &wanted, &ask.headers, shown)
}

const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36";

#[test]
fn a_visitor_is_a_get_navigation_that_accepts_html() {
    for fields in [
        &[("accept", "text/html")][..],
        &[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), ("user-agent", CHROME)],
        &[("accept", "*/*, TEXT/HTML;q=0.1")],
        &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        &[("accept", "text/html"), ("if-none-match", "\"x\"")],
        &[("accept", "text/html"), ("x-requested-with", "com.example.browser")],
    ] {
        assert_eq!(who("GET", fields, Shown::Never), Audience::Visitor, "{fields:?}");
        assert_eq!(who("HEAD", fields, Shown::Never), Audience::Waits, "HEAD {fields:?}");
        assert_eq!(who("GET", fields, Shown::Enough), Audience::Waits, "{fields:?}");
        assert_eq!(who("GET", fields, Shown::Since(NOW)), Audience::Visitor, "{fields:?}");
    }
}

#[test]
fn whoever_else_asks_waits() {
    for field in [
        ("accept", "*/*"),
        ("accept", "application/json"),
        ("accept", "text/html;q=0"),
        ("accept", "text/html; q=0.000"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-mode", "same-origin"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "Prefetch"),
        ("x-moz", "prefetch"),
        ("x-purpose", "preview"),
        ("x-requested-with", "XMLHttpRequest"),
        ("x-nextjs-data", "1"),
        ("hx-request", "true"),
        ("range", "bytes=0-1"),
        ("user-agent", "Mozilla/5.0 (compatible; GoogleBOT/2.1)"),
        ("user-agent", "curl/8.0"),
    ] {
        let mut fields = vec![field];
        if field.0 != "accept" {
            fields.push(("accept", "text/html"));
        }
        assert_eq!(who("GET", &fields, Shown::Never), Audience::Waits, "{field:?}");
    }
    assert_eq!(who("GET", &[], Shown::Never), Audience::Waits, "no Accept");
}

#[test]
fn a_page_is_shown_again_only_while_its_render_runs_and_not_for_too_long() {
    let token = |flight, since| Token { flight, since, hold: HOLD, nonce: 0 };
    let runs = |flight| flight == 1;
    assert_eq!(shown(&[], NOW, runs), Shown::Never);
    assert_eq!(shown(&[token(1, NOW)], NOW, runs), Shown::Since(NOW));
    assert_eq!(shown(&[token(2, NOW)], NOW, runs), Shown::Enough, "that render has ended");
    assert_eq!(shown(&[token(1, NOW)], NOW.later(HOLD), runs), Shown::Enough, "for long enough");
    let earlier = NOW.earlier(Duration::from_secs(5));
    assert_eq!(shown(&[token(1, NOW), token(1, earlier)], NOW, runs), Shown::Since(earlier), "the earliest counts");
    assert_eq!(shown(&[token(1, NOW), token(2, NOW)], NOW, runs), Shown::Enough, "the strictest counts");
}
