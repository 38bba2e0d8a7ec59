//! The lanes: one kind of request again and again, at full speed over 32 connections. In every round each server has
//! its turn, in an order that moves on, and ratios are taken within a round, so that what else the machine does
//! bears on both sides.

use crate::bare::Bare;
use crate::client::{Connection, warm};
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use crate::wrk::{Load, Pages, Sample, Wrk, ZIPF_PAGES};
use crate::{Pace, process};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A kind of request.
struct Lane {
    name: &'static str,
    title: &'static str,
    path: &'static str,
    head: Head,
    pages: Pages,
    /// Whether a responder that understands nothing can stand beside the caches.
    has_bare: bool,
}

/// Header fields besides `Host`.
enum Head {
    None,
    Browser,
    Validator,
}

const LANES: [Lane; 6] = [
    Lane { name: "hot", title: "one page of 16 KiB", path: "/hot/page", head: Head::None, ..LANE },
    Lane { name: "browser", title: "one page of 16 KiB, a browser's request head", head: Head::Browser, ..LANE },
    Lane { name: "small", title: "one page of 1 KiB", path: "/small/page", ..LANE },
    Lane { name: "304", title: "one page of 16 KiB, If-None-Match", head: Head::Validator, ..LANE },
    Lane { name: "zipf", title: "10,000 pages of 16 KiB, Zipf 1.0", path: "/zipf/1", pages: Pages::Zipf, ..NO_BARE },
    Lane { name: "bypass", title: "16 KiB, not cached", path: "/off/page", ..NO_BARE },
];
const LANE: Lane = Lane { name: "", title: "", path: "/hot/page", head: Head::None, pages: Pages::One, has_bare: true };
const NO_BARE: Lane = Lane { has_bare: false, ..LANE };

/// A server in a lane.
struct Contender<'a> {
    name: &'static str,
    address: SocketAddr,
    process: &'a process::Running,
    headers: Vec<String>,
    samples: Vec<Sample>,
}

/// Runs the lanes that `wants` names.
pub(crate) fn run(
    servers: &[Server],
    dir: &Path,
    pace: Pace,
    wants: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Result<()> {
    let wrk = Wrk::new(dir)?;
    let lanes: Vec<&Lane> = LANES.iter().filter(|lane| wants(lane.name)).collect();
    for lane in lanes {
        prepare(lane, servers)?;
        let bare = bare(lane, servers, dir)?;
        let mut contenders = contenders(lane, servers, bare.as_ref())?;
        for contender in &contenders {
            measure(&wrk, lane, contender, Duration::from_secs(1))?;
        }
        for round in 0..pace.rounds {
            for turn in 0..contenders.len() {
                let contender = (round + turn) % contenders.len();
                let sample = measure(&wrk, lane, &contenders[contender], pace.time)?;
                contenders[contender].samples.push(sample);
            }
        }
        print(lane, &contenders);
        compare(lane, &contenders, report);
    }
    Ok(())
}

fn prepare(lane: &Lane, servers: &[Server]) -> Result<()> {
    for server in servers {
        warm(server.address, [lane.path, lane.path])?;
        if lane.pages == Pages::Zipf {
            warm(server.address, (1..=ZIPF_PAGES).map(|page| format!("/zipf/{page}")))?;
        }
    }
    Ok(())
}

/// The responder with the bytes the last of the servers answers, which is Breadbox if it is there.
fn bare(lane: &Lane, servers: &[Server], dir: &Path) -> Result<Option<Bare>> {
    let Some(server) = servers.last().filter(|_| lane.has_bare) else { return Ok(None) };
    let answer = Connection::open(server.address)?.get(lane.path, &headers(lane, server.address)?)?;
    Ok(Some(Bare::start(dir, &[answer.bytes().to_vec()])?))
}

fn contenders<'a>(lane: &Lane, servers: &'a [Server], bare: Option<&'a Bare>) -> Result<Vec<Contender<'a>>> {
    let mut contenders = Vec::new();
    for server in servers {
        contenders.push(Contender {
            name: server.name,
            address: server.address,
            process: &server.process,
            headers: headers(lane, server.address)?,
            samples: Vec::new(),
        });
    }
    if let (Some(bare), Some(last)) = (bare, contenders.last()) {
        let headers = last.headers.clone();
        let (address, process) = (bare.addresses[0], &bare.process);
        contenders.push(Contender { name: "bare", address, process, headers, samples: Vec::new() });
    }
    Ok(contenders)
}

fn headers(lane: &Lane, address: SocketAddr) -> Result<Vec<String>> {
    let lines: Vec<String> = match lane.head {
        Head::None => Vec::new(),
        Head::Browser => BROWSER.map(str::to_owned).into(),
        Head::Validator => {
            let etag = Connection::open(address)?.get(lane.path, &[])?.header("etag").unwrap_or_default();
            vec![format!("If-None-Match: {etag}")]
        }
    };
    Ok(lines)
}

/// What a navigation sends, without an `Accept-Encoding`: bodies are compared as they are.
const BROWSER: [&str; 10] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
    "sec-ch-ua-mobile: ?0",
    "sec-ch-ua-platform: \"Linux\"",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Upgrade-Insecure-Requests: 1",
];

