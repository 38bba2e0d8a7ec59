//! HTTP/1.1 at byte level, for both ends: reading heads and bodies from a buffered stream. It parses
//! what it is given and corrects nothing (RFC 9112).

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A TCP stream, or one wrapped in TLS.
pub(crate) trait Duplex: Read + Write + Send {
    /// The socket underneath.
    fn tcp(&self) -> &TcpStream;
}

impl Duplex for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// How the end of a body is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes are left.
    Length(u64),
    /// Chunks; this many bytes of the current one are left, `None` before a size line.
    Chunked(Option<u64>),
    /// Until the connection ends.
    UntilClose,
}

/// A start line and the fields behind it, in order and as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The first line without its end.
    pub(crate) start: String,
    /// Names and values, names in the case they were sent in.
    pub(crate) headers: Vec<(String, String)>,
    /// Every byte up to and with the empty line.
    pub(crate) raw: Vec<u8>,
}

impl Head {
    /// The first field called `name`, in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every field called `name`, in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// How the body ends as far as the fields say; `None` where they say nothing.
    pub(crate) fn framing(&self) -> Option<Framing> {
        if self.get("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked(None));
        }
        self.get("content-length").and_then(|v| v.parse().ok()).map(Framing::Length)
    }
}

/// A stream and what has been read of it but not used yet.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    used: usize,
}

impl Wire {
    pub(crate) fn new(stream: impl Duplex + 'static) -> Self {
        Wire { stream: Box::new(stream), buffer: Vec::new(), used: 0 }
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// How long a single read may wait.
    pub(crate) fn read_timeout(&self, timeout: Duration) {
        self.stream.tcp().set_read_timeout(Some(timeout)).expect("a timeout above zero can be set");
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(&mut self) {
        let socket = socket2::SockRef::from(self.stream.tcp());
        socket.set_linger(Some(Duration::ZERO)).expect("linger can be set on a socket");
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.tcp().shutdown(Shutdown::Write);
    }

    /// Up to `max` bytes as soon as there are any; empty at the end of the stream.
    pub(crate) fn some(&mut self, max: usize) -> io::Result<Vec<u8>> {
        if self.pending().is_empty() && self.fill()? == 0 {
            return Ok(Vec::new());
        }
        let n = max.min(self.pending().len());
        let bytes = self.pending()[..n].to_vec();
        self.used += n;
        Ok(bytes)
    }

    /// The next head, or `None` where the stream ended before its first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = self.pending().windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                let clean = self.pending().is_empty();
                return if clean { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        };
        let raw = self.pending()[..end].to_vec();
        self.used += end;
        let text = String::from_utf8_lossy(&raw[..raw.len() - 4]).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.map(|line| line.split_once(':').unwrap_or((line, "")));
        let headers = headers.map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect();
        Ok(Some(Head { start, headers, raw }))
    }

    /// The next piece of a body, as soon as there is one; `None` at its end. An end that comes too early is
    /// an `UnexpectedEof`.
    pub(crate) fn body_piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                let piece = self.at_most(*left)?;
                *left -= piece.len() as u64;
                Ok(Some(piece))
            }
            Framing::UntilClose => Ok(Some(self.some(64 * 1024)?).filter(|piece| !piece.is_empty())),
            Framing::Chunked(left) => self.chunk_piece(left),
        }
    }

    fn chunk_piece(&mut self, left: &mut Option<u64>) -> io::Result<Option<Vec<u8>>> {
        let size = match left {
            Some(size) => *size,
            None => self.chunk_size()?,
        };
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Ok(None);
        }
        let piece = self.at_most(size)?;
        let rest = size - piece.len() as u64;
        *left = (rest > 0).then_some(rest);
        if rest == 0 && !self.line()?.is_empty() {
            return Err(Error::new(ErrorKind::InvalidData, "bytes behind a chunk"));
        }
        Ok(Some(piece))
    }

    fn chunk_size(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim().to_owned();
        u64::from_str_radix(&size, 16).map_err(|_| Error::new(ErrorKind::InvalidData, format!("chunk size {line:?}")))
    }

    /// Between one byte and `max` bytes.
    fn at_most(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let piece = self.some(usize::try_from(max).unwrap_or(usize::MAX).min(1 << 20))?;
        if piece.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(piece) }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.pending().windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.pending()[..at]).into_owned();
                self.used += at + 2;
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Reads once; zero at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let mut more = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut more) {
                Ok(n) => {
                    self.buffer.extend_from_slice(&more[..n]);
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}
