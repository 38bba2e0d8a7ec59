//! What a visitor waits for: the first byte of a fallback page in front of a page that nobody has rendered, beside that
//! of a hit of the same size, over one connection and in turns. It prints figures and asserts nothing about time; that
//! each answer is what it should be is checked, so that nothing fast and wrong is measured.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Cold keys and hits that are measured.
const ASKS: usize = 2_000;
/// Not counted: the first of each.
const WARM_UP: usize = 200;
/// How long the origin takes for a page.
const RENDER: Duration = Duration::from_millis(500);
/// About as large as the fallback page that is shipped.
const PAGE: usize = 7 * 1024;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    let origin = origin()?;
    let (public, admin) = (free_address()?, free_address()?);
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("proxy.yaml");
    std::fs::write(&file, config(public, admin, origin))?;
    let mut command = Command::new(std::env::var_os("BREADBOX_BIN").unwrap_or(env!("CARGO_BIN_EXE_breadbox").into()));
    command.arg("run").arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(command.spawn().context("cannot start breadbox")?);
    let mut client = connect(public)?;
    ask(&mut client, public, "/hot", "*/*")?;
    let (mut cold, mut hits) = (Vec::with_capacity(ASKS), Vec::with_capacity(ASKS));
    for n in 0..WARM_UP + ASKS {
        let (shell, time) = ask(&mut client, public, &format!("/cold/{n}"), "text/html")?;
        check(&shell, "detail=fallback")?;
        let (hit, hit_time) = ask(&mut client, public, "/hot", "text/html")?;
        check(&hit, "breadbox; hit")?;
        if n >= WARM_UP {
            cold.push(time);
            hits.push(hit_time);
        }
    }
    println!("{ASKS} of each over one connection, in turns; the origin takes {RENDER:?} for a page\n");
    println!("| {:<44} | {:>9} | {:>9} | {:>9} |", "time to the first byte", "median", "p90", "p99");
    println!("|{:-<46}|{:->10}:|{:->10}:|{:->10}:|", "", "", "", "");
    row("fallback page in front of a cold page", &mut cold);
    row("hit", &mut hits);
    println!("\nratio of the medians: {:.2}", cold[ASKS / 2].as_secs_f64() / hits[ASKS / 2].as_secs_f64());
    Ok(())
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| format!("{:.0} µs", times[times.len() * share / 100].as_secs_f64() * 1e6);
    println!("| {what:<44} | {:>9} | {:>9} | {:>9} |", at(50), at(90), at(99));
}

fn check(answer: &str, says: &str) -> Result<()> {
    if answer.contains(says) { Ok(()) } else { bail!("not {says}: {}", answer.lines().next().unwrap_or_default()) }
}

fn config(public: SocketAddr, admin: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "threads: 1\nhosts: [ bench.test ]\nlisteners: [ {{ address: {public} }} ]\nadmin: {{ address: {admin} }}\n\
         origins: {{ web: {{ servers: [ \"http://{origin}\" ], max_renders: 64, max_waiting: 100000, queue_timeout: 1h }} }}\n\
         routes: [ {{ match: \"/{{*rest}}\", cache: isr, revalidate: 1h, fallback: {{ after: 0 }} }} ]\n"
    )
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Connects as soon as somebody listens.
fn connect(address: SocketAddr) -> Result<TcpStream> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                return Ok(stream);
            }
            Err(error) if Instant::now() > until => return Err(error).context("breadbox does not listen"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Asks, and reads the answer to its end: its head, and the time to its first byte.
fn ask(client: &mut TcpStream, address: SocketAddr, path: &str, accept: &str) -> Result<(String, Duration)> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: bench.test:{}\r\nAccept: {accept}\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
        address.port()
    );
    let start = Instant::now();
    client.write_all(request.as_bytes())?;
    let (mut answer, mut chunk, mut first) = (Vec::new(), [0; 64 * 1024], None);
    loop {
        let read = client.read(&mut chunk)?;
        first.get_or_insert_with(|| start.elapsed());
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        // What is streamed has no length; only the first answer is, and it is not measured.
        let whole = length.map_or(answer.ends_with(b"0\r\n\r\n"), |length| answer.len() >= end + 4 + length);
        if whole {
            return Ok((head, first.unwrap_or_default()));
        }
    }
}

/// An origin that takes its time, on threads of its own.
fn origin() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let body = "x".repeat(PAGE);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {PAGE}\r\n\r\n{body}");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, answer: &str) {
    let mut chunk = [0; 4096];
    while matches!(stream.read(&mut chunk), Ok(read) if read > 0) {
        std::thread::sleep(RENDER);
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
