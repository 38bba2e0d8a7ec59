//! The directives of responses (RFC 9111 §5.2.2, RFC 5861).

use super::delta_seconds;
use super::directive::{Argument, Directive, NameBuffer, directives};
use crate::config::Window;
use crate::policy::list::members;
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// A field-name form that names more fields than this counts for the whole response.
const MAX_FIELD_NAMES: usize = 64;

/// Fields without which a response cannot be replayed at all: who withholds one withholds the response.
const INDISPENSABLE: [&str; 6] = ["cache-control", "content-encoding", "content-range", "content-type", "date", "vary"];

/// What a response's directives say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`; zero where it is not a number.
    pub max_age: Option<Duration>,
    /// `s-maxage`; zero where it is not a number.
    pub s_maxage: Option<Duration>,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, with or without field names.
    pub no_cache: Scope,
    /// `private`, with or without field names.
    pub private: Scope,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `stale-while-revalidate`; endless without a number (FRAMEWORKS 5), absent where it is not one.
    pub stale_while_revalidate: Option<Window>,
    /// `stale-if-error`; the same.
    pub stale_if_error: Option<Window>,
}

/// How much of a response a directive is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the directive is absent.
    #[default]
    Nothing,
    /// These fields.
    Fields(Vec<HeaderName>),
    /// All of it.
    Whole,
}

