//! A client with one connection that may send several requests at once, and reads their answers one by one.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What of an answer is looked at.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cache_status: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_fresh_hit(&self) -> bool {
        self.status == 200 && self.cache_status.contains("; hit") && !self.cache_status.contains("stale")
    }
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn open(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, address, read: Vec::new() })
    }

    /// Asks for all of these paths at once; the answers follow in their order.
    pub(crate) fn get(&mut self, paths: &[String]) -> Result<Vec<Answer>> {
        let address = self.address;
        let requests: String =
            paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).collect();
        self.stream.write_all(requests.as_bytes())?;
        paths.iter().map(|_| self.answer()).collect()
    }

    /// Sends a document to the admin listener; it has to be accepted.
    pub(crate) fn post(&mut self, path: &str, token: &str, document: &str) -> Result<()> {
        let (address, length) = (self.address, document.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all((head + document).as_bytes())?;
        let answer = self.answer()?;
        if answer.status != 200 {
            bail!("{} to {document}: {}", answer.status, answer.body);
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, length)) = whole(&self.read)? {
                self.read.drain(..length);
                return Ok(answer);
            }
            let mut chunk = [0; 32 * 1024];
            let n = self.stream.read(&mut chunk)?;
            if n == 0 {
                bail!("{} closed the connection", self.address);
            }
            self.read.extend_from_slice(&chunk[..n]);
        }
    }
}

/// The first answer in these bytes and its length, once it is all there.
fn whole(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(at) = head.parse(bytes)? else { return Ok(None) };
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let length: usize = field("content-length").context("an answer without Content-Length")?.parse()?;
    let Some(body) = bytes.get(at..at + length) else { return Ok(None) };
    let (status, cache_status) = (head.code.unwrap_or(0), field("cache-status").unwrap_or_default());
    Ok(Some((Answer { status, cache_status, body: String::from_utf8_lossy(body).into_owned() }, at + length)))
}
