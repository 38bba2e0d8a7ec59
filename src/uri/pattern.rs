//! One pattern of a route: `/products/{id}`, `/docs/{*path}`. Literals are brought into the normal
//! form of paths, so `/café` in the file takes `/caf%C3%A9`.

use super::percent::{self, Component, Encoding};
use std::sync::Arc;

/// A valid pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// `matchit`'s spelling with all parameter names alike.
    shape: String,
    rank: Rank,
}

/// How specific a pattern is, segment by segment; less is more specific.
pub(crate) type Rank = Arc<[Kind]>;

/// What a segment takes; the order is the precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Literal,
    Parameter,
    CatchAll,
}

/// `matchit` panics at the next one.
const MAX_PARAMETERS: usize = 25;

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn parse(raw: &str) -> Result<Pattern, &'static str> {
        let segments = raw.strip_prefix('/').ok_or("does not begin with `/`")?;
        let mut shape = String::with_capacity(raw.len());
        let mut rank = Vec::new();
        for segment in segments.split('/') {
            if rank.last() == Some(&Kind::CatchAll) {
                return Err("has something behind its catch-all");
            }
            let kind = kind(segment)?;
            shape.push('/');
            match kind {
                Kind::Literal => shape.push_str(&literal(segment)?),
                Kind::Parameter => shape.push_str("{p}"),
                Kind::CatchAll => shape.push_str("{*rest}"),
            }
            rank.push(kind);
        }
        if rank.iter().filter(|kind| **kind == Kind::Parameter).count() > MAX_PARAMETERS {
            return Err("has more than 25 parameters");
        }
        Ok(Pattern { shape, rank: rank.into() })
    }

    /// What tells the pattern from others: two with one shape take the same paths.
    pub(crate) fn shape(&self) -> &str {
        &self.shape
    }

    pub(crate) fn rank(&self) -> &Rank {
        &self.rank
    }

    /// How many segments stand in front of the catch-all.
    pub(crate) fn catch_all_depth(&self) -> Option<usize> {
        (self.rank.last() == Some(&Kind::CatchAll)).then(|| self.rank.len() - 1)
    }

    /// All that `matchit` has to know: its catch-all takes at least one character, ours nothing too.
    pub(crate) fn spellings(&self) -> Vec<String> {
        let mut spellings = vec![self.shape.clone()];
        if let Some(with_slash) = self.shape.strip_suffix("{*rest}") {
            spellings.push(with_slash.to_owned());
            spellings.extend(with_slash.strip_suffix('/').filter(|rest| !rest.is_empty()).map(str::to_owned));
        }
        spellings
    }
}

fn kind(segment: &str) -> Result<Kind, &'static str> {
    let Some(braced) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return if segment.contains(['{', '}']) {
            Err("mixes a parameter with text in one segment")
        } else {
            Ok(Kind::Literal)
        };
    };
    let (kind, name) = braced.strip_prefix('*').map_or((Kind::Parameter, braced), |name| (Kind::CatchAll, name));
    if name.is_empty() {
        return Err("has a parameter without a name");
    }
    if name.contains(['{', '}', '*']) {
        return Err("has a parameter with a bad name");
    }
    Ok(kind)
}

fn literal(segment: &str) -> Result<String, &'static str> {
    if segment.contains(['?', '#']) || segment.bytes().any(|b| b <= b' ' || b == 0x7F) {
        return Err("has a character that is in no path");
    }
    let mut normal = String::with_capacity(segment.len());
    if percent::normalise_into(segment.as_bytes(), Component::Path, &mut normal) == Encoding::Invalid {
        return Err("has a `%` that encodes nothing");
    }
    if matches!(&*normal, "." | "..") {
        return Err("has a `.` or `..` segment");
    }
    Ok(normal)
}
