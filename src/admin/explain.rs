//! `GET /-/explain?url=…&header=…&cookie=…`: what would become of that request, and why. It asks nobody,
//! starts nothing and counts as no use of a page.

use super::answer::{Answer, Request};
use crate::front;
use crate::policy::explain::Asked;
use crate::render::Engine;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

const USAGE: &str = "write /-/explain?url=URL, with header=Name:%20value and cookie=name=value as often as needed\n";

/// The answer: JSON, or text for who accepts `text/plain`.
pub(super) async fn answer(request: &Request<'_>, engine: &Arc<Engine>) -> Answer {
    let parameters = parameters(request.query.unwrap_or_default());
    let all = |name: &str| -> Vec<String> {
        parameters.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    };
    let [url] = &all("url")[..] else { return Answer::text(StatusCode::BAD_REQUEST, USAGE) };
    let setup = engine.setup();
    let host = setup.config.hosts.as_ref().and_then(|hosts| hosts.first());
    let asked = match Asked::new(url, &all("header"), &all("cookie"), host.map(AsRef::as_ref)) {
        Ok(asked) => asked,
        Err(error) => return Answer::text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
    };
    let explanation = front::explain(engine, &asked).await;
    if accepts_text(request.headers) {
        return Answer::text(StatusCode::OK, &explanation.to_string());
    }
    Answer::json(&explanation)
}

fn accepts_text(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/plain")))
}

/// Names and values of a query, decoded as a form's (`+` for a space).
fn parameters(query: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn a_query_is_read_as_a_form() {
        let read = parameters("url=http%3A%2F%2Fa.test%2F%3Fb%3D1%26c&header=Accept%3A+text%2Fhtml&&x");
        let expected = [("url", "http://a.test/?b=1&c"), ("header", "Accept: text/html"), ("x", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
