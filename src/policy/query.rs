//! Which query parameters count on `isr` and `static` (DESIGN §3 "Query"), and the one form in which
//! they are part of the key and sent to the origin. On other routes the query is nobody's business.
//!
//! Only `&` separates parameters. Names are compared as an origin reads them (decoded once, `+` for a
//! space); what is sent is the normal form of RFC 3986 §6.2.2, in which nothing is decoded that an
//! origin could tell apart (`+` and `%20`, `a` and `a=`).

use super::percent::{self, Component};
use crate::config::{NamePatterns, QueryRule, Route};
use smallvec::SmallVec;
use std::borrow::Cow;

/// The name of the parameter by which Next.js tells RSC answers apart from pages (FRAMEWORKS.md 1).
const RSC_PARAMETER: &str = "_rsc";
/// More parameters than this are nobody's page.
const MAX_PARAMETERS: usize = 256;

/// What of a query counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted<'a> {
    /// The parameters that count, sorted by name.
    counting: SmallVec<[Parameter<'a>; 4]>,
    /// The client's own tracking parameters, in their order.
    tracking: SmallVec<[Parameter<'a>; 4]>,
}

impl Counted<'_> {
    /// What identifies the URI: the parameters that count, sorted by name, without `_rsc`; `None` if there are none.
    pub(crate) fn identity(&self) -> Option<String> {
        text(|out| self.write_identity(out))
    }

    /// Writes the same, and answers whether there is any.
    pub(crate) fn write_identity(&self, out: &mut Vec<u8>) -> bool {
        join(self.counting.iter().filter(|parameter| !parameter.is_rsc()), out)
    }

    /// What is sent to the origin: the same with `_rsc`, where it counts.
    pub(crate) fn sent(&self) -> Option<String> {
        text(|out| join(self.counting.iter(), out))
    }

    /// Writes the `_rsc` parameters that count, in their order: part of the variant. Answers whether there is any.
    pub(crate) fn write_rsc(&self, out: &mut Vec<u8>) -> bool {
        join(self.counting.iter().filter(|parameter| parameter.is_rsc()), out)
    }

    /// The client's own tracking parameters, which a redirect gets appended.
    pub(crate) fn tracking(&self) -> Option<String> {
        text(|out| join(self.tracking.iter(), out))
    }

    /// Whether there is any tracking parameter.
    pub(crate) fn has_tracking(&self) -> bool {
        !self.tracking.is_empty()
    }
}

/// What is written, if anything is.
fn text(write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<String> {
    let mut out = Vec::new();
    write(&mut out).then(|| String::from_utf8(out).expect("normal forms are text"))
}

/// Writes parameters with `&` between them, and answers whether there is any.
fn join<'a>(parameters: impl Iterator<Item = &'a Parameter<'a>>, out: &mut Vec<u8>) -> bool {
    let mut has = false;
    for parameter in parameters {
        if has {
            out.push(b'&');
        }
        out.extend_from_slice(parameter.normal.as_bytes());
        has = true;
    }
    has
}

/// Whether the request carries the `RSC` field and the route keys on it, so that `_rsc` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RscParameter {
    /// It counts, whatever the route's rule says.
    Counts,
    /// It never counts, whatever the route's rule says.
    NeverCounts,
}

/// The query has more parameters than are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyParameters;

/// What of `raw`, the query as it came, counts on `route`. Queries of usual length in their normal form are
/// read without allocating.
pub(crate) fn counted<'a>(
    raw: Option<&'a [u8]>,
    route: &Route,
    tracking: &NamePatterns,
    rsc: RscParameter,
) -> Result<Counted<'a>, TooManyParameters> {
    let mut counted = Counted::default();
    for (index, parameter) in parameters(raw).enumerate() {
        if index >= MAX_PARAMETERS {
            return Err(TooManyParameters);
        }
        match weigh(&parameter.name, &route.query, tracking, rsc) {
            Weight::Counts => counted.counting.push(parameter),
            Weight::Tracking => counted.tracking.push(parameter),
            Weight::Nothing => {}
        }
    }
    // The sort is stable: repeated parameters keep their order, which an origin can see.
    counted.counting.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(counted)
}

