//! What Breadbox itself answers on a public listener: no spelling of its path leads anywhere else.

use crate::policy::target::Resource;
use crate::policy::target::readings::further_readings;
use crate::uri::path::OWN;

/// Something below [`OWN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The name of the host, normalised, without a port.
    pub host: Box<str>,
    /// The path in its normal form.
    pub path: String,
}

/// Whether a path is ours, or somebody could read it so.
pub(super) fn is_own(resource: &Resource<'_>) -> bool {
    let below = |path: &str| path.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let path: &str = &resource.path;
    if below(path) {
        return true;
    }
    let looks_so = || memchr::memmem::find(path.as_bytes(), OWN.trim_start_matches("/.").as_bytes()).is_some();
    resource.reads_twice
        && looks_so()
        && further_readings(path).map_or(true, |readings| readings.iter().any(|reading| below(reading)))
}
