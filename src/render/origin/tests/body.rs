//! Which bodies are whole.

use super::*;

/// What comes of an answer: its body, or the kind of the error.
async fn outcome(reply: Reply) -> Result<String, &'static str> {
    outcome_within(Duration::from_secs(10), reply).await
}

async fn outcome_within(between_bytes: Duration, reply: Reply) -> Result<String, &'static str> {
    let server = Scripted::start(vec![vec![reply]]).await;
    let client = script::client_with(&[server.address], |origin| origin.between_bytes_timeout = between_bytes);
    let body = fetch(&client).await.map_err(|error| error.kind())?;
    Ok(String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn whole_bodies_are_read_whatever_their_framing() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n";
    let long = "x".repeat(300_000);
    for (reply, body) in [
        (keep("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "hello"),
        (keep("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"), "hello"),
        (keep(&format!("{chunked}\r\n")), "hello!"),
        (keep(&format!("{chunked}Trailer: x\r\n\r\n")), "hello!"),
        (close("HTTP/1.1 200 OK\r\n\r\nhello"), "hello"),
        (close("HTTP/1.0 200 OK\r\n\r\n"), ""),
        (keep(&format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{long}")), long.as_str()),
    ] {
        assert_eq!(outcome(reply).await.as_deref(), Ok(body));
    }
}

#[tokio::test]
async fn bodies_that_end_early_are_truncated() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello";
    for end in [close as fn(&str) -> Reply, reset] {
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n".to_owned(),
            chunked.to_owned(),
            format!("{chunked}\r\n"),
            format!("{chunked}\r\n0"),
            format!("{chunked}\r\n0\r\n"),
            format!("{chunked}\r\n0\r\nTrailer: x\r\n"),
        ] {
            assert_eq!(outcome(end(&reply)).await, Err("truncated"), "{reply}");
        }
    }
}

#[tokio::test]
async fn a_body_without_framing_is_whole_only_when_the_connection_ends_cleanly() {
    assert_eq!(outcome(close("HTTP/1.1 200 OK\r\n\r\nhello")).await.as_deref(), Ok("hello"));
    assert_eq!(outcome(reset("HTTP/1.1 200 OK\r\n\r\nhello")).await, Err("truncated"));
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_gateway_timeout() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let outcome = outcome_within(Duration::from_millis(50), hang(reply)).await;
        assert_eq!(outcome, Err("timeout_body"), "{reply}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_garbled() {
    for reply in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 OK 200\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    ] {
        assert_eq!(outcome(keep(reply)).await, Err("garbled"), "{reply}");
    }
}

#[tokio::test]
async fn a_word_that_is_no_transfer_coding_changes_nothing_about_the_body() {
    // RFC 9112 §6.3: not chunked, so it ends with the connection.
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: AKUEO\r\n\r\n5\r\nhello";
    assert_eq!(outcome(close(reply)).await.as_deref(), Ok("5\r\nhello"));
}

#[tokio::test]
async fn an_error_stays_an_error_when_asked_again() {
    let server = Scripted::start(vec![vec![close("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello")]]).await;
    let mut answer = client(&[server.address]).send(&get("/")).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "hello");
    let error = answer.chunk().await.unwrap_err();
    assert_eq!(answer.chunk().await.unwrap_err(), error);
}

#[tokio::test]
async fn what_the_origin_sent_is_not_quoted_in_messages() {
    let server = Scripted::start(vec![vec![keep("HTTP/1.1 200 OK\r\nSet-Cookie: secret=1\r\nno colon\r\n\r\n")]]).await;
    let error = client(&[server.address]).send(&get("/")).await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}