impl ResponseDirectives {
    /// Reads the values of `Cache-Control`, line by line.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut all = Self::default();
        for value in values {
            directives(value.as_bytes()).for_each(|directive| all.add(directive));
        }
        all
    }

    /// Whether a stale response must not be used without asking the origin (RFC 9111 §4.2.4).
    /// `s-maxage` forbids it too, but only where no window is named: that is the caller's to weigh.
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache == Scope::Whole
    }

    /// Whether a field was withheld by name: `private="…"` or `no-cache="…"`.
    pub fn withholds(&self, name: &HeaderName) -> bool {
        [&self.private, &self.no_cache].into_iter().any(|scope| matches!(scope, Scope::Fields(f) if f.contains(name)))
    }

    fn add(&mut self, directive: Directive<'_>) {
        let argument = &directive.argument;
        match directive.name(&mut NameBuffer::new()) {
            b"max-age" => lifetime(&mut self.max_age, argument),
            b"s-maxage" => lifetime(&mut self.s_maxage, argument),
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.widen(argument),
            b"private" => self.private.widen(argument),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"no-transform" => self.no_transform = true,
            b"stale-while-revalidate" => window(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => window(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

impl Scope {
    /// Adds what a further directive of the same name is about. Only the quoted form lists fields:
    /// `private=yes` is more likely to mean all of it than a field called `yes`.
    fn widen(&mut self, argument: &Argument<'_>) {
        self.add(match argument {
            Argument::Quoted(list) => field_names(list),
            Argument::None | Argument::Token(_) | Argument::Malformed => None,
        });
    }

    /// Adds field names; `None` stands for the whole response.
    pub(super) fn add(&mut self, names: Option<Vec<HeaderName>>) {
        *self = match (std::mem::take(self), names) {
            (Scope::Whole, _) | (_, None) => Scope::Whole,
            (Scope::Nothing, Some(names)) => Scope::Fields(names),
            (Scope::Fields(mut all), Some(names)) => {
                all.extend(names);
                if all.len() > MAX_FIELD_NAMES { Scope::Whole } else { Scope::Fields(all) }
            }
        };
    }
}

/// The fields of a field-name form; `None` where it has to be read as the form without names.
pub(super) fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<HeaderName>> =
        members(list).filter(|name| !name.is_empty()).map(|name| HeaderName::from_bytes(name).ok()).collect();
    let names = names?;
    let indispensable = names.iter().any(|name| INDISPENSABLE.contains(&name.as_str()));
    (!names.is_empty() && names.len() <= MAX_FIELD_NAMES && !indispensable).then_some(names)
}

fn lifetime(slot: &mut Option<Duration>, argument: &Argument<'_>) {
    let named = argument.value().and_then(delta_seconds);
    slot.get_or_insert(named.unwrap_or(Duration::ZERO));
}

fn window(slot: &mut Option<Window>, argument: &Argument<'_>) {
    let named = match argument {
        Argument::None => Some(Window::Forever),
        _ => argument.value().and_then(delta_seconds).map(Window::For),
    };
    *slot = slot.or(named);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(lines: &[&str]) -> ResponseDirectives {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().expect("a field value")).collect();
        ResponseDirectives::parse(&values)
    }

    fn names(list: &[&'static str]) -> Scope {
        Scope::Fields(list.iter().map(|name| HeaderName::from_static(name)).collect())
    }

    const fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn names_are_case_insensitive_and_unknown_directives_are_ignored() {
        // RFC 9111 §5.2, §5.2.3.
        let read = parse(&["foobar, MaX-aGe=3600, x=\"max-age=1, no-store\"", "No-StOrE", "PUBLIC"]);
        assert_eq!(
            read,
            ResponseDirectives { max_age: secs(3600), no_store: true, public: true, ..Default::default() }
        );
    }

    #[test]
    fn a_lifetime_may_be_quoted_and_is_zero_where_it_is_not_a_number() {
        // RFC 9111 §5.2: both forms are accepted; §4.2.1: invalid freshness means stale.
        assert_eq!(parse(&["max-age=\"3600\""]).max_age, secs(3600));
        assert_eq!(parse(&["s-maxage=99999999999"]).s_maxage, secs(1 << 31));
        for broken in ["max-age=-1", "max-age='60'", "max-age=1.5", "max-age=a1", "max-age", "max-age =60", "max-age="]
        {
            assert_eq!(parse(&[broken]).max_age, secs(0), "{broken}");
        }
    }

    #[test]
    fn the_first_of_repeated_lifetimes_counts() {
        // RFC 9111 §4.2.1.
        assert_eq!(parse(&["max-age=1800, max-age=1"]).max_age, secs(1800));
        assert_eq!(parse(&["max-age=1", "max-age=1800"]).max_age, secs(1));
    }

    #[test]
    fn field_name_forms_add_up_and_the_bare_form_wins() {
        // RFC 9111 §5.2.2.4, §5.2.2.7.
        assert_eq!(parse(&["no-cache=\"a, B\"", "no-cache=\"c\""]).no_cache, names(&["a", "b", "c"]));
        assert_eq!(parse(&["private=\"set-cookie\""]).private, names(&["set-cookie"]));
        assert_eq!(parse(&["private=\"a\", private"]).private, Scope::Whole);
        for whole in
            ["private", "private=\"\"", "private=", "private=yes", "private=\"a b\"", "private=\"a", "private=\"Vary\""]
        {
            assert_eq!(parse(&[whole]).private, Scope::Whole, "{whole}");
        }
    }

    #[test]
    fn too_many_field_names_count_for_the_whole_response() {
        let many: Vec<String> = (0..=MAX_FIELD_NAMES).map(|n| format!("x-{n}")).collect();
        assert_eq!(parse(&[&format!("private=\"{}\"", many.join(","))]).private, Scope::Whole);
    }

    #[test]
    fn a_stale_window_without_a_number_is_endless() {
        // FRAMEWORKS 5: what Nuxt sends.
        let read = parse(&["s-maxage=5, stale-while-revalidate, stale-if-error=60"]);
        assert_eq!(read.stale_while_revalidate, Some(Window::Forever));
        assert_eq!(read.stale_if_error, Some(Window::For(Duration::from_secs(60))));
        assert_eq!(parse(&["stale-while-revalidate=soon"]).stale_while_revalidate, None);
    }

    #[test]
    fn a_directive_that_forbids_does_so_with_any_argument() {
        let read = parse(&["no-store=x, must-revalidate=\"y\", proxy-revalidate =z, must-understand=1"]);
        assert!(read.no_store && read.must_revalidate && read.proxy_revalidate && read.must_understand);
    }

    proptest! {
        #[test]
        fn a_forbidding_directive_is_never_hidden_by_what_stands_before_it(before in "[ -~]{0,40}") {
            let read = parse(&[&before, "no-store"]);
            prop_assert!(read.no_store);
        }
    }
}
