//! The clients of a run that are not `wrk`: single requests to prepare a case and to look into it, and crowds whose
//! members must be told apart. They keep their connections alive and read answers to the end.

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

/// When each client that asks one of these servers for this path had its whole answer, counted from the moment at
/// which all ask. As little as can be is the crowd's own: all are connected before that moment and have memory for
/// their answers, and from the first answer on they do not sleep, since to wake a client costs a server something only
/// on a machine that has both.
pub(crate) fn stampede(asked: &[(SocketAddr, &str)]) -> Result<Vec<Duration>> {
    let mut poll = Poll::new()?;
    let connected = asked.iter().enumerate().map(|(n, (address, _))| OneOfMany::connect(*address, n, &poll));
    let mut crowd = connected.collect::<Result<Vec<_>>>()?;
    let requests: Vec<String> = asked.iter().map(|(address, path)| request(*address, path, &[])).collect();
    let (mut events, mut chunk) = (Events::with_capacity(asked.len()), vec![0; 32 * 1024]);
    let start = Instant::now();
    for (client, request) in crowd.iter_mut().zip(&requests) {
        client.stream.write_all(request.as_bytes())?;
        // The origins have the same core, and are to hear of a request when it comes.
        std::thread::yield_now();
    }
    let mut waiting = crowd.len();
    while waiting > 0 {
        let is_answered = waiting < crowd.len();
        poll.poll(&mut events, Some(if is_answered { Duration::ZERO } else { TIMEOUT }))?;
        if start.elapsed() > TIMEOUT {
            bail!("{waiting} of {} clients wait for ever", crowd.len());
        }
        if events.is_empty() {
            std::thread::yield_now();
        }
        for event in &events {
            let client = &mut crowd[event.token().0];
            client.reads(&mut chunk).with_context(|| format!("{:?} is not answered", asked[event.token().0]))?;
            if client.answered.is_none() && is_whole(&client.bytes) {
                client.answered = Some(start.elapsed());
                waiting -= 1;
            }
        }
    }
    for (client, (address, path)) in crowd.iter_mut().zip(asked) {
        let status = Answer { bytes: std::mem::take(&mut client.bytes) }.status();
        if status != 200 {
            bail!("{address} answered {status} to {path}");
        }
    }
    Ok(crowd.iter().filter_map(|client| client.answered).collect())
}

/// A client of a crowd.
struct OneOfMany {
    stream: mio::net::TcpStream,
    bytes: Vec<u8>,
    /// When, from the start.
    answered: Option<Duration>,
}

impl OneOfMany {
    fn connect(address: SocketAddr, number: usize, poll: &Poll) -> Result<OneOfMany> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        // Written to, so that the memory is there.
        let mut bytes = vec![1; 32 * 1024];
        bytes.clear();
        Ok(OneOfMany { stream, bytes, answered: None })
    }

    /// Reads what there is.
    fn reads(&mut self, chunk: &mut [u8]) -> Result<()> {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => bail!("the connection was closed"),
                Ok(n) => self.bytes.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
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
