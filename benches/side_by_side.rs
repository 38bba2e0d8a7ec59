//! Breadbox beside nginx `proxy_cache`, Varnish, HAProxy, Apache Traffic Server and a bare responder: one run, one worker
//! each, interleaved rounds, ratios.
//!
//! The machine is noisy and figures of two runs cannot be compared, so the results are ratios within a round, with
//! their spread. Floors of the design are printed beside the figures; nothing here is an assertion. What is not
//! installed is left out with a message. `make bench` installs and builds what is needed;
//! `make bench CASES=hot,stale QUICK=1` is a short look at two cases.

#[path = "side_by_side/ats.rs"]
mod ats;
#[path = "side_by_side/bare.rs"]
mod bare;
#[path = "side_by_side/breadbox.rs"]
mod breadbox;
#[path = "side_by_side/certificate.rs"]
mod certificate;
#[path = "side_by_side/client.rs"]
mod client;
#[path = "side_by_side/failing.rs"]
mod failing;
#[path = "side_by_side/h2load.rs"]
mod h2load;
#[path = "side_by_side/haproxy.rs"]
mod haproxy;
#[path = "side_by_side/lane.rs"]
mod lane;
#[path = "side_by_side/lanes.rs"]
mod lanes;
#[path = "side_by_side/nginx.rs"]
mod nginx;
#[path = "side_by_side/origin.rs"]
mod origin;
#[path = "side_by_side/page.rs"]
mod page;
#[path = "side_by_side/plain_proxy.rs"]
mod plain_proxy;
#[path = "side_by_side/process.rs"]
mod process;
#[path = "side_by_side/report.rs"]
mod report;
#[path = "side_by_side/scaling.rs"]
mod scaling;
#[path = "side_by_side/server.rs"]
mod server;
#[path = "side_by_side/stale.rs"]
mod stale;
#[path = "side_by_side/stampede.rs"]
mod stampede;
#[path = "side_by_side/varnish.rs"]
mod varnish;
#[path = "side_by_side/wrk.rs"]
mod wrk;

use anyhow::Result;
use certificate::Certificate;
use clap::Parser;
use report::Report;
use server::Server;
use std::path::Path;
use std::time::Duration;

/// Measures Breadbox beside other caches.
#[derive(Parser)]
struct Arguments {
    /// Cases to run: hot, apart, browser, small, large, 304, zipf, uniform, gzip, br, bypass, nostore, churn, tls, h2, h2c, scaling,
    /// stale, stampede, failing. Default: all.
    #[arg(value_delimiter = ',')]
    cases: Vec<String>,
    /// Servers besides Breadbox: nginx, nginx-tuned, varnish, haproxy, ats. Default: all.
    #[arg(long, env = "SERVERS", value_delimiter = ',')]
    servers: Vec<String>,
    /// Three rounds of one second, instead of ten of three.
    #[arg(long, env = "QUICK", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0,
          default_missing_value = "true")]
    quick: bool,
    /// Rounds of a case.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of a server's turn in a round.
    #[arg(long)]
    seconds: Option<u64>,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Rounds of a case.
    pub(crate) rounds: usize,
    /// A server's turn in a round.
    pub(crate) time: Duration,
    /// How long the origin fails.
    pub(crate) failing: Duration,
}

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == bare::ARGUMENT => return bare::respond(words.map(Into::into)),
        Some(word) if word == scaling::ARGUMENT => return scaling::ask(words),
        Some(word) if word == plain_proxy::ARGUMENT => return plain_proxy::serve(words),
        _ => {}
    }
    let arguments = Arguments::parse();
    let pinned = process::settle()?;
    let scratch = process::Scratch::new()?;
    let pace = pace(&arguments);
    introduce(pace, pinned);
    let servers = start(&arguments, scratch.path())?;
    let mut report = Report::default();
    measure(&arguments, &servers, scratch.path(), pace, &mut report)?;
    report.print();
    Ok(())
}

fn pace(arguments: &Arguments) -> Pace {
    let (rounds, seconds, failing) =
        if arguments.quick { (3, 1, Duration::from_secs(6)) } else { (10, 3, failing::WINDOW) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    Pace { rounds, time: Duration::from_secs(arguments.seconds.unwrap_or(seconds).max(1)), failing }
}

fn introduce(pace: Pace, pinned: bool) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("# Side by side\n");
    println!("kernel {}, load {}", kernel.trim(), load.split(' ').next().unwrap_or_default());
    println!("{} rounds of {} s for every server", pace.rounds, pace.time.as_secs());
    if cfg!(debug_assertions) {
        println!("NOT A RELEASE BUILD: what is built with this benchmark is slow, and so are its clients");
    }
    if !pinned {
        println!("NOT PINNED: no taskset or no second core; servers and clients share what there is");
    }
}

/// How a server is started below a directory, with a certificate.
type Start = fn(&Path, &Certificate) -> Result<Server>;

/// The other caches, and the programs they are.
const OTHERS: [(&str, &str, Start); 5] = [
    ("nginx", "nginx", nginx::start),
    ("nginx-tuned", "nginx", nginx::start_tuned),
    ("varnish", "varnishd", varnish::start),
    ("haproxy", "haproxy", haproxy::start),
    ("ats", "traffic_server", ats::start),
];

/// The servers that are there; Breadbox last.
fn start(arguments: &Arguments, dir: &Path) -> Result<Vec<Server>> {
    let certificate = Certificate::new(dir)?;
    let mut servers = Vec::new();
    for (name, program, start) in OTHERS {
        if !arguments.servers.is_empty() && !arguments.servers.iter().any(|wanted| wanted == name) {
            continue;
        }
        if !process::is_installed(program) {
            println!("{name}: left out, it is not installed (make setup-bench)");
            continue;
        }
        match start(dir, &certificate) {
            Ok(server) => {
                println!("{name}: {}", process::version(program));
                servers.push(server);
            }
            Err(error) => println!("{name}: left out, it does not start: {error:#}"),
        }
    }
    let binary = breadbox::binary();
    if binary.is_file() {
        println!("breadbox: {}", binary.display());
        servers.push(breadbox::start(dir, &certificate)?);
    } else {
        println!("breadbox: left out, there is no file {:?}", binary);
    }
    Ok(servers)
}

fn measure(arguments: &Arguments, servers: &[Server], dir: &Path, pace: Pace, report: &mut Report) -> Result<()> {
    let wants = |case: &str| arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == case);
    let of = |case: &str| servers.iter().filter(|server| !server.lacks.contains(&case)).collect::<Vec<_>>();
    if process::is_installed("wrk") {
        lanes::run(servers, dir, pace, wants, report)?;
        if wants("scaling") {
            scaling::run(&arguments.servers, &dir.join("scaling"), pace, report)?;
        }
        if wants("stale") {
            stale::run(&of("stale"), dir, pace, report)?;
        }
    } else {
        println!("\nAll lanes and the case of the stale page are left out: wrk is not installed (make setup-bench)");
    }
    if wants("stampede") {
        stampede::run(&of("stampede"), dir, pace, report)?;
    }
    if wants("failing") {
        failing::run(&of("failing"), pace.failing, report)?;
    }
    Ok(())
}
