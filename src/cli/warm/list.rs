//! What is to be asked for: from arguments, files and sitemaps, each page once, in the order in which
//! they were named.

use super::client::ProxyClient;
use crate::config::{Config, Scheme};
use crate::policy::host::Host;
use crate::policy::target::{Encoding, Target};
use crate::sitemap::{Bounds, Fetch, MAX_DOCUMENT, walk};
use crate::uri::percent::{Component, normalise_into};
use anyhow::{Context, bail};
use async_trait::async_trait;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a line.
const MAX_LINE: u64 = 16 << 10;

/// One page on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the URL that named it.
    pub(super) scheme: Option<Scheme>,
    /// For `Host`.
    pub(super) host: Box<str>,
    /// Path and query.
    pub(super) target: Box<str>,
}

impl Page {
    /// What tells it apart.
    pub(super) fn id(&self) -> u128 {
        xxh3_128(self.to_string().as_bytes())
    }

    /// What a redirect of this page leads to.
    pub(super) fn other(&self, location: &str) -> Option<Page> {
        let named = Named::parse(location).ok()?;
        let host = named.host.map_or_else(|| self.host.clone(), Into::into);
        Some(Page { scheme: named.scheme.or(self.scheme), host, target: named.target.into() })
    }
}

impl std::fmt::Display for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.scheme.map_or("", Scheme::as_str);
        write!(f, "{scheme}//{}{}", self.host, self.target)
    }
}

/// A path or URL as somebody wrote it.
struct Named {
    scheme: Option<Scheme>,
    host: Option<String>,
    target: String,
}

impl Named {
    fn parse(text: &str) -> anyhow::Result<Named> {
        let text = text.split('#').next().unwrap_or_default();
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            bail!("has white space in it; write %20 for a space");
        }
        let wrong = "is neither a path from / nor an http URL";
        let Ok(Target::Resource(resource)) = Target::parse(text.as_bytes()) else { bail!(wrong) };
        if resource.encoding == Encoding::Invalid {
            bail!("has a % that encodes nothing; write %25 for %");
        }
        let mut target = resource.path.into_owned();
        if let Some(query) = resource.raw_query {
            target.push('?');
            normalise_into(query, Component::Query, &mut target);
        }
        let scheme = [Scheme::Https, Scheme::Http].into_iter().find(|scheme| {
            text.get(..scheme.as_str().len() + 3)
                .is_some_and(|start| start.eq_ignore_ascii_case(&format!("{}://", scheme.as_str())))
        });
        let host = match resource.authority {
            None => None,
            Some(authority) => {
                let host = Host::parse(authority).context(wrong)?;
                Some(host.authority(scheme.unwrap_or(Scheme::Http)).to_string())
            }
        };
        Ok(Named { scheme, host, target })
    }
}

/// On which hosts pages are asked for.
pub(super) struct Hosts {
    /// `--host`.
    given: Vec<Box<str>>,
    /// `hosts` of the configuration.
    served: Option<Vec<Box<str>>>,
    /// That of the listener.
    last: Box<str>,
}

impl Hosts {
    pub(super) fn new(given: &[String], served: Option<Vec<Box<str>>>, url: &str) -> anyhow::Result<Hosts> {
        let given: anyhow::Result<Vec<Box<str>>> = given
            .iter()
            .map(|host| {
                let parsed = Host::parse(host.as_bytes()).with_context(|| format!("--host {host}"))?;
                Ok(parsed.authority(Scheme::Http).to_string().into())
            })
            .collect();
        let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
        Ok(Hosts { given: given?, served, last: authority.into() })
    }

    /// Those on which the page is asked for; none where its URL's is not served.
    fn of(&self, named: Option<&str>) -> Vec<Box<str>> {
        if !self.given.is_empty() {
            return self.given.clone();
        }
        match (named, &self.served) {
            (Some(host), Some(served)) => {
                let Ok(parsed) = Host::parse(host.as_bytes()) else { return Vec::new() };
                if served.iter().any(|entry| parsed.is_meant_by(entry)) { vec![host.into()] } else { Vec::new() }
            }
            (Some(host), None) => vec![host.into()],
            (None, Some(served)) if !served.is_empty() => served.clone(),
            (None, _) => vec![self.last.clone()],
        }
    }
}

/// The list in the making.
pub(super) struct List<'a> {
    hosts: &'a Hosts,
    most: usize,
    seen: HashSet<u128>,
    pages: Vec<Page>,
    /// URLs of hosts that are not served.
    skipped: usize,
}

impl<'a> List<'a> {
    pub(super) fn new(hosts: &'a Hosts, most: usize) -> Self {
        List { hosts, most, seen: HashSet::new(), pages: Vec::new(), skipped: 0 }
    }

    /// The pages, and how many URLs were of hosts that are not served.
    pub(super) fn finish(self) -> (Vec<Page>, usize) {
        (self.pages, self.skipped)
    }

    /// Adds a path or a URL.
    pub(super) fn add(&mut self, text: &str) -> anyhow::Result<()> {
        let named = Named::parse(text)?;
        let hosts = self.hosts.of(named.host.as_deref());
        if hosts.is_empty() {
            self.skipped += 1;
        }
        for host in hosts {
            let page = Page { scheme: named.scheme, host, target: named.target.as_str().into() };
            if self.seen.insert(page.id()) {
                self.pages.push(page);
            }
        }
        if self.pages.len() > self.most {
            bail!("there are more than {} pages; raise warm.max_paths in the configuration", self.most);
        }
        Ok(())
    }

