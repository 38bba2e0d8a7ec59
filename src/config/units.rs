//! Durations and sizes as they are written in `proxy.yaml`: a whole number and a unit, `500ms`, `64KiB`.
//!
//! Only zero may stand without a unit; everything else is refused rather than guessed at, because
//! `60` is a minute to one program and a twentieth of a second to the next.

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Neither a number nor a number with a unit that is known.
    #[error("not a number with a unit")]
    Form,
    /// A number alone.
    #[error("a number without a unit")]
    NoUnit,
    /// More than 64 bits of milliseconds or bytes.
    #[error("too large")]
    TooLarge,
}

/// Milliseconds in each unit of time, the largest first.
const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes in each unit of size, the largest binary unit first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// Reads a duration: `500ms`, `60s`, `10m`, `1h`, `1d`, or `0`.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    quantity(text, &DURATIONS).map(Duration::from_millis)
}

/// Reads a number of bytes: `512B`, `64KiB`, `512MiB`, `10GiB`, `1TiB`, decimal `KB` to `TB`, or `0`.
pub fn size(text: &str) -> Result<u64, UnitError> {
    quantity(text, &SIZES)
}

/// Writes a duration so that [`duration`] reads it again; what is below a millisecond is cut off.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &DURATIONS)
}

/// Writes a number of bytes so that [`size`] reads it again.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES[..5])
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Form);
    }
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    if factor.is_none() && !unit.is_empty() {
        return Err(UnitError::Form);
    }
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    match factor {
        Some(factor) => number.checked_mul(factor).ok_or(UnitError::TooLarge),
        None if number == 0 => Ok(0),
        None => Err(UnitError::NoUnit),
    }
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    if amount == 0 {
        return "0".to_owned();
    }
    let exact = units.iter().find(|(_, factor)| amount.is_multiple_of(*factor));
    let (unit, factor) = exact.expect("the smallest unit is 1 and divides everything");
    format!("{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::{UnitError, duration, show_duration, show_size, size};
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn every_unit_means_what_it_says() {
        let durations = [
            ("500ms", 500),
            ("1500ms", 1500),
            ("60s", 60_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ];
        for (text, millis) in durations {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let sizes = [("7B", 7), ("64KiB", 65_536), ("2MiB", 2 << 20), ("10GiB", 10 << 30), ("1TiB", 1 << 40)];
        for (text, bytes) in sizes.into_iter().chain([("3KB", 3_000), ("3MB", 3_000_000), ("1GB", 1_000_000_000)]) {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!((duration("0"), size("0")), (Ok(Duration::ZERO), Ok(0)));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_with_its_reason() {
        for text in ["", "s", "60x", "1.5s", "-1s", "60 s", " 60s", "60s ", "1h30m", "60S", "1e3s", "٦٠s"] {
            assert_eq!(duration(text), Err(UnitError::Form), "{text:?}");
        }
        for text in ["", "64kib", "64K", "0x10B", "1,000B"] {
            assert_eq!(size(text), Err(UnitError::Form), "{text:?}");
        }
        assert_eq!((duration("60"), size("64")), (Err(UnitError::NoUnit), Err(UnitError::NoUnit)));
        for text in ["18446744073709551616ms", "18446744073709551615d", "99999999999999999999d"] {
            assert_eq!(duration(text), Err(UnitError::TooLarge), "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_are_read_as_they_are_written(millis: u64) {
            let whole = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(whole)), Ok(whole));
        }

        #[test]
        fn sizes_are_read_as_they_are_written(bytes: u64) {
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_them_panic_and_what_they_take_survives_a_round_trip(text in ".{0,24}|[0-9]{1,21}[A-Za-z]{0,3}") {
            if let Ok(read) = duration(&text) {
                prop_assert_eq!(duration(&show_duration(read)), Ok(read));
            }
            if let Ok(read) = size(&text) {
                prop_assert_eq!(size(&show_size(read)), Ok(read));
            }
        }

        #[test]
        fn a_number_needs_its_unit(number in 1_u64..) {
            prop_assert_eq!(duration(&number.to_string()), Err(UnitError::NoUnit));
        }
    }
}
