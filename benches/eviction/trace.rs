//! The traces: what visitors of a made-up site ask for, drawn from a fixed seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Pages of the site.
pub(crate) const PAGES: usize = 50_000;
/// Keys from here on are asked for once and never again.
pub(crate) const ONE_HIT: u64 = 1 << 32;

/// What visitors ask for.
pub(crate) struct Trace {
    /// Exponent of the Zipf law over the pages of the site.
    pub(crate) zipf: f64,
    /// Share of requests for pages that nobody asks for twice.
    pub(crate) one_hit: f64,
    /// After this many requests a page is stored anew when it is asked for, as a refresh does.
    pub(crate) refresh_after: Option<usize>,
    /// Requests after which the order of popularity moves on by a tenth of the pages.
    pub(crate) drift_every: Option<usize>,
    /// Requests after which a crawler walks through as many one-hit pages as the site has pages.
    pub(crate) sweep_every: Option<usize>,
}

impl Trace {
    pub(crate) const PLAIN: Trace =
        Trace { zipf: 1.0, one_hit: 0.0, refresh_after: None, drift_every: None, sweep_every: None };

    pub(crate) fn all() -> Vec<Trace> {
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

    pub(crate) fn name(&self) -> String {
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
    pub(crate) fn requests(&self, length: usize) -> Vec<u64> {
        let mut random = StdRng::seed_from_u64(7);
        let cumulative = cumulative_zipf(self.zipf);
        let mut once = ONE_HIT;
        let mut moved = 0;
        let mut requests = Vec::with_capacity(length);
        while requests.len() < length {
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
pub(crate) fn weight_of(key: u64) -> usize {
    let mixed = (key ^ (key >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let exponent = 11.0 + 5.0 * (mixed as f64 / (1u64 << 24) as f64);
    exponent.exp2() as usize
}
