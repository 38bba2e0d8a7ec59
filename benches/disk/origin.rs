//! An origin that sends a page of one size for any path, as fast as it can.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// It answers until it is stopped; connections that are made later are closed at once.
pub(crate) struct Origin {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Origin {
    /// Starts it; bodies have `size` bytes.
    pub(crate) fn start(size: usize) -> Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let origin = Origin { address: listener.local_addr()?, stopped: Arc::default() };
        let stopped = Arc::clone(&origin.stopped);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !stopped.load(Ordering::SeqCst) {
                    let stopped = Arc::clone(&stopped);
                    thread::spawn(move || answer(stream, size, &stopped));
                }
            }
        });
        Ok(origin)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers nobody any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

fn answer(mut stream: TcpStream, size: usize, stopped: &AtomicBool) {
    let _ = stream.set_nodelay(true);
    let (mut head, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(n @ 1..) => head.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let mut body = [b"<!doctype html><title>", path, b"</title>"].concat();
        body.resize(size, b'x');
        let fields = "Content-Type: text/html\r\nCache-Control: max-age=86400";
        let mut answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(&body);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
