//! The lanes: one kind of request again and again, at full speed over 32 connections. In every round each server has
//! its turn, in an order that moves on, and ratios are taken within a round, so that what else the machine does
//! bears on both sides.

use crate::bare::Bare;
use crate::client::{Connection, warm};
use crate::lane::{Head, LANES, Lane, Over};
use crate::plain_proxy::PlainProxy;
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use crate::wrk::{Load, Pages, Sample, UNIFORM_PAGES, Wrk, ZIPF_PAGES};
use crate::{Pace, h2load, process};
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A server in a lane.
struct Contender<'a> {
    name: &'static str,
    address: SocketAddr,
    process: &'a process::Running,
    headers: Vec<String>,
    /// Bytes of an answer over HTTP/1.1, head and body, and how the body is encoded.
    answer: String,
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
        if let Some(why) = lane.obstacle() {
            println!("\n{} is left out: {why}", lane.name);
            continue;
        }
        let taking_part: Vec<&Server> = servers.iter().filter(|server| lane.address(server).is_some()).collect();
        prepare(lane, &taking_part)?;
        let bare = bare(lane, &taking_part, dir)?;
        let plain = plain_proxy(lane, &taking_part)?;
        let mut contenders = contenders(lane, &taking_part, bare.as_ref(), plain.as_ref())?;
        contenders.retain(|contender| match measure(&wrk, lane, contender, Duration::from_secs(1), dir) {
            Ok(_) => true,
            Err(error) => {
                println!("\n{}: {} is left out: {error}", lane.name, contender.name);
                false
            }
        });
        for round in 0..pace.rounds {
            for turn in 0..contenders.len() {
                let contender = (round + turn) % contenders.len();
                let sample = measure(&wrk, lane, &contenders[contender], pace.time, dir);
                contenders[contender].samples.push(sample.unwrap_or(Sample::MISSING));
            }
        }
        print(lane, &contenders);
        compare(lane, &contenders, report);
    }
    Ok(())
}

/// Every page is asked for twice: once to be stored, and once that is done, for what a server does only then.
fn prepare(lane: &Lane, servers: &[&Server]) -> Result<()> {
    for server in servers {
        ask_for_all(lane, server)?;
    }
    servers.iter().for_each(|server| _ = server.process.rests());
    for server in servers {
        ask_for_all(lane, server)?;
    }
    for server in servers.iter().filter(|server| !server.process.rests()) {
        println!("\n{}: {} is still at work behind its answers, which counts as theirs", lane.name, server.name);
    }
    Ok(())
}

fn ask_for_all(lane: &Lane, server: &Server) -> Result<()> {
    match lane.pages {
        Pages::One | Pages::Apart => warm(server.address, [lane.path]),
        Pages::Zipf => warm(server.address, (1..=ZIPF_PAGES).map(|page| format!("/zipf/{page}"))),
        Pages::Uniform => warm(server.address, (1..=UNIFORM_PAGES).map(|page| format!("/uniform/{page}"))),
    }
}

/// The responder with the bytes the last of the servers answers, which is Breadbox if it is there.
fn bare(lane: &Lane, servers: &[&Server], dir: &Path) -> Result<Option<Bare>> {
    let Some(server) = servers.last().filter(|_| lane.has_bare) else { return Ok(None) };
    let answer = Connection::open(server.address)?.get(lane.path, &headers(lane, server.address)?)?;
    Ok(Some(Bare::start(dir, &[answer.bytes().to_vec()])?))
}

/// Pingora's own proxy in front of the last server's origin, where nothing is served from the cache.
fn plain_proxy(lane: &Lane, servers: &[&Server]) -> Result<Option<PlainProxy>> {
    let Some(server) = servers.last().filter(|_| lane.is_proxied()) else { return Ok(None) };
    PlainProxy::start(server.origin.address()).map(Some)
}

