//! Rendering at start what a sitemap lists, so that the first visitor of a page finds it: the "pre-render
//! at build time" of frameworks, without a build. Renders go behind those that visitors wait for, within
//! the limits of their origin; pages that are there and fresh are left alone.

use super::lookup::{Warmed, warm};
use crate::config::{Config, OriginId, Scheme, SitemapSource};
use crate::policy::explain::Asked;
use crate::policy::host::Host;
use crate::policy::target::Target;
use crate::render::sitemaps::SiteFetch;
use crate::render::{Engine, Setup};
use crate::sitemap::{Bounds, walk};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Tries of a sitemap: the origin may start after us.
const TRIES: u32 = 10;

/// How long it is waited at most between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// From one line about how far it is to the next.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Reasons that are told one by one.
const MAX_REASONS: usize = 16;

/// What a render of ours accepts on routes where that counts.
const ACCEPT: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Renders everything that the sitemaps of `warm:` list; ends when that is done.
pub(crate) async fn warm_at_start(engine: Arc<Engine>) {
    let setup = engine.setup();
    let mut round = Round::new(&engine);
    for sitemap in &setup.config.warm.sitemaps {
        match listed(&setup, sitemap).await {
            Ok(pages) => {
                tracing::info!(%sitemap, pages = pages.len(), "warming");
                round.run(pages, setup.config.warm.concurrency.get()).await;
            }
            Err(why) => tracing::warn!(%sitemap, %why, "sitemap could not be read, and its pages are not warmed"),
        }
    }
    round.tell("warmed");
}

/// The URLs of a sitemap.
async fn listed(setup: &Arc<Setup>, sitemap: &SitemapSource) -> Result<Vec<String>, String> {
    let fetch = SiteFetch::new(setup, origin_of(setup, sitemap), sitemap, None);
    let bounds = Bounds { pages: setup.config.warm.max_paths };
    let (mut attempt, mut wait) = (1, Duration::from_secs(1));
    loop {
        let mut pages = Vec::new();
        let error = match walk(&sitemap.to_string(), &fetch, bounds, &mut |url| pages.push(url)).await {
            Ok(_) => return Ok(pages.iter().map(|url| absolute(&setup.config, &fetch, url)).collect()),
            Err(error) if attempt == TRIES => return Err(error.to_string()),
            Err(error) => error,
        };
        tracing::debug!(%sitemap, %error, "sitemap could not be read; it is tried again");
        tokio::time::sleep(wait).await;
        (attempt, wait) = (attempt + 1, (wait * 2).min(LONGEST_WAIT));
    }
}

/// Who has the sitemap: the origin of the route that takes it, else the first.
fn origin_of(setup: &Setup, sitemap: &SitemapSource) -> OriginId {
    let SitemapSource::Origin { host, target, .. } = sitemap else { return OriginId(0) };
    let first = setup.config.hosts.as_ref().and_then(|hosts| hosts.first());
    let host = host.as_deref().or(first.map(AsRef::as_ref)).unwrap_or("localhost");
    let Ok(host) = Host::parse(host.as_bytes()) else { return OriginId(0) };
    let Ok(Target::Resource(resource)) = Target::parse(target.as_bytes()) else { return OriginId(0) };
    setup.routes.find(&host, &resource.path).map_or(OriginId(0), |route| setup.route(route).origin)
}

/// The URL as visitors ask for it. Where no listener speaks the scheme that a
/// sitemap says, and no proxy in front speaks for visitors, it means the other one.
fn absolute(config: &Config, fetch: &SiteFetch, url: &str) -> String {
    if url.starts_with('/') {
        return format!("{}://{}{url}", fetch.scheme().as_str(), fetch.host());
    }
    for (named, scheme, other) in [("https://", Scheme::Https, "http"), ("http://", Scheme::Http, "https")] {
        if let Some(rest) = url.strip_prefix(named).filter(|_| !config.may_be_asked_by(scheme)) {
            return format!("{other}://{rest}");
        }
    }
    url.to_owned()
}

/// Pages that are being warmed.
struct Round<'a> {
    engine: &'a Arc<Engine>,
    started: Instant,
    told: Instant,
    pages: usize,
    done: usize,
    rendered: usize,
    kept: usize,
    /// Why others are not kept, or failed.
    others: BTreeMap<String, usize>,
}

impl<'a> Round<'a> {
    fn new(engine: &'a Arc<Engine>) -> Self {
        let now = Instant::now();
        Round { engine, started: now, told: now, pages: 0, done: 0, rendered: 0, kept: 0, others: BTreeMap::new() }
    }

    async fn run(&mut self, pages: Vec<String>, at_once: usize) {
        self.pages += pages.len();
        let mut pages = pages.into_iter();
        let mut running: JoinSet<Warmed> = JoinSet::new();
        loop {
            while running.len() < at_once {
                let Some(url) = pages.next() else { break };
                let engine = Arc::clone(self.engine);
                running.spawn(async move {
                    match Asked::new(&url, &[ACCEPT.to_owned()], &[], None) {
                        Ok(asked) => warm(&engine, &asked).await,
                        Err(_) => Warmed::NotKept("no URL"),
                    }
                });
            }
            match running.join_next().await {
                Some(Ok(warmed)) => self.count(warmed),
                Some(Err(_)) => self.count(Warmed::Failed("internal")),
                None => return,
            }
        }
    }

    fn count(&mut self, warmed: Warmed) {
        self.done += 1;
        let why = match warmed {
            Warmed::Rendered => return self.rendered += 1,
            Warmed::Kept => return self.kept += 1,
            Warmed::NotKept(why) => format!("not kept: {why}"),
            Warmed::Failed(why) => format!("failed: {why}"),
        };
        let why = if self.others.len() < MAX_REASONS { why } else { "other reasons".to_owned() };
        *self.others.entry(why).or_default() += 1;
        if self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            self.tell("warming");
        }
    }

    fn tell(&self, what: &'static str) {
        let seconds = self.started.elapsed().as_secs();
        let others: Vec<String> = self.others.iter().map(|(why, pages)| format!("{pages} {why}")).collect();
        let (pages, done, rendered, kept) = (self.pages, self.done, self.rendered, self.kept);
        tracing::info!(pages, done, rendered, kept, others = others.join(", "), seconds, "{what}");
    }
}
