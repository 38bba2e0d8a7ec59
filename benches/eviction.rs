//! Which of foyer's eviction policies keeps the most useful pages: hit ratios by policy on made-up traces.
//!
//! It decides nothing at run time; it is the measurement behind the choice in `src/store/memory.rs`. All traces are
//! drawn from a fixed seed, so that two runs of one build print the same figures. Pages have sizes, so the weights
//! and not the number of pages fill the store, as in the product.

use foyer::{Cache, CacheBuilder, EvictionConfig, FifoConfig, LfuConfig, LruConfig, S3FifoConfig, SieveConfig};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Pages of the site.
const PAGES: usize = 50_000;
/// Requests of one trace; the first fifth warms up and is not counted.
const REQUESTS: usize = 500_000;
/// Capacity as a share of the weight of all pages of the site.
const CAPACITIES: [f64; 2] = [0.02, 0.10];
/// Shards of the store; a hit ratio depends on them only where a shard holds few pages.
const SHARDS: usize = 8;
/// Keys from here on are asked for once and never again.
const ONE_HIT: u64 = 1 << 32;
/// The policy that counts a refresh as a use.
const REMEMBERS: &str = "s3fifo +";

fn main() {
    // `cargo bench --no-run` and `cargo test --benches` pass arguments of their own; none mean anything here.
    let policies = policies();
    for capacity in CAPACITIES {
        println!("\nHit ratio in %, store = {:.0} % of the weight of {PAGES} pages\n", capacity * 100.0);
        print!("| {:<44} |", "trace");
        policies.iter().for_each(|(name, _)| print!(" {name:>12} |"));
        print!("\n|{:-<46}|", "");
        policies.iter().for_each(|_| print!("{:->13}:|", ""));
        println!();
        for trace in Trace::all() {
            let requests = trace.requests();
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

/// What visitors ask for.
struct Trace {
    /// Exponent of the Zipf law over the pages of the site.
    zipf: f64,
    /// Share of requests for pages that nobody asks for twice.
    one_hit: f64,
    /// After this many requests a page is stored anew when it is asked for, as a refresh does.
    refresh_after: Option<usize>,
    /// Requests after which the order of popularity moves on by a tenth of the pages.
    drift_every: Option<usize>,
    /// Requests after which a crawler walks through as many one-hit pages as the site has pages.
    sweep_every: Option<usize>,
}

impl Trace {
    const PLAIN: Trace = Trace { zipf: 1.0, one_hit: 0.0, refresh_after: None, drift_every: None, sweep_every: None };

    fn all() -> Vec<Trace> {
        let mut traces = Vec::new();
        for zipf in [0.7, 0.8, 0.9, 1.0, 1.1] {
            for one_hit in [0.0, 0.3] {
                traces.push(Trace { zipf, one_hit, ..Self::PLAIN });
            }
        }
        for refresh_after in [2_000, 20_000] {
            traces.push(Trace { one_hit: 0.3, refresh_after: Some(refresh_after), ..Self::PLAIN });
        }
        traces.push(Trace { drift_every: Some(50_000), ..Self::PLAIN });
        traces.push(Trace { one_hit: 0.1, sweep_every: Some(150_000), ..Self::PLAIN });
        let together = Trace { zipf: 0.9, one_hit: 0.3, refresh_after: Some(20_000), ..Self::PLAIN };
        traces.push(Trace { drift_every: Some(100_000), ..together });
        traces
    }

    fn name(&self) -> String {
        let mut name = format!("Zipf {:.1}", self.zipf);
        if self.one_hit > 0.0 {
            name += &format!(", {:.0} % one-hit", self.one_hit * 100.0);
        }
        if let Some(after) = self.refresh_after {
            name += &format!(", refresh {}k", after / 1000);
        }
        if self.drift_every.is_some() {
            name += ", drift";
        }
        if self.sweep_every.is_some() {
            name += ", sweeps";
        }
        name
    }

    /// The keys asked for, in order.
    fn requests(&self) -> Vec<u64> {
        let mut random = StdRng::seed_from_u64(7);
        let cumulative = cumulative_zipf(self.zipf);
        let mut once = ONE_HIT;
        let mut moved = 0;
        let mut requests = Vec::with_capacity(REQUESTS);
        while requests.len() < REQUESTS {
            let n = requests.len() + 1;
            if self.drift_every.is_some_and(|every| n % every == 0) {
                moved += PAGES / 10;
            }
            if self.sweep_every.is_some_and(|every| n % every == 0) {
                requests.extend(once..once + PAGES as u64);
                once += PAGES as u64;
            }
            if random.random_bool(self.one_hit) {
                requests.push(once);
                once += 1;
                continue;
            }
            let draw: f64 = random.random();
            let rank = cumulative.partition_point(|&up_to| up_to < draw);
            requests.push(((rank + moved) % PAGES) as u64);
        }
        requests
    }
}

/// The probability of a rank at most this one, for every rank.
fn cumulative_zipf(exponent: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=PAGES).map(|rank| (rank as f64).powf(-exponent)).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut cumulative: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight / total;
            sum
        })
        .collect();
    // Rounding must not leave a draw without a rank.
    cumulative[PAGES - 1] = 1.0;
    cumulative
}

/// Bytes of the page of this key: 2 to 64 KiB, evenly over the powers of two, whatever its popularity.
fn weight_of(key: u64) -> usize {
    let mixed = (key ^ (key >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let exponent = 11.0 + 5.0 * (mixed as f64 / (1u64 << 24) as f64);
    exponent.exp2() as usize
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
