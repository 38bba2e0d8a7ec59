//! What all places of one file share: its name, the environment, and what was found in it.

use crate::config::file::mistake::{ConfigError, Mistake};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The file that is being read.
pub(crate) struct Context<'a> {
    file: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
    files: RefCell<Vec<PathBuf>>,
}

impl<'a> Context<'a> {
    pub(in crate::config::file) fn new(file: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Context { file, env, mistakes: RefCell::default(), warnings: RefCell::default(), files: RefCell::default() }
    }

    pub(super) fn env(&self) -> &'a dyn Fn(&str) -> Option<String> {
        self.env
    }

    /// A path as the file means it: relative to the file.
    pub(in crate::config::file) fn resolve(&self, path: &str) -> PathBuf {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        self.files.borrow_mut().push(path.clone());
        path
    }

    /// Every path that was resolved.
    pub(in crate::config::file) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    pub(super) fn mistake(&self, line: usize, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.borrow_mut().push(self.note(line, key, problem, remedy));
    }

    /// Notes a mistake in a file that this one names.
    pub(in crate::config::file) fn mistake_in(&self, file: &Path, line: usize, problem: String, remedy: &str) {
        let (file, remedy) = (file.to_owned(), remedy.to_owned());
        self.mistakes.borrow_mut().push(Mistake { file, line, key: String::new(), problem, remedy });
    }

    pub(super) fn warning(&self, line: usize, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.borrow_mut().push(self.note(line, key, problem, remedy));
    }

    fn note(&self, line: usize, key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The warnings, one line each and sorted by line; or the mistakes, if there are any.
    pub(in crate::config::file) fn finish(self) -> Result<Vec<String>, ConfigError> {
        if let Some(error) = ConfigError::of(self.file, self.mistakes.into_inner()) {
            return Err(error);
        }
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.line);
        Ok(warnings.iter().map(Mistake::to_string).collect())
    }
}
