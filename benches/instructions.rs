//! How many instructions a hit takes in Breadbox' own code, counted by valgrind's callgrind: the one figure that does
//! not depend on what else the machine does. Every kind of hit has a bar; whoever makes a hit dearer than that sees it
//! here, and the program fails. The kernel's part is not counted.
//!
//! The counts are of the release build on x86-64 with AVX2; elsewhere they are printed and nothing fails.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Requests that are counted, one after the other over one connection.
const ASKS: u64 = 20_000;
/// Requests in front of them, so that the page is where pages in demand are.
const WARM_UP: u64 = 2_000;
/// Valgrind is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A kind of hit.
struct Kind {
    name: &'static str,
    target: &'static str,
    /// Lines behind `Host`.
    lines: &'static str,
    /// Whether the requests are the same, octet for octet; otherwise each differs from the one before.
    again: bool,
    /// What the answer begins with.
    status: &'static str,
    /// No more instructions than this.
    bar: u64,
}

const BROWSER: &str = "Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
    Cookie: _ga=GA1.1.1; consent=yes\r\nUpgrade-Insecure-Requests: 1\r\n";

const KIND: Kind =
    Kind { name: "a page of 16 KiB", target: "/hot/page", lines: "", again: false, status: "200", bar: BAR_PLAIN };

const KINDS: [Kind; 7] = [
    KIND,
    Kind { name: "the same on a `headers` route", target: "/headers/page", bar: BAR_HEADERS, ..KIND },
    Kind { name: "a browser's request", lines: BROWSER, bar: BAR_BROWSER, ..KIND },
    Kind { name: "a query that counts", target: "/hot/page?page=2&sort=a", bar: BAR_QUERY, ..KIND },
    Kind { name: "not modified", lines: "If-None-Match: \"v1\"\r\n", status: "304", bar: BAR_304, ..KIND },
    Kind { name: "1 KiB", target: "/small/page", bar: BAR_SMALL, ..KIND },
    Kind { name: "the same request again", again: true, bar: BAR_AGAIN, ..KIND },
];

// Four percent above what was counted last, so that another compiler is no reason to fail.
const BAR_PLAIN: u64 = 8_960;
const BAR_HEADERS: u64 = 9_030;
const BAR_BROWSER: u64 = 18_960;
const BAR_QUERY: u64 = 13_060;
const BAR_304: u64 = 11_600;
const BAR_SMALL: u64 = 9_790;
const BAR_AGAIN: u64 = 5_030;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    if !["valgrind", "callgrind_control"].iter().all(|program| is_installed(program)) {
        println!("instructions of a hit: left out, valgrind is not installed (make setup-bench)");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (public, _server) = start(dir.path())?;
    println!("{ASKS} of each over one connection; the kernel's part is not counted\n");
    println!("| {:<32} | {:>12} | {:>8} |", "a hit", "instructions", "bar");
    println!("|{:-<34}|{:->13}:|{:->9}:|", "", "", "");
    let mut dearer = Vec::new();
    for (part, kind) in KINDS.iter().enumerate() {
        let count = count(dir.path(), public, _server.0.id(), part + 1, kind)?;
        println!("| {:<32} | {count:>12} | {:>8} |", kind.name, kind.bar);
        if count > kind.bar {
            dearer.push(kind.name);
        }
    }
    let comparable = cfg!(target_arch = "x86_64") && !cfg!(debug_assertions) && has_avx2();
    if !comparable {
        println!("\nnot the build or the processor that the bars are of; nothing is compared");
    } else if !dearer.is_empty() {
        bail!("dearer than the bar: {}", dearer.join(", "));
    }
    Ok(())
}

fn has_avx2() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| info.contains(" avx2"))
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Starts Breadbox within valgrind, in front of an origin.
fn start(dir: &Path) -> Result<(SocketAddr, Running)> {
    let origin = origin()?;
    let (public, admin) = (free_address()?, free_address()?);
    let file = dir.join("proxy.yaml");
    let config = format!(
        "threads: 1\nhosts: [ bench.test ]\nlisteners: [ {{ address: \"{public}\" }} ]\nadmin: {{ address: \"{admin}\" }}\n\
         origins: {{ web: {{ servers: [ \"http://{origin}\" ] }} }}\nroutes:\n\
         - {{ match: \"/headers/{{*rest}}\", cache: headers }}\n- {{ match: \"/{{*rest}}\", cache: isr, revalidate: 1h }}\n"
    );
    std::fs::write(&file, config)?;
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", dir.join("counts").display()));
    command.arg(std::env::var_os("BREADBOX_BIN").unwrap_or(env!("CARGO_BIN_EXE_breadbox").into()));
    command.arg("run").arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((public, Running(command.spawn().context("cannot start valgrind")?)))
}

