//! `log`: the level, the form of a line, the access events and what is left out of them.

use super::cursor::{At, Shape};
use super::mistake::Wrong;
use super::{names, schema};
use crate::config::{AccessLog, Log, LogFormat, LogLevel, NamePatterns, Redact};

const BUFFER: usize = 1 << 20;

/// Parameters whose values are secrets on most sites.
const REDACT: [&str; 24] = [
    "*token",
    "*secret",
    "*password",
    "passwd",
    "pwd",
    "pass",
    "*api_key",
    "*apikey",
    "api-key",
    "*_key",
    "key",
    "auth",
    "authorization",
    "*signature",
    "sig",
    "*credential",
    "code",
    "otp",
    "jwt",
    "*session",
    "*sessionid",
    "*sessid",
    "sid",
    "ticket",
];

/// What the file says of the log.
pub(super) fn log(at: &At<'_>) -> Log {
    let keys = at.section(&schema::LOG);
    let levels = LogLevel::ALL.map(|level| (level.as_str(), level));
    let formats = [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
    Log {
        level: keys.key("level").choice(&levels).unwrap_or(LogLevel::Info),
        format: keys.key("format").choice(&formats).unwrap_or(LogFormat::Auto),
        access: keys.key("access").read(access).unwrap_or(AccessLog::Off),
        redact: redact(&keys.key("redact")),
        buffer: keys.key("buffer").size(BUFFER, 64 << 10..=1 << 30),
    }
}

fn access(text: &str) -> Result<AccessLog, Wrong> {
    let remedy = "write on, off, or a share of the requests from 0.0001% to 100%, as in 1%";
    match text {
        "on" => Ok(AccessLog::On),
        "off" => Ok(AccessLog::Off),
        _ => match text.strip_suffix('%').map(share) {
            Some(Some(1_000_000)) => Ok(AccessLog::On),
            Some(Some(share)) => Ok(AccessLog::Sampled(share)),
            Some(None) => Err(Wrong::new("is out of bounds", remedy)),
            None => Err(Wrong::new("is not known here", remedy)),
        },
    }
}

/// A percentage as so many of a million; with up to four decimals.
fn share(percent: &str) -> Option<u32> {
    let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
    let is_number = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole, 3) || !is_number(decimals, 4) {
        return None;
    }
    let share = whole.parse::<u32>().ok()? * 10_000 + format!("{decimals:0<4}").parse::<u32>().ok()?;
    (1..=1_000_000).contains(&share).then_some(share)
}

fn redact(at: &At<'_>) -> Redact {
    let name = |text: &str| names::redacted(text).map(|name| Box::<str>::from(name.to_lowercase()));
    let named = |names: Vec<Box<str>>| Redact::Named(NamePatterns::new(names));
    match at.shape() {
        Shape::Absent => Redact::Named(NamePatterns::new(REDACT)),
        Shape::Scalar => {
            let read =
                |text: &str| if text == "all" { Ok(Redact::All) } else { name(text).map(|name| named(vec![name])) };
            at.read(read).unwrap_or(Redact::All)
        }
        Shape::List | Shape::Map => named(at.set(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_requests_is_a_percentage() {
        for (text, expected) in [
            ("on", AccessLog::On),
            ("off", AccessLog::Off),
            ("100%", AccessLog::On),
            ("1%", AccessLog::Sampled(10_000)),
            ("12.5%", AccessLog::Sampled(125_000)),
            ("0.0001%", AccessLog::Sampled(1)),
        ] {
            assert_eq!(access(text), Ok(expected), "{text}");
        }
        for text in ["", "%", "0%", "101%", "1.%", ".5%", "0.00001%", "-1%", "1", "0.5", "true", "1e1%", "9999%"] {
            assert!(access(text).is_err(), "{text}");
        }
    }
}
