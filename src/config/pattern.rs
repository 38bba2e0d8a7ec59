//! Lists of names in which `*` stands for any run of characters, as in `wordpress_logged_in_*`.

/// A list of name patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePatterns {
    patterns: Vec<Pattern>,
    /// A bit for each octet that a name may begin with to be taken: most names are none of these.
    begins: [u64; 4],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: Box<str>,
    /// Where its `*` is.
    star: Option<usize>,
}

impl NamePatterns {
    /// A list of patterns; at most one `*` in each counts, wherever it stands.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        let pattern = |text: &str| Pattern { text: text.into(), star: text.find('*') };
        let patterns: Vec<Pattern> = patterns.into_iter().map(|text| pattern(text.as_ref())).collect();
        let mut begins = [0; 4];
        for pattern in &patterns {
            match pattern.text.as_bytes().first() {
                None | Some(b'*') => begins = [u64::MAX; 4],
                Some(first) => begins[usize::from(first >> 6)] |= 1 << (first & 63),
            }
        }
        NamePatterns { patterns, begins }
    }

    /// Whether any pattern takes `name` (case-sensitive).
    pub fn matches(&self, name: &str) -> bool {
        let first = name.as_bytes().first().copied().unwrap_or_default();
        let may_be = self.begins[usize::from(first >> 6)] & (1 << (first & 63)) != 0;
        may_be && self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| &*pattern.text)
    }
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        let Some(star) = self.star else { return *self.text == *name };
        let (head, tail) = (&self.text[..star], &self.text[star + 1..]);
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::NamePatterns;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let patterns = NamePatterns::new(["wordpress_logged_in_*", "session", "*_id"]);
        for name in ["wordpress_logged_in_", "wordpress_logged_in_ab12", "session", "user_id"] {
            assert!(patterns.matches(name), "{name}");
        }
        for name in ["wordpress_logged", "Session", "sessions", "id", ""] {
            assert!(!patterns.matches(name), "{name}");
        }
        let patterns = NamePatterns::new(["utm_*", "gclid"]);
        assert!(["utm_source", "gclid"].iter().all(|name| patterns.matches(name)));
        assert!(!["", "x", "utm", "gclidx", "\u{e9}"].iter().any(|name| patterns.matches(name)));
        assert!(NamePatterns::new(["*"]).matches("") && !NamePatterns::default().matches(""));
    }
}
