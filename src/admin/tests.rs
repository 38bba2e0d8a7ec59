//! The admin listener over a real connection: what each path answers, to whom, and how.

use super::*;
use crate::config::{Limits, RouteId};
use crate::front::{Door, LiveLimits, Waiting, accept, bind, receive};
use crate::metrics::{Metrics, Phase, RenderResult};
use crate::policy::testing;
use crate::render::{Notices, Setup};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A running admin listener with this token.
struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    /// Dropped, it stops.
    _stop: watch::Sender<bool>,
}

fn run(token: Option<&str>) -> Running {
    let metrics = Arc::new(Metrics::of_one_route());
    let mut config = testing::config(vec![testing::route("/")]);
    config.hosts = Some(vec!["shop.example.com".into()]);
    config.admin.token = token.map(Arc::from);
    let setup = Setup::new(Arc::new(config), metrics.clone(), Notices::new(1)).unwrap();
    let (socket, address) = bind("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
    let app = Arc::new(AdminApp::new(Engine::new(setup), Reloading::new().0));
    let (stop, stopped) = watch::channel(false);
    let limits = LiveLimits::new(Limits {
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        max_head: 1024,
        max_headers: 10,
        max_streams: 100,
        handshake_timeout: Duration::from_secs(10),
        max_handshakes: std::num::NonZeroUsize::MIN,
    });
    let door = Arc::new(Door { tls: None, h2c: false, limits, lane: None });
    let counts = metrics.clone();
    tokio::spawn(accept(Waiting::at(socket).unwrap(), stopped.clone(), move |accepted| {
        let (app, door, counts, stopped) = (app.clone(), door.clone(), counts.clone(), stopped.clone());
        tokio::spawn(async move { receive(&door, &app, accepted.into(), &counts, &stopped).await });
    }));
    Running { address, metrics, _stop: stop }
}

/// Sends one request, the last on its connection, and reads its answer.
async fn ask(running: &Running, line: &str, fields: &str, body: &[u8]) -> String {
    let fields = format!("Connection: close\r\n{fields}");
    exchange(running, line, &fields, body).await
}

/// Sends one request and reads until the other side closes.
async fn exchange(running: &Running, line: &str, fields: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(running: &Running, path: &str) -> String {
    ask(running, &format!("GET {path}"), "", b"").await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn has_field(answer: &str, field: &str) -> bool {
    let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    head.lines().any(|line| line == field.to_ascii_lowercase())
}

/// Metrics are there in Prometheus' format, and show what was counted.
#[tokio::test]
async fn metrics_are_served() {
    let running = run(None);
    running.metrics.invalidated();
    let answer = get(&running, "/metrics").await;
    assert_eq!(status(&answer), "200");
    assert!(has_field(&answer, "content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(body(&answer).contains("\nbreadbox_invalidations_total 1\n"));
    assert!(has_field(&answer, &format!("content-length: {}", body(&answer).len())));
}

/// Nothing may keep an answer or guess its type, not even an error.
#[tokio::test]
async fn every_answer_is_marked() {
    let running = run(Some("t"));
    for path in ["/metrics", "/healthz", "/readyz", "/", "/nowhere", "/-/purge"] {
        let answer = get(&running, path).await;
        assert!(has_field(&answer, "cache-control: no-store"), "{path}: {answer}");
        assert!(has_field(&answer, "x-content-type-options: nosniff"), "{path}: {answer}");
        assert!(has_field(&answer, &format!("content-length: {}", body(&answer).len())), "{path}: {answer}");
    }
}

/// HEAD is GET without the body, and with its length.
#[tokio::test]
async fn head_is_get_without_the_body() {
    let running = run(None);
    let answer = ask(&running, "HEAD /healthz", "", b"").await;
    assert_eq!((status(&answer), body(&answer)), ("200", ""));
    assert!(has_field(&answer, "content-length: 3"), "{answer}");
    assert_eq!(body(&get(&running, "/healthz").await), "ok\n");
}

/// Ready only while running; failing origins and refused reloads degrade but do not end that.
#[tokio::test]
async fn readiness_follows_the_life_of_the_process() {
    let running = run(None);
    let health = running.metrics.health();
    let answer = get(&running, "/readyz").await;
    assert_eq!((status(&answer), body(&answer)), ("503", "{\"status\":\"starting\"}\n"));
    health.enter(Phase::Running);
    let answer = get(&running, "/readyz").await;
    assert_eq!((status(&answer), body(&answer)), ("200", "{\"status\":\"ready\"}\n"));
    for _ in 0..5 {
        running.metrics.render(RouteId(0), RenderResult::Connect, Duration::from_millis(1));
    }
    running.metrics.reload_refused();
    let answer = get(&running, "/readyz").await;
    assert_eq!(status(&answer), "200");
    let told: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(told["status"], "degraded");
    assert_eq!(told["reasons"].as_array().unwrap().len(), 2);
    health.enter(Phase::Stopping);
    let answer = get(&running, "/readyz").await;
    assert_eq!((status(&answer), body(&answer)), ("503", "{\"status\":\"stopping\"}\n"));
    assert_eq!(status(&get(&running, "/healthz").await), "200");
}

/// What is not there says what is; what is there says which methods it takes.
#[tokio::test]
async fn unknown_paths_and_methods_are_told_what_exists() {
    let running = run(None);
    let answer = get(&running, "/nowhere?x").await;
    assert_eq!(status(&answer), "404");
    assert!(body(&answer).contains("GET /metrics") && !answer.contains("nowhere"), "{answer}");
    let answer = ask(&running, "POST /metrics", "Content-Length: 2\r\n", b"hi").await;
    assert_eq!(status(&answer), "405");
    assert!(has_field(&answer, "allow: GET, HEAD"), "{answer}");
}

/// Everything under `/-/` needs the token, whatever is there, and nobody has it where none is set.
#[tokio::test]
async fn what_changes_things_needs_the_token() {
    let closed = run(None);
    let open = run(Some("s3cret"));
    for line in ["POST /-/nothing", "GET /-/explain?url=/", "GET /-/status.json", "GET /-/", "GET /-"] {
        assert_eq!(status(&ask(&closed, line, "Authorization: Bearer \r\n", b"").await), "403", "{line}");
        let answer = ask(&open, line, "Authorization: Bearer wrong\r\n", b"").await;
        assert_eq!(status(&answer), "401", "{line}");
        assert!(has_field(&answer, "www-authenticate: Bearer realm=\"breadbox admin\""), "{answer}");
        let answer = ask(&open, line, "Authorization: Bearer s3cret\r\n", b"").await;
        let there = line.contains("explain") || line.contains("status");
        assert_eq!(status(&answer), if there { "200" } else { "404" }, "{line}");
    }
}

/// The token opens the paths that visitors ask for; without it there are numbers and closed sets only.
#[tokio::test]
async fn the_status_has_paths_only_with_the_token() {
    let running = run(Some("t"));
    let told = |answer: &str| serde_json::from_str::<serde_json::Value>(body(answer)).unwrap();
    let open = told(&get(&running, "/status.json").await);
    assert_eq!(open["totals"]["config_generation"], 1.0);
    assert!(open.get("pages").is_none(), "{open}");
    let all = told(&ask(&running, "GET /-/status.json", "Authorization: Bearer t\r\n", b"").await);
    assert_eq!(all["pages"], serde_json::json!([]));
    assert_eq!(status(&ask(&running, "POST /status.json", "", b"").await), "405");
}

/// A question is answered as text or JSON; one that makes no sense is told how it would.
#[tokio::test]
async fn a_request_is_explained_as_text_or_json() {
    let running = run(Some("t"));
    let explain = async |query: &str, accept: &str| {
        let fields = format!("Authorization: Bearer t\r\nAccept: {accept}\r\n");
        ask(&running, &format!("GET /-/explain{query}"), &fields, b"").await
    };
    let answer = explain("?url=%2F%3Fa%3D1&header=Accept-Language:+de", "text/plain").await;
    assert!(has_field(&answer, "content-type: text/plain; charset=utf-8"), "{answer}");
    assert!(
        body(&answer).contains("GET http://shop.example.com/?a=1\n\nnow      render: nothing is stored"),
        "{answer}"
    );
    let answer = explain("?url=/&cookie=a=1", "*/*").await;
    let said: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!((&said["now"]["what"], &said["route"]["name"]), (&"render".into(), &"/".into()));
    assert_eq!(said["key"]["ignored"], serde_json::json!(["cookie a"]));
    for query in ["", "?url=/&url=/", "?url=nowhere", "?url=/&header=x", "?url=/&cookie=x"] {
        assert_eq!(status(&explain(query, "*/*").await), "400", "{query}");
    }
}

/// The dashboard is one page that may load nothing and talk to nobody but this listener.
#[tokio::test]
async fn the_dashboard_has_a_strict_policy() {
    let running = run(None);
    let answer = get(&running, "/").await;
    assert_eq!(status(&answer), "200");
    assert!(has_field(&answer, "content-type: text/html; charset=utf-8"), "{answer}");
    let policy = "default-src 'none'; script-src 'sha256-";
    assert!(answer.contains(policy) && !answer.contains("unsafe-"), "{answer}");
}

/// A body beyond the bound is refused and its connection closed; one within it is read to its end,
/// and the next request on the connection is answered.
#[tokio::test]
async fn bodies_are_bounded() {
    let running = run(None);
    let large = vec![b'x'; MAX_BODY + 1];
    let answer = exchange(&running, "POST /healthz", "Content-Length: 1000000000\r\n", &large).await;
    assert_eq!(status(&answer), "413", "{answer}");
    assert!(has_field(&answer, "connection: close"), "{answer}");

    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let first = format!("POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: {MAX_BODY}\r\n\r\n");
    stream.write_all(first.as_bytes()).await.unwrap();
    stream.write_all(&large[1..]).await.unwrap();
    let mut part = [0; 1024];
    let read = stream.read(&mut part).await.unwrap();
    assert!(part[..read].starts_with(b"HTTP/1.1 405"));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200") && rest.ends_with("ok\n"), "{rest}");
}

/// What purges is refused without the token, says what is wrong with it, and which method it takes.
#[tokio::test]
async fn purging_needs_the_token_and_a_sentence_that_makes_sense() {
    let (closed, open) = (run(None), run(Some("s3cret")));
    let post =
        |body: &str| (format!("Authorization: Bearer s3cret\r\nContent-Length: {}\r\n", body.len()), body.to_owned());
    for line in ["POST /-/purge", "POST /-/draft", "PURGE /x", "BAN /", "PURGE /metrics"] {
        assert_eq!(status(&ask(&closed, line, "Authorization: Bearer \r\n", b"").await), "403", "{line}");
        assert_eq!(status(&ask(&open, line, "Authorization: Bearer s3cre\r\n", b"").await), "401", "{line}");
        assert_eq!(status(&ask(&open, line, "X-VC-Purge-Key: s3cre\r\n", b"").await), "401", "{line}");
    }
    assert_eq!(status(&ask(&open, "POST /-/purge", "X-VC-Purge-Key: s3cret\r\n", b"").await), "401");
    assert_eq!(status(&ask(&open, "PURGE /x", "X-VC-Purge-Key: s3cret\r\n", b"").await), "200");
    let (fields, body) = post("{\"tag\": \"a\"}");
    assert_eq!(status(&ask(&open, "POST /-/purge", &fields, body.as_bytes()).await), "200");
    let (fields, body) = post("nonsense");
    let answer = ask(&open, "POST /-/purge", &fields, body.as_bytes()).await;
    assert!(status(&answer) == "400" && answer.contains("\"error\":"), "{answer}");
    let answer = ask(&open, "GET /-/purge", "Authorization: Bearer s3cret\r\n", b"").await;
    assert!(status(&answer) == "405" && has_field(&answer, "allow: POST"), "{answer}");
}
