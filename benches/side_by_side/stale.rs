//! Stale hits beside fresh hits: what a visitor feels of a refresh that takes half a second. One page is fresh, the
//! other stale during the whole round with a render of it under way; rounds of both are interleaved.

use crate::Pace;
use crate::client::{Connection, warm};
use crate::lanes::{cells, ratios};
use crate::nginx;
use crate::origin::Behaviour;
use crate::report::{Report, Table};
use crate::server::Server;
use crate::wrk::{Load, Pages, Sample, Wrk};
use anyhow::Result;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a render of the stale page takes.
pub(crate) const RENDER: Duration = Duration::from_millis(500);

const FRESH: &str = "/hot/page";
const STALE: &str = "/stale/page";

/// What one server did.
struct Found<'a> {
    server: &'a Server,
    fresh: Vec<Sample>,
    stale: Vec<Sample>,
    /// Answers looked at during rounds of the stale page, and how many of them were stale.
    seen: (usize, usize),
}

/// Runs the case.
pub(crate) fn run(servers: &[&Server], dir: &Path, pace: Pace, report: &mut Report) -> Result<()> {
    let wrk = Wrk::new(dir)?;
    let mut found: Vec<Found<'_>> = Vec::new();
    for &server in servers {
        server.origin.behave("stale", Behaviour { status: 200, delay: Duration::ZERO });
        warm(server.address, [FRESH, FRESH, STALE])?;
        server.origin.forget_renders();
        server.origin.behave("stale", server.keeps_stale);
        found.push(Found { server, fresh: Vec::new(), stale: Vec::new(), seen: (0, 0) });
    }
    // Not a wait for an event: this is how long pages need to grow old.
    thread::sleep(nginx::SHORTEST);
    for round in 0..pace.rounds {
        for turn in 0..found.len() * 2 {
            let n = (round + turn) % (found.len() * 2);
            let found = &mut found[n / 2];
            if n.is_multiple_of(2) { found.fresh_round(&wrk, pace)? } else { found.stale_round(&wrk, pace)? }
        }
    }
    print(&found);
    compare(&found, report);
    servers.iter().for_each(|server| server.origin.behave("stale", Behaviour { status: 200, delay: Duration::ZERO }));
    Ok(())
}

impl Found<'_> {
    fn fresh_round(&mut self, wrk: &Wrk, pace: Pace) -> Result<()> {
        self.fresh.push(wrk.run(&load(self.server, FRESH), &self.server.process, pace.time)?);
        Ok(())
    }

    /// Looks into the answers from the side while they are being measured: a page that became fresh unnoticed would
    /// make the comparison worthless.
    fn stale_round(&mut self, wrk: &Wrk, pace: Pace) -> Result<()> {
        let over = AtomicBool::new(false);
        let (sample, seen) = thread::scope(|scope| {
            let witness = scope.spawn(|| witness(self.server, &over));
            let sample = wrk.run(&load(self.server, STALE), &self.server.process, pace.time);
            over.store(true, Ordering::Relaxed);
            (sample, witness.join().unwrap_or((0, 0)))
        });
        self.stale.push(sample?);
        self.seen = (self.seen.0 + seen.0, self.seen.1 + seen.1);
        Ok(())
    }
}

fn load<'a>(server: &Server, path: &'a str) -> Load<'a> {
    Load { scheme: "http", address: server.address, path, headers: &[], pages: Pages::One }
}

/// Asks for the stale page now and then, on a connection for each, until the round is over.
fn witness(server: &Server, over: &AtomicBool) -> (usize, usize) {
    let mut seen = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let answer = Connection::open(server.address).and_then(|mut connection| connection.get(STALE, &[]));
        if let Ok(answer) = answer {
            seen.0 += 1;
            seen.1 += usize::from((server.is_stale)(&answer));
        }
        thread::sleep(Duration::from_millis(50));
    }
    seen
}

fn print(found: &[Found<'_>]) {
    println!("\n## stale: a stale page whose render takes {} ms, beside a fresh one\n", RENDER.as_millis());
    let columns = ["", "requests/s", "CPU µs/request", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "MiB", "errors"];
    let mut table = Table::new(&columns);
    for found in found {
        for (kind, samples) in [("fresh", &found.fresh), ("stale", &found.stale)] {
            table.row(std::iter::once(format!("{} {kind}", found.server.name)).chain(cells(samples)));
        }
    }
    print!("{table}");
    for found in found {
        let (seen, stale) = found.seen;
        let renders = found.server.origin.renders(STALE);
        println!(
            "{}: {stale} of {seen} answers looked at were stale; {} renders, at most {} at once",
            found.server.name, renders.total, renders.most_at_once
        );
    }
}

fn compare(found: &[Found<'_>], report: &mut Report) {
    for found in found {
        let name = found.server.name;
        let p99 = ratios(&found.stale, &found.fresh, |sample| sample.p99_us);
        let spread = report.ratio("stale", "p99", &format!("{name} stale / fresh"), &p99);
        let p50 = ratios(&found.stale, &found.fresh, |sample| sample.p50_us);
        report.ratio("stale", "p50", &format!("{name} stale / fresh"), &p50);
        let longest = ratios(&found.stale, &found.fresh, |sample| sample.max_us);
        report.ratio("stale", "max", &format!("{name} stale / fresh"), &longest);
        if name == "breadbox" {
            report.at_most("stale: p99 of stale hits, × fresh hits", 1.10, "", spread);
            let at_once = found.server.origin.renders(STALE).most_at_once as f64;
            report.at_most("stale: renders of one page at once", 1.0, "", crate::report::Spread::of([at_once]));
        }
    }
    let of = |name| found.iter().find(|found| found.server.name == name);
    if let (Some(ours), Some(nginx)) = (of("breadbox"), of("nginx")) {
        let p99 = ratios(&ours.stale, &nginx.stale, |sample| sample.p99_us);
        report.ratio("stale", "p99 of stale hits", "breadbox / nginx", &p99);
        let cpu = ratios(&ours.stale, &nginx.stale, |sample| sample.cpu_us);
        report.ratio("stale", "CPU per stale hit", "breadbox / nginx", &cpu);
    }
}
