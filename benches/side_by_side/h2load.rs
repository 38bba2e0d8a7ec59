//! The load generator for HTTP/2: one thread of `h2load`, whose latencies come from the log it writes of every request.

use crate::process::Running;
use crate::wrk::Sample;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connections, and streams at once on each.
const CONNECTIONS: &str = "32";
const STREAMS: &str = "4";

/// Loads a server, which is `process`, for whole seconds; `dir` takes the log.
pub(crate) fn run(url: &str, process: &Running, time: Duration, dir: &Path) -> Result<Sample> {
    let log = dir.join("h2load.log");
    let _ = std::fs::remove_file(&log);
    let seconds = time.as_secs().max(1).to_string();
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c", CONNECTIONS, "-m", STREAMS, "-D", &seconds, "--log-file"]).arg(&log).arg(url);
    let before = process.cpu();
    let output = command.stdin(Stdio::null()).output().context("cannot run h2load")?;
    let cpu = process.cpu() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "));
    let Some(line) = line else {
        bail!("h2load failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let count = |word: &str| {
        let mut numbers = line.split(", ").filter(|part| part.ends_with(word));
        numbers.next().and_then(|part| part.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let mut latencies = latencies(&std::fs::read_to_string(&log).unwrap_or_default());
    if latencies.is_empty() {
        bail!("nothing was answered to {url}: {line}");
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64;
    let answered = latencies.len() as f64;
    Ok(Sample {
        rate: answered / time.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / answered,
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: at(1.0),
        errors: count("failed") + count("errored") + count("timeout"),
        resident: process.resident() as f64,
    })
}

/// The third column: microseconds. The second is the status.
fn latencies(log: &str) -> Vec<u64> {
    let good = log.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        let status: u16 = columns.nth(1)?.parse().ok()?;
        (200..400).contains(&status).then(|| columns.next()?.trim().parse().ok()).flatten()
    });
    good.collect()
}
