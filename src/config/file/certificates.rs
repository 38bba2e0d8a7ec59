//! `listeners[].tls`: certificates and keys, read and compared when the file is. What a client would
//! only notice as a failed handshake, a key of another certificate, an expired one, a name that no
//! certificate has, is said here.

mod pem;

use super::cursor::{At, Shape};
use super::mistake::Wrong;
use super::schema;
use crate::config::Certificate;
use pem::Chain;
use rustls::InconsistentKeys;
use rustls::sign::{CertifiedKey, SigningKey};
use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const REMEDY: &str = "write { certificate: site.crt, key: site.key }";

/// Bytes of a file with a chain or a key.
const MAX_FILE: u64 = 1 << 20;

/// The certificates of a listener, the default one first; none where it speaks no TLS.
pub(super) fn certificates(at: &At<'_>, hosts: Option<&[Box<str>]>) -> Vec<Certificate> {
    let items = at.items();
    if at.is_set() && items.is_empty() {
        at.wrong("is empty", format!("{REMEDY}, or take it out for plain HTTP"));
    }
    let read: Vec<Certificate> = items.iter().filter_map(certificate).collect();
    if !read.is_empty() && read.len() == items.len() {
        for host in hosts.unwrap_or_default() {
            let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
            if !is_address && !read.iter().any(|certificate| certificate.is_for(host)) {
                at.warn(
                    format!("no certificate here is for {host}, which is one of hosts"),
                    "add a certificate that names it, or clients will not trust this listener for it",
                );
            }
        }
    }
    read
}

fn certificate(at: &At<'_>) -> Option<Certificate> {
    if at.shape() != Shape::Map {
        at.wrong("is not a certificate with its key", REMEDY);
        return None;
    }
    let keys = at.section(&schema::CERTIFICATE);
    let (chain_at, key_at) = (keys.key("certificate"), keys.key("key"));
    for missing in [&chain_at, &key_at].into_iter().filter(|at| !at.is_set()) {
        missing.wrong("is missing", REMEDY);
    }
    let chain = chain_at.read(|text| {
        let path = at.cx.resolve(text);
        Ok((pem::chain(&read(&path)?)?, path))
    });
    let key = key_at.read(|text| {
        let path = at.cx.resolve(text);
        if is_open_to_all(&path) {
            key_at.warn("everybody on this machine can read the key", "chmod 600 the file, or 640 for a group");
        }
        pem::key(&read(&path)?)
    });
    let ((chain, path), key) = (chain?, key?);
    let Chain { certificates, names, from, until } = chain;
    let certified = CertifiedKey::new(certificates, key);
    check_match(&certified, &key_at, &chain_at)?;
    check_time(&chain_at, from, until);
    if names.is_empty() {
        chain_at.warn("the certificate names no host", "use one with a subjectAltName; browsers look at nothing else");
    }
    Some(Certificate { path, names, expires: until, key: Arc::new(certified) })
}

/// A key of another certificate is a mistake of the key, unless it is that of a later one of the chain.
fn check_match(certified: &CertifiedKey, key_at: &At<'_>, chain_at: &At<'_>) -> Option<()> {
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => return Some(()),
        Err(_) => {}
    }
    let is_of = |certificate| {
        let alone = CertifiedKey::new(vec![certificate], Arc::clone(&certified.key) as Arc<dyn SigningKey>);
        alone.keys_match().is_ok()
    };
    if certified.cert.iter().skip(1).cloned().any(is_of) {
        chain_at.wrong("the first certificate is not the site's own", "put it first, its issuers behind it");
    } else {
        key_at.wrong("the key is not the certificate's", "name the key that the certificate was made for");
    }
    None
}

fn check_time(at: &At<'_>, from: i64, until: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if until < now {
        at.warn(format!("the certificate has expired ({})", show(until)), "renew it; no client accepts it");
    } else if from > now {
        at.warn(format!("the certificate is not valid before {}", show(from)), "wait, or look at this machine's clock");
    }
}

fn show(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(Duration::from_secs(253_402_300_799)))
}

fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    let cannot = |error: std::io::Error| {
        Wrong::new(format!("cannot be read ({error})"), "write the path of a file, relative to this one")
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Wrong::new("is larger than 1MiB", "write a file that holds only this certificate or key"));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}
