//! A failing origin: 200 pages have gone stale, every render of them fails at once, and visitors keep coming. How often
//! is each page tried, and does a visitor notice?

use crate::client::{exchange, request, warm};
use crate::nginx;
use crate::origin::Behaviour;
use crate::report::{Report, Spread, Table};
use crate::server::Server;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, interval};

const PAGES: usize = 200;
/// Connections of the visitors, and the requests a second of each: 1,000 in all.
const CONNECTIONS: usize = 20;
const EACH: u32 = 50;
/// The time the floor speaks of.
pub(crate) const WINDOW: Duration = Duration::from_secs(30);
/// The floor: attempts for one page in [`WINDOW`].
const ATTEMPTS: f64 = 8.0;

/// What visitors of one server got.
#[derive(Clone, Copy, Default)]
struct Visits {
    total: usize,
    errors: usize,
}

/// Runs the case for `time`; all servers at once, since nothing of their speed is measured.
pub(crate) fn run(servers: &[&Server], time: Duration, report: &mut Report) -> Result<()> {
    for server in servers {
        warm(server.address, (0..PAGES).map(page))?;
    }
    // Not a wait for an event: this is how long pages need to grow old.
    thread::sleep(nginx::SHORTEST);
    for server in servers {
        server.origin.behave("fail", Behaviour { status: 500, delay: Duration::ZERO });
        server.origin.forget_renders();
    }
    let visits: Vec<Result<Visits>> = thread::scope(|scope| {
        let crowds: Vec<_> = servers.iter().map(|server| scope.spawn(|| visit(server.address, time))).collect();
        crowds.into_iter().map(|crowd| crowd.join().unwrap_or_else(|_| Ok(Visits::default()))).collect()
    });
    println!(
        "\n## failing: {PAGES} stale pages, 1,000 requests/s as far as answers come in time, every render fails, {} s\n",
        time.as_secs()
    );
    let mut table = Table::new(&["", "attempts for a page: median (min–max)", "visits", "visits that got an error"]);
    for (server, visits) in servers.iter().zip(visits) {
        let visits = visits?;
        let attempts = attempts(server);
        let text = Spread::of(attempts.iter().copied()).map_or_else(String::new, |spread| spread.to_string());
        table.row([server.name.to_owned(), text, visits.total.to_string(), visits.errors.to_string()]);
        if server.name == "breadbox" {
            judge(time, &attempts, visits, report);
        }
    }
    print!("{table}");
    servers.iter().for_each(|server| server.origin.behave("fail", Behaviour { status: 200, delay: Duration::ZERO }));
    Ok(())
}

fn page(n: usize) -> String {
    format!("/fail/{n}")
}

fn attempts(server: &Server) -> Vec<f64> {
    (0..PAGES).map(|n| server.origin.renders(&page(n)).total as f64).collect()
}

fn judge(time: Duration, attempts: &[f64], visits: Visits, report: &mut Report) {
    let most = Spread::of([attempts.iter().copied().fold(0.0, f64::max)]);
    let what =
        format!("failing: most attempts for a page in {} s (the floor is for {})", time.as_secs(), WINDOW.as_secs());
    report.at_most(&what, ATTEMPTS, "", most);
    report.at_most("failing: visits that got an error", 0.0, "", Spread::of([visits.errors as f64]));
}

/// Visits the pages in turn at a fixed rate, however long the answers take.
fn visit(address: SocketAddr, time: Duration) -> Result<Visits> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let visitors: Vec<_> = (0..CONNECTIONS).map(|n| tokio::spawn(visitor(address, n, time))).collect();
        let mut all = Visits::default();
        for visitor in visitors {
            let visits = visitor.await.context("a visitor panicked")??;
            all.total += visits.total;
            all.errors += visits.errors;
        }
        Ok(all)
    })
}

async fn visitor(address: SocketAddr, first: usize, time: Duration) -> Result<Visits> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let end = Instant::now() + time;
    let mut ticks = interval(Duration::from_secs(1) / EACH);
    let mut visits = Visits::default();
    let mut n = first;
    while Instant::now() < end {
        ticks.tick().await;
        let status = exchange(&mut stream, &request(address, &page(n), &[])).await;
        visits.total += 1;
        if !matches!(status, Ok(200)) {
            visits.errors += 1;
            stream = tokio::net::TcpStream::connect(address).await?;
        }
        n = (n + CONNECTIONS) % PAGES;
    }
    Ok(visits)
}