fn measure(wrk: &Wrk, lane: &Lane, contender: &Contender<'_>, time: Duration) -> Result<Sample> {
    let load = Load { address: contender.address, path: lane.path, headers: &contender.headers, pages: lane.pages };
    wrk.run(&load, contender.process, time)
}

fn print(lane: &Lane, contenders: &[Contender<'_>]) {
    println!("\n## {}: {}\n", lane.name, lane.title);
    let columns = ["", "requests/s", "CPU µs/request", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "MiB", "errors"];
    let mut table = Table::new(&columns);
    for contender in contenders {
        table.row(std::iter::once(contender.name.to_owned()).chain(cells(&contender.samples)));
    }
    print!("{table}");
}

/// One server's figures: the two that matter with their spread, the others by their medians.
pub(crate) fn cells(samples: &[Sample]) -> Vec<String> {
    let spread = |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(of));
    let whole = |of: fn(&Sample) -> f64| spread(of).map_or_else(String::new, |found| format!("{:.0}", found.median));
    let full = |of: fn(&Sample) -> f64| spread(of).map_or_else(String::new, |found| found.to_string());
    vec![
        full(|sample| sample.rate),
        full(|sample| sample.cpu_us),
        whole(|sample| sample.p50_us),
        whole(|sample| sample.p99_us),
        whole(|sample| sample.p999_us),
        whole(|sample| sample.max_us),
        whole(|sample| sample.resident / 1024.0 / 1024.0),
        samples.iter().map(|sample| sample.errors).sum::<f64>().to_string(),
    ]
}

fn compare(lane: &Lane, contenders: &[Contender<'_>], report: &mut Report) {
    let samples = |name| contenders.iter().find(|contender| contender.name == name).map(|found| &found.samples[..]);
    let Some(ours) = samples("breadbox") else {
        // Without Breadbox the distance between the others is still worth a line.
        if let (Some(nginx), Some(bare)) = (samples("nginx"), samples("bare")) {
            report.ratio(lane.name, "CPU per request", "nginx / bare", &ratios(nginx, bare, |sample| sample.cpu_us));
        }
        return;
    };
    if let Some(nginx) = samples("nginx") {
        let cpu = ratios(ours, nginx, |sample| sample.cpu_us);
        let found = report.ratio(lane.name, "CPU per request", "breadbox / nginx", &cpu);
        let limit = if lane.name == "hot" { 0.75 } else { 1.0 };
        report.at_most(&format!("{}: CPU per request, × nginx", lane.name), limit, "", found);
        report.ratio(lane.name, "requests/s", "breadbox / nginx", &ratios(ours, nginx, |sample| sample.rate));
        report.ratio(lane.name, "p99", "breadbox / nginx", &ratios(ours, nginx, |sample| sample.p99_us));
    }
    if let Some(bare) = samples("bare") {
        let cpu = ratios(ours, bare, |sample| sample.cpu_us);
        let found = report.ratio(lane.name, "CPU per request", "breadbox / bare", &cpu);
        if lane.name == "hot" {
            report.at_most("hot: CPU per request, × bare responder", 1.15, "", found);
        }
    }
}

/// Round by round.
pub(crate) fn ratios(ours: &[Sample], theirs: &[Sample], of: fn(&Sample) -> f64) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| of(ours) / of(theirs)).collect()
}
