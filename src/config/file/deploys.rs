//! `deploy`, `deploy_refresh` and `immutable_assets`: what a deploy of the origin makes of pages.

use super::cursor::{At, Keys};
use super::mistake::Wrong;
use crate::config::NamePatterns;
use crate::config::deploys::{Deploys, MAX_DEPLOY_ID, is_deploy_id};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// Patterns that a file may name.
const MAX_PATTERNS: usize = 32;
/// Bytes of a pattern.
const MAX_PATTERN: usize = 1024;
/// Pages a second that are rendered again, unless the file says otherwise.
const REFRESH: NonZeroU32 = NonZeroU32::new(50).expect("more than none");

/// The keys of deploys at the top of the file.
pub(super) fn deploys(keys: &Keys<'_>) -> Deploys {
    Deploys {
        first: keys.key("deploy").read(id),
        refresh: keys.key("deploy_refresh").read(at_least_one).unwrap_or(REFRESH),
        immutable_assets: patterns(&keys.key("immutable_assets")),
    }
}

fn id(text: &str) -> Result<Box<str>, Wrong> {
    let remedy = || format!("write 1 to {MAX_DEPLOY_ID} visible ASCII characters, as in v42 or a commit");
    if is_deploy_id(text) { Ok(text.into()) } else { Err(Wrong::new("does not name a build", remedy())) }
}

fn at_least_one(text: &str) -> Result<NonZeroU32, Wrong> {
    let number = per_second(text, &(1..=100_000))?;
    u32::try_from(number).ok().and_then(NonZeroU32::new).ok_or_else(|| Wrong::new("is out of bounds", "write 50/s"))
}

/// So many a second: `50/s`, or `50` alone.
pub(super) fn per_second(text: &str, bounds: &RangeInclusive<usize>) -> Result<usize, Wrong> {
    let remedy = || format!("write {}/s to {}/s", bounds.start(), bounds.end());
    let number = text.strip_suffix("/s").unwrap_or(text);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::new("is not a rate", remedy()));
    }
    let number = number.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| Wrong::new("is out of bounds", remedy()))
}

fn patterns(at: &At<'_>) -> NamePatterns {
    if at.items().len() > MAX_PATTERNS {
        at.wrong(format!("has more than {MAX_PATTERNS} entries"), "write fewer");
    }
    NamePatterns::new(at.set(pattern))
}

fn pattern(text: &str) -> Result<Box<str>, Wrong> {
    let remedy = "write a path in which one * may stand for any text, as in /_next/static/*";
    if !text.starts_with('/') || text.len() > MAX_PATTERN || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Wrong::new("is not a pattern of paths", remedy));
    }
    if text.contains(['?', '#']) {
        return Err(Wrong::new("is more than a path", remedy));
    }
    if text.matches('*').count() > 1 {
        return Err(Wrong::new("has more than one *", remedy));
    }
    if text == "/*" {
        return Err(Wrong::new("takes every page, so no deploy would change any", remedy));
    }
    Ok(text.into())
}
