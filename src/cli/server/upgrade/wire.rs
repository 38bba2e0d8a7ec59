//! How one process hands its sockets to another: over a Unix socket, first a document that says what they
//! are, then the descriptors themselves, and then single bytes. Both sides are Breadbox, so a version that
//! is not understood ends it; nothing has changed then.

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Descriptors that go in one message; the system takes 253.
const BATCH: usize = 64;
/// Sockets of one process.
const MAX_SOCKETS: usize = 65_536;
/// Bytes of the document.
const MAX_OFFER: u32 = 8 << 20;
/// The form of all this; it changes when the form does.
const FORM: u32 = 2;

/// The successor has everything that it needs.
pub(super) const READY: u8 = b'R';
/// The running process has stopped to accept.
pub(super) const GO: u8 = b'G';
/// What was told has been done.
pub(super) const DONE: u8 = b'D';
/// Bytes that are told at once after that.
const MAX_MORE: u32 = 1 << 20;

/// What is handed over.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    form: u32,
    version: String,
    /// What each socket is called, in the order in which they follow.
    sockets: Vec<String>,
}

/// Sends sockets with their names.
pub(super) fn send(stream: &mut UnixStream, sockets: &[(String, BorrowedFd<'_>)]) -> io::Result<()> {
    let names = sockets.iter().map(|(name, _)| name.clone()).collect();
    let offer = Offer { form: FORM, version: env!("CARGO_PKG_VERSION").to_owned(), sockets: names };
    let document = serde_json::to_vec(&offer)?;
    let length = u32::try_from(document.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&document)?;
    for batch in sockets.chunks(BATCH) {
        let descriptors: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, socket)| *socket).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("the descriptors do not fit into their message"));
        }
        sendmsg(stream.as_fd(), &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives sockets with their names.
pub(super) fn receive(stream: &mut UnixStream) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_OFFER {
        return Err(io::Error::other("this is no Breadbox that can be taken over from"));
    }
    let mut document = vec![0; length as usize];
    stream.read_exact(&mut document)?;
    let offer: Offer = serde_json::from_slice(&document)?;
    if offer.form != FORM || offer.sockets.len() > MAX_SOCKETS {
        return Err(io::Error::other(format!("version {} hands over in a form that is not known here", offer.version)));
    }
    let mut descriptors = Vec::new();
    while descriptors.len() < offer.sockets.len() {
        let before = descriptors.len();
        receive_batch(stream, &mut descriptors)?;
        if descriptors.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(offer.sockets.into_iter().zip(descriptors).collect())
}

fn receive_batch(stream: &UnixStream, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(())
}

/// Says one thing.
pub(super) fn say(stream: &mut UnixStream, word: u8) -> io::Result<()> {
    stream.write_all(&[word])
}

/// Waits for one thing to be said.
pub(super) fn hear(stream: &mut UnixStream, word: u8) -> io::Result<()> {
    let mut heard = [0];
    stream.read_exact(&mut heard)?;
    if heard[0] == word { Ok(()) } else { Err(io::Error::other("something else was said than has to be")) }
}

/// Says something longer.
pub(super) fn say_more(stream: &mut UnixStream, words: &[u8]) -> io::Result<()> {
    let length = u32::try_from(words.len()).ok().filter(|length| *length <= MAX_MORE);
    let length = length.ok_or_else(|| io::Error::other("it is too long to be told"))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(words)
}

/// Waits for it.
pub(super) fn hear_more(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MORE {
        return Err(io::Error::other("more was said than has to be"));
    }
    let mut words = vec![0; length as usize];
    stream.read_exact(&mut words)?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_arrive_with_their_names_and_still_listen() {
        let (mut here, mut there) = UnixStream::pair().expect("a pair of sockets");
        let listeners: Vec<TcpListener> = (0..150).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let addresses: Vec<_> = listeners.iter().map(|socket| socket.local_addr().expect("bound")).collect();
        let named: Vec<_> = listeners.iter().zip(&addresses).map(|(l, a)| (a.to_string(), l.as_fd())).collect();
        let sender = std::thread::scope(|scope| {
            let receiver = scope.spawn(move || receive(&mut there));
            send(&mut here, &named).expect("it is taken");
            receiver.join().expect("it does not panic").expect("it arrives")
        });
        drop(listeners);
        assert_eq!(sender.len(), addresses.len());
        for ((name, descriptor), address) in sender.into_iter().zip(addresses) {
            assert_eq!(name, address.to_string());
            let listener = TcpListener::from(descriptor);
            let _client = TcpStream::connect(address).expect("it listens");
            listener.accept().expect("it accepts");
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for bytes in [&b""[..], b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut here, mut there) = UnixStream::pair().expect("a pair of sockets");
            here.write_all(bytes).expect("it is taken");
            drop(here);
            assert!(receive(&mut there).is_err(), "{bytes:?}");
        }
    }
}
