//! Which answer a request to the admin listener gets, by method, path and token (RFC 9110 §15.5).
//! Every answer is `no-store` and none holds anything of the request.

use super::auth::{Access, access, access_by_key};
use super::reload::{self, Reloading};
use super::{dashboard, deploy, draft, explain, purge, status};
use crate::metrics::{self, Health, Phase};
use crate::policy::purge::foreign;
use crate::render::Engine;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS: HeaderValue = HeaderValue::from_static(metrics::CONTENT_TYPE);

const WHAT_EXISTS: &str = "\
not found; this listener answers:
  GET /               the dashboard
  GET /metrics        every series, for Prometheus
  GET /healthz        200 while the process works
  GET /readyz         200 with what is degraded; 503 while starting or stopping
  GET /status.json    the numbers of the dashboard
and with the token:
  GET /-/explain?url= what would become of a request, and why
  GET /-/status.json  the numbers with the paths of pages
  POST /-/purge       purges pages: {\"path\"|\"prefix\"|\"tag\"|\"host\": …} or {\"all\": true}, \"mode\": \"stale\"|\"delete\"
  POST /-/reload      reads proxy.yaml again; with mistakes in it nothing changes
  POST /-/deploy      {\"id\": …}: this build of the origin runs now; pages of others are rendered again
  POST /-/draft       makes a cookie with which drafts are seen
  PURGE, BAN          as publishing software sends them
";
const NO_TOKEN: &str = "this needs `admin.token` in proxy.yaml, and none is set\n";
const WRONG_TOKEN: &str = "this needs `Authorization: Bearer` with the token of `admin.token` in proxy.yaml\n";

/// What of a request decides its answer.
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// The request-target as it came.
    pub(super) target: &'a [u8],
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// An answer, before it is known whether its body is wanted.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    extra: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// The answer to this request.
pub(super) async fn answer(request: &Request<'_>, engine: &Arc<Engine>, reloading: &Reloading) -> Answer {
    let setup = engine.setup();
    let token = setup.config.admin.token.as_deref();
    // Before anything else, so that without the token nobody learns what is there.
    let is_foreign = foreign::is_purge(request.method);
    if is_foreign || request.path == "/-" || request.path.starts_with("/-/") {
        let by_key = if is_foreign { access_by_key(token, request.headers) } else { Access::Denied };
        return match access(token, request.headers) {
            Access::Closed => Answer::text(StatusCode::FORBIDDEN, NO_TOKEN),
            Access::Denied if by_key != Access::Granted => {
                Answer { extra: vec![challenge()], ..Answer::text(StatusCode::UNAUTHORIZED, WRONG_TOKEN) }
            }
            Access::Denied | Access::Granted if request.path == "/-/reload" && request.method == Method::POST => {
                reload::answer(&reloading.reload().await)
            }
            Access::Denied | Access::Granted => granted(request, token.unwrap_or_default(), engine).await,
        };
    }
    let get: fn(&Arc<Engine>) -> Answer = match request.path {
        "/" => |_| dashboard::page(),
        "/metrics" => |engine| Answer::new(StatusCode::OK, METRICS, engine.setup().metrics.encode()),
        "/healthz" => |_| Answer::text(StatusCode::OK, "ok\n"),
        "/readyz" => |engine| ready(engine.setup().metrics.health()),
        "/status.json" => |engine| Answer::json(&status::of(engine, status::Detail::Closed)),
        _ => return Answer::text(StatusCode::NOT_FOUND, WHAT_EXISTS),
    };
    if is_read(request.method) { get(engine) } else { Answer::only("GET, HEAD") }
}

/// What needs the token and has it.
async fn granted(request: &Request<'_>, token: &str, engine: &Arc<Engine>) -> Answer {
    if foreign::is_purge(request.method) {
        return purge::foreign(request, engine).await;
    }
    let is_post = request.method == Method::POST;
    match request.path {
        "/-/explain" if is_read(request.method) => explain::answer(request, engine).await,
        "/-/status.json" if is_read(request.method) => Answer::json(&status::of(engine, status::Detail::Paths)),
        "/-/purge" if is_post => purge::purge(request.body, engine).await,
        "/-/deploy" if is_post => deploy::deploy(request.body, engine).await,
        "/-/draft" if is_post => draft::draft(request.body, token, engine.now()),
        "/-/explain" | "/-/status.json" => Answer::only("GET, HEAD"),
        "/-/purge" | "/-/deploy" | "/-/draft" | "/-/reload" => Answer::only("POST"),
        _ => Answer::text(StatusCode::NOT_FOUND, WHAT_EXISTS),
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// A degraded process still serves better than none, so only one that starts or stops is not ready.
fn ready(health: &Health) -> Answer {
    let reasons = health.reasons();
    let (status, word) = match health.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Phase::Running if reasons.is_empty() => (StatusCode::OK, "ready"),
        Phase::Running => (StatusCode::OK, "degraded"),
    };
    let body = if word == "degraded" { json!({"status": word, "reasons": reasons}) } else { json!({"status": word}) };
    Answer::new(status, JSON, format!("{body}\n").into_bytes())
}

fn challenge() -> (HeaderName, HeaderValue) {
    (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"breadbox admin\""))
}

impl Answer {
    pub(super) fn new(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Self {
        Answer { status, content_type, extra: Vec::new(), body }
    }

    /// A value as JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("numbers, texts and lists are always JSON");
        Answer::new(StatusCode::OK, JSON, body)
    }

    /// For a request that cannot be carried out; `why` is a sentence.
    pub(super) fn bad(why: &str) -> Self {
        Answer { status: StatusCode::BAD_REQUEST, ..Answer::json(&json!({ "error": why })) }
    }

    /// For what cannot be done now; `why` is a sentence.
    pub(super) fn unavailable(why: &str) -> Self {
        Answer { status: StatusCode::SERVICE_UNAVAILABLE, ..Answer::json(&json!({ "error": why })) }
    }

    /// For a method that the path does not take.
    fn only(methods: &'static str) -> Self {
        let allow = (ALLOW, HeaderValue::from_static(methods));
        let why = format!("only {methods}\n");
        Answer { extra: vec![allow], ..Answer::text(StatusCode::METHOD_NOT_ALLOWED, &why) }
    }

    /// With another status than 200.
    pub(super) fn status(self, status: StatusCode) -> Self {
        Answer { status, ..self }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra.push((name, value));
        self
    }

    pub(super) fn text(status: StatusCode, body: &str) -> Self {
        Answer::new(status, TEXT, body.as_bytes().to_vec())
    }

    /// For a body beyond the bound.
    pub(super) fn too_large() -> Self {
        Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n")
    }

    /// For a body that ended early, came too slowly or was malformed.
    pub(super) fn unreadable() -> Self {
        Answer::text(StatusCode::BAD_REQUEST, "the body could not be read\n")
    }

    /// The response to a request of this method: for HEAD without its body (RFC 9110 §9.3.2).
    pub(super) fn into_response(self, method: &Method) -> Response<Vec<u8>> {
        let length = HeaderValue::from(self.body.len());
        let body = if method == Method::HEAD { Vec::new() } else { self.body };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(self.extra);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HEAD has the length of what GET would get, and nothing behind it that a client could take for
    /// its next answer.
    #[test]
    fn a_head_response_has_a_length_and_no_body() {
        let response = Answer::text(StatusCode::OK, "ok\n").into_response(&Method::HEAD);
        assert_eq!(response.headers()[CONTENT_LENGTH], "3");
        assert!(response.into_body().is_empty());
    }
}
