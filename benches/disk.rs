//! The disk tier, with the real binary: how fast pages are written, beside nginx' cache on the same disk; how
//! long a restart takes until the first page comes from disk, and whether all of them are there; how long a
//! page from disk takes; whether pages in memory are any slower with a disk behind them; what a page on disk
//! costs in memory. It prints figures and asserts nothing about time; that every page is there is checked.
//!
//! `cargo bench --bench disk -- --pages 20000 --small 100000` is a shorter look. Files are below the system's
//! temporary directory (`TMPDIR`). What is read was written a moment ago and is in the system's cache, as it is
//! after a restart of the process; `--cold` drops that cache first, which takes root.

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
use std::thread;
use std::time::{Duration, Instant};

/// Connections that ask at once.
const CLIENTS: usize = 4;
/// Bytes of a page, and of a small one.
const PAGE: usize = 16 << 10;
const SMALL: usize = 512;

/// Measures the disk tier.
#[derive(Parser)]
struct Arguments {
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
    let arguments = Arguments::parse();
    process::settle()?;
    let scratch = Scratch::new()?;
    if cfg!(debug_assertions) {
        println!("NOT A RELEASE BUILD: what is built with this benchmark is slow");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("# The disk tier (load {})\n", load.split(' ').next().unwrap_or_default());
    if arguments.pages > 0 {
        pages(&arguments, &scratch)?;
        memory_hits(&scratch)?;
    }
    if arguments.small > 0 {
        small(&arguments, &scratch)?;
    }
    Ok(())
}

fn pages(arguments: &Arguments, scratch: &Scratch) -> Result<()> {
    let (origin, n) = (Origin::start(PAGE)?, arguments.pages);
    println!("## {n} pages of 16 KiB\n");
    if let Some(nginx) = Nginx::start(&scratch.path().join("nginx"), origin.address())? {
        let took = ask_all(nginx.address, n)?;
        println!("filling nginx' cache on this disk: {:.0} pages/s", n as f64 / took.as_secs_f64());
    } else {
        println!("nginx: left out, it is not installed (make setup-bench)");
    }
    let dir = scratch.path().join("pages");
    let proxy = Proxy::start(&dir, Some("16GiB"), "64MiB", origin.address())?;
    let took = ask_all(proxy.address, n)?;
    println!("filling breadbox with its disk tier:  {:.0} pages/s", n as f64 / took.as_secs_f64());
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
    let (mut times, took) = timed(proxy.address, n)?;
    println!("all {n} pages are there; {:.0} pages/s from disk", n as f64 / took.as_secs_f64());
    println!("a page from disk: {}", spread(&mut times));
    println!("recovery: {} s\n", proxy.metric("breadbox_disk_recovery_seconds")?);
    Ok(())
}

/// Hits in memory with a disk behind them and without, in turn.
fn memory_hits(scratch: &Scratch) -> Result<()> {
    const HOT: usize = 1000;
    let origin = Origin::start(PAGE)?;
    let with = Proxy::start(&scratch.path().join("with"), Some("1GiB"), "256MiB", origin.address())?;
    let without = Proxy::start(&scratch.path().join("without"), None, "256MiB", origin.address())?;
    for proxy in [&with, &without] {
        ask_all(proxy.address, HOT)?;
    }
    println!("## Hits in memory\n");
    for round in 1..=5 {
        for (name, proxy) in [("with a disk tier", &with), ("without", &without)] {
            let cpu = proxy.cpu();
            let started = Instant::now();
            let mut times = Vec::new();
            for _ in 0..20 {
                times.extend(timed(proxy.address, HOT)?.0);
            }
            let rate = times.len() as f64 / started.elapsed().as_secs_f64();
            let cpu = (proxy.cpu() - cpu).as_secs_f64() * 1e6 / times.len() as f64;
            println!("round {round}, {name:<16}: {rate:>7.0}/s, {cpu:.1} µs of CPU, {}", spread(&mut times));
        }
    }
    println!();
    Ok(())
}

fn small(arguments: &Arguments, scratch: &Scratch) -> Result<()> {
    let (origin, n) = (Origin::start(SMALL)?, arguments.small);
    println!("## {n} pages of 512 bytes\n");
    let dir = scratch.path().join("small");
    let proxy = Proxy::start(&dir, Some("4GiB"), "16MiB", origin.address())?;
    let took = ask_all(proxy.address, n)?;
    println!("filling: {:.0} pages/s", n as f64 / took.as_secs_f64());
    println!("bytes on disk: {}", proxy.metric("breadbox_disk_bytes")?);
    println!("SIGTERM to exit: {:?}", proxy.stop()?);
    let empty = Proxy::start(&scratch.path().join("empty"), Some("4GiB"), "16MiB", origin.address())?;
    let bare = empty.resident();
    drop(empty);
    let started = Instant::now();
    let proxy = Proxy::spawn(&dir, Some("4GiB"), "16MiB", origin.address())?;
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

fn path(i: usize) -> String {
    format!("/page/{i}")
}

/// Asks for the first `n` pages once.
fn ask_all(address: SocketAddr, n: usize) -> Result<Duration> {
    timed(address, n).map(|(_, took)| took)
}

/// The same, with how long each took.
fn timed(address: SocketAddr, n: usize) -> Result<(Vec<Duration>, Duration)> {
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS).map(|c| thread::spawn(move || ask(address, (c..n).step_by(CLIENTS)))).collect();
    let mut times = Vec::with_capacity(n);
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
        if answer.status() != 200 {
            bail!("{} to {}", answer.status(), path(page));
        }
        times.push(asked.elapsed());
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
