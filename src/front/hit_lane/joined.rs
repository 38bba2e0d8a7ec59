//! Bodies that a thread sends again and again, with room in front of them for a head: head and body are sent from one
//! place. To send them from two costs a system call as much as all of admission does (0.25 µs of 6.2 for 16 KiB).
//!
//! A body is known by where it is and how long it is; it is kept as long as it is known, so nothing else can be there.

use bytes::Bytes;
use std::cell::RefCell;

/// Octets of a head that there is room for.
const ROOM: usize = 2 << 10;
/// Octets of a body that is worth it: fewer are put together sooner than that they are looked for, and of more the
/// system call is a small part.
const WORTH_IT: std::ops::RangeInclusive<usize> = 4 << 10..=64 << 10;
/// Places of a thread: 4 MiB of bodies at most, once in front of their heads and once as they are.
const PLACES: usize = 32;
/// A body takes a place when it was sent this often while the one that has it was not.
const KNOCKS: u8 = 4;

thread_local! {
    static PLACED: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Place {
    /// The body itself; empty where there is none.
    body: Bytes,
    /// Room, and the body behind it.
    joined: Vec<u8>,
    /// Who wants the place, and how often it has knocked.
    candidate: usize,
    knocks: u8,
}

impl Place {
    fn has(&self, body: &[u8]) -> bool {
        self.body.as_ptr() == body.as_ptr() && self.body.len() == body.len()
    }

    fn take(&mut self, body: Bytes) {
        self.joined.clear();
        self.joined.resize(ROOM, 0);
        self.joined.extend_from_slice(&body);
        self.body = body;
    }
}

/// Gives `send` the head with the body behind it, if the body is one that this thread sends again and again; nothing
/// otherwise. `share` makes the body one that can be kept.
pub(super) fn with<T>(
    head: &[u8],
    body: &[u8],
    share: impl FnOnce() -> Option<Bytes>,
    send: impl FnOnce(&[u8]) -> T,
) -> Option<T> {
    if !WORTH_IT.contains(&body.len()) || head.len() > ROOM {
        return None;
    }
    PLACED.with_borrow_mut(|places| {
        if places.is_empty() {
            places.resize_with(PLACES, Place::default);
        }
        let address = body.as_ptr() as usize;
        let place = &mut places[place_of(address)];
        if !place.has(body) {
            if place.candidate != address {
                (place.candidate, place.knocks) = (address, 0);
            }
            place.knocks += 1;
            if place.knocks < KNOCKS {
                return None;
            }
            place.take(share().filter(|shared| shared.as_ptr() == body.as_ptr())?);
        }
        place.knocks = 0;
        let start = ROOM - head.len();
        place.joined[start..ROOM].copy_from_slice(head);
        Some(send(&place.joined[start..]))
    })
}

/// Spreads addresses, which are multiples of a page's size, over the places.
fn place_of(address: usize) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    ((address as u64).wrapping_mul(SPREAD) >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(head: &str, body: &Bytes) -> Option<String> {
        with(head.as_bytes(), body, || Some(body.clone()), |whole| String::from_utf8_lossy(whole).into_owned())
    }

    fn page(letter: &str) -> Bytes {
        letter.repeat(5000).into()
    }

    #[test]
    fn a_body_that_is_sent_often_is_sent_with_each_head_in_front_of_it() {
        let (body, text) = (page("a"), "a".repeat(5000));
        for _ in 1..KNOCKS {
            assert_eq!(sent("once ", &body), None);
        }
        for head in ["long head ", "h ", "", "another "] {
            assert_eq!(sent(head, &body), Some(format!("{head}{text}")));
        }
    }

    #[test]
    fn many_bodies_are_told_apart_and_none_is_mistaken_for_one_that_was_there_before() {
        // Those that are dropped make room for others at the same addresses.
        for round in 0..20 {
            let bodies: Vec<_> = (0..100).map(|n| page(&format!("{}", (round * 7 + n) % 10))).collect();
            for _ in 0..3 {
                for body in &bodies {
                    for _ in 0..6 {
                        let whole = sent("head ", body);
                        assert!(whole.is_none_or(|whole| whole.as_bytes() == [b"head ", &body[..]].concat()));
                    }
                }
            }
        }
        let places = PLACED.with_borrow(Vec::len);
        assert_eq!(places, PLACES);
    }

    #[test]
    fn what_is_small_or_large_or_has_a_long_head_is_left_alone() {
        for body in [Bytes::from(vec![b'a'; 100]), Bytes::from(vec![b'a'; 100 << 10])] {
            assert!((0..20).all(|_| sent("head", &body).is_none()));
        }
        let body = page("b");
        assert!((0..20).all(|_| sent(&"h".repeat(ROOM + 1), &body).is_none()));
        // Another part of a body is another body.
        (0..20).for_each(|_| _ = sent("head", &body));
        let part = body.slice(..4500);
        assert!(sent("", &part).is_none_or(|whole| whole.len() == 4500));
    }
}