/// Every parameter of `raw` in its normal form and what it counts for, in the order in which they came: what
/// [`counted`] counted, for people who ask why. No more than are looked at.
pub(crate) fn weighed(
    raw: Option<&[u8]>,
    rule: &QueryRule,
    tracking: &NamePatterns,
    rsc: RscParameter,
) -> Vec<Weighed> {
    let weighed = |parameter: Parameter<'_>| {
        let weight = weigh(&parameter.name, rule, tracking, rsc);
        Weighed { name: parameter.name.into_owned(), normal: parameter.normal.into_owned(), weight }
    };
    parameters(raw).take(MAX_PARAMETERS).map(weighed).collect()
}

/// A parameter and what it counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    /// As an origin reads it.
    pub(crate) name: String,
    /// Name, `=` and value in their normal forms.
    pub(crate) normal: String,
    /// What it counts for.
    pub(crate) weight: Weight,
}

/// One parameter between two `&`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parameter<'a> {
    /// As an origin reads it.
    name: Cow<'a, str>,
    /// Name, `=` and value in their normal forms.
    normal: Cow<'a, str>,
}

impl Parameter<'_> {
    fn is_rsc(&self) -> bool {
        self.name == RSC_PARAMETER
    }
}

fn parameters(raw: Option<&[u8]>) -> impl Iterator<Item = Parameter<'_>> {
    let segments = raw.unwrap_or_default().split(|&b| b == b'&');
    segments.filter(|segment| !segment.is_empty()).map(|segment| {
        let (name, value) = match memchr::memchr(b'=', segment) {
            Some(at) => (&segment[..at], Some(&segment[at + 1..])),
            None => (segment, None),
        };
        let is_normal =
            percent::as_normal(name, Component::Query).and_then(|_| percent::as_normal(segment, Component::Query));
        let normal = is_normal.map_or_else(|| Cow::Owned(normalise(name, value)), Cow::Borrowed);
        Parameter { name: read_name(name), normal }
    })
}

fn normalise(name: &[u8], value: Option<&[u8]>) -> String {
    let mut normal = String::new();
    percent::normalise_into(name, Component::Query, &mut normal);
    if let Some(value) = value {
        normal.push('=');
        percent::normalise_into(value, Component::Query, &mut normal);
    }
    normal
}

/// What a parameter counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It is part of the key and sent to the origin.
    Counts,
    /// A tracking parameter: neither, but a redirect gets it appended.
    Tracking,
    /// Neither.
    Nothing,
}

fn weigh(name: &str, rule: &QueryRule, tracking: &NamePatterns, rsc: RscParameter) -> Weight {
    if name == RSC_PARAMETER {
        return if rsc == RscParameter::Counts { Weight::Counts } else { Weight::Nothing };
    }
    // A list names what counts, and who names a tracking parameter means it.
    let listed = matches!(rule, QueryRule::Only(names) if names.iter().any(|n| **n == *name));
    if listed {
        return Weight::Counts;
    }
    if tracking.matches(name) {
        return Weight::Tracking;
    }
    if matches!(rule, QueryRule::All) { Weight::Counts } else { Weight::Nothing }
}

