//! What a TLS listener shows its clients: a certificate chain with its private key, and the names it is for.

use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A certificate chain and the key that belongs to it. Made only when both were read and match.
#[derive(Clone)]
pub struct Certificate {
    /// Where the chain was read.
    pub path: PathBuf,
    /// The names it is for, in lower case; `*.example.com` stands for one label before `.example.com`.
    pub names: Vec<Box<str>>,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// The chain, its own certificate first, and the key.
    pub key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Whether one of its names takes `host`, which is in lower case (RFC 9525 §6.3).
    pub fn is_for(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => parent == Some(domain),
            None => **name == *host,
        })
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("path", &self.path).field("names", &self.names).finish_non_exhaustive()
    }
}

/// The same chain has the same key.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.key.cert == other.key.cert
    }
}

impl Eq for Certificate {}
