//! Whether a hit costs the same on two threads as on one. Two processes of one thread each share nothing, so they are
//! what one process with two threads is held against: the same load, by the same two clients, on the same two cores,
//! which the servers and the clients have in common. What differs is what threads do to each other's caches.

use crate::Pace;
use crate::certificate::Certificate;
use crate::client::warm;
use crate::process::Cores;
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use crate::wrk::{CONNECTIONS, Load, Pages, Wrk};
use crate::{breadbox, nginx, process};
use anyhow::Result;
use std::path::Path;
use std::thread;

const PATH: &str = "/hot/page";
/// Clients, each with a thread.
const CLIENTS: usize = 2;

/// How a server is started with so many threads on some cores.
type Start = fn(usize, Cores, &Path, &Certificate) -> Result<Server>;

/// Processes that do the work together.
struct Group {
    name: String,
    servers: Vec<Server>,
    /// CPU time for each request in µs, round by round.
    cpu: Vec<f64>,
    rate: Vec<f64>,
}

/// Runs the case.
pub(crate) fn run(wanted: &[String], dir: &Path, pace: Pace, report: &mut Report) -> Result<()> {
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let (wrk, certificate) = (Wrk::new(dir)?, Certificate::new(dir)?);
    let mut groups = Vec::new();
    if process::is_installed("nginx") && wants("nginx") {
        groups.extend(grouped("nginx", nginx::start_with, dir, &certificate)?);
    }
    if breadbox::binary().is_file() {
        groups.extend(grouped("breadbox", breadbox::start_with, dir, &certificate)?);
    }
    for round in 0..pace.rounds {
        for turn in 0..groups.len() {
            let at = (round + turn) % groups.len();
            groups[at].round(&wrk, pace)?;
        }
    }
    print(&groups);
    for name in ["nginx", "breadbox"] {
        let of = |kind: &str| groups.iter().find(|group| group.name == format!("{name}, {kind}"));
        let (Some(alone), Some(apart), Some(together)) = (of(ONE), of(APART), of(TOGETHER)) else { continue };
        let ratios = |other: &Group| -> Vec<f64> { together.cpu.iter().zip(&other.cpu).map(|(a, b)| a / b).collect() };
        report.ratio("scaling", "CPU per request", &format!("{name} {TOGETHER} / {APART}"), &ratios(apart));
        report.ratio("scaling", "CPU per request", &format!("{name} {TOGETHER} / {ONE}"), &ratios(alone));
    }
    Ok(())
}

const ONE: &str = "1 thread";
const APART: &str = "2 processes";
const TOGETHER: &str = "2 threads";

fn grouped(name: &str, start: Start, dir: &Path, certificate: &Certificate) -> Result<Vec<Group>> {
    let kinds: [(&str, &[usize]); 3] = [(ONE, &[1]), (APART, &[1, 1]), (TOGETHER, &[2])];
    kinds
        .into_iter()
        .map(|(kind, threads)| {
            let start = |(at, threads): (usize, &usize)| {
                let dir = dir.join(format!("{kind} {at}").replace(' ', "-"));
                let server = start(*threads, Cores::Both, &dir, certificate)?;
                warm(server.address, [PATH, PATH])?;
                Ok(server)
            };
            let servers: Vec<Server> = threads.iter().enumerate().map(start).collect::<Result<_>>()?;
            Ok(Group { name: format!("{name}, {kind}"), servers, cpu: Vec::new(), rate: Vec::new() })
        })
        .collect()
}

impl Group {
    /// Two clients at once, on a server each or on the same.
    fn round(&mut self, wrk: &Wrk, pace: Pace) -> Result<()> {
        let cpu = || self.servers.iter().map(|server| server.process.cpu().as_secs_f64()).sum::<f64>();
        let before = cpu();
        let requests: f64 = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let address = self.servers[client % self.servers.len()].address;
                    let load = Load { scheme: "http", address, path: PATH, headers: &[], pages: Pages::One };
                    scope.spawn(move || wrk.requests(&load, pace.time, Cores::Both, CONNECTIONS / CLIENTS))
                })
                .collect();
            clients.into_iter().map(|client| client.join().expect("a client does not panic")).sum::<Result<f64>>()
        })?;
        self.cpu.push((cpu() - before) * 1e6 / requests);
        self.rate.push(requests / pace.time.as_secs_f64());
        Ok(())
    }
}

fn print(groups: &[Group]) {
    println!("\n## scaling: one page of 16 KiB, servers and clients on the same two cores\n");
    let mut table = Table::new(&["", "requests/s", "CPU µs/request"]);
    let text = |values: &[f64]| Spread::of(values.iter().copied()).map_or_else(String::new, |found| found.to_string());
    for group in groups {
        table.row([group.name.clone(), text(&group.rate), text(&group.cpu)]);
    }
    print!("{table}");
}
