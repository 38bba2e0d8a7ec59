//! Lists of names in which `*` stands for any run of characters, as in `wordpress_logged_in_*`.

/// A list of name patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePatterns(Vec<Box<str>>);

impl NamePatterns {
    /// A list of patterns; at most one `*` in each counts, wherever it stands.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        NamePatterns(patterns.into_iter().map(|p| p.as_ref().into()).collect())
    }

    /// Whether any pattern takes `name` (case-sensitive).
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
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
    }
}
