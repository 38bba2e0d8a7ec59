//! The store itself, asked as the front asks it: with the pages that threads lend themselves, which the memory tier hears
//! of in rounds only, beside the same store asked so that it hears of every use, and beside plain LRU.

use crate::trace::{ONE_HIT, PAGES, Trace, weight_of};
use breadbox::config::{self, Purging, Scheme};
use breadbox::policy::encoding::{Coding, Representations};
use breadbox::policy::key::KeyUri;
use breadbox::policy::{Fields, Key, Lifetime, Page, PurgeMemo, PurgeSeq, Timestamp, Validators};
use breadbox::store::{Loan, Store};
use bytes::Bytes;
use foyer::{Cache, CacheBuilder, LruConfig};
use http::StatusCode;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Requests of one trace; the first quarter warms up and is not counted. Long enough for a page to be asked for much
/// more often than uses are told one by one.
const REQUESTS: usize = 1_000_000;
/// Requests that one thread has before the next one has as many.
const TURN: usize = 50;
/// Capacity as a share of the weight of all pages of the site.
const CAPACITIES: [f64; 2] = [0.02, 0.10];
/// The largest page, whose bytes all pages have a part of.
static BYTES: [u8; 1 << 16] = [b'.'; 1 << 16];

/// A way to keep the pages.
#[derive(Clone, Copy)]
enum Way {
    /// Foyer's LRU.
    Lru,
    /// The store, told of every use.
    Told,
    /// The store as the front asks it, from so many threads.
    Lends(usize),
}

const WAYS: [(&str, Way); 5] = [
    ("lru", Way::Lru),
    ("tier alone", Way::Told),
    ("1 thread", Way::Lends(1)),
    ("4 threads", Way::Lends(4)),
    ("16 threads", Way::Lends(16)),
];

/// Prints a table for each capacity; in parentheses stands what threads lent themselves.
pub(crate) fn compare() {
    for capacity in CAPACITIES {
        println!("\nHit ratio of the store in %, store = {:.0} % of the weight of {PAGES} pages\n", capacity * 100.0);
        print!("| {:<44} |", "trace");
        WAYS.iter().for_each(|(name, _)| print!(" {name:>12} |"));
        print!("\n|{:-<46}|", "");
        WAYS.iter().for_each(|_| print!("{:->13}:|", ""));
        println!();
        for trace in traces() {
            let requests = trace.requests(REQUESTS);
            print!("| {:<44} |", trace.name());
            for (_, way) in WAYS {
                let counted = count(way, capacity, &trace, &requests);
                let share = |found: usize| 100.0 * found as f64 / counted.asked as f64;
                let lent = if counted.lent > 0 { format!("({:.0})", share(counted.lent)) } else { String::new() };
                print!(" {:>7.2} {lent:>4} |", share(counted.found));
            }
            println!();
        }
    }
}

fn traces() -> Vec<Trace> {
    let mut traces = Vec::new();
    for zipf in [0.7, 0.8, 0.9, 1.0, 1.1] {
        for one_hit in [0.0, 0.2, 0.5] {
            traces.push(Trace { zipf, one_hit, ..Trace::PLAIN });
        }
    }
    traces.push(Trace { one_hit: 0.2, refresh_after: Some(20_000), ..Trace::PLAIN });
    traces.push(Trace { drift_every: Some(100_000), ..Trace::PLAIN });
    traces.push(Trace { one_hit: 0.1, sweep_every: Some(150_000), ..Trace::PLAIN });
    traces
}

/// How many requests for pages of the site could be answered.
fn count(way: Way, capacity: f64, trace: &Trace, requests: &[u64]) -> Counted {
    let total: usize = (0..PAGES as u64).map(|key| page(key, 0).weight()).sum();
    let memory = (total as f64 * capacity) as usize;
    let keeper = match way {
        Way::Lru => Keeper::lru(memory),
        Way::Told | Way::Lends(_) => Keeper::Store(store(memory)),
    };
    let count = |counted: &mut Counted, now: usize| {
        let key = requests[now];
        let found = keeper.get(key, way);
        if now >= REQUESTS / 4 && key < ONE_HIT {
            counted.asked += 1;
            counted.found += usize::from(found.is_some());
            counted.lent += usize::from(found.as_ref().is_some_and(|found| found.is_lent));
        }
        let age = found.map(|found| now - found.born);
        if age.is_none_or(|age| trace.refresh_after.is_some_and(|after| age >= after)) {
            keeper.put(page(key, now));
        }
    };
    let threads = if let Way::Lends(threads) = way { threads } else { 1 };
    by_turns(threads, requests.len(), count)
}

