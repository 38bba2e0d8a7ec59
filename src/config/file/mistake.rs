//! What is wrong with a file, said so that whoever wrote it can put it right: where it stands, what
//! is wrong with it, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; 0 where the mistake is of the whole file.
    pub line: usize,
    /// The key with its path, `routes[2].revalidate`; empty where the mistake is of no key.
    pub key: String,
    /// What is wrong. Names the text as it stands in the file, never the value of a variable.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

/// Every mistake of a configuration, in the order of the lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<Mistake>);

impl ConfigError {
    /// The mistakes, those of `file` first, sorted by line; `None` if there is none.
    pub(super) fn of(file: &Path, mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort_by_key(|mistake| (mistake.file != file, mistake.file.clone(), mistake.line));
        (!mistakes.is_empty()).then_some(ConfigError(mistakes))
    }

    /// The same mistakes said otherwise.
    pub(super) fn map(self, say: impl FnMut(Mistake) -> Mistake) -> Self {
        ConfigError(self.0.into_iter().map(say).collect())
    }

    /// The mistakes; at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl From<Mistake> for ConfigError {
    fn from(mistake: Mistake) -> Self {
        ConfigError(vec![mistake])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Why a text cannot be the value of its key; the cursor that reads it adds where it stands.
///
/// A text may come from a variable, and variables hold secrets: of the text itself nothing may be in
/// `problem`, and of the remedies only in `suggestion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Goes on where the quoted text ends: `is not a duration`.
    pub(super) problem: String,
    pub(super) remedy: String,
    /// A remedy made from the text; used instead of `remedy` where the text stands in the file.
    pub(super) suggestion: Option<String>,
    pub(super) shown: Shown,
}

/// Whether a message may repeat the text of the file that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    /// The text may be a credential.
    No,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Wrong { problem: problem.into(), remedy: remedy.into(), suggestion: None, shown: Shown::Yes }
    }

    /// The same for a text that may be a credential and is not repeated.
    pub(super) fn secret(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Wrong { shown: Shown::No, ..Wrong::new(problem, remedy) }
    }

    /// Adds a remedy made from the text.
    pub(super) fn suggest(self, suggestion: impl Into<String>) -> Self {
        Wrong { suggestion: Some(suggestion.into()), ..self }
    }

    /// Adds another thing that would be right.
    pub(super) fn or(self, also: &str) -> Self {
        let add = |remedy: String| format!("{remedy}, or {also}");
        Wrong { remedy: add(self.remedy), suggestion: self.suggestion.map(add), ..self }
    }
}
