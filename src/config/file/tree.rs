//! From YAML text to a tree in which every value knows its line.
//!
//! Values stay text: what `60s`, `off` or `8080` mean is decided by the key that reads them, so none
//! of YAML's own guesses (`off` is false, `1e3` is a number) reach the configuration. Anchors,
//! aliases and `<<` work; what they unfold to is bounded, and so is the depth.

mod merge;
mod syntax;

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Values in a file once its aliases are unfolded. A file without aliases and at the limit of its
/// size holds fewer lines than that.
const MAX_NODES: usize = 100_000;

/// Lists and mappings inside each other; the format needs six.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a file can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// The text of a scalar, before variables are replaced.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; repeated keys are kept for the reader to report.
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: usize,
    pub(super) value: Node,
}

/// Why a text is not a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl SyntaxError {
    fn new(line: usize, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        SyntaxError { line, problem: problem.into(), remedy: remedy.into() }
    }
}

/// Reads one document; an empty text is `Null`.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax::explain(text, &error))?;
        builder.take(event, span.start.line())?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

/// A list or mapping that is not finished.
struct Frame {
    line: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The key that waits for its value stands apart.
    Map(Vec<Entry>, Option<(String, usize)>),
}

#[derive(Default)]
struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) => self.start_document(line),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err(SyntaxError::new(
                    line,
                    "uses a YAML tag (!…)",
                    "take the tag out, or quote the text if it is meant",
                ))
            }
            Event::Scalar(text, style, anchor, None) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.finish(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, None) => self.open(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, None) => self.open(line, anchor, Content::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.close(line),
            Event::Alias(anchor) => self.alias(anchor, line),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn start_document(&mut self, line: usize) -> Result<(), SyntaxError> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(SyntaxError::new(line, "starts a second YAML document", "write one document a file, without ---"))
    }

    fn open(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.frames.len() == MAX_DEPTH {
            let problem = format!("is nested more than {MAX_DEPTH} levels deep");
            return Err(SyntaxError::new(line, problem, "close the brackets that are open before here"));
        }
        self.frames.push(Frame { line, anchor, content });
        Ok(())
    }

    fn close(&mut self, line: usize) -> Result<(), SyntaxError> {
        let Some(frame) = self.frames.pop() else {
            return Err(SyntaxError::new(line, "closes a bracket that is not open", "take it out"));
        };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(merge::merged(entries)?),
        };
        self.finish(Node { line: frame.line, value }, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), SyntaxError> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(SyntaxError::new(line, "is an alias inside of its own anchor", "write the value out"));
        };
        self.count(count(&node) - 1, line)?;
        self.finish(node, 0)
    }

    /// Puts a finished value where it belongs: into the open list or mapping, or at the root.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        self.count(1, node.line)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some((key, line)) => entries.push(Entry { key, line, value: node }),
                None => *key = Some((key_text(&node)?, node.line)),
            },
        }
        Ok(())
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(SyntaxError::new(line, format!("holds more than {MAX_NODES} values"), "use fewer aliases (*name)"))
    }
}

fn key_text(node: &Node) -> Result<String, SyntaxError> {
    match &node.value {
        Value::Scalar(text) => Ok(text.clone()),
        _ => Err(SyntaxError::new(node.line, "has a key that is not text", "write key: value")),
    }
}

/// Values in a tree, itself included. The depth of a tree is bounded, and so is this recursion.
fn count(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::Null | Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|entry| 1 + count(&entry.value)).sum(),
    };
    1 + below
}
