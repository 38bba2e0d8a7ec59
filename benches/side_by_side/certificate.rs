//! The certificate of every server with TLS: ECDSA on P-256, as most sites have, made for the run.

use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Where it is.
pub(crate) struct Certificate {
    /// PEM.
    pub(crate) chain: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Makes one.
    pub(crate) fn new(dir: &Path) -> Result<Certificate> {
        use std::os::unix::fs::PermissionsExt;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| {
            let file = dir.join(name);
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            anyhow::Ok(file)
        };
        Ok(Certificate {
            chain: write("site.crt", &chain)?,
            key: write("site.key", &key)?,
            both: write("site.pem", &format!("{chain}{key}"))?,
        })
    }
}
