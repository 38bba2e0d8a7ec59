//! One request at the origin and the means to answer it, well or badly.

use super::answer::{Answer, Sent};
use super::gate::Gate;
use super::origin::{Ledger, Seen};
use super::wire::{Framing, Wire};
use std::io::{self, ErrorKind};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of a request body that are kept for the scenario to look at.
const KEPT_BODY: usize = 64 * 1024;

/// A request in the hands of a script.
pub(crate) struct Exchange<'a> {
    /// What was asked.
    pub(crate) seen: Seen,
    /// Which request for this path it is, from 1.
    pub(crate) nth: usize,
    wire: &'a mut Wire,
    ledger: &'a Ledger,
    body: Option<Framing>,
    settled: bool,
    keep_alive: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(seen: Seen, nth: usize, body: Option<Framing>, wire: &'a mut Wire, ledger: &'a Ledger) -> Self {
        Exchange { seen, nth, wire, ledger, body, settled: false, keep_alive: true }
    }

    /// Stands at the gate.
    pub(crate) fn hold(&self, gate: &Gate) -> io::Result<()> {
        gate.pass(&self.ledger.ended)
    }

    /// Reads the request's body to its end, after a 100 where the request waits for one.
    pub(crate) fn read_body(&mut self) -> io::Result<()> {
        if self.body.is_some() && self.seen.header("expect").is_some() {
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.read_sent_body()
    }

    /// As [`Exchange::read_body`], but a request that waits for a 100 gets none.
    pub(crate) fn read_sent_body(&mut self) -> io::Result<()> {
        let Some(mut framing) = self.body.take() else { return Ok(()) };
        let mut hash = Xxh3::new();
        while let Some(piece) = self.wire.body_piece(&mut framing)? {
            hash.update(&piece);
            self.seen.body_len += piece.len() as u64;
            let room = KEPT_BODY - self.seen.body.len();
            self.seen.body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.seen.body_hash = hash.digest();
        self.ledger.update(&self.seen);
        Ok(())
    }

    /// Sends a whole answer.
    pub(crate) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.answer_in_two(answer, answer.body.len(), || Ok(()))
    }

    /// Sends the head and the first `first` bytes of the body, does `between`, and sends the rest.
    pub(crate) fn answer_in_two(
        &mut self,
        answer: &Answer,
        first: usize,
        between: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let bodiless = self.seen.method == "HEAD" || matches!(answer.status, 100..=199 | 204 | 304);
        let body = if bodiless { &[][..] } else { &answer.body[..] };
        let (now, later) = body.split_at(first.min(body.len()));
        let mut bytes = answer.head();
        frame(answer.sent, now, &mut bytes);
        if !later.is_empty() {
            self.wire.send(&bytes)?;
            between()?;
            bytes.clear();
            frame(answer.sent, later, &mut bytes);
        }
        if answer.sent == Sent::Chunked && !bodiless {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.settle();
        self.wire.send(&bytes)?;
        if answer.sent == Sent::Close {
            self.close();
        }
        Ok(())
    }

    /// Sends the head and `first`, holds at the gate, sends the rest.
    pub(crate) fn answer_held(&mut self, answer: &Answer, first: usize, gate: &Gate) -> io::Result<()> {
        let ended = &self.ledger.ended;
        self.answer_in_two(answer, first, || gate.pass(ended))
    }

    /// Sends these bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Sends a chunk.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut framed = Vec::with_capacity(bytes.len() + 16);
        frame(Sent::Chunked, bytes, &mut framed);
        self.wire.send(&framed)
    }

    /// Sends the head with a `Content-Length` of `claimed` and only the body there is, then closes.
    pub(crate) fn truncated(&mut self, answer: &Answer, claimed: usize) -> io::Result<()> {
        let head = String::from_utf8_lossy(&answer.head())
            .replace(&format!("Content-Length: {}\r\n", answer.body.len()), &format!("Content-Length: {claimed}\r\n"));
        self.close();
        self.wire.send(&[head.as_bytes(), &answer.body].concat())
    }

    /// The raw bytes that come next; empty where the other side has ended.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.wire.some(64 * 1024)
    }

    /// The connection ends when the script does.
    pub(crate) fn close(&mut self) {
        self.keep_alive = false;
    }

    /// The connection ends with a TCP reset when the script does.
    pub(crate) fn reset(&mut self) {
        self.keep_alive = false;
        self.wire.reset();
    }

    /// Says nothing more until the other side ends the connection.
    pub(crate) fn hang(&mut self) -> io::Result<()> {
        self.keep_alive = false;
        self.wire.read_timeout(Duration::from_millis(50));
        while !self.ledger.has_ended() {
            match self.wire.some(1024) {
                Ok(bytes) if bytes.is_empty() => return Ok(()),
                Err(e) if !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The request no longer counts as in flight: called before the last bytes of an answer go out, for
    /// whoever reads them may ask again before this thread runs on.
    pub(crate) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.ledger.leave();
        }
    }

    /// Whether the connection can take another request.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        if self.keep_alive {
            self.read_sent_body()?;
        }
        Ok(self.keep_alive)
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

fn frame(sent: Sent, bytes: &[u8], out: &mut Vec<u8>) {
    if sent != Sent::Chunked {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.chunks(16 * 1024) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
}
