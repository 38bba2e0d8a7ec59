//! What a purge covers (DESIGN §5), and how a page stands after the purges since its render.
//!
//! A rule is compared by its label, a hash of what it names; a page has all the labels of rules that
//! would cover it. Two rules with one label cover each other's pages, which costs renders and nothing
//! else. When a rule was made and what it means for a page is the purge clock's business.

pub mod foreign;
pub mod request;

use super::key::KeyUri;
use super::page::PurgeSeq;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// How a page stands after the purges since its render; the stronger is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// None covers it.
    #[default]
    Fine,
    /// An earlier build of the origin rendered it: it is served, and rendered again in its turn.
    Deployed,
    /// It is stale, whatever its lifetime.
    Stale,
    /// It is never served again.
    Void,
}

/// How a page stood at some purge sequence: what spares a lookup the comparison with every rule. It
/// belongs to one render's page and is not copied with it.
#[derive(Debug, Default)]
pub struct PurgeMemo(AtomicU64);

impl PurgeMemo {
    /// The last sequence at which the page was compared, and how it stood; the very first one before that.
    pub fn read(&self) -> (PurgeSeq, Standing) {
        let word = self.0.load(Ordering::SeqCst);
        let standing = match word & 3 {
            0 => Standing::Fine,
            1 => Standing::Deployed,
            2 => Standing::Stale,
            _ => Standing::Void,
        };
        (PurgeSeq(word >> 2), standing)
    }

    /// Remembers how the page stood at `seq`.
    pub fn write(&self, seq: PurgeSeq, standing: Standing) {
        self.0.store(seq.0 << 2 | standing as u64, Ordering::SeqCst);
    }
}

impl Clone for PurgeMemo {
    fn clone(&self) -> Self {
        PurgeMemo::default()
    }
}

/// One thing that a purge names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it names.
    pub scope: Scope,
    /// The only host it covers, normalised; without a port the host on every port.
    pub host: Option<Box<str>>,
}

/// What a rule names on its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// A path in its normal form, with all its queries.
    Path(Box<str>),
    /// A path with the query that counts; `None` where none does.
    Uri {
        /// The path.
        path: Box<str>,
        /// The query.
        query: Option<Box<str>>,
    },
    /// All paths that begin so, byte for byte: `/products` takes `/products-old` too, `/products/` does not.
    Prefix(Box<str>),
    /// All pages with this tag.
    Tag(Box<str>),
}

/// What kind of thing a rule names: the label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A path, with or without a query.
    Path,
    /// A prefix.
    Prefix,
    /// A tag.
    Tag,
    /// A host.
    Host,
    /// Everything.
    All,
}

impl Kind {
    /// Every value, for metrics that exist before they happen.
    pub const ALL: [Kind; 5] = [Kind::Path, Kind::Prefix, Kind::Tag, Kind::Host, Kind::All];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Path => "path",
            Kind::Prefix => "prefix",
            Kind::Tag => "tag",
            Kind::Host => "host",
            Kind::All => "all",
        }
    }
}

const PATH: u64 = 0x9E37_79B9_7F4A_7C15;
const URI: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PREFIX: u64 = 0x1656_67B1_9E37_79F9;
const TAG: u64 = 0x27D4_EB2F_1656_67C5;
const HOST: u64 = 0x8546_8D2C_5A1B_3F77;

impl Rule {
    /// The rule that names this on every host.
    pub fn anywhere(scope: Scope) -> Rule {
        Rule { scope, host: None }
    }

    /// What kind of thing it names.
    pub fn kind(&self) -> Kind {
        match (&self.scope, &self.host) {
            (Scope::All, None) => Kind::All,
            (Scope::All, Some(_)) => Kind::Host,
            (Scope::Path(_) | Scope::Uri { .. }, _) => Kind::Path,
            (Scope::Prefix(_), _) => Kind::Prefix,
            (Scope::Tag(_), _) => Kind::Tag,
        }
    }

    /// The hash by which it is found.
    pub fn label(&self) -> u64 {
        let host = self.host.as_deref();
        match &self.scope {
            Scope::All => label(HOST, host, b""),
            Scope::Path(path) => label(PATH, host, path.as_bytes()),
            Scope::Uri { path, query } => uri_label(host, path, query.as_deref()),
            Scope::Prefix(prefix) => label(PREFIX, host, prefix.as_bytes()),
            Scope::Tag(tag) => label(TAG, host, tag.as_bytes()),
        }
    }

    /// Bytes of the prefix it names.
    pub fn prefix_len(&self) -> Option<usize> {
        match &self.scope {
            Scope::Prefix(prefix) => Some(prefix.len()),
            _ => None,
        }
    }
}

