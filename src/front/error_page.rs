//! The pages a client gets when there is nothing else: as HTML, JSON or text, by its `Accept`.
//! Nothing of the request is reflected into them, and nothing of an error's cause.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

/// The form of an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Html,
    Json,
    Text,
}

impl Media {
    /// The form that `Accept` names first; text where it names none of ours.
    pub(super) fn wanted(headers: &HeaderMap) -> Media {
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in accepts.flat_map(|value| value.split(',')) {
            let essence = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match essence.as_str() {
                "text/html" | "application/xhtml+xml" => return Media::Html,
                "application/json" => return Media::Json,
                "text/plain" => return Media::Text,
                _ if essence.ends_with("+json") => return Media::Json,
                _ => {}
            }
        }
        Media::Text
    }

    /// The `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Media::Html => "text/html; charset=utf-8",
            Media::Json => "application/json",
            Media::Text => "text/plain; charset=utf-8",
        }
    }
}

/// The page for a status.
pub(super) fn body(status: StatusCode, media: Media) -> Bytes {
    let code = status.as_u16();
    let (title, advice) = words(status);
    Bytes::from(match media {
        Media::Json => format!("{{\"status\":{code},\"title\":\"{title}\",\"detail\":\"{advice}\"}}\n"),
        Media::Text => format!("{code} {title}\n{advice}\n"),
        Media::Html => format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
             <style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;\
             max-width:34rem;margin:20vh auto;padding:0 1.5rem}}h1{{font-size:1.5rem}}</style>\n\
             <main><h1>{title}</h1><p>{advice}</p><p><small>{code}</small></p></main>\n</html>\n"
        ),
    })
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("Bad request", "The request could not be understood."),
        412 => ("Precondition failed", "The page is not in the state that the request asked for."),
        421 => ("Misdirected request", "This server does not answer for that host."),
        431 => ("Request too large", "The head of the request is too large."),
        503 => ("Busy", "The page cannot be made at the moment. Please try again shortly."),
        504 => ("No answer in time", "The page could not be made in time. Please try again shortly."),
        _ => ("No answer", "The page could not be made. Please try again shortly."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_form_follows_accept() {
        for (accept, media) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Media::Html),
            ("application/json", Media::Json),
            ("application/problem+json, */*", Media::Json),
            ("*/*", Media::Text),
            ("image/png", Media::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Media::wanted(&headers), media, "{accept}");
        }
        assert_eq!(Media::wanted(&HeaderMap::new()), Media::Text);
    }

    #[test]
    fn json_pages_are_json() {
        for code in [400, 412, 421, 431, 502, 503, 504] {
            let status = StatusCode::from_u16(code).expect("a status");
            let page: serde_json::Value = serde_json::from_slice(&body(status, Media::Json)).expect("json");
            assert_eq!(page["status"], code);
        }
    }
}
