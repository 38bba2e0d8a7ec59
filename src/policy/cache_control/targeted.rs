//! Targeted cache control (RFC 9213): a structured-field dictionary whose members are directives.

use super::MAX_DELTA;
use super::response::{ResponseDirectives, Scope, field_names};
use crate::config::Window;
use http::HeaderValue;
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use std::time::Duration;

/// A value that its directive does not allow: the whole field is then ignored (RFC 9213 §2.1).
struct WrongType;

impl ResponseDirectives {
    /// Reads a targeted field; `None` where it is absent, empty, malformed, or one of the known
    /// directives has a value of the wrong type. Parameters are ignored.
    pub fn targeted<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Self> {
        let lines: Vec<&[u8]> = values.into_iter().map(HeaderValue::as_bytes).collect();
        let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut all = Self::default();
        for (name, entry) in &dictionary {
            all.add_member(name.as_str(), entry).ok()?;
        }
        Some(all)
    }

    fn add_member(&mut self, name: &str, entry: &ListEntry) -> Result<(), WrongType> {
        match name {
            "max-age" => self.max_age = Some(seconds(entry)?),
            "s-maxage" => self.s_maxage = Some(seconds(entry)?),
            "no-store" => self.no_store = flag(entry)?,
            "no-cache" => self.no_cache = scope(entry)?,
            "private" => self.private = scope(entry)?,
            "public" => self.public = flag(entry)?,
            "must-revalidate" => self.must_revalidate = flag(entry)?,
            "proxy-revalidate" => self.proxy_revalidate = flag(entry)?,
            "must-understand" => self.must_understand = flag(entry)?,
            "stale-while-revalidate" => self.stale_while_revalidate = Some(window(entry)?),
            "stale-if-error" => self.stale_if_error = Some(window(entry)?),
            _ => {}
        }
        Ok(())
    }
}

fn bare(entry: &ListEntry) -> Result<&BareItem, WrongType> {
    match entry {
        ListEntry::Item(item) => Ok(&item.bare_item),
        ListEntry::InnerList(_) => Err(WrongType),
    }
}

fn flag(entry: &ListEntry) -> Result<bool, WrongType> {
    bare(entry)?.as_boolean().ok_or(WrongType)
}

fn seconds(entry: &ListEntry) -> Result<Duration, WrongType> {
    let number = i64::from(bare(entry)?.as_integer().ok_or(WrongType)?);
    let seconds = u64::try_from(number).map_err(|_| WrongType)?;
    Ok(Duration::from_secs(seconds).min(MAX_DELTA))
}

fn window(entry: &ListEntry) -> Result<Window, WrongType> {
    match bare(entry)? {
        BareItem::Boolean(true) => Ok(Window::Forever),
        _ => seconds(entry).map(Window::For),
    }
}

fn scope(entry: &ListEntry) -> Result<Scope, WrongType> {
    let mut scope = Scope::Nothing;
    match bare(entry)? {
        BareItem::Boolean(true) => scope.add(None),
        BareItem::Boolean(false) => {}
        BareItem::String(list) => scope.add(field_names(list.as_str().as_bytes())),
        _ => return Err(WrongType),
    }
    Ok(scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Option<ResponseDirectives> {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().expect("a field value")).collect();
        ResponseDirectives::targeted(&values)
    }

    #[test]
    fn members_of_the_dictionary_are_directives() {
        // RFC 9213 §2.1.
        let all =
            read(&["max-age=99999999999;x=1, stale-while-revalidate", "must-revalidate, private=\"a\", foo=(1 2)"]);
        let expected = ResponseDirectives {
            max_age: Some(MAX_DELTA),
            stale_while_revalidate: Some(Window::Forever),
            must_revalidate: true,
            private: Scope::Fields(vec![HeaderName::from_static("a")]),
            ..Default::default()
        };
        assert_eq!(all, Some(expected));
    }

    #[test]
    fn a_wrong_type_anywhere_voids_the_whole_field() {
        for wrong in
            ["max-age=\"1\"", "max-age=1.5", "max-age", "no-store=1", "private=(a b)", "no-cache=x", "max-age=-1"]
        {
            assert_eq!(read(&[&format!("{wrong}, public")]), None, "{wrong}");
        }
    }

    #[test]
    fn absent_and_empty_are_none_and_unknown_members_are_a_value() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[""]), None);
        assert_eq!(read(&["foo"]), Some(ResponseDirectives::default()));
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_a_panic(value in "[ -~]{0,80}") {
            let _ = read(&[&value]);
        }
    }
}
