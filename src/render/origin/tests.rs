//! The client against scripted servers: what is a whole answer, which connections are used again, and
//! what is done about servers that are not there.

mod body;
mod choice;
mod script;
mod tls;

use super::*;
use script::{Reply, Scripted, client, close, get, hang, keep, reset};
use std::num::NonZeroUsize;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn whole(mut answer: Answer) -> Result<Vec<u8>, OriginError> {
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await? {
        assert!(!bytes.is_empty());
        body.extend_from_slice(&bytes);
    }
    assert_eq!(answer.chunk().await?, None);
    Ok(body)
}

/// Sends a request and reads the whole answer.
async fn fetch(client: &OriginClient) -> Result<Vec<u8>, OriginError> {
    whole(client.send(&get("/")).await?).await
}

#[tokio::test]
async fn a_request_reaches_the_origin_as_it_was_made_and_its_answer_comes_back() {
    let answer = "HTTP/1.1 404 Gone fishing\r\nX-A: 1\r\nConnection: x\r\nX-A: 2\r\nContent-Length: 4\r\n\r\nfish";
    let server = Scripted::start(vec![vec![keep(answer)]]).await;
    let mut request = get("/a%20b?q=1&q=%2F");
    request.fields.append(http::header::ACCEPT, "text/html".parse().unwrap());
    let answer = client(&[server.address]).send(&request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.framing), (404, Framing::Length(4)));
    let values: Vec<_> = answer.fields.get_all(&"x-a".parse().unwrap()).cloned().collect();
    assert_eq!(values, ["1", "2"]);
    assert!(answer.fields.contains(&http::header::CONNECTION), "hop-by-hop fields are the gate's to take off");
    assert_eq!(whole(answer).await.unwrap(), b"fish");
    let head = server.requests()[0].1.to_ascii_lowercase();
    assert_eq!(head, "get /a%20b?q=1&q=%2f http/1.1\r\nhost: shop.example\r\naccept: text/html\r\n\r\n");
}

#[tokio::test]
async fn targets_that_would_be_changed_on_the_wire_are_not_sent() {
    let client = client(&["127.0.0.1:9".parse().unwrap()]);
    for target in ["", "x", "http://a/", "/a b", "/a\r\nX: y", "/a#b", "*"] {
        let error = client.send(&get(target)).await.unwrap_err();
        assert_eq!((error.kind(), error.status().as_u16()), ("unsendable", 502), "{target:?}");
    }
}

#[tokio::test]
async fn informational_answers_are_collected_and_skipped() {
    // Two of them and the final head in one segment.
    let replies = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let server = Scripted::start(vec![vec![keep(&format!("{replies}{OK}"))]]).await;
    let answer = client(&[server.address]).send(&get("/")).await.unwrap();
    assert_eq!(answer.status, 200);
    let statuses: Vec<u16> = answer.informational.iter().map(|one| one.status.as_u16()).collect();
    assert_eq!(statuses, [103, 102]);
    assert_eq!(answer.informational[0].fields.get(&http::header::LINK).unwrap(), "</a>");
    assert_eq!(whole(answer).await.unwrap(), b"ok");
}

#[tokio::test]
async fn an_endless_row_of_informational_answers_is_garbled() {
    let server = Scripted::start(vec![vec![keep(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(17))]]).await;
    assert_eq!(client(&[server.address]).send(&get("/")).await.unwrap_err().kind(), "garbled");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Scripted::start(vec![vec![keep(OK), keep(OK), keep(OK)]]).await;
    let client = client(&[server.address]);
    for _ in 0..3 {
        assert_eq!(fetch(&client).await.unwrap(), b"ok");
    }
    assert_eq!(server.connections(), [0, 0, 0]);
}

#[tokio::test]
async fn answers_without_a_body_give_their_connection_back_at_once() {
    let no_content = "HTTP/1.1 204 No Content\r\n\r\n";
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"a\"\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let server =
        Scripted::start(vec![vec![keep(no_content), keep(not_modified), keep(head), keep(empty), keep(OK)]]).await;
    let client = client(&[server.address]);
    for framing in [Framing::None, Framing::None] {
        assert_eq!(client.send(&get("/")).await.unwrap().framing, framing);
    }
    let answer = client.send(&OriginRequest { method: Method::HEAD, ..get("/") }).await.unwrap();
    assert_eq!(answer.framing, Framing::None);
    assert!(whole(answer).await.unwrap().is_empty());
    assert_eq!(client.send(&get("/")).await.unwrap().framing, Framing::Length(0));
    assert_eq!(fetch(&client).await.unwrap(), b"ok");
    assert_eq!(server.connections(), [0; 5]);
}

