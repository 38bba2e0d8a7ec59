//! `breadbox warm`: asks a running Breadbox for pages before visitors do, so that it renders and keeps
//! them. What is asked for comes from arguments, files and sitemaps; what became of each page is told by
//! its status and `Cache-Status`.

mod client;
mod list;
mod progress;
mod state;
mod tally;
mod verdict;

use super::Interrupted;
use crate::config::Config;
use anyhow::{Context, bail};
use client::ProxyClient;
use list::{Hosts, List, Page};
use progress::Progress;
use state::State;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tally::Tally;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use verdict::Verdict;

/// Render pages through a running Breadbox before visitors ask for them.
///
/// Without PATH, --file and --sitemap it takes the sitemaps of `warm:` in the configuration. Exits with 1
/// where a page failed, and with 130 where it was interrupted: Ctrl-C waits for the pages under way, and does not
/// the second time.
#[derive(clap::Args)]
pub struct Args {
    /// Paths, with their query if they have one, or URLs.
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// A file with a path or URL a line; - is stdin. May be repeated.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A sitemap or an index of sitemaps, compressed or not, fetched through Breadbox: /sitemap.xml or a
    /// URL; or the name of a file. May be repeated.
    #[arg(long, value_name = "URL")]
    sitemap: Vec<String>,
    /// The public listener, such as http://127.0.0.1:8080; by default the first of the configuration.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask for every page on this host; by default those of URLs, and for paths the configuration's. May be repeated.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// A field of every request, for routes that vary on it: 'Accept-Language: de'. May be repeated.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Pages that are asked for at once; by default `warm.concurrency` of the configuration, or 8.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Option<u16>,
    /// Remembers which pages are done, so that a run that was interrupted goes on where it was. It is
    /// removed when all are.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// PEM file of the certificates that sign an https:// listener; by default the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The configuration that says where the listener is and which hosts are served.
    #[arg(long, value_name = "FILE", default_value = super::run::DEFAULT_CONFIG)]
    config: PathBuf,
}

/// What the arguments come to.
struct Plan {
    client: ProxyClient,
    hosts: Hosts,
    sitemaps: Vec<String>,
    concurrency: usize,
    max_pages: usize,
}

/// Warms, and prints a summary on `out`. Fails where a page failed or nothing could be asked.
pub(super) fn warm(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let plan = plan(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(args, plan, out))
}

/// Pages of one run where no configuration says otherwise.
const MAX_PAGES: usize = 5_000_000;

fn plan(args: &Args) -> anyhow::Result<Plan> {
    // With a listener named, a configuration is of use but not needed.
    let needless = args.url.is_some() && args.config == Path::new(super::run::DEFAULT_CONFIG) && !args.config.exists();
    let config = if needless { None } else { Some(Config::load(&args.config)?) };
    let url = match (&args.url, &config) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(config)) => list::listener(config)?,
        (None, None) => bail!("where is Breadbox? Give --url or --config"),
    };
    let warm = config.as_ref().map(|config| &config.warm);
    let nothing_named = args.paths.is_empty() && args.file.is_empty() && args.sitemap.is_empty();
    let own = || warm.into_iter().flat_map(|warm| &warm.sitemaps).map(ToString::to_string).collect();
    let sitemaps: Vec<String> = if nothing_named { own() } else { args.sitemap.clone() };
    if nothing_named && sitemaps.is_empty() {
        bail!("what is to be rendered? Give paths, --file or --sitemap, or warm: in the configuration");
    }
    let of_config = warm.map_or(8, |warm| warm.concurrency.get());
    let concurrency = args.concurrency.map_or(of_config, usize::from);
    let served = config.as_ref().and_then(|config| config.hosts.clone());
    Ok(Plan {
        hosts: Hosts::new(&args.host, served, &url)?,
        client: ProxyClient::new(&url, args.ca.as_deref(), concurrency, &args.header)?,
        sitemaps,
        concurrency,
        max_pages: warm.map_or(MAX_PAGES, |warm| warm.max_paths),
    })
}

async fn run(args: &Args, plan: Plan, out: &mut impl Write) -> anyhow::Result<()> {
    let mut state = args.state.as_deref().map(State::open).transpose()?;
    let mut list = List::new(&plan.hosts, plan.max_pages);
    for path in &args.paths {
        list.add(path).with_context(|| format!("`{path}`"))?;
    }
    for file in &args.file {
        list.add_file(file)?;
    }
    for sitemap in &plan.sitemaps {
        list.add_sitemap(sitemap, &plan.client).await.with_context(|| format!("the sitemap {sitemap}"))?;
    }
    let (mut pages, skipped) = list.finish();
    let all = pages.len();
    if let Some(state) = &state {
        pages.retain(|page| !state.is_done(page));
    }
    let tally = Tally::new(all - pages.len(), skipped);
    let (tally, interrupted) = ask_all(plan, pages, state.as_mut(), tally).await?;
    tally.print(out)?;
    if interrupted {
        let how = match state {
            Some(_) => "the same command goes on where it was",
            None => "with --state FILE the same command would go on where it was",
        };
        return Err(Interrupted(how).into());
    }
    if tally.failed() > 0 {
        bail!("{} of {all} pages failed", tally.failed());
    }
    state.map_or(Ok(()), State::finish)
}

/// Asks for every page, so many at once, until all are done or somebody interrupts.
async fn ask_all(
    plan: Plan,
    pages: Vec<Page>,
    mut state: Option<&mut State>,
    mut tally: Tally,
) -> anyhow::Result<(Tally, bool)> {
    let client = Arc::new(plan.client);
    let mut progress = Progress::new(pages.len());
    let mut pages = pages.into_iter();
    let mut running: JoinSet<(Page, Verdict)> = JoinSet::new();
    let mut interrupts = signal(SignalKind::interrupt()).context("waiting for Ctrl-C")?;
    let mut interrupted = false;
    loop {
        while !interrupted && running.len() < plan.concurrency {
            let Some(page) = pages.next() else { break };
            let client = Arc::clone(&client);
            running.spawn(async move {
                let verdict = client.warm(&page).await;
                (page, verdict)
            });
        }
        let (page, verdict) = tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended.context("asking for a page")?,
                None => break,
            },
            _ = interrupts.recv() => {
                if std::mem::replace(&mut interrupted, true) {
                    break;
                }
                progress.say(&format!("interrupted; waiting for {} pages under way, again to leave them", running.len()));
                continue;
            }
        };
        if let Some(state) = state.as_deref_mut().filter(|_| verdict.is_done()) {
            state.note(&page)?;
        }
        tally.count(&page, verdict);
        progress.step(tally.failed());
    }
    progress.finish();
    Ok((tally, interrupted))
}
