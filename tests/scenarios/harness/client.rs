//! A blocking HTTP/1.1 client at byte level. It sends what it is told, and shows what came and when.

use super::PATIENCE;
use super::cache_status::CacheStatus;
use super::wire::{Duplex, Framing, Head, Wire};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Ask { method, target, headers: Vec::new(), body: None, chunked: false }
    }

    pub(crate) fn get(target: &str) -> Self {
        Ask::new("GET", target)
    }

    pub(crate) fn head(target: &str) -> Self {
        Ask::new("HEAD", target)
    }

    /// One more field; `Host` replaces the default one, which is the address of the server.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with `Content-Length`.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A body in chunks.
    pub(crate) fn chunked_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.chunked = true;
        self
    }

    fn bytes(&self, server: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {server}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            None => (head + "\r\n").into_bytes(),
            Some(body) if self.chunked => {
                let mut bytes = (head + "Transfer-Encoding: chunked\r\n\r\n").into_bytes();
                for chunk in body.chunks(16 * 1024) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                bytes
            }
            Some(body) => {
                let head = head + &format!("Content-Length: {}\r\n\r\n", body.len());
                [head.as_bytes(), body].concat()
            }
        }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Informational answers that came before.
    pub(crate) informational: Vec<Head>,
}

impl Response {
    /// The first field called `name`, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Every field called `name`, in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.head.all(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What `Cache-Status` says; there has to be one.
    #[track_caller]
    pub(crate) fn cache_status(&self) -> CacheStatus {
        let all = self.all("cache-status");
        CacheStatus::parse(all.last().unwrap_or_else(|| panic!("no Cache-Status in {:?}", self.head.headers)))
    }

    /// Served from the store, fresh or stale.
    #[track_caller]
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().hit
    }

    /// Served from the store, stale.
    #[track_caller]
    pub(crate) fn is_stale(&self) -> bool {
        let status = self.cache_status();
        status.hit && status.detail.as_deref() == Some("stale")
    }

    /// Passed to the origin without a look-up.
    #[track_caller]
    pub(crate) fn is_bypass(&self) -> bool {
        matches!(self.cache_status().fwd.as_deref(), Some("bypass" | "method"))
    }

    /// Why it was passed to the origin without a look-up.
    #[track_caller]
    pub(crate) fn detail(&self) -> Option<String> {
        self.cache_status().detail
    }
}

/// A connection to Breadbox (or to the origin itself). Closed when dropped.
pub(crate) struct Client {
    wire: Wire,
    server: SocketAddr,
    closed: bool,
    framing: Option<Framing>,
    asked_head: bool,
    informational: Vec<Head>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap_or_else(|e| panic!("connect: {e}"));
        let _ = stream.set_nodelay(true);
        stream.set_write_timeout(Some(2 * PATIENCE)).expect("a timeout above zero can be set");
        Client::over(stream, server)
    }

    /// On a connection that there is already; one that the server has closed is not replaced.
    pub(crate) fn over(stream: impl Duplex + 'static, server: SocketAddr) -> Self {
        let wire = Wire::new(stream);
        wire.read_timeout(2 * PATIENCE);
        Client { wire, server, closed: false, framing: None, asked_head: false, informational: Vec::new() }
    }

    /// Asks on this connection, or on a new one where the server has closed it, and reads the whole answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, ask: &Ask) -> Response {
        self.try_ask(ask).unwrap_or_else(|e| panic!("{} {}: {e}", ask.method, ask.target))
    }

    /// As [`Client::ask`]; an error where the answer ends too early or makes no sense.
    pub(crate) fn try_ask(&mut self, ask: &Ask) -> io::Result<Response> {
        if self.closed {
            *self = Client::connect(self.server);
        }
        self.send(ask)?;
        self.response()
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.ask(&Ask::get(target))
    }

    /// Sends a request and reads nothing.
    pub(crate) fn send(&mut self, ask: &Ask) -> io::Result<()> {
        self.asked_head = ask.method == "HEAD";
        self.wire.send(&ask.bytes(self.server))
    }

    /// Sends these bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Reads a whole answer.
    pub(crate) fn response(&mut self) -> io::Result<Response> {
        let head = self.head()?;
        let body = self.rest()?;
        Ok(Response { status: status(&head), head, body, informational: std::mem::take(&mut self.informational) })
    }

    /// Reads the head of a final answer; the body can be read afterwards.
    pub(crate) fn head(&mut self) -> io::Result<Head> {
        loop {
            let head = self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = status(&head);
            if (100..200).contains(&status) && status != 101 {
                self.informational.push(head);
                continue;
            }
            self.closed = head.get("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
            let bodiless = self.asked_head || matches!(status, 101 | 204 | 304);
            self.framing = match head.framing() {
                _ if bodiless => None,
                None => {
                    self.closed = true;
                    Some(Framing::UntilClose)
                }
                framing => framing,
            };
            return Ok(head);
        }
    }

    /// Reads the next informational answer.
    pub(crate) fn interim(&mut self) -> io::Result<Head> {
        self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    /// The next piece of the body as soon as there is one; `None` at its end.
    pub(crate) fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match &mut self.framing {
            None => Ok(None),
            Some(framing) => self.wire.body_piece(framing),
        }
    }

    /// Reads the body until there are `n` bytes of it, and returns what came.
    #[track_caller]
    pub(crate) fn at_least(&mut self, n: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < n {
            let piece = self.piece().unwrap_or_else(|e| panic!("after {} bytes of {n}: {e}", body.len()));
            body.extend(piece.unwrap_or_else(|| panic!("the body ended after {} bytes of {n}", body.len())));
        }
        body
    }

    /// The rest of the body.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece()? {
            body.extend(piece);
        }
        Ok(body)
    }

    /// Raw bytes, as soon as there are some; empty at the end.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.wire.some(64 * 1024)
    }

    /// Everything until the server ends the connection, as text; what came before an error counts.
    pub(crate) fn everything(&mut self) -> String {
        let mut all = Vec::new();
        while let Ok(bytes) = self.wire.some(64 * 1024) {
            if bytes.is_empty() {
                break;
            }
            all.extend(bytes);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// How long a single read may wait from now on.
    pub(crate) fn read_timeout(&self, timeout: Duration) {
        self.wire.read_timeout(timeout);
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.wire.finish();
    }

    /// Leaves with a TCP reset.
    pub(crate) fn abort(mut self) {
        self.wire.reset();
    }

    /// Whether the server ends the connection without another byte.
    pub(crate) fn is_closed_by_server(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        matches!(self.wire.some(1), Ok(bytes) if bytes.is_empty()) && Instant::now() < until
    }
}

fn status(head: &Head) -> u16 {
    head.start.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default()
}
