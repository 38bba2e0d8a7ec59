//! `breadbox check --replay access.log`: what a configuration would have made of yesterday's requests. Every
//! line of an access log in the combined format (nginx, Apache; gzip, too) is admitted by the same policy
//! that admits requests, and its page is kept, goes stale and is rendered again by the route's times.
//!
//! It says how many hits, renders and bypasses that makes, and which query parameters split the cache. What
//! a log does not tell (response headers, cookies, hosts) is assumed, and the report says how. Memory is
//! bounded, however long the log is: lines are streamed, keys and parameters are bounded in number.

mod kept;
mod line;
mod report;
mod spread;
mod tally;

use crate::config::Config;
use crate::policy::route::RouteTable;
use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use tally::Replay;

/// Bytes of a line; longer ones are skipped.
const LONGEST_LINE: u64 = 64 << 10;
/// What is read at once.
const BUFFER: usize = 1 << 20;
/// The first bytes of a gzip file (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Replays the log at `path`, `-` for standard input, and writes the report on `out`.
pub(super) fn replay(config: &Config, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let routes = RouteTable::new(config)?;
    let mut replay = Replay::new(config, &routes);
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    let mut plain = BufReader::with_capacity(BUFFER, source);
    let is_gzip = plain.fill_buf().with_context(|| format!("cannot read {}", path.display()))?.starts_with(&GZIP);
    let read = if is_gzip {
        each_line(&mut BufReader::with_capacity(BUFFER, MultiGzDecoder::new(plain)), |line| replay.take(line))
    } else {
        each_line(&mut plain, |line| replay.take(line))
    };
    read.with_context(|| format!("cannot read {} to its end", path.display()))?;
    let totals = replay.finish();
    report::write(&totals, config, out)?;
    if totals.malformed > 0 && totals.malformed == totals.lines {
        bail!("no line of {} is in the combined format of nginx and Apache", path.display());
    }
    Ok(())
}

/// Gives every line to `take`, without its end; `None` for one that is too long.
fn each_line(source: &mut impl BufRead, mut take: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if source.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.last() == Some(&b'\n') || (line.len() as u64) < LONGEST_LINE;
        if !whole {
            skip_line(source)?;
            take(None);
        } else if !line.trim_ascii().is_empty() {
            take(Some(line.trim_ascii_end()));
        }
    }
}

fn skip_line(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = source.fill_buf()?;
        let (used, found) = match memchr::memchr(b'\n', buffer) {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        source.consume(used);
        if found || used == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
