//! Whether a hit costs the same on two threads as on one. Two processes of one thread each share nothing, so they are
//! what one process with two threads is held against: the same clients on the same two cores, which servers and clients
//! have in common, and every other connection to the other process. What differs is what threads do to each other's
//! caches. Clients are a thread for each connection, so that none of them is closer to one server than to the other.

use crate::Pace;
use crate::certificate::Certificate;
use crate::client::{Connection, warm};
use crate::process::Cores;
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use crate::{breadbox, nginx, process};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// The argument that makes this program the clients.
pub(crate) const ARGUMENT: &str = "--clients";
const PATH: &str = "/hot/page";
const CLIENTS: usize = 32;

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
    fs::create_dir_all(dir)?;
    let certificate = Certificate::new(dir)?;
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
            groups[at].round(pace)?;
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
    /// All clients at once, who share the servers evenly.
    fn round(&mut self, pace: Pace) -> Result<()> {
        let cpu = || self.servers.iter().map(|server| server.process.cpu().as_secs_f64()).sum::<f64>();
        let program = std::env::current_exe()?;
        let mut command = process::client_on(Cores::Both, program.as_os_str());
        command.arg(ARGUMENT).arg(pace.time.as_secs().to_string());
        command.args(self.servers.iter().map(|server| server.address.to_string()));
        let before = cpu();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let requests: f64 = said.trim().parse().context("the clients failed")?;
        self.cpu.push((cpu() - before) * 1e6 / requests);
        self.rate.push(requests / pace.time.as_secs_f64());
        Ok(())
    }
}

/// The clients themselves: they ask for so many seconds and print how many answers they got.
pub(crate) fn ask(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let mut word = || Some(words.next()?.to_string_lossy().into_owned());
    let time = Duration::from_secs(word().context("how long?")?.parse()?);
    let servers: Vec<SocketAddr> = std::iter::from_fn(word).map(|word| Ok(word.parse()?)).collect::<Result<_>>()?;
    let until = Instant::now() + time;
    let one = |server| {
        let (mut connection, mut answers) = (Connection::open(server)?, 0_u64);
        while Instant::now() < until {
            connection.get(PATH, &[])?;
            answers += 1;
        }
        anyhow::Ok(answers)
    };
    let answers: u64 = thread::scope(|scope| {
        let clients: Vec<_> = servers.iter().cycle().take(CLIENTS).map(|server| scope.spawn(|| one(*server))).collect();
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).sum::<Result<u64>>()
    })?;
    println!("{answers}");
    Ok(())
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
