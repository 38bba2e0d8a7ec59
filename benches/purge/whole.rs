//! The same from outside: the real binary with a million pages in its store, purged over HTTP on the admin listener,
//! and hits on one that has ten thousand rules beside one that has none.

use crate::client::Client;
use crate::origin::Origin;
use crate::process::{Running, Scratch};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a page: so small that a million fit anywhere.
const PAGE: usize = 128;
/// Pages that have a tag in common.
const GROUP: usize = 1_000;
/// Connections that ask at once, and what each asks for at once.
const CLIENTS: usize = 4;
const BATCH: usize = 50;
/// Purges that are timed.
const PURGES: usize = 1_000;
/// Rounds of hits on the pages of one group, each page so often.
const ROUNDS: usize = 5;
const TIMES: usize = 200;
const RULES: usize = 10_000;
const TOKEN: &str = "token";
const START: Duration = Duration::from_secs(30);

/// Measures all of it with so many pages.
pub(crate) fn measure(pages: usize) -> Result<()> {
    let (origin, scratch) = (Origin::start(PAGE)?, Scratch::new()?);
    purges(&Server::start(&scratch, "full", origin.address())?, pages)?;
    let none = Server::start(&scratch, "none", origin.address())?;
    let many = Server::start(&scratch, "many", origin.address())?;
    for server in [&none, &many] {
        server.ask(0..GROUP)?;
    }
    let elsewhere: Vec<String> = (0..RULES).map(|n| format!("\"elsewhere-{n}\"")).collect();
    let mut admin = Client::open(many.admin)?;
    for some in elsewhere.chunks(500) {
        admin.post("/-/purge", TOKEN, &format!("{{\"tag\":[{}]}}", some.join(",")))?;
    }
    ensure!(many.metric("breadbox_purge_rules")? == RULES as f64, "every rule is remembered");
    println!("\nCPU of a hit over HTTP, in turn:");
    for round in 1..=ROUNDS {
        println!("  round {round}: no rule {}, {RULES} rules {}", hits(&none)?, hits(&many)?);
    }
    Ok(())
}

/// Stores the pages, and purges one group after the other.
fn purges(server: &Server, pages: usize) -> Result<()> {
    let began = Instant::now();
    server.ask(0..pages)?;
    let (stored, bytes) = (server.metric("breadbox_store_pages")?, server.metric("breadbox_store_bytes")?);
    ensure!(stored >= pages as f64, "{stored} of {pages} pages are in the store");
    println!("\n{stored} pages in a running Breadbox, {:.0} MiB, made in {:.0?}", bytes / 1048576.0, began.elapsed());
    let mut admin = Client::open(server.admin)?;
    let nothing = times(|_| admin.get(&["/healthz".to_owned()]).map(drop))?;
    println!("  a request to the admin listener that does nothing: {nothing}");
    // Every other group, so that there are some that are not purged.
    let group = |n: usize| 2 * n % (pages / GROUP);
    let tag = |n: usize| format!("{{\"tag\":\"group-{}\",\"mode\":\"delete\"}}", group(n));
    let purged = times(|n| admin.post("/-/purge", TOKEN, &tag(n)))?;
    println!("  a purge of one tag, from the request to its answer: {purged}");
    for first in [0, 2, pages / GROUP - 2] {
        let [purged, other] = [first, first + 1].map(|group| group * GROUP..(group + 1) * GROUP);
        ensure!(server.ask(purged)? == 0, "no page that the purge covers is served");
        ensure!(server.ask(other)? == GROUP, "all others are");
    }
    Ok(())
}

/// The median and the worst of many.
fn times(mut act: impl FnMut(usize) -> Result<()>) -> Result<String> {
    let mut times = Vec::with_capacity(PURGES);
    for n in 0..PURGES {
        let start = Instant::now();
        act(n)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let [median, p99, worst] = [PURGES / 2, PURGES * 99 / 100, PURGES - 1].map(|at| times[at]);
    Ok(format!("{median:.0?}, p99 {p99:.0?}, worst {worst:.0?}"))
}

fn hits(server: &Server) -> Result<String> {
    let before = server.process.cpu();
    for _ in 0..TIMES {
        ensure!(server.ask(0..GROUP)? == GROUP, "all are hits");
    }
    let each = (server.process.cpu() - before).as_secs_f64() / (TIMES * GROUP) as f64;
    Ok(format!("{:.2} µs", each * 1e6))
}

/// A running Breadbox on one thread.
struct Server {
    public: SocketAddr,
    admin: SocketAddr,
    process: Running,
}

impl Server {
    fn start(scratch: &Scratch, name: &str, origin: SocketAddr) -> Result<Server> {
        let dir = scratch.path().join(name);
        fs::create_dir_all(&dir)?;
        let (public, admin, file) = (free_address()?, free_address()?, dir.join("proxy.yaml"));
        let yaml = format!(
            "threads: 1\nlisteners: [ {{ address: \"{public}\" }} ]\nadmin: {{ address: \"{admin}\", token: {TOKEN} }}\n\
             origins: {{ web: {{ servers: [ \"http://{origin}\" ] }} }}\nstore: {{ memory: 4GiB, max_page: 1MiB }}\n\
             max_purge_rules: {RULES}\nroutes:\n  - match: \"/{{group}}/{{page}}\"\n    cache: isr\n    revalidate: 1d\n    \
             tags: [ \"group-{{group}}\", \"page-{{page}}\" ]\n"
        );
        fs::write(&file, yaml)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_breadbox"));
        command.arg("run").arg("--config").arg(&file).env("BREADBOX_LOG", "error");
        let process = Running::start(&command, Stdio::from(File::create(dir.join("log"))?))?;
        let server = Server { public, admin, process };
        let deadline = Instant::now() + START;
        while Client::open(admin).is_err() {
            ensure!(Instant::now() < deadline, "breadbox does not listen on {admin}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Asks for these pages once, on several connections at once; how many were in the store and fresh.
    fn ask(&self, pages: std::ops::Range<usize>) -> Result<usize> {
        let part = pages.len().div_ceil(CLIENTS);
        let parts = (0..CLIENTS).map(|n| {
            let start = (pages.start + n * part).min(pages.end);
            start..(start + part).min(pages.end)
        });
        let address = self.public;
        let clients: Vec<_> = parts.map(|part| thread::spawn(move || ask(address, part))).collect();
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).sum()
    }

    /// The sum of all series with this name.
    fn metric(&self, name: &str) -> Result<f64> {
        let answers = Client::open(self.admin)?.get(&["/metrics".to_owned()])?;
        let text = &answers.first().context("an answer")?.body;
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }
}

fn ask(address: SocketAddr, pages: std::ops::Range<usize>) -> Result<usize> {
    let mut client = Client::open(address)?;
    let paths: Vec<String> = pages.map(|page| format!("/{}/{page}", page / GROUP)).collect();
    let mut fresh = 0;
    for some in paths.chunks(BATCH) {
        for answer in client.get(some)? {
            ensure!(answer.status == 200, "{} from {address}", answer.status);
            fresh += usize::from(answer.is_fresh_hit());
        }
    }
    Ok(fresh)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
