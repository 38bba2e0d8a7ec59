//! Which certificate a client is shown: by the name that it asks for (RFC 6066 §3) and the signatures
//! that it knows. It holds what the configuration read; it reads no file.

use crate::config::Certificate;
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The certificates of a listener, replaceable as a whole.
#[derive(Debug, Default)]
pub(super) struct Certificates(ArcSwap<Set>);

#[derive(Debug, Default)]
struct Set {
    /// In the order of the file; the first is the default.
    all: Vec<Arc<CertifiedKey>>,
    /// By name, `*.` included: indexes into `all`. Several have one name where one is RSA and one ECDSA.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

impl Certificates {
    /// From the next handshake on these are shown.
    pub(super) fn replace(&self, certificates: &[Certificate]) {
        self.0.store(Arc::new(Set::new(certificates)));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let can_check = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.load().choose(hello.server_name(), can_check)
    }
}

impl Set {
    fn new(certificates: &[Certificate]) -> Set {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Set { all: certificates.iter().map(|certificate| Arc::clone(&certificate.key)).collect(), by_name }
    }

    /// The first with this very name, then the first with its wildcard, then the default; among these
    /// one that the client can check, if there is any.
    fn choose(&self, name: Option<&str>, can_check: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let wildcard = name.as_deref().and_then(|name| name.split_once('.')).map(|(_, parent)| format!("*.{parent}"));
        let named = [name, wildcard].into_iter().flatten().filter_map(|name| self.by_name.get(&*name)).flatten();
        let candidates = || named.clone().map(|index| &self.all[*index]).chain(&self.all);
        candidates().find(|key| can_check(key)).or_else(|| candidates().next()).cloned()
    }
}