/// What of a page rules are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its URI.
    pub uri: KeyUri<'a>,
    /// Its tags.
    pub tags: &'a [Box<str>],
}

impl<'a> Subject<'a> {
    /// The hosts by which a rule may name it: with its port and without.
    pub fn hosts(self) -> impl Iterator<Item = &'a str> {
        let host = self.uri.host;
        let port = host.rfind(':').filter(|at| !host[*at..].contains(']'));
        std::iter::once(host).chain(port.map(|at| &host[..at]))
    }

    /// The labels of all rules that name `host` and cover it; `lengths` are those of the prefixes
    /// that there are.
    pub fn labels(self, host: Option<&'a str>, lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = u64> {
        let path = self.uri.path.as_bytes();
        let own = [label(HOST, host, b""), label(PATH, host, path), uri_label(host, self.uri.path, self.uri.query)];
        let tags = self.tags.iter().map(move |tag| label(TAG, host, tag.as_bytes()));
        let prefixes = lengths.map_while(move |length| path.get(..length)).map(move |start| label(PREFIX, host, start));
        own.into_iter().chain(tags).chain(prefixes)
    }
}

fn label(kind: u64, host: Option<&str>, bytes: &[u8]) -> u64 {
    let host = host.map_or(0, |host| xxh3_64(host.as_bytes()));
    xxh3_64_with_seed(bytes, kind ^ host)
}

fn uri_label(host: Option<&str>, path: &str, query: Option<&str>) -> u64 {
    let path = label(URI, host, path.as_bytes());
    query.map_or(path, |query| xxh3_64_with_seed(query.as_bytes(), path.rotate_left(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;

    fn covers(rule: &Rule, host: &str, path: &str, query: Option<&str>, tags: &[&str]) -> bool {
        let tags: Vec<Box<str>> = tags.iter().map(|tag| (*tag).into()).collect();
        let subject = Subject { uri: KeyUri { scheme: Scheme::Http, host, path, query }, tags: &tags };
        let lengths = || rule.prefix_len().into_iter();
        let mut hosts = subject.hosts().map(Some).chain([None]);
        hosts.any(|host| subject.labels(host, lengths()).any(|label| label == rule.label()))
    }

    #[test]
    fn a_rule_covers_what_it_names_and_nothing_else() {
        let path = Rule::anywhere(Scope::Path("/a".into()));
        assert!(covers(&path, "x", "/a", None, &[]) && covers(&path, "y:81", "/a", Some("q"), &[]));
        assert!(!covers(&path, "x", "/a/", None, &[]) && !covers(&path, "x", "/b", None, &["/a"]));
        let uri = Rule::anywhere(Scope::Uri { path: "/a".into(), query: Some("q".into()) });
        assert!(covers(&uri, "x", "/a", Some("q"), &[]));
        assert!(!covers(&uri, "x", "/a", None, &[]) && !covers(&uri, "x", "/a", Some("q=1"), &[]));
        let prefix = Rule::anywhere(Scope::Prefix("/a".into()));
        assert!(covers(&prefix, "x", "/a", None, &[]) && covers(&prefix, "x", "/ab/c", None, &[]));
        assert!(!covers(&prefix, "x", "/b", None, &[]) && !covers(&prefix, "x", "/", None, &[]));
        let tag = Rule::anywhere(Scope::Tag("t".into()));
        assert!(covers(&tag, "x", "/", None, &["s", "t"]) && !covers(&tag, "x", "/t", None, &["tt"]));
    }

    #[test]
    fn a_host_without_a_port_means_every_port() {
        let rule = |host: &str| Rule { scope: Scope::All, host: Some(host.into()) };
        assert!(covers(&rule("a.com"), "a.com", "/", None, &[]) && covers(&rule("a.com"), "a.com:81", "/", None, &[]));
        assert!(covers(&rule("[::1]"), "[::1]:81", "/", None, &[]) && covers(&rule("[::1]"), "[::1]", "/", None, &[]));
        assert!(covers(&rule("a.com:81"), "a.com:81", "/", None, &[]));
        assert!(
            !covers(&rule("a.com:81"), "a.com", "/", None, &[]) && !covers(&rule("a.com"), "b.com", "/", None, &[])
        );
    }

    #[test]
    fn a_memo_is_not_copied_with_its_page() {
        let memo = PurgeMemo::default();
        memo.write(PurgeSeq(7), Standing::Void);
        assert_eq!(memo.read(), (PurgeSeq(7), Standing::Void));
        assert_eq!(memo.clone().read(), (PurgeSeq(0), Standing::Fine));
    }
}
