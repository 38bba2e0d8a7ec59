//! What content codings cost and save: the time it takes to make one and to undo it, and how much memory a page of
//! 16 KiB takes when a hundred thousand of them are stored, beside nginx and Varnish where they are installed.
//!
//! It prints figures and asserts nothing about time. `QUICK=1` stores a tenth of the pages, `--cache nginx`
//! compares these alone.

#[path = "encodings/caches.rs"]
mod caches;
#[path = "encodings/origin.rs"]
mod origin;
#[path = "side_by_side/page.rs"]
mod page;

use anyhow::Result;
use breadbox::config::{Codec, Compressor};
use breadbox::store::codec;
use clap::Parser;
use std::time::{Duration, Instant};

/// Bytes of a page.
const PAGE: usize = 16 * 1024;
/// Pages whose codings are timed.
const TIMED: usize = 50;

/// Measures content codings.
#[derive(Parser)]
struct Arguments {
    /// Pages that are stored.
    #[arg(long)]
    pages: Option<usize>,
    /// 10,000 pages, where nothing else is said, instead of 100,000.
    #[arg(long, env = "QUICK", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0,
          default_missing_value = "true")]
    quick: bool,
    /// Caches by the beginning of their names, an option for each. Default: all.
    #[arg(long = "cache")]
    caches: Vec<String>,
    /// Leaves the memory out.
    #[arg(long)]
    time_only: bool,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.caches.is_empty() {
        time();
    }
    if arguments.time_only {
        return Ok(());
    }
    let pages = arguments.pages.unwrap_or(if arguments.quick { 10_000 } else { 100_000 });
    caches::compare(pages, &arguments.caches)
}

/// Time and size of every quality that somebody may want.
fn time() {
    let pages: Vec<Vec<u8>> = (0..TIMED).map(|n| page::html(&format!("/products/{n}"), PAGE)).collect();
    println!("| {:<10} | {:>12} | {:>14} | {:>14} |", "coding", "bytes", "make, us", "undo, us");
    println!("|{:-<12}|{:->13}:|{:->15}:|{:->15}:|", "", "", "", "");
    let qualities: [(Codec, &[u8]); 3] =
        [(Codec::Br, &[1, 4, 5, 6, 9, 11]), (Codec::Zstd, &[1, 3, 6, 9, 19]), (Codec::Gzip, &[1, 6, 9])];
    for (codec, qualities) in qualities {
        for quality in qualities {
            line(Compressor { codec, quality: *quality }, &pages);
        }
    }
    println!();
}

fn line(compressor: Compressor, pages: &[Vec<u8>]) {
    let mut coded = Vec::new();
    let made = timed(|| {
        for page in pages {
            coded.push(codec::encode(compressor, page).expect("text can be compressed"));
        }
    });
    let undone = timed(|| {
        for (page, coded) in pages.iter().zip(&coded) {
            let plain = codec::undo(compressor.codec.into(), coded, page.len()).expect("what was made can be undone");
            assert_eq!(plain.len(), page.len());
        }
    });
    let each = |time: Duration| time.as_secs_f64() * 1e6 / pages.len() as f64;
    let bytes = coded.iter().map(Vec::len).sum::<usize>() / coded.len();
    let name = format!("{} {}", compressor.codec.as_str(), compressor.quality);
    println!("| {name:<10} | {bytes:>12} | {:>14.1} | {:>14.1} |", each(made), each(undone));
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
