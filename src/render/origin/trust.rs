//! Whose certificates an origin's `https://` servers are verified with: those of its `ca` file and no
//! others, or the system's. Verification is never off.

use crate::config::{Ca, Origin, Scheme};
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use xxhash_rust::xxh3::xxh3_64;

/// A file without certificates: pingora's connector reads the system's store for nothing otherwise, and
/// panics if that is broken.
const NO_CERTIFICATES: &str = "/dev/null";

/// What verifies an origin's servers.
pub(super) enum Trust {
    /// Nothing needs to: no server speaks TLS.
    Unused,
    /// The system's certificates, which pingora's connectors hold.
    System,
    /// These certificates only.
    Only(Arc<CaType>),
    /// The file that was read holds nothing usable.
    Nothing(PathBuf),
}

impl Trust {
    pub(super) fn of(origin: &Origin) -> Self {
        if !origin.servers.iter().any(|server| server.scheme == Scheme::Https) {
            return Trust::Unused;
        }
        let Some(ca) = &origin.ca else { return Trust::System };
        let certificates = certificates(ca);
        if certificates.is_empty() { Trust::Nothing(ca.path.clone()) } else { Trust::Only(certificates.into()) }
    }

    /// The file that the connector is to read its own certificates from; `None` is the system's.
    pub(super) fn connector_file(&self) -> Option<String> {
        match self {
            Trust::System => None,
            Trust::Unused | Trust::Only(_) | Trust::Nothing(_) => Some(NO_CERTIFICATES.to_owned()),
        }
    }
}

fn certificates(ca: &Ca) -> Vec<WrappedX509> {
    let readable = CertificateDer::pem_slice_iter(&ca.pem).filter_map(Result::ok);
    // pingora's parser panics on what it cannot read, so it sees only what its own parser accepts.
    let parsable = readable.filter(|der| X509Certificate::from_der(der).is_ok());
    parsable.map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect()
}

/// Keeps connections of origins apart that differ in what they trust: pingora's pools do not look at that.
pub(super) fn pool_of(origin: &Origin) -> u64 {
    let pem = origin.ca.as_ref().map_or(0, |ca| xxh3_64(&ca.pem));
    xxh3_64(origin.name.as_bytes()) ^ pem.rotate_left(1)
}
