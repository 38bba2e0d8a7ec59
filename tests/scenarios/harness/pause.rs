//! A process that stands still while its clients do not.

use super::process::Breadbox;
use super::{PATIENCE, eventually};
use std::path::Path;

impl Breadbox {
    /// Stops the process until [`Breadbox::resume`]; the system goes on taking connections for it.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
        let is_stopped = |task: &Path| {
            let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:\tT"))
        };
        let tasks = || std::fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the process is up");
        eventually("all of it has stopped", PATIENCE, || {
            tasks().all(|task| is_stopped(&task.expect("an entry").path()))
        });
    }

    /// Lets the process go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }
}
