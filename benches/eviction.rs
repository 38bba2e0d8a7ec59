//! Which of foyer's eviction policies keeps the most useful pages, and whether the store still does when threads lend
//! pages themselves: hit ratios on made-up traces.
//!
//! It decides nothing at run time; it is the measurement behind the choices in `src/store/memory.rs` and
//! `src/store/hot.rs`. All traces are drawn from a fixed seed. Pages have sizes, so the weights and not the number of
//! pages fill the store, as in the product.

#[path = "eviction/product.rs"]
mod product;
#[path = "eviction/trace.rs"]
mod trace;

use foyer::{Cache, CacheBuilder, EvictionConfig, FifoConfig, LfuConfig, LruConfig, S3FifoConfig, SieveConfig};
use trace::{ONE_HIT, PAGES, Trace, weight_of};

/// Requests of one trace; the first fifth warms up and is not counted.
const REQUESTS: usize = 500_000;
/// Capacity as a share of the weight of all pages of the site.
const CAPACITIES: [f64; 2] = [0.02, 0.10];
/// Shards of the store; a hit ratio depends on them only where a shard holds few pages.
const SHARDS: usize = 8;
/// The policy that counts a refresh as a use.
const REMEMBERS: &str = "s3fifo +";

fn main() {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    product::compare();
    compare_policies();
}

fn compare_policies() {
    let policies = policies();
    for capacity in CAPACITIES {
        println!("\nHit ratio in %, store = {:.0} % of the weight of {PAGES} pages\n", capacity * 100.0);
        print!("| {:<44} |", "trace");
        policies.iter().for_each(|(name, _)| print!(" {name:>12} |"));
        print!("\n|{:-<46}|", "");
        policies.iter().for_each(|_| print!("{:->13}:|", ""));
        println!();
        for trace in Trace::all() {
            let requests = trace.requests(REQUESTS);
            print!("| {:<44} |", trace.name());
            for (name, config) in &policies {
                let ratio = hit_ratio(config.clone(), *name == REMEMBERS, capacity, &trace, &requests);
                print!(" {:>12.2} |", 100.0 * ratio);
            }
            println!();
        }
    }
}

/// Every policy foyer offers, and variants of those whose defaults are made for another size of store.
///
/// `s3fifo +` is what the store does: a refreshed page counts as asked for once in its new record, since foyer
/// treats what replaces a record as new and forgets how often the old one was asked for.
fn policies() -> Vec<(&'static str, EvictionConfig)> {
    let fine = LfuConfig { cmsketch_eps: 0.000_05, ..LfuConfig::default() };
    vec![
        ("fifo", FifoConfig::default().into()),
        ("lru", LruConfig::default().into()),
        ("lru 0.5", LruConfig { high_priority_pool_ratio: 0.5 }.into()),
        ("sieve", SieveConfig {}.into()),
        ("s3fifo", S3FifoConfig::default().into()),
        (REMEMBERS, S3FifoConfig::default().into()),
        ("s3fifo 25%", S3FifoConfig { small_queue_capacity_ratio: 0.25, ..S3FifoConfig::default() }.into()),
        ("lfu", LfuConfig::default().into()),
        ("lfu fine", fine.clone().into()),
        ("lfu fine 1%", LfuConfig { window_capacity_ratio: 0.01, ..fine }.into()),
    ]
}

/// The share of requests for pages of the site that the store could answer. One-hit pages are left out: no policy
/// can answer them, and they would only shrink all figures alike.
fn hit_ratio(config: EvictionConfig, remembers: bool, capacity: f64, trace: &Trace, requests: &[u64]) -> f64 {
    let total: usize = (0..PAGES as u64).map(weight_of).sum();
    let cache: Cache<u64, usize> = CacheBuilder::new((total as f64 * capacity) as usize)
        .with_shards(SHARDS)
        .with_eviction_config(config)
        .with_weighter(|key: &u64, _| weight_of(*key))
        .build();
    let (mut hits, mut counted) = (0usize, 0usize);
    for (now, &key) in requests.iter().enumerate() {
        let stored_at = cache.get(&key).map(|entry| *entry.value());
        if now >= REQUESTS / 5 && key < ONE_HIT {
            counted += 1;
            hits += usize::from(stored_at.is_some());
        }
        let keeps = stored_at.is_some_and(|at| trace.refresh_after.is_none_or(|after| now - at < after));
        if !keeps {
            cache.insert(key, now);
            if remembers && stored_at.is_some() {
                cache.touch(&key);
            }
        }
    }
    hits as f64 / counted as f64
}
