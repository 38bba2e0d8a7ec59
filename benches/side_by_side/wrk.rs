//! The load generator: one thread of `wrk`, whose figures come from its own `done` hook rather than from its prose.

use crate::process::Running;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connections of a lane, all kept alive.
const CONNECTIONS: &str = "32";
/// Prints the figures in one line that nothing else looks like.
const DONE: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max,
    e.connect + e.read + e.write + e.timeout + e.status))
end
"#;
/// Asks for one page, each time with another `Referer`, as clients that come from everywhere do.
const APART: &str = r#"
local requests, at = {}, 0
function init(args)
  for n = 1, 4096 do
    wrk.headers["Referer"] = "http://bench.test/" .. n
    requests[n] = wrk.format("GET")
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"#;
/// Asks for pages by Zipf's law with exponent 1. The draws are made once and walked through in order, so that a
/// request costs a table look-up; `wrk` seeds nothing, so every server is asked for the same pages.
const ZIPF: &str = r#"
local pages, draws = 10000, 65536
local requests, at = {}, 0
function init(args)
  local cumulative, sum, seed = {}, 0, 42
  for rank = 1, pages do sum = sum + 1 / rank; cumulative[rank] = sum end
  for n = 1, draws do
    seed = (seed * 16807) % 2147483647
    local x, low, high = seed / 2147483647 * sum, 1, pages
    while low < high do
      local middle = math.floor((low + high) / 2)
      if cumulative[middle] < x then low = middle + 1 else high = middle end
    end
    requests[n] = wrk.format("GET", "/zipf/" .. low)
  end
end
function request()
  at = at % draws + 1
  return requests[at]
end
"#;
/// Asks for pages that are all as likely, in an order that goes through every one of them.
const UNIFORM: &str = r#"
local pages, step = 100000, 61803
local requests, at = {}, 0
function init(args)
  for n = 1, pages do requests[n] = wrk.format("GET", "/uniform/" .. n) end
end
function request()
  at = (at + step) % pages
  return requests[at + 1]
end
"#;
/// Pages the Zipf script asks for: `/zipf/1` to this one.
pub(crate) const ZIPF_PAGES: usize = 10_000;
/// Pages the uniform script asks for: `/uniform/1` to this one.
pub(crate) const UNIFORM_PAGES: usize = 100_000;

/// What a run asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// One page again and again, by the same request.
    One,
    /// One page again and again, by requests that differ.
    Apart,
    /// [`ZIPF_PAGES`] pages by Zipf's law.
    Zipf,
    /// [`UNIFORM_PAGES`] pages, all as likely.
    Uniform,
}

/// The figures of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Requests answered a second.
    pub(crate) rate: f64,
    /// User and system time of the server for one request, in µs.
    pub(crate) cpu_us: f64,
    /// Median latency, in µs.
    pub(crate) p50_us: f64,
    /// 99th percentile of the latency, in µs.
    pub(crate) p99_us: f64,
    /// 99.9th percentile of the latency, in µs.
    pub(crate) p999_us: f64,
    /// The longest latency, in µs.
    pub(crate) max_us: f64,
    /// Connections that broke, timeouts and answers other than 2xx and 3xx.
    pub(crate) errors: f64,
    /// Resident bytes of the server after the run.
    pub(crate) resident: f64,
}

impl Sample {
    /// A turn in which nothing was answered; it counts nowhere.
    pub(crate) const MISSING: Sample = Sample {
        rate: f64::NAN,
        cpu_us: f64::NAN,
        p50_us: f64::NAN,
        p99_us: f64::NAN,
        p999_us: f64::NAN,
        max_us: f64::NAN,
        errors: 0.0,
        resident: f64::NAN,
    };
}

/// `wrk` with its scripts.
pub(crate) struct Wrk {
    one: PathBuf,
    apart: PathBuf,
    zipf: PathBuf,
    uniform: PathBuf,
}

impl Wrk {
    /// Writes the scripts into `dir`.
    pub(crate) fn new(dir: &Path) -> Result<Wrk> {
        let [one, apart, zipf, uniform] = ["one", "apart", "zipf", "uniform"].map(|name| dir.join(name));
        let wrk = Wrk { one, apart, zipf, uniform };
        std::fs::write(&wrk.one, DONE)?;
        std::fs::write(&wrk.apart, format!("{APART}{DONE}"))?;
        std::fs::write(&wrk.zipf, format!("{ZIPF}{DONE}"))?;
        std::fs::write(&wrk.uniform, format!("{UNIFORM}{DONE}"))?;
        Ok(wrk)
    }

    /// Loads a server, which is `process`, for whole seconds.
    pub(crate) fn run(&self, load: &Load<'_>, process: &Running, time: Duration) -> Result<Sample> {
        let before = process.cpu();
        let figures = self.figures(load, load.address, time)?;
        let cpu = process.cpu() - before;
        let [requests, duration_us, p50_us, p99_us, p999_us, max_us, errors] = figures;
        if requests == 0.0 {
            bail!("{} answered nothing to {}", load.address, load.path);
        }
        Ok(Sample {
            rate: requests / (duration_us / 1e6),
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            p50_us,
            p99_us,
            p999_us,
            max_us,
            errors,
            resident: process.resident() as f64,
        })
    }

    fn figures(&self, load: &Load<'_>, address: SocketAddr, time: Duration) -> Result<[f64; 7]> {
        let mut command = Command::new("wrk");
        let seconds = time.as_secs().max(1);
        command.args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "--timeout", "10s", "-s"]);
        command.arg(match load.pages {
            Pages::One => &self.one,
            Pages::Apart => &self.apart,
            Pages::Zipf => &self.zipf,
            Pages::Uniform => &self.uniform,
        });
        for header in load.headers {
            command.args(["-H", header]);
        }
        command.arg(format!("{}://{address}{}", load.scheme, load.path));
        let output = command.stdin(Stdio::null()).output().context("cannot run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("figures "));
        let Some(line) = line else {
            bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        };
        let figures: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        figures.try_into().ok().context("wrk printed other figures than it was told to")
    }
}

/// What a run sends, and where.
pub(crate) struct Load<'a> {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The server's address in this lane.
    pub(crate) address: SocketAddr,
    /// The path, where it is one.
    pub(crate) path: &'a str,
    /// Header lines besides `Host`.
    pub(crate) headers: &'a [String],
    /// Which pages.
    pub(crate) pages: Pages,
}
