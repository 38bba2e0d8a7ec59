//! The shop as an HTTP/1.1 server on this machine, on a thread and a runtime of its own. It moves bytes and
//! decides nothing.

use super::shop::{Request, Shop};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use http::{HeaderValue, Response, StatusCode};
use pingora::apps::ServerApp;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as TcpConnection;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// Connections at once. Breadbox asks for far fewer renders at once than that.
const MAX_CONNECTIONS: usize = 1_024;

/// Bytes of a request body: a form with a price in it, or a line of JSON.
const MAX_BODY: usize = 4_096;

/// How long no connection is taken after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `shop` on a free port of 127.0.0.1 for as long as the process lives.
pub(super) fn start(shop: Shop) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let accept = accept(listener, Arc::new(Server { shop }));
    std::thread::Builder::new().name("shop".into()).spawn(move || runtime.block_on(accept))?;
    Ok(address)
}

async fn accept(listener: tokio::net::TcpListener, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Nobody tells the shop to stop: it ends with the process.
    let (_stop, stopping) = watch::channel(false);
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((connection, _)) => {
                let (server, stopping) = (Arc::clone(&server), stopping.clone());
                tokio::spawn(async move {
                    serve(&server, connection, &stopping).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the shop could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of a connection, one after the other.
async fn serve(server: &Arc<Server>, connection: TcpStream, stopping: &watch::Receiver<bool>) {
    // Without it an answer of two writes waits for the client's delayed acknowledgement; it is not worth
    // refusing the connection for.
    let _ = connection.set_nodelay(true);
    let mut next: Option<Stream> = Some(Box::new(TcpConnection::from(connection)));
    while let Some(stream) = next {
        next = server.process_new(stream, stopping).await;
    }
}

struct Server {
    shop: Shop,
}

#[async_trait]
impl ServeHttp for Server {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let Some(request) = read(session).await else {
            let mut refusal = Response::new(b"the body is too large or not whole\n".to_vec());
            *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            refusal.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            session.set_keepalive(None);
            return framed(refusal);
        };
        framed(self.shop.answer(&request).await)
    }
}

/// The request with its body, or nothing where the body is too large or breaks off.
async fn read(session: &mut ServerSession) -> Option<Request> {
    let body = read_body(session).await?;
    let head = session.req_header();
    let cookies: Vec<&str> = head.headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok()).collect();
    Some(Request { method: head.method.clone(), uri: head.uri.clone(), cookies: cookies.join("; "), body })
}

async fn read_body(session: &mut ServerSession) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(part) = session.read_request_body().await.ok()? {
        if body.len() + part.len() > MAX_BODY {
            return None;
        }
        body.extend_from_slice(&part);
    }
    Some(body.freeze())
}

/// Gives the answer its length; pingora leaves the body out for HEAD.
fn framed(mut answer: Response<Vec<u8>>) -> Response<Vec<u8>> {
    let length = HeaderValue::from(answer.body().len());
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

#[cfg(test)]
mod tests {
    use super::{MAX_BODY, Shop, start};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    struct Client(BufReader<TcpStream>);

    impl Client {
        fn new() -> Self {
            let address = start(Shop::new(Duration::ZERO)).expect("a port is free");
            let connection = TcpStream::connect(address).expect("the shop takes connections");
            connection.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
            Client(BufReader::new(connection))
        }

        /// Sends a request; answers with the head.
        fn ask(&mut self, request: &str) -> String {
            self.0.get_mut().write_all(request.as_bytes()).expect("the connection is open");
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(self.0.read_line(&mut head).expect("the head comes") > 0, "the connection ended: {head}");
            }
            head
        }

        fn body(&mut self, head: &str) -> String {
            let mut body = vec![0; length(head)];
            self.0.read_exact(&mut body).expect("the body comes");
            String::from_utf8(body).expect("text")
        }
    }

    fn length(head: &str) -> usize {
        let value = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        value.parse().expect("a number")
    }

    #[test]
    fn a_connection_takes_one_request_after_the_other() {
        let mut client = Client::new();
        for path in ["/about", "/products/42", "/api/products/42"] {
            let head = client.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
            assert!(!client.body(&head).is_empty());
        }
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let mut client = Client::new();
        let head = client.ask("HEAD /about HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(length(&head) > 1_000, "{head}");
        let next = client.ask("GET /about HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(next.starts_with("HTTP/1.1 200 "), "{next}");
    }

    #[test]
    fn a_body_reaches_the_shop() {
        let mut client = Client::new();
        let head = client.ask("POST /products/42 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nprice=7.05");
        assert!(head.starts_with("HTTP/1.1 303 "), "{head}");
    }

    #[test]
    fn a_body_that_is_too_large_is_refused() {
        let body = "x".repeat(MAX_BODY + 1);
        let length = body.len();
        let head = Client::new()
            .ask(&format!("POST /products/42 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    }
}
