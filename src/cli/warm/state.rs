//! Which pages are done, in a file to which every one is appended when it is: a run that was interrupted,
//! even by the machine, goes on where it was.

use super::list::Page;
use anyhow::{Context, bail};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The first line, by which no other file is taken for one of these and appended to.
const FIRST: &str = "# breadbox warm: pages that are done";

/// Bytes of the largest file: ten million pages.
const MAX_STATE: u64 = 4 << 30;

/// The file, and what was in it.
pub(super) struct State {
    path: PathBuf,
    file: File,
    done: HashSet<u128>,
}

impl State {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> anyhow::Result<State> {
        let cannot = || format!("cannot use {} to remember what is done", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(cannot)?;
        let mut state = State { path: path.to_owned(), file, done: HashSet::new() };
        let mut reader = BufReader::new(state.file.try_clone().with_context(cannot)?.take(MAX_STATE));
        let mut line = String::new();
        let (mut number, mut whole) = (0, 0);
        while reader.read_line(&mut line).with_context(cannot)? > 0 {
            number += 1;
            if number == 1 && line.trim_end() != FIRST {
                bail!("{} is there and has something else in it; name another file", path.display());
            }
            // Without its end the last line was cut off, and counts for nothing.
            let Some(text) = line.strip_suffix('\n') else { break };
            state.done.extend(id(text).filter(|_| number > 1));
            whole += line.len() as u64;
            line.clear();
        }
        state.file.set_len(whole).with_context(cannot)?;
        if whole == 0 {
            writeln!(state.file, "{FIRST}").with_context(cannot)?;
        }
        Ok(state)
    }

    pub(super) fn is_done(&self, page: &Page) -> bool {
        self.done.contains(&page.id())
    }

    /// Remembers a page.
    pub(super) fn note(&mut self, page: &Page) -> anyhow::Result<()> {
        let line = format!("{:032x} {page}\n", page.id());
        let noted = self.file.write_all(line.as_bytes());
        noted.with_context(|| format!("cannot write to {}", self.path.display()))
    }

    /// All is done: the next run begins anew.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let removed = std::fs::remove_file(&self.path);
        removed.with_context(|| format!("all is done, but {} cannot be removed", self.path.display()))
    }
}

fn id(line: &str) -> Option<u128> {
    u128::from_str_radix(line.get(..32)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(target: &str) -> Page {
        Page { scheme: None, host: "a.test".into(), target: target.into() }
    }

    #[test]
    fn what_was_noted_is_done_and_a_line_that_was_cut_off_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state");
        let mut state = State::open(&path).expect("a new file");
        for target in ["/1", "/2"] {
            state.note(&page(target)).expect("it can be written");
        }
        drop(state);
        let text = std::fs::read_to_string(&path).expect("the file");
        std::fs::write(&path, &text[..text.len() - 3]).expect("the file");
        let mut state = State::open(&path).expect("the file again");
        assert!(state.is_done(&page("/1")) && !state.is_done(&page("/2")) && !state.is_done(&page("/3")));
        state.note(&page("/3")).expect("it can be written");
        drop(state);
        let state = State::open(&path).expect("the file again");
        assert!(state.is_done(&page("/1")) && state.is_done(&page("/3")) && !state.is_done(&page("/2")));
        state.finish().expect("it can be removed");
        assert!(!path.exists());
    }

    #[test]
    fn no_other_file_is_written_to() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("thesis");
        std::fs::write(&path, "years of work\n").expect("the file");
        assert!(State::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "years of work\n");
    }
}
