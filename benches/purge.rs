//! What purging costs: a purge of one tag while the store holds a million pages, and a hit on a page
//! while ten thousand rules are active; first the purge clock alone, then the real binary over HTTP. It
//! prints figures and asserts nothing about time; that a purge covers what it should is checked, so that
//! nothing fast and wrong is measured.
//!
//! `cargo bench --bench purge -- --pages 50000` is a shorter look.

#[path = "purge/client.rs"]
mod client;
#[expect(dead_code, reason = "other benchmarks use more of it")]
#[path = "disk/origin.rs"]
mod origin;
#[expect(dead_code, reason = "other benchmarks use more of it")]
#[path = "side_by_side/process.rs"]
mod process;
#[path = "purge/whole.rs"]
mod whole;

use breadbox::config::{PurgeMode, Scheme};
use breadbox::policy::encoding::{Coding, Representations};
use breadbox::policy::key::KeyUri;
use breadbox::policy::purge::{Rule, Scope};
use breadbox::policy::{Fields, Key, Lifetime, Page, PurgeMemo, PurgeSeq, Standing, Timestamp, Validators};
use breadbox::store::purge_clock::PurgeClock;
use bytes::Bytes;
use clap::Parser;
use http::StatusCode;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const PAGES: usize = 1_000_000;
const RULES: usize = 10_000;
/// Every page has its own tag and one that it shares with so many others.
const SHARING: usize = 1_000;
/// Pages whose hits are timed, and how often.
const HOT: usize = 1_000;
const ROUNDS: usize = 2_000;
const LIMIT: NonZeroUsize = NonZeroUsize::new(RULES).expect("more than none");

/// Measures purging.
#[derive(Parser)]
struct Arguments {
    /// Pages in the store of the running binary.
    #[arg(long, default_value_t = PAGES)]
    pages: usize,
    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    process::settle()?;
    alone();
    whole::measure(arguments.pages)
}

/// The purge clock without anything around it.
fn alone() {
    let clock = PurgeClock::new(LIMIT);
    let pages: Vec<Page> = (0..PAGES).map(|n| page(n, clock.now())).collect();
    println!("{PAGES} pages, each with 2 tags\n");
    println!("| {:<58} | {:>12} |", "", "time");
    println!("|{:-<60}|{:->13}:|", "", "");
    let [median, worst] = purges(&clock);
    row("a purge of one tag, the median of 1,000", median);
    row("the worst of them", worst);
    fill(&clock);
    let [median, worst] = purges(&clock);
    row("the same with the table of rules full, the median", median);
    row("the worst of them", worst);
    let covered = pages.iter().filter(|page| clock.standing(page) != Standing::Fine).count();
    assert_eq!(covered, PAGES, "the table is full, so everything older than it is covered");
    let quiet = PurgeClock::new(LIMIT);
    row("a hit's comparison, no rule ever", hits(&quiet, &fresh(&quiet)));
    let busy = PurgeClock::new(LIMIT);
    let older = fresh(&busy);
    fill(&busy);
    row("the same, 10,000 rules, pages rendered after them", hits(&busy, &fresh(&busy)));
    row("the same, 10,000 rules, pages rendered before them", hits(&busy, &older));
    row("the first comparison of a page with 10,000 rules", first(&busy, &older));
}

fn row(what: &str, nanos: f64) {
    println!("| {what:<58} | {nanos:>9.1} ns |");
}

fn page(number: usize, purge_seq: PurgeSeq) -> Page {
    let path = format!("/products/{number}");
    let now = Timestamp::from_millis(1);
    Page {
        key: Key::of(KeyUri { scheme: Scheme::Https, host: "shop.example.com", path: &path, query: None }),
        status: StatusCode::OK,
        fields: Fields::new(),
        representations: Representations::only(Coding::Identity, None, Bytes::new()),
        lifetime: Lifetime {
            born: now,
            fresh_until: Timestamp::FOREVER,
            while_revalidate_until: Timestamp::FOREVER,
            if_error_until: Timestamp::FOREVER,
            has_ttl: false,
        },
        origin_validators: Validators::default(),
        tags: [format!("category-{}", number % SHARING).into(), format!("product-{number}").into()].into(),
        purge_seq,
        purge_memo: PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    }
}

fn tag(name: String) -> Rule {
    Rule::anywhere(Scope::Tag(name.into()))
}

/// The median and the worst; the worst is whatever else the machine did.
fn purges(clock: &PurgeClock) -> [f64; 2] {
    let purge = |n: usize| {
        let rule = tag(format!("category-{}", n % SHARING));
        let start = Instant::now();
        clock.purge(&[rule], PurgeMode::Stale);
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..1_000).map(purge).collect();
    times.sort_unstable();
    [times.len() / 2, times.len() - 1].map(|at| times[at].as_nanos() as f64)
}

/// Purges twice as many things as are remembered, of every kind, none of which any page is.
fn fill(clock: &PurgeClock) {
    for n in 0..2 * RULES {
        let scope = match n % 4 {
            0 => Scope::Path(format!("/elsewhere/{n}").into()),
            1 => Scope::Prefix(format!("/elsewhere/{n}/").into()),
            _ => Scope::Tag(format!("elsewhere-{n}").into()),
        };
        let host = (n % 8 == 0).then(|| "other.example.com".into());
        clock.purge(&[Rule { scope, host }], PurgeMode::Stale);
    }
}

fn fresh(clock: &PurgeClock) -> Vec<Page> {
    (0..HOT).map(|n| page(n, clock.now())).collect()
}

/// The mean over many hits on pages that have been compared before.
fn hits(clock: &PurgeClock, pages: &[Page]) -> f64 {
    compare(clock, pages);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        compare(clock, pages);
    }
    mean(start.elapsed(), ROUNDS * pages.len())
}

fn compare(clock: &PurgeClock, pages: &[Page]) {
    for page in pages {
        black_box(clock.standing(black_box(page)));
    }
}

fn first(clock: &PurgeClock, pages: &[Page]) -> f64 {
    let copies: Vec<Page> = pages.to_vec();
    let start = Instant::now();
    compare(clock, &copies);
    mean(start.elapsed(), copies.len())
}

fn mean(total: Duration, times: usize) -> f64 {
    total.as_nanos() as f64 / times as f64
}
