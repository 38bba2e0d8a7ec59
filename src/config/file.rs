//! From the text of `proxy.yaml` to a [`Config`]: every mistake at once, with file, line and key.
//!
//! The text becomes a tree that knows its lines (`tree`); a cursor walks it (`cursor`) and reads
//! each value with its bounds, noting what is wrong and going on; when all is read there is either a
//! whole configuration or the list of mistakes. It reads the files that the configuration names (`ca`,
//! `tls`) and nothing else: no name is resolved and no socket opened.

mod arguments;
mod certificates;
mod compression;
mod crawlers;
mod cursor;
mod deploys;
mod env;
mod fallback;
mod hosts;
mod listeners;
mod log;
mod mistake;
mod names;
mod origins;
mod pages;
mod paths;
mod patterns;
mod purging;
mod routes;
mod schema;
mod store;
mod tracking;
mod tree;

pub use mistake::{ConfigError, Mistake};
pub use schema::known_keys;

use super::{Config, Crawlers, NamePatterns};
use cursor::{At, Context, count};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

/// Bytes of the largest file.
const MAX_FILE: usize = 1 << 20;

impl Config {
    /// Reads a file; variables come from the environment of the process.
    ///
    /// # Errors
    /// Every mistake in it, or the one that it cannot be read.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = read(path)?;
        Config::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// Reads the text of a file. `source` names it in messages, and paths in it are relative to the
    /// directory of `source`; `env` gives the values of variables.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the lines.
    pub fn parse(text: &str, source: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        if text.len() > MAX_FILE {
            return Err(of_file(source, "is larger than 1MiB".to_owned(), "split it up, or take long lists out").into());
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let tree = tree::parse(text)
            .map_err(|error| Mistake { line: error.line, ..of_file(source, error.problem, &error.remedy) })?;
        let cx = Context::new(source, env);
        let config = config(&At::root(&cx, &tree));
        let files = cx.files();
        Ok(Config { files, warnings: cx.finish()?, ..config })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let cannot =
        |error: std::io::Error| of_file(path, format!("cannot be read: {error}"), "name a file that can be read");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Mistake { line, ..of_file(path, "is not UTF-8".to_owned(), "save the file as UTF-8") }.into()
    })
}

fn of_file(file: &Path, problem: String, remedy: &str) -> Mistake {
    Mistake { file: file.to_owned(), line: 0, key: String::new(), problem, remedy: remedy.to_owned() }
}

/// Reads everything, with stand-ins where there is a mistake.
fn config(root: &At<'_>) -> Config {
    let keys = root.section(&schema::FILE);
    let hosts = hosts(&keys.key("hosts"));
    let tracking = tracking(&keys.key("tracking"));
    let origins = origins::origins(&keys);
    let (listeners, admin) = listeners::listeners(&keys.key("listeners"), &keys.key("admin"), hosts.as_deref());
    // A host with a mistake is not among `hosts`; a route that names it has no mistake of its own.
    let all_read = |hosts: &&[Box<str>]| hosts.len() == keys.key("hosts").items().len();
    let compression = compression::top(&keys.key("compression"));
    let known = routes::Known {
        origins: &origins,
        hosts: hosts.as_deref().filter(all_read),
        tracking: &tracking,
        compression: &compression,
    };
    let routes = routes::routes(&keys.key("routes"), &known);
    Config {
        threads: threads(&keys.key("threads")),
        shutdown_timeout: keys.key("shutdown_timeout").timeout(Duration::from_secs(30)),
        trusted_proxies: trusted_proxies(&keys.key("trusted_proxies")),
        hosts,
        listeners,
        admin,
        origins,
        encoders: compression.encoders,
        store: store::store(&keys.key("store").section(&schema::STORE)),
        purging: purging::purging(&keys),
        deploys: deploys::deploys(&keys),
        log: log::log(&keys.key("log")),
        tracking,
        warm: paths::warm(&keys.key("warm")),
        error_page: pages::error_page(&keys.key("error_page")).unwrap_or_default(),
        crawlers: crawlers(&keys.key("crawlers")),
        long_polls: fallback::long_polls(&keys.key("long_polls")),
        routes,
        upgrade_sock: upgrade_sock(&keys.key("upgrade_sock")),
        files: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Bytes of the path of a Unix socket; the system takes 107, and it is made under a longer name first.
const MAX_SOCKET: usize = 96;

fn upgrade_sock(at: &At<'_>) -> Option<std::path::PathBuf> {
    at.read(|text| {
        let path = at.cx.resolve(text);
        if text.is_empty() || path.as_os_str().len() > MAX_SOCKET {
            let remedy = format!("write a path of at most {MAX_SOCKET} bytes, as in /run/breadbox/upgrade.sock");
            return Err(mistake::Wrong::new("is no path of a socket", remedy));
        }
        Ok(path)
    })
}

fn threads(at: &At<'_>) -> NonZeroUsize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let read = at.read(|text| match text {
        "auto" => Ok(cores()),
        _ => count(text, &(1..=1024)).map(|number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)),
    });
    read.unwrap_or_else(cores)
}

fn trusted_proxies(at: &At<'_>) -> Vec<ipnet::IpNet> {
    let networks = at.set(hosts::network);
    if networks.iter().any(|network| network.prefix_len() == 0) {
        at.warn("every client may say who and where it is", "list the proxies in front of Breadbox alone");
    }
    networks
}

fn hosts(at: &At<'_>) -> Option<Vec<Box<str>>> {
    if !at.is_set() {
        let problem = "is not set, so pages are rendered and kept for any Host that a client sends";
        at.warn(problem, "list the hosts of this site");
        return None;
    }
    if at.items().is_empty() {
        at.wrong("is empty, so nobody would be served", "list the hosts of this site, or take it out to serve any");
    }
    Some(at.set(hosts::host))
}

fn tracking(at: &At<'_>) -> NamePatterns {
    if at.is_set() { NamePatterns::new(at.set(names::tracking)) } else { NamePatterns::new(tracking::SHIPPED) }
}

fn crawlers(at: &At<'_>) -> Crawlers {
    if at.is_set() { Crawlers::new(at.set(fallback::crawler)) } else { Crawlers::new(crawlers::SHIPPED) }
}
