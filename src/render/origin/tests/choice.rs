//! Which server and which address are asked.

use super::*;
use crate::config::Scheme;
use std::net::SocketAddr;

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that answers each of `connections` with one answer and closes.
async fn answering(connections: usize) -> Scripted {
    let once = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    Scripted::start(vec![vec![close(once)]; connections]).await
}

#[tokio::test]
async fn servers_are_taken_in_turn() {
    let servers = [answering(2).await, answering(2).await, answering(2).await];
    let client = client(&servers.each_ref().map(|server| server.address));
    for _ in 0..6 {
        fetch(&client).await.unwrap();
    }
    for server in &servers {
        assert_eq!(server.connections(), [0, 1]);
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_passed_over_and_then_tried_last() {
    let up = answering(8).await;
    let client = client(&[nobody().await, up.address]);
    for _ in 0..4 {
        assert_eq!(fetch(&client).await.unwrap(), b"ok");
    }
    assert_eq!(up.connections().len(), 4);
    assert!(client.servers[0].is_shunned());
    assert_eq!(client.turn().order.as_slice(), [1, 0]);
    assert_eq!(client.turn().order.as_slice(), [1, 0]);
}

#[tokio::test]
async fn when_all_are_down_the_error_says_so() {
    let error = client(&[nobody().await, nobody().await]).send(&get("/")).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("connect", 502));
    assert!(error.is_unreachable());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_that_fails_is_not_asked_for_from_another_server() {
    let other = answering(1).await;
    let dying = Scripted::start(vec![vec![close("")]]).await;
    let client = client(&[dying.address, other.address]);
    assert_eq!(fetch(&client).await.unwrap_err().kind(), "reset");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_error_of_the_request_and_the_next_server_is_asked() {
    // Longer than a label may be: no resolver is asked.
    let unresolvable = config::Server { scheme: Scheme::Http, host: "a".repeat(64).into(), port: 80 };
    let alone = script::client_with(&[], |origin| origin.servers = vec![unresolvable.clone()]);
    let error = alone.send(&get("/")).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("resolve", 502));
    assert_eq!(alone.peer(&alone.turn(), 0).await.unwrap_err().kind(), "resolve");

    let up = answering(1).await;
    let both = script::client_with(&[up.address], |origin| origin.servers.insert(0, unresolvable));
    assert_eq!(fetch(&both).await.unwrap(), b"ok");
    let peer = both.peer(&both.turn(), 1).await.unwrap();
    assert_eq!(peer._address.as_inet(), Some(&up.address));
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // `localhost` may be ::1 first, where nobody listens.
    let up = answering(4).await;
    let client = script::client_with(&[up.address], |origin| origin.servers[0].host = "localhost".into());
    for _ in 0..4 {
        assert_eq!(fetch(&client).await.unwrap(), b"ok");
    }
}

#[tokio::test]
async fn peers_for_bypasses_go_round_and_on_with_each_attempt() {
    let addresses: Vec<SocketAddr> = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|a| a.parse().unwrap()).to_vec();
    let client = client(&addresses);
    let address = async |turn: &Turn, attempt| *client.peer(turn, attempt).await.unwrap()._address.as_inet().unwrap();
    for first in 0..3 {
        let turn = client.turn();
        for attempt in 0..4 {
            assert_eq!(address(&turn, attempt).await, addresses[(first + attempt) % 3]);
        }
    }
}

#[tokio::test]
async fn peers_for_bypasses_have_every_timeout() {
    let client = script::client_with(&["127.0.0.1:1".parse().unwrap()], |origin| {
        origin.connect_timeout = Duration::from_secs(2);
        origin.first_byte_timeout = Duration::from_secs(30);
        origin.between_bytes_timeout = Duration::from_secs(10);
        origin.keepalive_timeout = Duration::from_millis(1500);
    });
    let mut peer = client.peer(&client.turn(), 0).await.unwrap();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(peer.options.connection_timeout, seconds(2));
    assert_eq!(peer.options.total_connection_timeout, seconds(2));
    assert_eq!(peer.options.read_timeout, seconds(30));
    assert_eq!(peer.options.write_timeout, seconds(30));
    assert_eq!(peer.options.idle_timeout, Some(Duration::from_millis(1500)));
    OriginClient::allow_silence(&mut peer);
    assert_eq!(peer.options.read_timeout, seconds(3600));
}

#[test]
fn a_timeout_while_connecting_is_a_gateway_timeout() {
    let error = pingora::Error::explain(pingora::ErrorType::ConnectTimedout, "x");
    let error = OriginError::in_connect(&"a:1".into(), &error, Duration::from_secs(2));
    assert_eq!((error.kind(), error.status().as_u16()), ("timeout_connect", 504));
}
