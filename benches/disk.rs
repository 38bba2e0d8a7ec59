//! The disk tier, with the real binary: how fast pages are written, beside nginx' cache on the same disk; how
//! long a restart takes until the first page comes from disk, and whether all of them are there; how long a
//! page from disk takes; whether pages in memory are any slower with a disk behind them; what a page on disk
//! costs in memory. It prints figures and asserts nothing about time; that every page is there is checked.
//!
//! `cargo bench --bench disk -- pages memory` runs two of its parts, `QUICK=1` a fifth of it. Files are below the
//! system's temporary directory (`TMPDIR`), which should be on the disk that is meant. What is read was written
//! a moment ago and is in the system's cache, as it is after a restart of the process; `--cold` drops that cache
//! first, which takes root. Pages are kept without codings, as nginx keeps them. Servers have one core, clients
//! and the origin another.

#[expect(dead_code, reason = "other benchmarks use more of it")]
#[path = "side_by_side/client.rs"]
mod client;
#[path = "side_by_side/process.rs"]
#[expect(dead_code, reason = "versions are shown by the matrix alone")]
mod process;

#[path = "disk/origin.rs"]
mod origin;
#[path = "disk/servers.rs"]
mod servers;

use anyhow::{Result, bail};
use clap::Parser;
use client::Connection;
use origin::Origin;
use process::Scratch;
use servers::{Nginx, Proxy};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that ask at once.
const CLIENTS: usize = 4;
/// Bytes of a page, and of a small one.
const PAGE: usize = 16 << 10;
const SMALL: usize = 512;

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// 16 KiB each: filling, a restart, reading.
    Pages,
    /// Hits in memory, with and without a disk.
    Memory,
    /// Many small pages: start and memory.
    Small,
}

/// Measures the disk tier.
#[derive(Parser)]
struct Arguments {
    /// Parts; all where none is named.
    parts: Vec<Part>,
    /// A fifth of the pages.
    #[arg(long, env = "QUICK", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0,
        default_missing_value = "true", default_value = "false")]
    quick: bool,
    /// Pages of 16 KiB.
    #[arg(long, default_value_t = 100_000)]
    pages: usize,
    /// Pages of 512 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    small: usize,
    /// Drop the system's cache before pages are read from disk.
    #[arg(long)]
    cold: bool,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.pages /= 5;
        arguments.small /= 5;
    }
    let cores = process::settle()?;
    let scratch = Scratch::below(&std::env::temp_dir())?;
    let scratch = scratch.path();
    if cfg!(debug_assertions) {
        println!("NOT A RELEASE BUILD: what is built with this benchmark is slow");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("# The disk tier (load {}, {})\n", load.split(' ').next().unwrap_or_default(), file_system(scratch)?);
    if !cores {
        println!("SERVERS AND CLIENTS SHARE A CORE: there is only one");
    }
    let wants = |part: Part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    if wants(Part::Pages) {
        pages(&arguments, scratch)?;
    }
    if wants(Part::Memory) {
        memory_hits(scratch)?;
    }
    if wants(Part::Small) {
        small(&arguments, scratch)?;
    }
    Ok(())
}

/// Rounds in which the pages are filled in, by one and by the other.
const ROUNDS: usize = 5;

fn pages(arguments: &Arguments, scratch: &Path) -> Result<()> {
    let (origin, n) = (Origin::start(PAGE)?, arguments.pages);
    println!("## {n} pages of 16 KiB\n");
    let nginx = Nginx::start(&scratch.join("nginx"), origin.address())?;
    if nginx.is_none() {
        println!("nginx: left out, it is not installed (make setup-bench)");
    }
    let dir = scratch.join("pages");
    let proxy = Proxy::start(&dir, Some("16GiB"), "64MiB", origin.address())?;
    for round in 0..ROUNDS {
        let share = n * round / ROUNDS..n * (round + 1) / ROUNDS;
        if let Some(nginx) = &nginx {
            read("filling nginx, with its cache on this disk", nginx.address, share.clone(), || nginx.cpu())?;
        }
        read("filling breadbox, with its disk tier", proxy.address, share, || proxy.cpu())?;
    }
    println!("writes that were dropped: {}", proxy.metric("breadbox_disk_dropped_writes_total")?);
    println!("SIGTERM to exit: {:?}", proxy.stop()?);
    if arguments.cold {
        drop_caches()?;
    }
    origin.stop();
    let started = Instant::now();
    let proxy = Proxy::spawn(&dir, Some("16GiB"), "64MiB", origin.address())?;
    let first = proxy.first_answer(&path(n / 3))?;
    println!("start of the process to its first page from disk: {:?}", first.duration_since(started));
    read("breadbox, every page", proxy.address, shuffled(n), || proxy.cpu())?;
    let from_disk = proxy.metric("breadbox_disk_reads_total")?;
    println!(
        "{from_disk:.0} of them were read from disk; recovery took {} s",
        proxy.metric("breadbox_disk_recovery_seconds")?
    );
    if let Some(nginx) = &nginx {
        read("nginx, every page", nginx.address, shuffled(n), || nginx.cpu())?;
    }
    println!();
    Ok(())
}