#[tokio::test]
async fn connections_that_may_not_be_used_again_are_not() {
    for first in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let server = Scripted::start(vec![vec![keep(first), keep(OK)], vec![keep(OK)]]).await;
        let client = client(&[server.address]);
        assert_eq!(fetch(&client).await.unwrap(), b"ok", "{first}");
        assert_eq!(fetch(&client).await.unwrap(), b"ok", "{first}");
        assert_eq!(server.connections(), [0, 1], "{first}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_keepalive_timeout() {
    let mut server = Scripted::start(vec![vec![keep(OK)]]).await;
    let client = script::client_with(&[server.address], |origin| origin.keepalive_timeout = Duration::from_millis(20));
    assert_eq!(fetch(&client).await.unwrap(), b"ok");
    server.closed_by_client().await;
}

#[tokio::test]
async fn the_origins_own_keep_alive_goes_before_the_configured_one() {
    // Nothing would be kept by the configuration.
    let named = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok";
    let server = Scripted::start(vec![vec![keep(named), keep(OK)]]).await;
    let client = script::client_with(&[server.address], |origin| origin.keepalive_timeout = Duration::ZERO);
    fetch(&client).await.unwrap();
    let peer = client.peer(&client.turn(), 0).await.unwrap();
    assert_eq!(peer.options.idle_timeout, Some(Duration::from_secs(4)));
    fetch(&client).await.unwrap();
    assert_eq!(server.connections(), [0, 0]);
}

#[tokio::test]
async fn a_request_that_dies_on_a_reused_connection_is_sent_once_more() {
    for die in [close as fn(&str) -> Reply, reset] {
        let server = Scripted::start(vec![vec![keep(OK), die("")], vec![keep(OK)]]).await;
        let client = client(&[server.address]);
        fetch(&client).await.unwrap();
        assert_eq!(fetch(&client).await.unwrap(), b"ok");
        assert_eq!(server.connections(), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_request_is_not_sent_again_after_a_byte_of_an_answer_or_on_a_new_connection() {
    let server = Scripted::start(vec![vec![keep(OK), close("HTTP/1.1 2")], vec![keep(OK)]]).await;
    let first = client(&[server.address]);
    fetch(&first).await.unwrap();
    assert_eq!(fetch(&first).await.unwrap_err().kind(), "truncated");
    assert_eq!(server.connections(), [0, 0]);

    let server = Scripted::start(vec![vec![close("")], vec![keep(OK)]]).await;
    assert_eq!(fetch(&client(&[server.address])).await.unwrap_err().kind(), "reset");
    assert_eq!(server.connections(), [0]);

    // Only once: the second connection dies too.
    let server = Scripted::start(vec![vec![keep(OK), close("")], vec![close("")], vec![keep(OK)]]).await;
    let last = client(&[server.address]);
    fetch(&last).await.unwrap();
    assert_eq!(fetch(&last).await.unwrap_err().kind(), "reset");
    assert_eq!(server.connections(), [0, 0, 1]);
}

#[tokio::test]
async fn an_origin_that_does_not_answer_in_time_is_a_gateway_timeout() {
    for heads in ["", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-"] {
        let mut server = Scripted::start(vec![vec![hang(heads)]]).await;
        let edit = |origin: &mut config::Origin| origin.first_byte_timeout = Duration::from_millis(50);
        let error = script::client_with(&[server.address], edit).send(&get("/")).await.unwrap_err();
        assert_eq!((error.kind(), error.status().as_u16()), ("timeout_first_byte", 504));
        server.closed_by_client().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_unfinished_closes_its_connection() {
    let mut server = Scripted::start(vec![vec![hang("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")]]).await;
    let client = client(&[server.address]);
    let mut answer = client.send(&get("/")).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "some");
    drop(answer);
    server.closed_by_client().await;
}

#[test]
fn renders_may_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (client, request) = (client(&["127.0.0.1:9".parse().unwrap()]), get("/"));
    drop(is_send(client.send(&request)));
    drop(is_send(None::<Answer>));
    let _: fn(&mut Answer) = |answer| drop(is_send(answer.chunk()));
}

#[test]
fn a_thread_uses_the_connections_that_it_made() {
    // Each front is a thread with a runtime of its own. pingora's pool loses a connection where the thread that waits
    // at it has unlocked it and not let go of it yet.
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime();
    let server = first.block_on(Scripted::start(vec![vec![keep(OK), keep(OK)], vec![keep(OK), keep(OK)]]));
    let client = script::client_with(&[server.address], |origin| origin.max_renders = NonZeroUsize::new(17).unwrap());
    assert_eq!(first.block_on(fetch(&client)).unwrap(), b"ok");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let second = runtime();
            assert_eq!(second.block_on(fetch(&client)).unwrap(), b"ok");
            assert_eq!(second.block_on(fetch(&client)).unwrap(), b"ok");
        });
    });
    assert_eq!(first.block_on(fetch(&client)).unwrap(), b"ok");
    assert_eq!(server.connections(), [0, 1, 1, 0]);
}

#[test]
fn connections_to_an_origin_with_few_workers_are_used_by_all_threads() {
    // A worker that waits at an idle connection takes no other. pingora's pool may lose one; then another is made.
    const TRIES: usize = 50;
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime();
    let used = (0..TRIES).any(|_| {
        let server = first.block_on(Scripted::start(vec![vec![keep(OK), keep(OK)], vec![keep(OK)]]));
        let client = client(&[server.address]);
        assert_eq!(first.block_on(fetch(&client)).unwrap(), b"ok");
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(runtime().block_on(fetch(&client)).unwrap(), b"ok"));
        });
        server.connections() == [0, 0]
    });
    assert!(used, "every one of {TRIES} connections was lost, or kept from the other thread");
}