fn contenders<'a>(
    lane: &Lane,
    servers: &[&'a Server],
    bare: Option<&'a Bare>,
    plain: Option<&'a PlainProxy>,
) -> Result<Vec<Contender<'a>>> {
    let mut contenders = Vec::new();
    for server in servers {
        let headers = headers(lane, server.address)?;
        let answer = Connection::open(server.address)?.get(lane.path, &headers)?;
        if answer.status() != lane.status() {
            println!("\n{}: {} is left out, it answers {}", lane.name, server.name, answer.status());
            continue;
        }
        let length = answer.bytes().len();
        let encoding = answer.header("content-encoding").unwrap_or_default();
        contenders.push(Contender {
            name: server.name,
            address: lane.address(server).unwrap_or(server.address),
            process: &server.process,
            headers,
            answer: format!("{length} {encoding}").trim_end().to_owned(),
            samples: Vec::new(),
        });
    }
    let headers = contenders.last().map(|last| last.headers.clone()).unwrap_or_default();
    let answer = contenders.last().map(|last| last.answer.clone()).unwrap_or_default();
    let beside = [
        bare.map(|bare| ("bare", bare.addresses[0], &bare.process)),
        plain.map(|plain| ("pingora", plain.address, &plain.process)),
    ];
    for (name, address, process) in beside.into_iter().flatten() {
        let (headers, answer) = (headers.clone(), answer.clone());
        contenders.push(Contender { name, address, process, headers, answer, samples: Vec::new() });
    }
    Ok(contenders)
}

fn headers(lane: &Lane, address: SocketAddr) -> Result<Vec<String>> {
    Ok(match lane.head {
        Head::None => Vec::new(),
        Head::Lines(lines) => lines.iter().map(|line| (*line).to_owned()).collect(),
        Head::Validator => {
            let etag = Connection::open(address)?.get(lane.path, &[])?.header("etag").unwrap_or_default();
            vec![format!("If-None-Match: {etag}")]
        }
    })
}

/// A turn in which nothing was answered, as on a machine that has other things to do, is taken again.
fn measure(wrk: &Wrk, lane: &Lane, contender: &Contender<'_>, time: Duration, dir: &Path) -> Result<Sample> {
    let turn = || take_turn(wrk, lane, contender, time, dir);
    turn().or_else(|_| turn()).or_else(|_| turn())
}

fn take_turn(wrk: &Wrk, lane: &Lane, contender: &Contender<'_>, time: Duration, dir: &Path) -> Result<Sample> {
    let (address, path) = (contender.address, lane.path);
    let scheme = match lane.over {
        Over::Http2 => return h2load::run(&format!("https://{address}{path}"), contender.process, time, dir),
        Over::Http2Plain => return h2load::run(&format!("http://{address}{path}"), contender.process, time, dir),
        Over::Tls => "https",
        Over::Plain => "http",
    };
    let load = Load { scheme, address, path, headers: &contender.headers, pages: lane.pages };
    wrk.run(&load, contender.process, time)
}

fn print(lane: &Lane, contenders: &[Contender<'_>]) {
    println!("\n## {}: {}\n", lane.name, lane.title);
    let columns =
        ["", "bytes", "requests/s", "CPU µs/request", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "MiB", "errors"];
    let mut table = Table::new(&columns);
    for contender in contenders {
        let front = [contender.name.to_owned(), contender.answer.clone()];
        table.row(front.into_iter().chain(cells(&contender.samples)));
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
    for contender in contenders {
        report.cpu(lane.name, contender.name, contender.samples.iter().map(|sample| sample.cpu_us));
    }
    let samples = |name| contenders.iter().find(|contender| contender.name == name).map(|found| &found.samples[..]);
    let Some(ours) = samples("breadbox") else {
        // Without Breadbox the distance between the others is still worth a line.
        if let (Some(nginx), Some(bare)) = (samples("nginx"), samples("bare")) {
            report.ratio(lane.name, "CPU per request", "nginx / bare", &ratios(nginx, bare, |sample| sample.cpu_us));
        }
        return;
    };
    let is_hot = matches!(lane.name, "hot" | "apart");
    for (name, theirs) in contenders.iter().map(|contender| (contender.name, &contender.samples[..])) {
        let limit = match name {
            "breadbox" => continue,
            "bare" => Some(1.15).filter(|_| is_hot),
            "pingora" => Some(1.10),
            "nginx" | "nginx-tuned" if is_hot => Some(0.75),
            _ => Some(1.0).filter(|_| !lane.is_proxied()),
        };
        let cpu = ratios(ours, theirs, |sample| sample.cpu_us);
        let found = report.ratio(lane.name, "CPU per request", &format!("breadbox / {name}"), &cpu);
        if let Some(limit) = limit {
            report.at_most(&format!("{}: CPU per request, × {name}", lane.name), limit, "", found);
        }
        if name == "nginx" {
            report.ratio(lane.name, "requests/s", "breadbox / nginx", &ratios(ours, theirs, |sample| sample.rate));
            report.ratio(lane.name, "p99", "breadbox / nginx", &ratios(ours, theirs, |sample| sample.p99_us));
        }
    }
}

/// Round by round.
pub(crate) fn ratios(ours: &[Sample], theirs: &[Sample], of: fn(&Sample) -> f64) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| of(ours) / of(theirs)).collect()
}