/// All of them in an order that has nothing to do with the one in which they were written.
fn shuffled(n: usize) -> impl Iterator<Item = usize> {
    // Two primes: one of them divides no number of pages that is asked for here.
    let step = if n.is_multiple_of(7919) { 7907 } else { 7919 };
    (0..n).map(move |i| i * step % n)
}

/// Asks for these pages and says how fast they came, and what one cost.
fn read(what: &str, address: SocketAddr, pages: impl Iterator<Item = usize>, cpu: impl Fn() -> Duration) -> Result<()> {
    let pages: Vec<_> = pages.collect();
    let (n, before) = (pages.len() as f64, cpu());
    let (mut times, took) = timed(address, pages)?;
    let cpu = (cpu() - before).as_secs_f64() * 1e6 / n;
    println!("{what}: {:.0} pages/s, {cpu:.1} µs of CPU each, {}", n / took.as_secs_f64(), spread(&mut times));
    Ok(())
}

/// Hits in memory with a disk behind them and without, in turn.
fn memory_hits(scratch: &Path) -> Result<()> {
    const HOT: usize = 1000;
    let origin = Origin::start(PAGE)?;
    let with = Proxy::start(&scratch.join("with"), Some("1GiB"), "256MiB", origin.address())?;
    let without = Proxy::start(&scratch.join("without"), None, "256MiB", origin.address())?;
    for proxy in [&with, &without] {
        timed(proxy.address, 0..HOT)?;
    }
    println!("## Hits in memory\n");
    for round in 1..=5 {
        for (name, proxy) in [("with a disk tier", &with), ("without", &without)] {
            let cpu = proxy.cpu();
            let started = Instant::now();
            let mut times = Vec::new();
            for _ in 0..20 {
                times.extend(timed(proxy.address, 0..HOT)?.0);
            }
            let rate = times.len() as f64 / started.elapsed().as_secs_f64();
            let cpu = (proxy.cpu() - cpu).as_secs_f64() * 1e6 / times.len() as f64;
            println!("round {round}, {name:<16}: {rate:>7.0}/s, {cpu:.1} µs of CPU, {}", spread(&mut times));
        }
    }
    println!();
    Ok(())
}

fn small(arguments: &Arguments, scratch: &Path) -> Result<()> {
    let (origin, n) = (Origin::start(SMALL)?, arguments.small);
    println!("## {n} pages of 512 bytes\n");
    let dir = scratch.join("small");
    // Hardly any memory, so that what grows with the pages is what is known of those on disk.
    let proxy = Proxy::start(&dir, Some("4GiB"), "1MiB", origin.address())?;
    let (_, took) = timed(proxy.address, 0..n)?;
    println!("filling: {:.0} pages/s", n as f64 / took.as_secs_f64());
    println!("bytes on disk: {}", proxy.metric("breadbox_disk_bytes")?);
    println!("SIGTERM to exit: {:?}", proxy.stop()?);
    let empty = Proxy::start(&scratch.join("empty"), Some("4GiB"), "1MiB", origin.address())?;
    let bare = empty.resident();
    drop(empty);
    let started = Instant::now();
    origin.stop();
    let proxy = Proxy::spawn(&dir, Some("4GiB"), "1MiB", origin.address())?;
    let first = proxy.first_answer(&path(n / 3))?;
    println!("start of the process to its first page from disk: {:?}", first.duration_since(started));
    proxy.wait_for_pages(n)?;
    let each = proxy.resident().saturating_sub(bare) as f64 / n as f64;
    println!(
        "recovery: {} s; memory for a page on disk: {each:.0} bytes",
        proxy.metric("breadbox_disk_recovery_seconds")?
    );
    Ok(())
}

/// What the files are on.
fn file_system(dir: &Path) -> Result<String> {
    let output = std::process::Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn path(i: usize) -> String {
    format!("/page/{i}")
}

/// Asks for these pages once; how long each took, and all of them.
fn timed(address: SocketAddr, pages: impl IntoIterator<Item = usize>) -> Result<(Vec<Duration>, Duration)> {
    let pages: Arc<[usize]> = pages.into_iter().collect();
    let (started, mut times) = (Instant::now(), Vec::with_capacity(pages.len()));
    let ask_share = |c| {
        let pages = Arc::clone(&pages);
        thread::spawn(move || ask(address, pages.iter().copied().skip(c).step_by(CLIENTS)))
    };
    let clients: Vec<_> = (0..CLIENTS).map(ask_share).collect();
    for client in clients {
        times.extend(client.join().expect("a client does not panic")?);
    }
    Ok((times, started.elapsed()))
}

fn ask(address: SocketAddr, pages: impl Iterator<Item = usize>) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut times = Vec::new();
    for page in pages {
        let asked = Instant::now();
        let answer = connection.get(&path(page), &[])?;
        times.push(asked.elapsed());
        let asked_for = path(page);
        let is_it = || answer.bytes().windows(asked_for.len()).any(|window| window == asked_for.as_bytes());
        if answer.status() != 200 || !is_it() {
            bail!("{} to {asked_for}, or another page", answer.status());
        }
    }
    Ok(times)
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0))
}

fn drop_caches() -> Result<()> {
    std::process::Command::new("sync").status()?;
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "3")?)
}
