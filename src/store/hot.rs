//! The pages that a thread is asked for again and again, in front of the memory tier. A page of the tier belongs to
//! all threads, so each use of it writes to memory that they share: a lock, two reference counts, a popularity.
//! What is here is lent by its thread alone, and a hit writes nothing that another thread reads.
//!
//! It decides nothing: every record of the tier that changes or leaves marks its place in a table of stamps, and a
//! page that was taken before the mark is not lent any more. Uses are told to the tier and to the popularity sketch
//! one by one, and in rounds once they are many, so that eviction and the order of refreshes go by them.

mod joined;

use crate::policy::Page;
use crate::policy::encoding::Representation;
use crate::policy::key::KeyRef;
use joined::Joined;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Places for pages, for each thread. A power of two.
const PLACES: usize = 1024;
/// Places for stamps. A power of two.
const STAMPS: usize = 4096;
/// Uses that are told at once, where there are many.
const ROUND: u32 = 16;
/// The first uses are told one by one, so that what is told is never less than three quarters of what was.
const FIRST: u32 = 64;
/// A page takes a place when it was asked for this often while the one that has it was not.
const KNOCKS: u8 = 4;
/// Of the tier's capacity: what all threads may hold of pages that have left it, at most.
const SHARE: usize = 16;

/// A page as it was found.
#[derive(Clone, Debug)]
pub enum Loan {
    /// By the tier: the use is to be counted.
    Found(Arc<Page>),
    /// By the thread itself, which counts.
    Lent(Arc<Own>),
}

/// A thread's own hold of a page: whoever takes a share in it writes to no other thread's memory.
#[derive(Debug)]
pub struct Own {
    page: Arc<Page>,
    joined: Mutex<Joined>,
}

impl Deref for Own {
    type Target = Arc<Page>;

    fn deref(&self) -> &Arc<Page> {
        &self.page
    }
}

impl Loan {
    /// Gives `send` a head with the body of `one` behind it, which is a representation of the page, if the thread has
    /// room for a head in front of that body.
    pub(crate) fn joined<T>(&self, one: &Representation, head: &[u8], send: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let Loan::Lent(own) = self else { return None };
        own.joined.try_lock()?.with(one, head, send)
    }
}

impl Deref for Loan {
    type Target = Arc<Page>;

    fn deref(&self) -> &Arc<Page> {
        match self {
            Loan::Found(page) => page,
            Loan::Lent(own) => &own.page,
        }
    }
}

/// What all threads know of one tier.
#[derive(Debug)]
pub(super) struct Shared {
    stamps: Box<[AtomicU64]>,
    /// Bytes of the pages that threads hold.
    held: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        let stamps = (0..STAMPS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Shared { stamps, held: AtomicUsize::new(0) })
    }

    /// The stamp of a key, to be taken before its record is.
    pub(super) fn stamp(&self, hash: u64) -> u64 {
        self.place(hash).load(Ordering::Acquire)
    }

    /// Whatever was found under this key before is not the tier's any more.
    pub(super) fn mark(&self, hash: u64) {
        self.place(hash).fetch_add(1, Ordering::AcqRel);
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.stamps[(hash >> 20) as usize & (STAMPS - 1)]
    }

    /// Bytes that all threads hold.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

thread_local! {
    static HOT: RefCell<Hot> = const { RefCell::new(Hot { shared: None, places: Vec::new() }) };
}

/// The pages of one thread.
struct Hot {
    /// Of the tier that they are from.
    shared: Option<Arc<Shared>>,
    places: Vec<Place>,
}

#[derive(Default)]
struct Place {
    taken: Option<Taken>,
    /// Who wants the place, and how often it has knocked.
    candidate: u64,
    knocks: u8,
}

struct Taken {
    page: Arc<Own>,
    stamp: u64,
    uses: u32,
    weight: usize,
}

/// A page of the thread's own.
pub(super) struct Borrowed {
    pub(super) page: Arc<Own>,
    /// Uses that are to be told now.
    pub(super) told: u32,
}

/// The page of this key, if this thread has it and nothing has changed under the key since.
pub(super) fn lend(shared: &Arc<Shared>, key: KeyRef<'_>, stamp: u64) -> Option<Borrowed> {
    HOT.with_borrow_mut(|hot| {
        hot.shared.as_ref().filter(|own| Arc::ptr_eq(own, shared))?;
        let place = hot.places.get_mut(at(key.hash64()))?;
        let taken = place.taken.as_mut().filter(|taken| key == taken.page.key)?;
        if taken.stamp != stamp {
            return_page(shared, &mut place.taken);
            return None;
        }
        place.knocks = 0;
        taken.uses = taken.uses.wrapping_add(1);
        let told = match taken.uses {
            ..=FIRST => 1,
            uses if uses.is_multiple_of(ROUND) => ROUND,
            _ => 0,
        };
        Some(Borrowed { page: Arc::clone(&taken.page), told })
    })
}

/// Takes note of a page that the tier has found, and keeps it if it is asked for often enough. `stamp` was taken
/// before.
pub(super) fn offer(shared: &Arc<Shared>, page: &Arc<Page>, stamp: u64, capacity: usize) {
    HOT.with_borrow_mut(|hot| {
        if !hot.shared.as_ref().is_some_and(|own| Arc::ptr_eq(own, shared)) {
            hot.clear();
            hot.shared = Some(Arc::clone(shared));
            hot.places.resize_with(PLACES, Place::default);
        }
        let hash = page.key.hash64();
        let place = &mut hot.places[at(hash)];
        if place.candidate != hash {
            (place.candidate, place.knocks) = (hash, 0);
        }
        place.knocks += 1;
        if place.knocks < KNOCKS {
            return;
        }
        place.knocks = 0;
        return_page(shared, &mut place.taken);
        let weight = page.weight() + Joined::most(page);
        if shared.held.fetch_add(weight, Ordering::Relaxed) + weight > capacity / SHARE {
            shared.held.fetch_sub(weight, Ordering::Relaxed);
            // Whatever is not asked for any more makes room; the rest comes back.
            hot.clear();
            return;
        }
        place.taken = Some(Taken {
            page: Arc::new(Own { page: Arc::clone(page), joined: Mutex::default() }),
            stamp,
            uses: 0,
            weight,
        });
    });
}

fn at(hash: u64) -> usize {
    hash as usize & (PLACES - 1)
}

fn return_page(shared: &Shared, taken: &mut Option<Taken>) {
    if let Some(taken) = taken.take() {
        shared.held.fetch_sub(taken.weight, Ordering::Relaxed);
    }
}

impl Hot {
    fn clear(&mut self) {
        let Some(shared) = &self.shared else { return };
        self.places.iter_mut().for_each(|place| return_page(shared, &mut place.taken));
    }
}

impl Drop for Hot {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
