//! The clients of a run that are not `wrk`: single requests to prepare a case and to look into it, and crowds whose
//! members must be told apart. They keep their connections alive and read answers to the end.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;

/// No answer of a run takes longer than this.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Header fields an answer may have.
const MAX_HEADERS: usize = 64;

/// A whole answer.
pub(crate) struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// The bytes as they came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The status code; 0 where there is none.
    pub(crate) fn status(&self) -> u16 {
        with_head(&self.bytes, |head, _| head.code.unwrap_or(0)).unwrap_or(0)
    }

    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        with_head(&self.bytes, |head, _| field(head, name).map(str::to_owned)).flatten()
    }
}

/// A client with one connection.
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, address })
    }

    /// Asks for a path and reads the answer.
    pub(crate) fn get(&mut self, path: &str, headers: &[String]) -> Result<Answer> {
        self.stream.write_all(request(self.address, path, headers).as_bytes())?;
        let mut bytes = Vec::with_capacity(32 * 1024);
        let mut chunk = [0; 32 * 1024];
        while !is_whole(&bytes) {
            let n = self.stream.read(&mut chunk)?;
            if n == 0 {
                bail!("{} closed the connection in the answer to {path}", self.address);
            }
            bytes.extend_from_slice(&chunk[..n]);
        }
        Ok(Answer { bytes })
    }
}

/// Asks for each path once, so that it is stored; all must answer 200.
pub(crate) fn warm<S: AsRef<str>>(address: SocketAddr, paths: impl IntoIterator<Item = S>) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for path in paths {
        let status = connection.get(path.as_ref(), &[])?.status();
        if status != 200 {
            bail!("{address} answered {status} to {}", path.as_ref());
        }
    }
    Ok(())
}

/// When each of `clients` that ask for `path` at the same moment had its whole answer, counted from that moment,
/// in order. All are connected before it.
pub(crate) fn stampede(address: SocketAddr, path: &str, clients: usize) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = Arc::new(Barrier::new(clients));
        let request: Arc<str> = request(address, path, &[]).into();
        let crowd: Vec<_> =
            (0..clients).map(|_| tokio::spawn(one_of_many(address, request.clone(), start.clone()))).collect();
        let mut moments = Vec::with_capacity(clients);
        for client in crowd {
            moments.push(tokio::time::timeout(TIMEOUT, client).await.context("a client waits for ever")???);
        }
        // The barrier lets all go at once, but one thread runs them: the first of them to go starts the clock.
        let start = moments.iter().map(|(asked, _)| *asked).min().context("nobody asked")?;
        let mut ends: Vec<Duration> = moments.iter().map(|(_, answered)| *answered - start).collect();
        ends.sort_unstable();
        Ok(ends)
    })
}

async fn one_of_many(address: SocketAddr, request: Arc<str>, start: Arc<Barrier>) -> Result<(Instant, Instant)> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    start.wait().await;
    let asked = Instant::now();
    let status = exchange(&mut stream, &request).await?;
    if status != 200 {
        bail!("{address} answered {status}");
    }
    Ok((asked, Instant::now()))
}

/// Sends a request and reads its answer; the status.
pub(crate) async fn exchange(stream: &mut tokio::net::TcpStream, request: &str) -> Result<u16> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(32 * 1024);
    while !is_whole(&bytes) {
        if stream.read_buf(&mut bytes).await? == 0 {
            bail!("the connection was closed in the answer");
        }
    }
    Ok(Answer { bytes }.status())
}

/// A request as `wrk` sends it.
pub(crate) fn request(address: SocketAddr, path: &str, headers: &[String]) -> String {
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n")
}

/// Whether the bytes are a whole answer to a GET (RFC 9112 §6.3). One that ends with its connection never is.
fn is_whole(bytes: &[u8]) -> bool {
    let whole = with_head(bytes, |head, at| {
        if matches!(head.code, Some(204 | 304)) {
            return true;
        }
        match field(head, "content-length").and_then(|length| length.trim().parse::<usize>().ok()) {
            Some(length) => bytes.len() >= at + length,
            None => bytes.ends_with(b"0\r\n\r\n"),
        }
    });
    whole.unwrap_or(false)
}

fn with_head<T>(bytes: &[u8], read: impl FnOnce(&httparse::Response<'_, '_>, usize) -> T) -> Option<T> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => Some(read(&head, at)),
        _ => None,
    }
}

fn field<'h>(head: &httparse::Response<'h, '_>, name: &str) -> Option<&'h str> {
    let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}
