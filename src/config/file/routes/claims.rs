//! Which route has which pattern: two routes for the same paths would leave it to chance who takes them.

use crate::config::file::cursor::At;
use crate::config::file::patterns::Pattern;
use std::collections::HashMap;

/// The patterns that are taken, by host and shape.
#[derive(Default)]
pub(super) struct Claims(HashMap<(Option<Box<str>>, Box<str>), Claim>);

struct Claim {
    line: usize,
    quoted: String,
}

impl Claims {
    /// Takes a pattern, or notes who has it.
    pub(super) fn claim(&mut self, at: &At<'_>, host: Option<&str>, pattern: &Pattern) {
        let key = (host.map(Into::into), pattern.shape.clone());
        if let Some(other) = self.0.get(&key) {
            let problem = format!("{} matches the same paths as {} on line {}", at.quoted(), other.quoted, other.line);
            at.wrong(problem, "keep one of the two, or give them different hosts");
            return;
        }
        self.0.insert(key, Claim { line: at.line(), quoted: at.quoted() });
    }
}
