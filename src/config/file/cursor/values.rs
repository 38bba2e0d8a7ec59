//! The kinds of values that many keys share: durations, sizes, numbers, switches and choices, each
//! with its bounds checked and its default.

use super::At;
use crate::config::file::mistake::Wrong;
use crate::config::units::{self, UnitError};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The shortest time that can be written.
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// The longest timeout.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// The longest lifetime and window: 3650 days. What lives longer is `never` or `forever`.
pub(crate) const YEARS: Duration = Duration::from_secs(3650 * 86_400);

impl At<'_> {
    /// A duration within bounds.
    pub(in crate::config::file) fn duration(&self, default: Duration, bounds: RangeInclusive<Duration>) -> Duration {
        self.read(|text| duration(text, bounds)).unwrap_or(default)
    }

    /// A timeout: from a millisecond to a day.
    pub(in crate::config::file) fn timeout(&self, default: Duration) -> Duration {
        self.duration(default, MILLISECOND..=DAY)
    }

    /// A number of bytes within bounds.
    pub(in crate::config::file) fn size(&self, default: usize, bounds: RangeInclusive<usize>) -> usize {
        self.some_size(bounds).unwrap_or(default)
    }

    /// A number of bytes within bounds; `None` where the file says nothing, or nothing that is right.
    pub(in crate::config::file) fn some_size(&self, bounds: RangeInclusive<usize>) -> Option<usize> {
        self.read(|text| size(text, &bounds))
    }

    /// A whole number within bounds.
    pub(in crate::config::file) fn count(&self, default: usize, bounds: RangeInclusive<usize>) -> usize {
        self.read(|text| count(text, &bounds)).unwrap_or(default)
    }

    /// A whole number from 1.
    pub(in crate::config::file) fn positive(&self, default: usize, most: usize) -> NonZeroUsize {
        NonZeroUsize::new(self.count(default, 1..=most)).unwrap_or(NonZeroUsize::MIN)
    }

    /// `true` or `false`.
    pub(in crate::config::file) fn flag(&self, default: bool) -> bool {
        self.choice(&[("true", true), ("false", false)]).unwrap_or(default)
    }

    /// One of a few words; `None` where the file says nothing.
    pub(in crate::config::file) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.read(|text| word(text, words))
    }
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let remedy = match known.split_last() {
        Some((last, [])) => format!("write {last}"),
        Some((last, others)) => format!("write {} or {last}", others.join(", ")),
        None => String::new(),
    };
    Err(Wrong::new("is not known here", remedy))
}

/// A duration within bounds.
pub(in crate::config::file) fn duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let read = units::duration(text);
    let within = read.ok().filter(|duration| bounds.contains(duration));
    within.ok_or_else(|| match read {
        Err(UnitError::Form) => Wrong::new("is not a duration", "write for example 500ms, 60s, 10m, 1h, 1d"),
        Err(UnitError::NoUnit) => Wrong::new("is a duration without a unit", "write for example 60s")
            .suggest(format!("write for example {text}s")),
        Ok(_) | Err(UnitError::TooLarge) => {
            let [low, high] = [bounds.start(), bounds.end()].map(|bound| units::show_duration(*bound));
            Wrong::new("is out of bounds", format!("write {low} to {high}"))
        }
    })
}

fn size(text: &str, bounds: &RangeInclusive<usize>) -> Result<usize, Wrong> {
    let read = units::size(text);
    let bytes = read.ok().and_then(|bytes| usize::try_from(bytes).ok());
    bytes.filter(|bytes| bounds.contains(bytes)).ok_or_else(|| match read {
        Err(UnitError::Form) => Wrong::new("is not a size", "write for example 512B, 64KiB, 512MiB, 10GiB"),
        Err(UnitError::NoUnit) => Wrong::new("is a size without a unit", "write for example 64KiB")
            .suggest(format!("write {text}B, {text}KiB or {text}MiB")),
        Ok(_) | Err(UnitError::TooLarge) => {
            let [low, high] = [bounds.start(), bounds.end()].map(|bound| units::show_size(*bound as u64));
            Wrong::new("is out of bounds", format!("write {low} to {high}"))
        }
    })
}

/// A whole number within bounds.
pub(in crate::config::file) fn count(text: &str, bounds: &RangeInclusive<usize>) -> Result<usize, Wrong> {
    let remedy = || format!("write a whole number from {} to {}", bounds.start(), bounds.end());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::new("is not a whole number", remedy()));
    }
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| Wrong::new("is out of bounds", remedy()))
}
