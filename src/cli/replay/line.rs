//! One line of an access log in the combined format, of nginx or Apache:
//! `192.0.2.1 - - [10/Oct/2025:13:55:36 +0200] "GET /a?b HTTP/1.1" 200 2326 "referer" "agent"`.
//! A name of a virtual host in front and fields behind are passed over.

use http::Method;

/// What a line tells about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Milliseconds since 1970.
    pub(super) at: u64,
    pub(super) method: Method,
    pub(super) target: &'a [u8],
    pub(super) status: u16,
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

impl<'a> Line<'a> {
    /// Reads a line; `None` where it is not in the format.
    pub(super) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let open = memchr::memchr(b'[', line)?;
        let close = open + memchr::memchr(b']', &line[open..])?;
        let at = time(&line[open + 1..close])?;
        let rest = line[close + 1..].strip_prefix(b" \"")?;
        let end = closing_quote(rest)?;
        let (method, target) = request(&rest[..end])?;
        let status = rest[end + 1..].trim_ascii_start().get(..3)?;
        let status = number(status).filter(|status| (100..600).contains(status))?;
        Some(Line { at, method, target, status: u16::try_from(status).ok()? })
    }
}

/// The next quote that is not escaped by a backslash, as Apache writes quotes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'"', &text[from..])?;
        let escapes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Method and target of a request line; HTTP/0.9 has no version.
fn request(line: &[u8]) -> Option<(Method, &[u8])> {
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().filter(|method| method.iter().all(u8::is_ascii_uppercase))?;
    let target = words.next().filter(|target| !target.is_empty())?;
    let version = words.next();
    let sensible = version.is_none_or(|version| version.starts_with(b"HTTP/")) && words.next().is_none();
    sensible.then_some((Method::from_bytes(method).ok()?, target))
}

/// `10/Oct/2025:13:55:36 +0200` in milliseconds since 1970.
fn time(text: &[u8]) -> Option<u64> {
    let [day, month, rest] = split::<3>(text, b'/')?;
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as u64;
    let (clock, zone) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
    let [year, hour, minute, second] = split::<4>(clock, b':')?;
    let (day, year) = (number(day)?, number(year)?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if !(1..=31).contains(&day) || !(1970..10_000).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let offset = number(zone.get(2..4)?)? * 3_600 + number(zone.get(4..6)?)? * 60;
    let utc = match zone.get(..2)? {
        b" +" => local.saturating_sub(offset),
        b" -" => local + offset,
        _ => return None,
    };
    Some(utc * 1_000)
}

/// Days from 1970 to a date of the Gregorian calendar: years are counted from March, so that the leap day is
/// their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let to_march_of_0 = year * 365 + year / 4 - year / 100 + year / 400;
    to_march_of_0 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn split<const N: usize>(text: &[u8], by: u8) -> Option<[&[u8]; N]> {
    let parts: Vec<&[u8]> = text.splitn(N, |byte| *byte == by).collect();
    parts.try_into().ok()
}

fn number(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> Option<(u64, String, String, u16)> {
        let line = Line::parse(line.as_bytes())?;
        let target = String::from_utf8_lossy(line.target).into_owned();
        Some((line.at, line.method.to_string(), target, line.status))
    }

    #[test]
    fn lines_of_nginx_and_apache_are_read() {
        let expected = Some((1_760_097_336_000, "GET".to_owned(), "/a?b=1".to_owned(), 200));
        for line in [
            r#"192.0.2.1 - - [10/Oct/2025:13:55:36 +0200] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "curl/8""#,
            r#"192.0.2.1 - bob [10/Oct/2025:11:55:36 +0000] "GET /a?b=1 HTTP/2.0" 200 - "http://x/?\"y\"" "Z \"q\"" 0.004"#,
            r#"shop.example.com:443 ::1 - - [10/Oct/2025:07:25:36 -0430] "GET /a?b=1 HTTP/1.1" 200 2326"#,
            r#"192.0.2.1 - - [10/Oct/2025:11:55:36 +0000] "GET /a?b=1" 200 12"#,
        ] {
            assert_eq!(parsed(line), expected, "{line}");
        }
        let leap = r#"a - - [29/Feb/2024:00:00:00 +0000] "POST / HTTP/1.1" 302 0"#;
        assert_eq!(parsed(leap), Some((1_709_164_800_000, "POST".into(), "/".into(), 302)));
    }

    #[test]
    fn what_is_not_in_the_format_is_nothing() {
        for line in [
            "",
            "GET / 200",
            r#"a - - [10/Oct/2025:13:55:36 +0200] "\x16\x03\x01" 400 150 "-" "-""#,
            r#"a - - [10/Oct/2025:13:55:36 +0200] "GET / HTTP/1.1" abc 1"#,
            r#"a - - [10/Oct/2025:13:55:36 +0200] "GET / HTTP/1.1" 20"#,
            r#"a - - [10/Okt/2025:13:55:36 +0200] "GET / HTTP/1.1" 200 1"#,
            r#"a - - [99/Oct/2025:13:55:36 +0200] "GET / HTTP/1.1" 200 1"#,
            r#"a - - [10/Oct/2025:13:55:36] "GET / HTTP/1.1" 200 1"#,
            r#"a - - [10/Oct/2025:13:55:36 +0200] "GET / HTTP/1.1 200 1"#,
            r#"a - - [10/Oct/2025:13:55:36 +0200] "-" 408 0"#,
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::parse(&line);
            let _ = Line::parse(&[b"a - - [10/Oct/2025:13:55:36 +0200] \"", &line[..]].concat());
        }
    }
}
