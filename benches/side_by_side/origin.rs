//! The backend behind every server of a run: a thread per connection, pages by URL, and a behaviour per area (the first
//! segment of the path) that a case may change while it runs. It counts what it renders.

use crate::page;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

/// Bytes of a page in the area `small`.
const SMALL: usize = 1024;
/// Bytes of a page in the area `large`.
const LARGE: usize = 256 * 1024;
/// Bytes of a page everywhere else.
const PAGE: usize = 16 * 1024;
/// A request head larger than this closes the connection.
const MAX_HEAD: usize = 64 * 1024;

/// How an area answers.
#[derive(Clone, Copy)]
pub(crate) struct Behaviour {
    /// The status code: 200, or an error without a page.
    pub(crate) status: u16,
    /// How long it takes.
    pub(crate) delay: Duration,
}

/// What was rendered of one path.
#[derive(Clone, Copy, Default)]
pub(crate) struct Renders {
    /// Requests received.
    pub(crate) total: u64,
    /// The most there ever were at once.
    pub(crate) most_at_once: u64,
    in_progress: u64,
}

/// A listening origin. It lives as long as the process.
pub(crate) struct Origin {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    behaviours: HashMap<String, Behaviour>,
    renders: HashMap<String, Renders>,
}

impl Origin {
    /// Listens on any port of 127.0.0.1.
    pub(crate) fn start() -> Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the origin cannot listen")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // A connection that breaks is the business of the server that opened it.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Ok(Origin { address, state })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how the area answers from the next request on.
    pub(crate) fn behave(&self, area: &str, behaviour: Behaviour) {
        locked(&self.state).behaviours.insert(area.to_owned(), behaviour);
    }

    /// What was rendered of this path so far.
    pub(crate) fn renders(&self, path: &str) -> Renders {
        locked(&self.state).renders.get(path).copied().unwrap_or_default()
    }

    /// Forgets all counts.
    pub(crate) fn forget_renders(&self) {
        locked(&self.state).renders.clear();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        head.clear();
        if !read_head(&mut stream, &mut head)? {
            return Ok(());
        }
        let path = path_of(&head);
        let behaviour = begin(state, &path);
        thread::sleep(behaviour.delay);
        let answer = answer(&path, behaviour.status);
        // The render is over before its client can know, or the next one would seem to overlap with it.
        locked(state).renders.entry(path).or_default().in_progress -= 1;
        stream.write_all(&answer)?;
    }
}

/// Reads one request head; false where the connection ended instead. Renders have no body.
fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 8192];
    while !head.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut chunk)?;
        if n == 0 || head.len() + n > MAX_HEAD {
            return Ok(false);
        }
        head.extend_from_slice(&chunk[..n]);
    }
    Ok(true)
}

fn path_of(head: &[u8]) -> String {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or(b"/");
    String::from_utf8_lossy(target).into_owned()
}

fn begin(state: &Mutex<State>, path: &str) -> Behaviour {
    let mut state = locked(state);
    let renders = state.renders.entry(path.to_owned()).or_default();
    renders.total += 1;
    renders.in_progress += 1;
    renders.most_at_once = renders.most_at_once.max(renders.in_progress);
    let good = Behaviour { status: 200, delay: Duration::ZERO };
    state.behaviours.get(area_of(path)).copied().unwrap_or(good)
}

fn area_of(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

fn answer(path: &str, status: u16) -> Vec<u8> {
    let date = httpdate::fmt_http_date(SystemTime::now());
    if status != 200 {
        let head = format!("HTTP/1.1 {status} Error\r\nDate: {date}\r\nContent-Length: 6\r\n\r\nfailed");
        return head.into_bytes();
    }
    let size = match area_of(path) {
        "small" => SMALL,
        "large" => LARGE,
        _ => PAGE,
    };
    let kept = if area_of(path) == "nostore" { "no-store" } else { "public, s-maxage=3600" };
    let body = page::html(path, size);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         ETag: \"{:016x}\"\r\nCache-Control: {kept}\r\nVary: Accept-Encoding\r\n\
         X-Powered-By: Renderer\r\n\r\n",
        body.len(),
        xxhash_rust::xxh3::xxh3_64(&body)
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}