fn read_name(raw: &[u8]) -> Cow<'_, str> {
    if !raw.contains(&b'+') && !raw.contains(&b'%') {
        return String::from_utf8_lossy(raw);
    }
    let spaced: Vec<u8> = raw.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    Cow::Owned(String::from_utf8_lossy(&percent::decode(&spaced)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing;
    use proptest::prelude::*;

    fn count(raw: &str, rule: QueryRule, rsc: RscParameter) -> Counted<'_> {
        let mut route = testing::route("/");
        route.query = rule;
        counted(Some(raw.as_bytes()), &route, &NamePatterns::new(["utm_*", "gclid"]), rsc).unwrap()
    }

    fn sent(raw: &str, rule: QueryRule) -> Option<String> {
        count(raw, rule, RscParameter::NeverCounts).sent()
    }

    #[test]
    fn what_counts_is_sorted_and_repeated_parameters_keep_their_order() {
        assert_eq!(sent("b=2&a=1&b=1", QueryRule::All).as_deref(), Some("a=1&b=2&b=1"));
        assert_eq!(sent("a+b=1&A=0&a%20b=0", QueryRule::All).as_deref(), Some("A=0&a+b=1&a%20b=0"));
        assert_eq!(sent("&&a&&", QueryRule::All).as_deref(), Some("a"));
        assert_eq!(sent("", QueryRule::All), None);
        assert_eq!(sent("a=1", QueryRule::None), None);
    }

    #[test]
    fn what_an_origin_can_tell_apart_stays_apart() {
        let forms = ["a", "a=", "a=+", "a=%20", "a=%2B", "a=%26", "a=;b", "a=%3Bb", "a=%zz", "a=%25zz", "%61=%%34%31"];
        let normal: std::collections::BTreeSet<_> = forms.iter().map(|form| sent(form, QueryRule::All)).collect();
        assert_eq!(normal.len(), forms.len(), "{normal:?}");
    }

    #[test]
    fn tracking_never_counts_in_any_spelling_unless_a_list_names_it() {
        let counted = count("utm_source=a&x=1&%75tm%5Fmedium=%62&gclid", QueryRule::All, RscParameter::NeverCounts);
        assert_eq!(counted.sent().as_deref(), Some("x=1"));
        assert_eq!(counted.tracking().as_deref(), Some("utm_source=a&utm_medium=b&gclid"));
        let listed = QueryRule::Only(vec!["gclid".into(), "filter[]".into()]);
        assert_eq!(sent("gclid=1&filter%5b%5D=2&x=3", listed).as_deref(), Some("filter%5B%5D=2&gclid=1"));
    }

    #[test]
    fn the_rsc_parameter_counts_only_for_rsc_requests_and_never_in_the_identity() {
        let counted = count("z=1&_rsc=abc&%5frsc=d", QueryRule::None, RscParameter::Counts);
        assert_eq!((counted.identity(), counted.sent().as_deref()), (None, Some("_rsc=abc&_rsc=d")));
        assert_eq!(text(|out| counted.write_rsc(out)).as_deref(), Some("_rsc=abc&_rsc=d"));
        assert_eq!(sent("_rsc=abc", QueryRule::All), None);
        assert_eq!(sent("_rsc=abc", QueryRule::Only(vec!["_rsc".into()])), None);
    }

    #[test]
    fn what_is_weighed_is_what_was_counted() {
        let rule = QueryRule::Only(vec!["b".into(), "a".into()]);
        let raw = "b=2&utm_source=x&c=3&a=%31&_rsc=1";
        let weighed = weighed(Some(raw.as_bytes()), &rule, &NamePatterns::new(["utm_*"]), RscParameter::NeverCounts);
        let weights: Vec<_> = weighed.iter().map(|one| (&*one.normal, one.weight)).collect();
        let (counts, tracking, nothing) = (Weight::Counts, Weight::Tracking, Weight::Nothing);
        let expected =
            [("b=2", counts), ("utm_source=x", tracking), ("c=3", nothing), ("a=1", counts), ("_rsc=1", nothing)];
        assert_eq!(weights, expected);
        assert_eq!(sent(raw, rule).as_deref(), Some("a=1&b=2"));
    }

    #[test]
    fn too_many_parameters_are_not_looked_at() {
        let route = testing::route("/");
        let many = "a&".repeat(MAX_PARAMETERS + 1);
        let read = |raw: &str| {
            counted(Some(raw.as_bytes()), &route, &NamePatterns::default(), RscParameter::NeverCounts).map(drop)
        };
        assert_eq!(read(&many), Err(TooManyParameters));
        assert_eq!(read(&many[2..]), Ok(()));
    }

    proptest! {
        #[test]
        fn the_form_that_is_sent_is_idempotent_for_any_bytes(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let route = testing::route("/");
            let once = counted(Some(&raw), &route, &NamePatterns::default(), RscParameter::Counts).unwrap();
            let sent = once.sent();
            let raw = sent.as_deref().map(str::as_bytes);
            let again = counted(raw, &route, &NamePatterns::default(), RscParameter::Counts).unwrap().sent();
            prop_assert_eq!(again, once.sent());
        }

        #[test]
        fn the_order_of_different_parameters_does_not_matter(
            (one, other) in proptest::collection::btree_map("[a-c%+_]{0,3}", "[a-c%=]{0,3}", 0..6)
                .prop_map(|map| map.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
                .prop_filter("names that an origin reads alike are repeated ones", |parameters| {
                    let names: std::collections::BTreeSet<_> =
                        parameters.iter().map(|p| read_name(p.split('=').next().unwrap().as_bytes()).into_owned()).collect();
                    names.len() == parameters.len()
                })
                .prop_flat_map(|parameters| (Just(parameters.clone()), Just(parameters).prop_shuffle())),
        ) {
            prop_assert_eq!(sent(&one.join("&"), QueryRule::All), sent(&other.join("&"), QueryRule::All));
        }
    }
}
