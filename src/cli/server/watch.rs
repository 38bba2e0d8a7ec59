//! `run --watch`: notices when the configuration, or a file that it names, is another one. Editors put a
//! new file in the place of the old one and Kubernetes swaps a symbolic link, so it is folders that are
//! watched, and contents that are compared: what was written again unchanged is no change.

use super::Source;
use crate::config::Config;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_64;

/// How long nothing happens before files are looked at: whoever writes them may not be done.
const QUIET: Duration = Duration::from_millis(200);
/// They are looked at by then, even if something goes on happening.
const LONGEST: Duration = Duration::from_secs(2);
/// Symbolic links that lead from one to the next.
const MAX_LINKS: usize = 16;

/// Tells of changes.
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    files: watch::Sender<Vec<PathBuf>>,
}

impl Watch {
    /// Watches this file and those that `config`, which was read from it, names.
    ///
    /// # Errors
    /// When the system cannot watch any more folders.
    pub(super) fn new(file: &Path, config: &Config) -> notify::Result<Self> {
        let (happened, happening) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| may_change(event.kind)) {
                // One that waits already stands for this one, too.
                let _ = happened.try_send(());
            }
        })?;
        let all = files(file, config);
        let mut folders = Folders { watcher, watched: BTreeSet::new() };
        folders.follow(&all)?;
        let (files, follow) = watch::channel(all);
        let (tell, changes) = mpsc::channel(1);
        tokio::spawn(run(folders, happening, follow, tell));
        Ok(Watch { changes, files })
    }

    /// Watches nothing and never tells of a change.
    pub(super) fn nothing() -> Self {
        Watch { changes: mpsc::channel(1).1, files: watch::Sender::default() }
    }

    /// Waits until a file has changed. Nothing is lost where this is dropped.
    pub(super) async fn changed(&mut self) -> Option<()> {
        self.changes.recv().await
    }

    /// Follows the files that the configuration names now.
    pub(super) fn follow(&self, source: &Source, config: &Config) {
        let Source::File(file) = source else { return };
        let all = files(file, config);
        self.files.send_if_modified(|followed| {
            let differs = *followed != all;
            *followed = all;
            differs
        });
    }
}

fn files(file: &Path, config: &Config) -> Vec<PathBuf> {
    [file.to_owned()].into_iter().chain(config.files.iter().cloned()).collect()
}

/// Reading is no change, and we read ourselves.
fn may_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

async fn run(
    mut folders: Folders,
    mut happening: mpsc::Receiver<()>,
    mut follow: watch::Receiver<Vec<PathBuf>>,
    tell: mpsc::Sender<()>,
) {
    let files = follow.borrow_and_update().clone();
    let mut seen = contents(files).await;
    loop {
        tokio::select! {
            happened = happening.recv() => {
                let Some(()) = happened else { return };
                settle(&mut happening).await;
            }
            // The configuration that names other files has been read: what stands in them is known.
            changed = follow.changed() => {
                let Ok(()) = changed else { return };
                let files = follow.borrow_and_update().clone();
                seen = contents(files).await;
            }
        }
        let files = follow.borrow().clone();
        if let Err(error) = folders.follow(&files) {
            tracing::warn!(%error, "not every file of the configuration can be watched");
        }
        let now = contents(files).await;
        if now != seen {
            seen = now;
            if tell.send(()).await.is_err() {
                return;
            }
        }
    }
}

/// Waits until nothing has happened for a while.
async fn settle(happening: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + LONGEST;
    while let Ok(Some(())) = timeout_at(latest.min(Instant::now() + QUIET), happening.recv()).await {}
}

/// What stands in these files; nothing for one that cannot be read.
async fn contents(files: Vec<PathBuf>) -> Vec<Option<u64>> {
    let read = move || files.iter().map(|file| std::fs::read(file).ok().map(|bytes| xxh3_64(&bytes))).collect();
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// The folders that are watched.
struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches every folder in which one of these files, or a link on the way to it, can be replaced.
    fn follow(&mut self, files: &[PathBuf]) -> notify::Result<()> {
        let mut wanted = BTreeSet::new();
        for file in files {
            add_folders(file, &mut wanted, MAX_LINKS);
        }
        for folder in self.watched.difference(&wanted) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(folder);
        }
        self.watched.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            if !self.watched.contains(&folder) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
                self.watched.insert(folder);
            }
        }
        Ok(())
    }
}

/// The folder of `path`, and those of every symbolic link that is part of it or that it leads to.
fn add_folders(path: &Path, folders: &mut BTreeSet<PathBuf>, links: usize) {
    let Ok(path) = std::path::absolute(path) else { return };
    let folder = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    folders.extend(folder(&path));
    for part in path.ancestors() {
        let Ok(target) = std::fs::read_link(part) else { continue };
        folders.extend(folder(part));
        if links > 0
            && let (Some(parent), Ok(rest)) = (part.parent(), path.strip_prefix(part))
        {
            let behind = parent.join(target);
            add_folders(&if rest.as_os_str().is_empty() { behind } else { behind.join(rest) }, folders, links - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_in_which_a_file_can_be_replaced_is_watched() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |path: &str| root.path().canonicalize().expect("it is there").join(path);
        for folder in ["etc", "etc/v1", "releases", "releases/5"] {
            std::fs::create_dir(at(folder)).expect("a directory");
        }
        std::fs::write(at("etc/v1/proxy.yaml"), "").expect("a file");
        std::fs::write(at("releases/5/site.crt"), "").expect("a file");
        symlink("v1", at("etc/..data")).expect("a link");
        symlink("..data/proxy.yaml", at("etc/proxy.yaml")).expect("a link");
        symlink("releases/5", at("current")).expect("a link");
        let folders = |path: &str| {
            let mut folders = BTreeSet::new();
            add_folders(&at(path), &mut folders, MAX_LINKS);
            folders
        };
        assert_eq!(folders("etc/proxy.yaml"), BTreeSet::from([at("etc"), at("etc/v1")]));
        let root_itself: PathBuf = at("").components().collect();
        assert_eq!(folders("current/site.crt"), BTreeSet::from([root_itself.clone(), at("releases/5")]));
        symlink("b", at("a")).expect("a link");
        symlink("a", at("b")).expect("a link");
        assert!(folders("a").contains(&root_itself), "links in a circle end");
    }
}
