//! The body of a page that a thread lends itself, with room in front of it for a head: both are sent from one place.
//! To send them from two costs a system call as much as all of admission does (0.2 µs of 6.8 for 16 KiB).
//!
//! Of the codings of a page one is kept so, the one that is asked for most.

use crate::policy::Page;
use crate::policy::encoding::{Coding, Representation};
use std::ops::RangeInclusive;

/// Octets of a head that there is room for.
const ROOM: usize = 2 << 10;
/// Octets of a body that is worth it: fewer are copied sooner than that they are looked for, and of more the system
/// call is a small part.
const WORTH_IT: RangeInclusive<usize> = 4 << 10..=64 << 10;
/// A coding takes the place of another when it was asked for this often while that one was not.
const KNOCKS: u8 = 8;

/// A body behind the room for its head.
#[derive(Debug, Default)]
pub(super) struct Joined {
    coding: Option<Coding>,
    octets: Vec<u8>,
    knocks: u8,
}

impl Joined {
    /// Octets that it takes at most for this page.
    pub(super) fn most(page: &Page) -> usize {
        let bodies = page.representations.all().iter().filter_map(|one| one.body.as_ref());
        let lengths = bodies.map(bytes::Bytes::len).filter(|length| WORTH_IT.contains(length));
        lengths.max().map_or(0, |length| ROOM + length)
    }

    /// Gives `send` the head with the body behind it; nothing where that is not worth it. `one` is always of the same
    /// page.
    pub(super) fn with<T>(&mut self, one: &Representation, head: &[u8], send: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let body = one.body.as_deref().filter(|body| WORTH_IT.contains(&body.len()) && head.len() <= ROOM)?;
        if self.coding != Some(one.coding) {
            self.knocks += 1;
            if self.coding.is_some() && self.knocks < KNOCKS {
                return None;
            }
            // At most once more for each coding that is larger: after that nothing is allocated.
            self.octets.clear();
            self.octets.reserve_exact(ROOM + body.len());
            self.octets.resize(ROOM, 0);
            self.octets.extend_from_slice(body);
            self.coding = Some(one.coding);
        }
        self.knocks = 0;
        let start = ROOM - head.len();
        self.octets[start..ROOM].copy_from_slice(head);
        Some(send(&self.octets[start..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn representation(coding: Coding, letter: &str, times: usize) -> Representation {
        let body = Bytes::from(letter.repeat(times));
        Representation { coding, etag: None, len: body.len() as u64, body: Some(body) }
    }

    fn sent(joined: &mut Joined, head: &str, one: &Representation) -> Option<String> {
        joined.with(one, head.as_bytes(), |whole| String::from_utf8_lossy(whole).into_owned())
    }

    #[test]
    fn a_body_is_sent_with_each_head_in_front_of_it() {
        let (mut joined, plain) = (Joined::default(), representation(Coding::Identity, "a", 5000));
        for head in ["long head ", "h ", "", "another "] {
            assert_eq!(sent(&mut joined, head, &plain), Some(format!("{head}{}", "a".repeat(5000))));
        }
    }

    #[test]
    fn the_coding_that_is_asked_for_most_is_kept_and_none_is_mistaken_for_another() {
        let (mut joined, plain) = (Joined::default(), representation(Coding::Identity, "a", 5000));
        let gzip = representation(Coding::Gzip, "b", 5000);
        assert!(sent(&mut joined, "", &plain).is_some());
        for _ in 0..20 {
            assert_eq!(sent(&mut joined, "", &gzip), None);
            assert!(sent(&mut joined, "", &plain).is_some_and(|whole| !whole.contains('b')));
        }
        let knocks = (0..20).filter(|_| sent(&mut joined, "", &gzip).is_none()).count();
        assert_eq!(knocks, usize::from(KNOCKS) - 1);
        assert_eq!(sent(&mut joined, "head ", &gzip), Some(format!("head {}", "b".repeat(5000))));
    }

    #[test]
    fn what_is_small_or_large_or_has_a_long_head_is_left_alone() {
        let mut joined = Joined::default();
        for times in [0, 100, 100 << 10] {
            let one = representation(Coding::Identity, "a", times);
            assert!((0..20).all(|_| sent(&mut joined, "head", &one).is_none()));
        }
        let one = representation(Coding::Identity, "a", 5000);
        assert!((0..20).all(|_| sent(&mut joined, &"h".repeat(ROOM + 1), &one).is_none()));
        assert!(joined.octets.is_empty());
    }
}
