//! A mapping whose keys are those of a section: unknown keys, repeated keys and keys that are built
//! later are noted when it is opened.

use super::At;
use crate::config::file::schema::Section;
use std::collections::HashMap;

/// The keys of an opened section.
pub(crate) struct Keys<'a> {
    at: At<'a>,
    section: &'static Section,
    values: HashMap<&'a str, At<'a>>,
}

impl<'a> At<'a> {
    /// Opens this place as a section; where the file says nothing, every key is absent.
    pub(in crate::config::file) fn section(&self, section: &'static Section) -> Keys<'a> {
        let mut values = HashMap::new();
        for (key, at) in self.entries() {
            if section.keys.contains(&key) {
                values.insert(key, at);
            } else if section.later.contains(&key) {
                at.wrong(format!("`{key}` is not built yet"), "take it out");
            } else {
                at.wrong("is not a key", section.suggestion(key));
            }
        }
        Keys { at: self.clone(), section, values }
    }
}

impl<'a> Keys<'a> {
    /// The place of the value of a key that the section knows.
    pub(in crate::config::file) fn key(&self, key: &'static str) -> At<'a> {
        debug_assert!(self.section.keys.contains(&key), "{key} is not in the schema of {}", self.section.path);
        match self.values.get(key) {
            Some(at) => at.clone(),
            None => self.at.child(key, self.at.line(), None),
        }
    }

    /// The place of the section itself.
    pub(in crate::config::file) fn at(&self) -> &At<'a> {
        &self.at
    }

    /// Forgets a key, so that it reads as absent.
    pub(in crate::config::file) fn drop_key(&mut self, key: &str) {
        self.values.remove(key);
    }
}