/// Instructions of one hit.
fn count(dir: &Path, public: SocketAddr, pid: u32, part: usize, kind: &Kind) -> Result<u64> {
    let request = |from: char| {
        let from = if kind.again { '1' } else { from };
        let Kind { target, lines, .. } = kind;
        format!("GET {target} HTTP/1.1\r\nHost: bench.test\r\nReferer: http://bench.test/{from}\r\n{lines}\r\n")
    };
    let requests = ['1', '2'].map(request);
    // The first one is a miss, and codings are made behind it: what is counted has to be the same each time.
    ask_until_settled(&mut connect(public)?, &requests[0])?;
    // One that has brought a miss has been pingora's, and costs more from then on.
    let mut client = connect(public)?;
    for n in 0..WARM_UP {
        ask(&mut client, &requests[n as usize % 2], kind.status)?;
    }
    control("--zero", pid)?;
    for n in 0..ASKS {
        ask(&mut client, &requests[n as usize % 2], kind.status)?;
    }
    control("--dump", pid)?;
    Ok(read_sum(&dir.join(format!("counts.{part}")))? / ASKS)
}

fn ask_until_settled(client: &mut TcpStream, request: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let (mut before, mut same) = (String::new(), 0);
    while same < 200 {
        let head = ask(client, request, "")?;
        let etag = head.lines().find(|line| line.to_ascii_lowercase().starts_with("etag:")).unwrap_or_default();
        let is_same = head.contains("breadbox; hit") && etag == before;
        same = if is_same { same + 1 } else { 0 };
        etag.clone_into(&mut before);
        if Instant::now() > until {
            bail!("it does not become a hit: {head}");
        }
    }
    Ok(())
}

fn control(what: &str, pid: u32) -> Result<()> {
    let status = Command::new("callgrind_control").arg(what).arg(pid.to_string()).stdout(Stdio::null()).status()?;
    if !status.success() {
        bail!("callgrind_control {what} failed");
    }
    Ok(())
}

/// The sum of a dump, as soon as it is written.
fn read_sum(file: &PathBuf) -> Result<u64> {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(sum) = text.lines().find_map(|line| line.strip_prefix("totals: ")) {
            return sum.trim().parse().context("callgrind wrote something else than a sum");
        }
        if Instant::now() > until {
            bail!("callgrind did not write {}", file.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Connects as soon as somebody listens.
fn connect(address: SocketAddr) -> Result<TcpStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) if Instant::now() > until => return Err(error).context("breadbox does not listen"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Asks, and reads the answer to its end: its head.
fn ask(client: &mut TcpStream, request: &str, status: &str) -> Result<String> {
    client.write_all(request.as_bytes())?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let read = client.read(&mut chunk)?;
        if read == 0 {
            bail!("breadbox closed the connection");
        }
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let is_empty = head.starts_with("HTTP/1.1 304");
        // What is streamed has no length; only the first answer is, and it is not counted.
        let whole = length.map_or(answer.ends_with(b"0\r\n\r\n"), |length| answer.len() >= end + 4 + length);
        if is_empty || whole {
            if !head[9..].starts_with(status) {
                bail!("not {status}: {head}");
            }
            return Ok(head);
        }
    }
}

/// Renders pages, on threads of its own.
fn origin() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) {
    let line = "<p class=\"product\">Bread of yesterday, at half its price.</p>\n";
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        head.extend_from_slice(&chunk[..read]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let size = if head.starts_with(b"GET /small/") { 1024 } else { 16 * 1024 };
        head.clear();
        let page = &line.repeat(size / line.len() + 1)[..size];
        let fields = "Content-Type: text/html\r\nCache-Control: max-age=3600\r\nETag: \"v1\"\r\n";
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {size}\r\n\r\n{page}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
