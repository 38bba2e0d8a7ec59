//! A stampede: 500 clients ask for one page that nobody has rendered yet, at the same moment, and with them one client
//! that asks the origin directly. Beside it, in the same round, 500 that ask a responder which has the bytes at hand:
//! what the crowd itself costs on this machine.

use crate::Pace;
use crate::bare::Bare;
use crate::client::{Connection, stampede};
use crate::origin::Behaviour;
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

const CLIENTS: usize = 500;
/// How long the render takes.
const RENDER: Duration = Duration::from_millis(200);

/// What one server did, a value for each round; times in ms.
#[derive(Default)]
struct Found {
    renders: Vec<f64>,
    first: Vec<f64>,
    last: Vec<f64>,
    /// The last client's time beyond that of the client that asked the origin directly.
    beyond: Vec<f64>,
}

/// Runs the case.
pub(crate) fn run(servers: &[&Server], dir: &Path, pace: Pace, report: &mut Report) -> Result<()> {
    let Some(any) = servers.first() else { return Ok(()) };
    servers.iter().for_each(|server| server.origin.behave("cold", Behaviour { status: 200, delay: RENDER }));
    let bytes = Connection::open(any.address)?.get("/hot/page", &[])?.bytes().to_vec();
    let bare = Bare::start(dir, &[bytes])?;
    servers.iter().for_each(|server| _ = server.process.rests());
    let mut found: Vec<Found> = servers.iter().map(|_| Found::default()).collect();
    let (mut direct, mut alone, mut crowd) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..pace.rounds {
        alone.push(last(&stampede(&[(any.origin.address(), &format!("/cold/alone-{round}"))])?));
        crowd.push(last(&stampede(&[(bare.addresses[0], "/"); CLIENTS])?));
        for turn in 0..servers.len() {
            let n = (round + turn) % servers.len();
            direct.push(found[n].round(servers[n], round)?);
        }
    }
    print(servers, &found, [&direct, &alone, &crowd]);
    compare(servers, &found, report);
    Ok(())
}

impl Found {
    /// One round; when the direct client was answered.
    fn round(&mut self, server: &Server, round: usize) -> Result<f64> {
        let (path, directly) = (format!("/cold/{round}"), format!("/cold/direct-{round}"));
        let mut asked = vec![(server.origin.address(), directly.as_str())];
        asked.extend([(server.address, path.as_str()); CLIENTS]);
        let ends = stampede(&asked)?;
        let (direct, ends) = (last(&ends[..1]), &ends[1..]);
        self.renders.push(server.origin.renders(&path).total as f64);
        self.first.push(ends.iter().min().map_or(f64::NAN, milliseconds));
        self.last.push(last(ends));
        self.beyond.push(last(ends) - direct);
        Ok(direct)
    }
}

fn milliseconds(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn last(ends: &[Duration]) -> f64 {
    ends.iter().max().map_or(f64::NAN, milliseconds)
}

fn print(servers: &[&Server], found: &[Found], [direct, alone, crowd]: [&[f64]; 3]) {
    println!("\n## stampede: {CLIENTS} clients on one cold page that takes {} ms to render\n", RENDER.as_millis());
    let mut table = Table::new(&["", "renders", "first ms", "last ms", "last beyond a direct client, ms"]);
    for (server, found) in servers.iter().zip(found) {
        let series = [&found.renders, &found.first, &found.last, &found.beyond];
        table.row(std::iter::once(server.name.to_owned()).chain(series.map(|series| text(series))));
    }
    table.row(["one client, directly".into(), "1".into(), text(direct), text(direct), String::new()]);
    table.row(["the same without the crowd".into(), "1".into(), text(alone), text(alone), String::new()]);
    table.row([format!("{CLIENTS} clients, bare"), "0".into(), String::new(), text(crowd), String::new()]);
    print!("{table}");
}

fn text(series: &[f64]) -> String {
    Spread::of(series.iter().copied()).map_or_else(String::new, |spread| spread.to_string())
}

fn compare(servers: &[&Server], found: &[Found], report: &mut Report) {
    let of = |name| servers.iter().position(|server| server.name == name).map(|n| &found[n]);
    let Some(ours) = of("breadbox") else { return };
    let most = ours.renders.iter().copied().fold(0.0, f64::max);
    report.at_most("stampede: renders", 1.0, "", Spread::of([most]));
    let beyond = Spread::of(ours.beyond.iter().copied());
    report.at_most("stampede: last client beyond a direct one", 10.0, " ms", beyond);
    if let Some(nginx) = of("nginx") {
        let last: Vec<f64> = ours.last.iter().zip(&nginx.last).map(|(ours, theirs)| ours / theirs).collect();
        report.ratio("stampede", "last client", "breadbox / nginx", &last);
    }
}
