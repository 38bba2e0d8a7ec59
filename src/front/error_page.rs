//! The pages a client gets when there is nothing else: in HTML, JSON or text, by its `Accept`. Nothing of
//! the request is in them but its name, escaped, and nothing of an error's cause.
//!
//! The page in HTML is a template, the shipped one or the operator's, in which `{{status}}`, `{{title}}`,
//! `{{detail}}`, `{{retry_after}}` (seconds) and `{{request_id}}` stand for what their names say. Any other
//! braces are left as they are.

mod accept;

pub(super) use accept::Media;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// The page that is shipped.
pub(super) const BUILTIN: &str = include_str!("../../config/fallback/error.html");

/// What the shipped page may do: nothing but look like itself.
pub(super) const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'");

/// What a page says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) status: StatusCode,
    /// Seconds after which trying again makes sense.
    pub(super) retry_after: Option<u64>,
    /// What the request is called.
    pub(super) request_id: Option<&'a str>,
}

/// The page for these facts; `template` is the one in HTML.
pub(super) fn body(template: &str, facts: &Facts<'_>, media: Media) -> Bytes {
    let code = facts.status.as_u16();
    let (title, detail) = words(facts.status);
    Bytes::from(match media {
        Media::Html => fill(template, facts),
        Media::Json => {
            let mut page = json!({ "status": code, "title": title, "detail": detail });
            if let Some(seconds) = facts.retry_after {
                page["retry_after"] = seconds.into();
            }
            if let Some(id) = facts.request_id {
                page["request_id"] = id.into();
            }
            format!("{page}\n")
        }
        Media::Text => {
            let id = facts.request_id.map(|id| format!("Request {}\n", printable(id))).unwrap_or_default();
            format!("{code} {title}\n{detail}\n{id}")
        }
    })
}

fn fill(template: &str, facts: &Facts<'_>) -> String {
    let mut page = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        page.push_str(before);
        let end = from.find("}}").map(|end| end + 2);
        let value = end.and_then(|end| value(from[2..end - 2].trim(), facts).map(|value| (value, end)));
        let Some((value, end)) = value else {
            // One brace only: the next may begin a placeholder.
            page.push('{');
            rest = &from[1..];
            continue;
        };
        escape_into(&value, &mut page);
        rest = &from[end..];
    }
    page.push_str(rest);
    page
}

/// What a placeholder stands for; nothing where there is nothing to say.
fn value(name: &str, facts: &Facts<'_>) -> Option<String> {
    let (title, detail) = words(facts.status);
    Some(match name {
        "status" => facts.status.as_u16().to_string(),
        "title" => title.to_owned(),
        "detail" => detail.to_owned(),
        "retry_after" => facts.retry_after.map(|seconds| seconds.to_string()).unwrap_or_default(),
        "request_id" => facts.request_id.unwrap_or_default().to_owned(),
        _ => return None,
    })
}

/// Safe between tags and in quoted attributes.
fn escape_into(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
}

/// Nothing may act on a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("Bad request", "The request could not be understood."),
        403 => ("Not allowed", "This page is not for everybody."),
        404 => ("Not found", "There is no page at this address."),
        412 => ("Precondition failed", "The page is not in the state that the request asked for."),
        421 => ("Misdirected request", "This server does not answer for that host."),
        429 => ("Too many requests", "Too much was asked for in a short time. Please try again shortly."),
        431 => ("Request too large", "The head of the request is too large."),
        402..500 => ("Request refused", "The request was refused."),
        503 => ("Busy", "The page cannot be made at the moment. Please try again shortly."),
        504 => ("No answer in time", "The page could not be made in time. Please try again shortly."),
        500 => ("Something went wrong", "The page could not be made. Please try again shortly."),
        _ => ("No answer", "The page could not be made. Please try again shortly."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(code: u16, request_id: Option<&str>) -> Facts<'_> {
        Facts { status: StatusCode::from_u16(code).expect("a status"), retry_after: Some(3), request_id }
    }

    fn page(template: &str, facts: &Facts<'_>, media: Media) -> String {
        String::from_utf8(body(template, facts, media).to_vec()).expect("UTF-8")
    }

    #[test]
    fn json_pages_are_json_whatever_the_request_is_called() {
        for code in [400, 403, 404, 412, 418, 421, 429, 431, 500, 502, 503, 504] {
            let text = page(BUILTIN, &facts(code, Some("a\"\n<b>")), Media::Json);
            let page: serde_json::Value = serde_json::from_str(&text).expect("json");
            assert_eq!((&page["status"], &page["request_id"]), (&code.into(), &"a\"\n<b>".into()));
            assert_eq!(page["retry_after"], 3);
        }
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_are_left_alone() {
        let text = "{{status}} {{ title }}|{{retry_after}}|{{request_id}}|{{other}} {{{status}}} {{ {x} }} {{";
        let said = page(text, &facts(502, None), Media::Html);
        assert_eq!(said, "502 No answer|3||{{other}} {502} {{ {x} }} {{");
    }

    #[test]
    fn what_a_request_is_called_is_escaped() {
        let hostile = "</code><script>alert('1')</script>\"&\u{1b}[2J";
        let html = page(BUILTIN, &facts(503, Some(hostile)), Media::Html);
        assert!(!html.contains("<script") && html.contains("&lt;/code&gt;&lt;script&gt;alert(&#39;1&#39;)"), "{html}");
        assert!(!page(BUILTIN, &facts(503, Some(hostile)), Media::Text).contains('\u{1b}'));
    }

    #[test]
    fn the_shipped_page_needs_nothing_from_anywhere() {
        for outside in ["http:", "https:", "//", "@import", "url(", "<script", "<img", "<link"] {
            assert!(!BUILTIN.contains(outside), "{outside}");
        }
        for must in ["lang=", "viewport", "prefers-color-scheme: dark", "prefers-reduced-motion", "<main>", "<h1>"] {
            assert!(BUILTIN.contains(must), "{must}");
        }
        let html = page(BUILTIN, &facts(503, None), Media::Html);
        assert!(!html.contains("{{"), "{html}");
    }

    proptest! {
        #[test]
        fn no_template_makes_it_panic(template in "([{} <é]|status|title|request_id){0,24}") {
            let filled = fill(&template, &facts(503, Some("<")));
            prop_assert!(template.contains('<') || !filled.contains('<'));
        }
    }
}