/// A page that is there.
struct Found {
    born: usize,
    /// The thread has it itself.
    is_lent: bool,
}

#[derive(Default)]
struct Counted {
    asked: usize,
    found: usize,
    lent: usize,
}

/// Does something with every number below `length`, in order, on so many threads, each of which has its turn.
fn by_turns(threads: usize, length: usize, work: impl Fn(&mut Counted, usize) + Sync) -> Counted {
    let run = |turns: Receiver<(usize, Sender<()>)>| {
        let mut counted = Counted::default();
        for (start, done) in turns {
            (start..length.min(start + TURN)).for_each(|now| work(&mut counted, now));
            drop(done);
        }
        counted
    };
    thread::scope(|scope| {
        let (senders, workers): (Vec<_>, Vec<_>) = (0..threads)
            .map(|_| {
                let (sender, turns) = channel();
                (sender, scope.spawn(|| run(turns)))
            })
            .unzip();
        for (turn, start) in (0..length).step_by(TURN).enumerate() {
            let (done, is_done) = channel();
            senders[turn % threads].send((start, done)).expect("a worker waits for its turn");
            // It says so by letting go of its end.
            let _ = is_done.recv();
        }
        drop(senders);
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).fold(
            Counted::default(),
            |all, one| Counted {
                asked: all.asked + one.asked,
                found: all.found + one.found,
                lent: all.lent + one.lent,
            },
        )
    })
}

/// Whatever keeps the pages.
enum Keeper {
    Store(Store),
    Lru(Cache<Key, Arc<Page>>),
}

impl Keeper {
    fn lru(memory: usize) -> Keeper {
        let cache = CacheBuilder::new(memory)
            .with_shards(SHARDS)
            .with_eviction_config(LruConfig::default())
            .with_weighter(|_: &Key, page: &Arc<Page>| page.weight())
            .build();
        Keeper::Lru(cache)
    }

    /// The page that is there.
    fn get(&self, key: u64, way: Way) -> Option<Found> {
        let key = name(key);
        let found = |page: &Page, is_lent| Found { born: page.lifetime.born.millis() as usize, is_lent };
        match self {
            Keeper::Lru(cache) => cache.get(&key).map(|entry| found(entry.value(), false)),
            Keeper::Store(store) if matches!(way, Way::Told) => store.get(&key).map(|page| found(&page, false)),
            Keeper::Store(store) => store.lend(key.as_ref()).map(|page| found(&page, matches!(page, Loan::Lent(_)))),
        }
    }

    fn put(&self, page: Page) {
        match self {
            Keeper::Lru(cache) => drop(cache.insert(page.key.clone(), Arc::new(page))),
            Keeper::Store(store) => store.put(Arc::new(page), 1),
        }
    }
}

/// Shards of the memory tier.
const SHARDS: usize = 8;

fn store(memory: usize) -> Store {
    let purging = Purging { from: vec![], max_rules: NonZeroUsize::MIN, refresh: 0 };
    // A shard holds eight of the largest pages at least.
    Store::new(&config::Store { memory, max_page: memory / SHARDS / 8, disk: None }, &purging)
}

fn name(key: u64) -> Key {
    Key::of(KeyUri { scheme: Scheme::Http, host: "bench.test", path: &format!("/products/{key}"), query: None })
}

fn page(key: u64, now: usize) -> Page {
    let born = Timestamp::from_millis(now as u64);
    let forever = Timestamp::FOREVER;
    let body = Bytes::from_static(&BYTES[..weight_of(key)]);
    Page {
        key: name(key),
        status: StatusCode::OK,
        fields: Fields::new(),
        representations: Representations::only(Coding::Identity, None, body),
        lifetime: Lifetime {
            born,
            fresh_until: forever,
            while_revalidate_until: forever,
            if_error_until: forever,
            has_ttl: true,
        },
        origin_validators: Validators::default(),
        tags: Box::default(),
        purge_seq: PurgeSeq(0),
        purge_memo: PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    }
}
