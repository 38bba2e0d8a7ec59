//! A place in the file from which values are read: it knows its path and line, and every reading
//! that fails notes a mistake and goes on with a stand-in, so that all mistakes come out at once.
//! A stand-in never gets out: a file with a mistake makes no configuration.

mod context;
mod section;
mod values;

pub(super) use context::Context;
pub(super) use section::Keys;
pub(super) use values::{DAY, MILLISECOND, YEARS, count, duration};

use super::env::{EnvError, expand};
use super::mistake::{Shown, Wrong};
use super::tree::{Entry, Node, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

/// A place in the file; `node` is `None` where the file says nothing, or `null`.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub(super) cx: &'a Context<'a>,
    path: String,
    line: usize,
    node: Option<&'a Node>,
}

/// A text stands on its own line, a list or mapping is found by its key. A value that comes from an
/// anchor further up counts where it is used.
fn line_of(entry: &Entry) -> usize {
    match entry.value.value {
        Value::Scalar(_) => entry.value.line.max(entry.line),
        _ => entry.line,
    }
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Absent,
    Scalar,
    List,
    Map,
}

impl<'a> At<'a> {
    /// The whole file; what is missing in it has no line.
    pub(super) fn root(cx: &'a Context<'a>, node: &'a Node) -> Self {
        At { cx, path: String::new(), line: 0, node: None }.with(node)
    }

    fn with(self, node: &'a Node) -> Self {
        let node = (!matches!(node.value, Value::Null)).then_some(node);
        At { node, ..self }
    }

    fn child(&self, step: &str, line: usize, node: Option<&'a Node>) -> At<'a> {
        let dot = if self.path.is_empty() || step.starts_with('[') { "" } else { "." };
        let absent = At { cx: self.cx, path: format!("{}{dot}{step}", self.path), line, node: None };
        match node {
            Some(node) => absent.with(node),
            None => absent,
        }
    }

    /// The same place as if the file said nothing there.
    pub(super) fn absent(&self) -> At<'a> {
        At { node: None, ..self.clone() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn shape(&self) -> Shape {
        match self.node.map(|node| &node.value) {
            None | Some(Value::Null) => Shape::Absent,
            Some(Value::Scalar(_)) => Shape::Scalar,
            Some(Value::List(_)) => Shape::List,
            Some(Value::Map(_)) => Shape::Map,
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.shape() != Shape::Absent
    }

    /// Notes a mistake at this place.
    pub(super) fn wrong(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.cx.mistake(self.line, &self.path, problem, remedy);
    }

    /// Notes what is legal at this place, but probably not meant.
    pub(super) fn warn(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.cx.warning(self.line, &self.path, problem, remedy);
    }

    /// The entries of a mapping whose keys are names; each name once, repetitions noted.
    pub(super) fn entries(&self) -> Vec<(&'a str, At<'a>)> {
        let entries = match self.node.map(|node| &node.value) {
            None => return Vec::new(),
            Some(Value::Map(entries)) => entries,
            Some(_) => {
                self.wrong("is not a mapping", "write key: value, one a line, indented below it");
                return Vec::new();
            }
        };
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut kept = Vec::new();
        for entry in entries {
            let Entry { key, line, value } = entry;
            let at = self.child(key, *line, Some(value));
            match first.get(key.as_str()) {
                Some(line) => at.wrong(format!("is given twice, first on line {line}"), "keep one of the two"),
                None => {
                    first.insert(key, *line);
                    kept.push((key.as_str(), At { line: line_of(entry), ..at }));
                }
            }
        }
        kept
    }

    /// The elements of a list; a single value counts as a list of one.
    pub(super) fn items(&self) -> Vec<At<'a>> {
        match self.node {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.child(&format!("[{index}]"), item.line, Some(item))).collect()
            }
            Some(_) => vec![self.clone()],
        }
    }

    /// The elements of a list that `read` takes; elements that are not text or that stand there twice are noted.
    pub(super) fn set<T: Eq + Hash + Clone>(&self, read: impl Fn(&str) -> Result<T, Wrong>) -> Vec<T> {
        let mut first: HashMap<T, usize> = HashMap::new();
        let mut kept = Vec::new();
        for item in self.items() {
            let Some(value) = item.need(&read) else { continue };
            if let Some(line) = first.get(&value) {
                item.wrong(format!("{} is listed twice, first on line {line}", item.quoted()), "keep one of the two");
                continue;
            }
            first.insert(value.clone(), item.line);
            kept.push(value);
        }
        kept
    }

    /// What `read` makes of the text at this place; absence is a mistake.
    pub(super) fn need<T>(&self, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        if !self.is_set() {
            self.wrong("has no value", "write one, or take the key out");
        }
        self.read(read)
    }

    /// What `read` makes of the text at this place; `None` where there is none.
    pub(super) fn read<T>(&self, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = self.text()?;
        let wrong = match read(&text) {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        let problem = match wrong.shown {
            Shown::Yes => format!("{} {}", self.quoted(), wrong.problem),
            Shown::No => wrong.problem,
        };
        // Text that comes from a variable is not repeated, so nothing made from it is either.
        let suggestion = wrong.suggestion.filter(|_| matches!(text, Cow::Borrowed(_)));
        self.wrong(problem, suggestion.unwrap_or(wrong.remedy));
        None
    }

    /// The scalar at this place with its variables replaced.
    fn text(&self) -> Option<Cow<'a, str>> {
        let raw = match &self.node?.value {
            Value::Null => return None,
            Value::Scalar(raw) => raw,
            Value::List(_) => {
                self.wrong("is a list where one value is expected", "write one value");
                return None;
            }
            Value::Map(_) => {
                let remedy = "write one value; quote it if the { } is part of it, as in \"/products/{id}\"";
                self.wrong("is a mapping where text is expected", remedy);
                return None;
            }
        };
        match expand(raw, self.cx.env()) {
            Ok(text) => Some(text),
            Err(error) => {
                self.unexpanded(&error);
                None
            }
        }
    }

    fn unexpanded(&self, error: &EnvError) {
        match error {
            EnvError::Unset(name) => self.wrong(
                format!("the environment variable {name} is not set"),
                format!("set it, or give a default: ${{{name}:-default}}"),
            ),
            EnvError::Unclosed => self.wrong("has a ${ without a }", "write ${VAR}, or $${ for a literal ${"),
            EnvError::Form(form) => self.wrong(
                format!("${{{form}}} is not a variable"),
                "write ${VAR} or ${VAR:-default}, or $${ for a literal ${",
            ),
        }
    }

    /// The text as it stands in the file, before variables are replaced, in quotes and cut short.
    pub(super) fn quoted(&self) -> String {
        const LONGEST: usize = 80;
        let Some(Node { value: Value::Scalar(raw), .. }) = self.node else { return String::new() };
        match raw.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("\"{}…\"", raw[..end].escape_debug()),
            None => format!("\"{}\"", raw.escape_debug()),
        }
    }
}
