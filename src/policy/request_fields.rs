//! The header fields of a request, wherever they are kept: in pingora's map, or as the lines that the
//! hit lane has read. Every decision about a request reads them through this, so that there is one
//! policy for both. It copies nothing and understands nothing.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Borrowed header fields.
#[derive(Clone, Copy, Debug)]
pub enum RequestFields<'a> {
    /// Fields in a map.
    Map(&'a HeaderMap),
    /// Fields as lines.
    Lines(Lines<'a>),
}

/// Fields as the lines of a request's head, whose names and values have been found to be such. A name is
/// compared in whatever case it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    lines: &'a [httparse::Header<'a>],
    /// Bits for each name that is there: most questions are about fields that no line has.
    seen: Seen,
    /// Codings are none of what is asked.
    asks_for_none: bool,
}

impl<'a> Lines<'a> {
    /// These lines.
    pub fn new(lines: &'a [httparse::Header<'a>]) -> Self {
        Lines { lines, seen: lines.iter().fold(Seen(0, 0), |seen, line| seen.with(line.name)), asks_for_none: false }
    }

    /// The same lines with `Accept-Encoding: identity` in place of what is said of codings.
    pub fn asking_for_none(self) -> Self {
        Lines { asks_for_none: true, seen: self.seen.with(ACCEPT_ENCODING.as_str()), ..self }
    }

    #[inline]
    fn named<'n>(self, name: &'n str, seen: Seen) -> Values<'a, 'n> {
        if !self.seen.may_have(seen) {
            return Values::Lines(name, [].iter());
        }
        if self.asks_for_none && name == ACCEPT_ENCODING.as_str() {
            return Values::Lines(name, ASKING_FOR_NONE.iter());
        }
        Values::Lines(name, self.lines.iter())
    }
}

