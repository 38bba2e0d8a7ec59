//! The directory of the disk tier: made if it is not there, and ours alone as long as the lock is held.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Another process has the directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "store.disk.path {path}: another Breadbox uses this directory (process {process}); \
     give each its own, or stop that one first"
)]
pub struct Locked {
    path: String,
    process: String,
}

/// A directory that is ours.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
}

/// Why a directory is not ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Another process has it.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// It cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Directory {
    /// Makes it and takes it.
    pub(super) fn take(path: &Path) -> Result<Directory, Refusal> {
        fs::create_dir_all(path)?;
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock_path(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = Read::by_ref(&mut lock).take(20).read_to_string(&mut process);
                let process = process.trim().to_owned();
                return Err(Locked { path: path.display().to_string(), process }.into());
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // For whoever is refused; it decides nothing.
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Directory { path: path.to_owned(), lock })
    }

    /// Whether it is still where it was: somebody may have moved it, deleted it or mounted something over it.
    pub(super) fn is_there(&self) -> io::Result<bool> {
        let ours = self.lock.metadata()?;
        match fs::metadata(lock_path(&self.path)) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    path.join("lock")
}
