//! PEM files: a chain of certificates with what its first one says, and a private key. Nothing of a
//! key is ever in a message.

use crate::config::file::mistake::Wrong;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

const CHAIN_REMEDY: &str = "write a PEM file with -----BEGIN CERTIFICATE-----, the site's own certificate first";
const KEY_REMEDY: &str = "write a PEM file with -----BEGIN PRIVATE KEY-----";

/// A chain of certificates and what the first one says.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// In lower case.
    pub(super) names: Vec<Box<str>>,
    /// Valid from and until, in seconds since 1970.
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Reads a chain.
///
/// # Errors
/// What is no PEM, holds no certificate, or holds one that cannot be understood.
pub(super) fn chain(bytes: &[u8]) -> Result<Chain, Wrong> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        certificates.push(certificate.map_err(|error| not_pem(&error, CHAIN_REMEDY))?);
    }
    let Some(first) = certificates.first() else { return Err(Wrong::new("holds no certificate", CHAIN_REMEDY)) };
    let not_certificate = || Wrong::new("holds what is not a certificate", CHAIN_REMEDY);
    let (_, own) = X509Certificate::from_der(first).map_err(|_| not_certificate())?;
    // What rustls will make of it counts as well.
    rustls::server::ParsedCertificate::try_from(first).map_err(|_| not_certificate())?;
    let (names, validity) = (names(&own), own.validity());
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Ok(Chain { certificates, names, from, until })
}

/// Its subjectAltNames; where it has none at all, its common name.
fn names(own: &X509Certificate<'_>) -> Vec<Box<str>> {
    let lower = |name: &str| name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str();
    if let Ok(Some(extension)) = own.subject_alternative_name() {
        let dns = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(lower(name)),
            _ => None,
        });
        return dns.collect();
    }
    let common = own.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.filter(|name| !name.contains([' ', '/'])).map(lower).collect()
}

/// Reads a private key.
///
/// # Errors
/// What is no PEM, holds no key, or one that needs a passphrase or is of an unknown kind.
pub(super) fn key(bytes: &[u8]) -> Result<Arc<dyn SigningKey>, Wrong> {
    let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if memchr::memmem::find(bytes, b"ENCRYPTED PRIVATE KEY").is_some() => {
            Wrong::new("is protected by a passphrase", "store it without one, readable by Breadbox alone")
        }
        pem::Error::NoItemsFound => Wrong::new("holds no private key", KEY_REMEDY),
        error => not_pem(&error, KEY_REMEDY),
    })?;
    any_supported_type(&key).map_err(|_| {
        Wrong::new(
            "holds a key that cannot be used",
            "use RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519",
        )
    })
}

/// The library's word for it quotes the text, which may be a key.
fn not_pem(_: &pem::Error, remedy: &str) -> Wrong {
    Wrong::new("is not a PEM file", remedy)
}
