//! Where pages are kept.

use super::cursor::{At, DAY, Keys, MILLISECOND};
use super::mistake::Wrong;
use super::schema;
use crate::config::{Disk, Store};
use std::time::Duration;

/// `store`.
pub(super) fn store(keys: &Keys<'_>) -> Store {
    const MEMORY: usize = 512 << 20;
    const MAX_PAGE: usize = 8 << 20;
    let memory_at = keys.key("memory");
    let some_memory = memory_at.some_size(1 << 20..=1 << 46);
    let memory = some_memory.unwrap_or(MEMORY);
    let max_page_at = keys.key("max_page");
    let max_page = max_page_at.size(MAX_PAGE.min(memory), 1 << 10..=1 << 46);
    let known = some_memory.is_some() || !memory_at.is_set();
    if known && max_page > memory {
        let problem = "is more than store.memory, so such a page could not be kept";
        max_page_at.wrong(format!("{} {problem}", max_page_at.quoted()), "write less, or more memory");
    }
    Store { memory, max_page, disk: disk(&keys.key("disk"), max_page) }
}

/// `store.disk`: there is none without a path and a capacity, and neither has a default that is right anywhere.
fn disk(at: &At<'_>, max_page: usize) -> Option<Disk> {
    const UNWRITTEN: usize = 64 << 20;
    let keys = at.section(&schema::DISK);
    if !keys.key("path").is_set() && !keys.key("capacity").is_set() {
        return None;
    }
    let path = keys.key("path").need(|text| {
        let missing = || Wrong::new("is empty", "write the path of a directory, relative to this file");
        if text.is_empty() { Err(missing()) } else { Ok(at.cx.resolve(text)) }
    });
    let capacity_at = keys.key("capacity");
    let capacity =
        if capacity_at.is_set() { capacity_at.some_size(4 << 20..=1 << 46) } else { capacity_at.need(|_| Ok(0)) };
    let unwritten = keys.key("unwritten").size(UNWRITTEN, 1 << 20..=1 << 40);
    let flush_timeout = keys.key("flush_timeout").duration(Duration::from_secs(10), MILLISECOND..=DAY);
    let capacity = capacity? as u64;
    if (max_page as u64) > capacity / 8 {
        let problem = "is less than eight pages of store.max_page, so the largest pages stay in memory alone";
        capacity_at.warn(problem, "write more, or a smaller store.max_page");
    }
    Some(Disk { path: path?, capacity, unwritten, flush_timeout })
}