    /// Adds every line of a file that is no comment.
    pub(super) fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot read {}", path.display());
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(path).with_context(cannot)?)
        };
        let mut reader = BufReader::new(input);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).with_context(cannot)? == 0 {
                break;
            }
            let place = || format!("{}:{number}", path.display());
            if line.len() as u64 == MAX_LINE {
                bail!("{}: is longer than 16KiB", place());
            }
            let text = std::str::from_utf8(&line).with_context(place)?;
            let text = text.trim_start_matches('\u{feff}').trim();
            let text = text.split_once(" #").map_or(text, |(text, _)| text.trim_end());
            if !text.is_empty() && !text.starts_with('#') {
                self.add(text).with_context(place)?;
            }
        }
        Ok(())
    }

    /// Adds every page of a sitemap.
    pub(super) async fn add_sitemap(&mut self, sitemap: &str, client: &ProxyClient) -> anyhow::Result<()> {
        let fetch =
            Documents { client, host: self.hosts.of(None).into_iter().next().unwrap_or_default(), hosts: self.hosts };
        let mut wrong = None;
        let mut urls = 0_usize;
        let bounds = Bounds { pages: self.most };
        let mut take = |url: String| {
            urls += 1;
            if let Err(error) = self.add(&url) {
                wrong.get_or_insert_with(|| error.context(format!("`{url}`")));
            }
        };
        walk(sitemap, &fetch, bounds, &mut take).await?;
        match wrong {
            Some(error) => Err(error),
            None if urls == 0 => bail!("has no page"),
            None => Ok(()),
        }
    }
}

/// Documents of sitemaps: through Breadbox, or from files.
struct Documents<'a> {
    client: &'a ProxyClient,
    host: Box<str>,
    hosts: &'a Hosts,
}

#[async_trait]
impl Fetch for Documents<'_> {
    async fn fetch(&self, location: &str) -> Result<Vec<u8>, String> {
        if !location.starts_with('/') && !location.contains("://") {
            return read_bounded(Path::new(location)).map_err(|error| format!("cannot be read: {error}"));
        }
        if let Some(path) = location.strip_prefix("file://") {
            return read_bounded(Path::new(path)).map_err(|error| format!("cannot be read: {error}"));
        }
        let named = Named::parse(location).map_err(|error| error.to_string())?;
        let host = self.hosts.of(named.host.as_deref()).into_iter().next().unwrap_or_else(|| self.host.clone());
        self.client.document(&Page { scheme: named.scheme, host, target: named.target.into() }).await
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The URL of a public listener.
pub(super) fn listener(config: &Config) -> anyhow::Result<String> {
    // A certificate is for the site's name and not for an address, so one without TLS goes before.
    let plain = config.listeners.iter().find(|listener| listener.scheme() == Scheme::Http);
    let listener = plain.or(config.listeners.first()).context("the configuration has no listener; give --url")?;
    let address = listener.address;
    if address.port() == 0 {
        bail!("the listener of the configuration is on any port; give --url");
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(format!("{}://{}", listener.scheme().as_str(), std::net::SocketAddr::new(ip, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(given: &[&str], served: Option<&[&str]>, named: &[&str]) -> (Vec<String>, usize) {
        let given: Vec<String> = given.iter().map(|host| (*host).to_owned()).collect();
        let served = served.map(|hosts| hosts.iter().map(|host| (*host).into()).collect());
        let hosts = Hosts::new(&given, served, "http://127.0.0.1:8080").expect("hosts");
        let mut list = List::new(&hosts, 100);
        named.iter().for_each(|text| list.add(text).unwrap_or_else(|error| panic!("{text}: {error}")));
        let (pages, skipped) = list.finish();
        (pages.iter().map(|page| format!("{}{}", page.host, page.target)).collect(), skipped)
    }

    #[test]
    fn a_path_is_asked_for_on_every_host_and_a_url_on_its_own() {
        let named = ["/a", "https://A.test:443/b?x=é", "http://c.test:81/d#e", "/./%61"];
        assert_eq!(pages(&[], None, &named).0, ["127.0.0.1:8080/a", "a.test/b?x=%C3%A9", "c.test:81/d"]);
        let served: &[&str] = &["a.test", "b.test"];
        assert_eq!(
            pages(&[], Some(served), &named),
            (vec!["a.test/a".into(), "b.test/a".into(), "a.test/b?x=%C3%A9".into()], 1)
        );
        let given = pages(&["x.test", "Y.test:80"], Some(served), &["/a", "https://z.test/b"]).0;
        assert_eq!(given, ["x.test/a", "y.test/a", "x.test/b", "y.test/b"]);
    }

    #[test]
    fn what_names_no_page_is_an_error() {
        let hosts = Hosts::new(&[], None, "http://a").expect("hosts");
        let mut list = List::new(&hosts, 1);
        for text in ["", "a", "ftp://a/", "/a b", "/%zz", "http://u:p@a/", "*"] {
            assert!(list.add(text).is_err(), "{text}");
        }
        list.add("/1").expect("one is allowed");
        assert!(list.add("/2").is_err());
    }
}
