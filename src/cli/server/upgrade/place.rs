//! Where a running process is found by its successor, so that nobody else finds it or takes its place: a
//! socket in a folder that only its user can enter, and on either side whose process the other one is.

use crate::config::Config;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The socket of the process that serves this configuration: `upgrade_sock`, or one that is named after the
/// admin listener. None where that has no address of its own, because its port is any.
pub(super) fn of(config: &Config) -> Option<Place> {
    if let Some(path) = &config.upgrade_sock {
        return Some(Place { path: path.clone(), private: false });
    }
    let admin = config.admin.address;
    (admin.port() != 0).then(|| Place { path: folder().join(name(admin)), private: true })
}

/// Names the place for a successor that the running process starts itself: its file may name another one by now, or
/// another admin listener.
pub(super) const NAMED: &str = "BREADBOX_UPGRADE_FROM";

/// The place that the running process has named.
pub(super) fn named() -> Option<Place> {
    let path = std::env::var_os(NAMED).filter(|path| !path.is_empty())?;
    Some(Place { path: path.into(), private: false })
}

/// A place, and whether its folder is ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    private: bool,
}

fn name(admin: SocketAddr) -> String {
    format!("upgrade-{}-{}.sock", admin.ip().to_string().replace(':', "_"), admin.port())
}

/// What systemd gives the service, else what it gives the user, else one below `/tmp`.
fn folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Of several, systemd names the first one first.
    let service = variable("RUNTIME_DIRECTORY").map(|value| {
        let text = value.to_string_lossy().into_owned();
        PathBuf::from(text.split(':').next().unwrap_or_default())
    });
    service
        .or_else(|| variable("XDG_RUNTIME_DIR").map(|folder| folder.join("breadbox")))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/breadbox-{}", rustix::process::geteuid().as_raw())))
}

impl Place {
    /// Makes the folder, or makes sure that nobody else has.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let Some(folder) = self.path.parent().filter(|_| self.private) else { return Ok(()) };
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(folder),
            made => made,
        }
    }

    /// Puts a socket that listens here, in the place of one that is left behind or handed over.
    pub(super) fn listen(&self) -> io::Result<tokio::net::UnixListener> {
        self.prepare()?;
        let beside = self.path.with_extension(format!("{}", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let listener = tokio::net::UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, &self.path)?;
        Ok(listener)
    }

    /// Whether a process listens here.
    pub(super) fn is_taken(&self) -> bool {
        UnixStream::connect(&self.path).is_ok()
    }

    /// A connection to the process that listens here, which is our user's.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path)?;
        let owner = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
        if is_ours(owner) { Ok(stream) } else { Err(io::Error::other(format!("it belongs to the user {owner}"))) }
    }
}

/// Whether a process of this user may hand over to us, or take over from us.
pub(super) fn is_ours(user: u32) -> bool {
    user == rustix::process::geteuid().as_raw() || user == 0
}

fn check(folder: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() || !is_ours(found.uid()) || found.mode() & 0o077 != 0 {
        let folder = folder.display();
        return Err(io::Error::other(format!("{folder} is not a folder that only this user can enter")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_enter_is_not_used() {
        let root = tempfile::tempdir().expect("a directory");
        let place = |folder: &str| Place { path: root.path().join(folder).join("upgrade.sock"), private: true };
        place("new").prepare().expect("it is made");
        place("new").prepare().expect("it is ours");
        let open = root.path().join("open");
        std::fs::create_dir(&open).expect("a directory");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        place("open").prepare().expect_err("others can enter it");
        std::os::unix::fs::symlink(root.path().join("new"), root.path().join("link")).expect("a link");
        place("link").prepare().expect_err("a link can be turned elsewhere");
    }
}
