//! That a hit allocates nothing (DESIGN §6). The whole server runs in this process, so whatever it allocates for a
//! request, on whatever thread, is counted; client and origin are such that they allocate nothing meanwhile.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns of all requests between two looks at the counter.
const TURNS: usize = 500;
/// So many looks in a row have to find nothing.
const QUIET: usize = 3;
const DEADLINE: Duration = Duration::from_secs(60);

const PLAIN: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n";
const OTHER: &[u8] =
    b"GET /b/longer/path?page=2&utm_source=x HTTP/1.1\r\nHost: shop.test\r\nX-Request-Id: 4711\r\n\r\n";
const HEAD: &[u8] = b"HEAD /a HTTP/1.1\r\nHost: shop.test\r\n\r\n";
const CONDITION: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nIf-None-Match: \"v1\"\r\n\r\n";
const BROWSER: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: _ga=GA1.1.1; consent=yes\r\nSec-Fetch-Mode: navigate\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";
const SHARED: &[u8] = b"GET /headers/a HTTP/1.1\r\nHost: shop.test\r\nAccept-Language: de\r\n\r\n";
const AGAIN: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nAccept-Encoding: gzip\r\n\r\n";
const PIPELINED: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n";
/// With how many answers each gets.
const REQUESTS: [(&[u8], usize); 13] = [
    (PLAIN, 1),
    (OTHER, 1),
    (HEAD, 1),
    (CONDITION, 1),
    (BROWSER, 1),
    (SHARED, 1),
    (PIPELINED, 2),
    // The third makes it known.
    (AGAIN, 1),
    (AGAIN, 1),
    (AGAIN, 1),
    (AGAIN, 1),
    (AGAIN, 1),
    (AGAIN, 1),
];

#[test]
fn a_hit_allocates_nothing() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let address = serve(&directory.path().join("proxy.yaml"), origin);
    let mut connection = connect(address);
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    let (mut quiet, mut last) = (0, None);
    while quiet < QUIET {
        assert!(start.elapsed() < DEADLINE, "{} requests still allocate: {last:?}", TURNS * REQUESTS.len());
        let region = Region::new(ALLOCATOR);
        let mut hits = 0;
        for (request, answers) in (0..TURNS).flat_map(|_| REQUESTS) {
            hits += usize::from(ask(&mut connection, request, answers, &mut buffer));
        }
        let change = region.change();
        let is_quiet = change.allocations == 0 && change.reallocations == 0 && change.deallocations == 0;
        // While it warms up, not all are hits.
        quiet = if is_quiet && hits == TURNS * REQUESTS.len() { quiet + 1 } else { 0 };
        last = Some((hits, change));
    }
}

/// Asks and reads all that comes; answers whether every one was a hit.
fn ask(connection: &mut TcpStream, request: &[u8], answers: usize, buffer: &mut [u8]) -> bool {
    connection.write_all(request).expect("the test's own sockets and files work");
    let (mut read, mut at, mut are_hits) = (0, 0, true);
    for _ in 0..answers {
        let (head, body) = loop {
            if let Some(found) = end_of_answer(&buffer[at..read], request.starts_with(b"HEAD")) {
                break found;
            }
            let length = connection.read(&mut buffer[read..]).expect("the test's own sockets and files work");
            assert_ne!(length, 0, "the connection was closed");
            read += length;
        };
        are_hits &= memchr::memmem::find(&buffer[at..at + head], b"breadbox; hit; ttl=").is_some();
        at += head + body;
    }
    assert_eq!(at, read, "more was sent than was asked for");
    are_hits
}

/// Bytes of head and body where an answer is all there.
fn end_of_answer(bytes: &[u8], is_head: bool) -> Option<(usize, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let length = memchr::memmem::find(&bytes[..head], b"Content-Length: ").map(|at| at + 16);
    let digits = bytes[length.unwrap_or(head)..head].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    let body = if is_head { 0 } else { length };
    (bytes.len() >= head + body).then_some((head, body))
}

/// Renders pages until the process ends.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the test's own sockets and files work");
    let address = listener.local_addr().expect("the test's own sockets and files work");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || render(&mut stream));
        }
    });
    address
}

fn render(stream: &mut TcpStream) {
    let page = "<p class=\"product\">Bread of yesterday, at half its price.</p>\n".repeat(256);
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        head.extend_from_slice(&buffer[..length]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let fields =
                "Content-Type: text/html\r\nCache-Control: max-age=600\r\nVary: Accept-Language\r\nETag: \"v1\"\r\n";
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{page}", page.len());
            stream.write_all(answer.as_bytes()).expect("the test's own sockets and files work");
        }
    }
}

/// Runs the server on a thread, until the process ends.
fn serve(file: &std::path::Path, origin: SocketAddr) -> SocketAddr {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|free| free.local_addr())
        .expect("the test's own sockets and files work");
    let config = format!(
        r#"
threads: 2
listeners: [ {{ address: "{address}" }} ]
admin: {{ address: "127.0.0.1:0" }}
origins: {{ web: {{ servers: [ "http://{origin}" ] }} }}
routes:
  - {{ match: "/headers/{{*rest}}", cache: headers }}
  - {{ match: "/{{*rest}}", cache: isr, revalidate: 1h, vary: {{ headers: [ Accept-Language ] }} }}
"#
    );
    std::fs::write(file, config).expect("the test's own sockets and files work");
    let arguments = ["breadbox", "run", "--config"].map(OsString::from);
    let arguments: Vec<OsString> = arguments.into_iter().chain([file.into()]).collect();
    std::thread::spawn(move || breadbox::cli::main(arguments));
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("the test's own sockets and files work");
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && start.elapsed() < DEADLINE => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
}