/// What asks for no coding.
static ASKING_FOR_NONE: [httparse::Header<'static>; 1] =
    [httparse::Header { name: "accept-encoding", value: b"identity" }];

/// The values of the fields of one name.
pub enum Values<'a, 'n> {
    /// Of a map.
    Map(http::header::ValueIter<'a, HeaderValue>),
    /// Of lines, with the name.
    Lines(&'n str, std::slice::Iter<'a, httparse::Header<'a>>),
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Values::Map(values) => values.next().map(HeaderValue::as_bytes),
            Values::Lines(name, lines) => {
                lines.find(|line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
            }
        }
    }
}

/// A Bloom filter of names: of each, two bits that are the same for all its spellings.
#[derive(Clone, Copy, Debug)]
pub struct Seen(u64, u64);

impl Seen {
    fn with(self, name: &str) -> Self {
        let Seen(one, other) = Seen::of(name);
        Seen(self.0 | one, self.1 | other)
    }

    #[inline(always)]
    fn may_have(self, Seen(one, other): Seen) -> bool {
        self.0 & one != 0 && self.1 & other != 0
    }

    const fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let [first, .., last] = bytes else { return Seen(1, 1) };
        let (middle, third) = (bytes[bytes.len() / 2], bytes[bytes.len() / 3]);
        let one = bytes.len() + (*first | 0x20) as usize * 3 + (*last | 0x20) as usize * 7;
        let other = bytes.len() * 5 + (middle | 0x20) as usize * 3 + (third | 0x20) as usize;
        Seen(1 << (one % 64), 1 << (other % 64))
    }
}

/// A name that fields are asked for by.
pub trait Named {
    /// The name.
    fn name(&self) -> &HeaderName;
    /// Its bits.
    fn seen(&self) -> Seen;
}

impl Named for HeaderName {
    #[inline]
    fn name(&self) -> &HeaderName {
        self
    }

    fn seen(&self) -> Seen {
        Seen::of(self.as_str())
    }
}

/// A name that every request is asked for: its bits are known when this is compiled.
#[derive(Clone, Debug)]
pub struct Known {
    name: HeaderName,
    seen: Seen,
}

impl Known {
    /// The name, in lower case.
    pub const fn new(name: &'static str) -> Known {
        Known { name: HeaderName::from_static(name), seen: Seen::of(name) }
    }
}

impl Named for Known {
    #[inline]
    fn name(&self) -> &HeaderName {
        &self.name
    }

    #[inline]
    fn seen(&self) -> Seen {
        self.seen
    }
}

impl<'a> RequestFields<'a> {
    /// The values of all fields called `name`, in their order.
    #[inline]
    pub fn all<'n>(self, name: &'n impl Named) -> Values<'a, 'n> {
        match self {
            RequestFields::Map(map) => Values::Map(map.get_all(name.name()).into_iter()),
            RequestFields::Lines(lines) => lines.named(name.name().as_str(), name.seen()),
        }
    }

    /// Whether there may be a field called `name`; where there is none, that is nearly always known at once.
    #[inline(always)]
    fn may_have(self, name: &impl Named) -> bool {
        match self {
            RequestFields::Map(_) => true,
            RequestFields::Lines(lines) => lines.seen.may_have(name.seen()),
        }
    }

    /// The value of the first field called `name`.
    #[inline(always)]
    pub fn first(self, name: &impl Named) -> Option<&'a [u8]> {
        if self.may_have(name) { self.all(name).next() } else { None }
    }

    /// The value of the only field called `name`; `None` where there are several.
    #[inline(always)]
    pub fn only(self, name: &impl Named) -> Option<&'a [u8]> {
        if !self.may_have(name) {
            return None;
        }
        self.only_of(name)
    }

    #[inline(never)]
    fn only_of(self, name: &impl Named) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether there is a field called `name`.
    #[inline(always)]
    pub fn has(self, name: &impl Named) -> bool {
        self.may_have(name) && self.has_it(name)
    }

    #[inline(never)]
    fn has_it(self, name: &impl Named) -> bool {
        self.all(name).next().is_some()
    }

    /// The names of the fields, in lower case or as they were sent.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let (map, lines) = match self {
            RequestFields::Map(map) => (Some(map.keys().map(HeaderName::as_str)), None),
            RequestFields::Lines(lines) => (None, Some(lines.lines.iter().map(|line| line.name))),
        };
        map.into_iter().flatten().chain(lines.into_iter().flatten())
    }

    /// The same fields in a map.
    pub fn to_map(self) -> HeaderMap {
        let (lines, asks_for_none) = match self {
            RequestFields::Map(map) => return map.clone(),
            RequestFields::Lines(lines) => (lines.lines, lines.asks_for_none),
        };
        let fields = lines.iter().map(|line| {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(line.value).ok()?))
        });
        let mut map = HeaderMap::with_capacity(lines.len());
        for (name, value) in fields.flatten() {
            map.append(name, value);
        }
        if asks_for_none {
            map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        map
    }
}

impl<'a> From<&'a HeaderMap> for RequestFields<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        RequestFields::Map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is asked, lines answer as the map with the same fields does.
        #[test]
        fn lines_and_maps_say_the_same(
            fields in proptest::collection::vec(("[aAbB-]{1,3}", "[a-z]{0,2}"), 0..6),
            asked in "[ab-]{1,3}",
        ) {
            let lines: Vec<_> =
                fields.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
            let mut map = HeaderMap::new();
            for (name, value) in &fields {
                map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let asked = HeaderName::from_bytes(asked.as_bytes()).unwrap();
            let (one, other) = (RequestFields::Lines(Lines::new(&lines)), RequestFields::from(&map));
            prop_assert_eq!(one.all(&asked).collect::<Vec<_>>(), other.all(&asked).collect::<Vec<_>>());
            prop_assert_eq!(one.first(&asked), other.first(&asked));
            prop_assert_eq!(one.only(&asked), other.only(&asked));
            prop_assert_eq!(one.has(&asked), other.has(&asked));
            prop_assert_eq!(one.to_map(), map);
        }
    }
}
