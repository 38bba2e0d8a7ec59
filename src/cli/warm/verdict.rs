//! What an answer says about a page: whether it is kept now.

use crate::policy::Fields;
use http::{HeaderName, StatusCode};

/// What became of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was rendered and is kept.
    Rendered,
    /// It was there.
    Kept,
    /// It was answered, but is not kept; why.
    NotKept(Box<str>),
    /// It was not answered, or with an error; what.
    Failed(Box<str>),
}

impl Verdict {
    /// By the status and the last `Cache-Status`, which is Breadbox's own (RFC 9211 §2).
    pub(super) fn of(status: StatusCode, fields: &Fields) -> Verdict {
        let name = HeaderName::from_static("cache-status");
        let last = fields.get_all(&name).last();
        let text = last.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let own = text.rsplit(',').next().unwrap_or_default().trim();
        let mut parts = own.split(';').map(str::trim);
        if parts.next() != Some("breadbox") {
            return Verdict::Failed(format!("{} without Cache-Status of Breadbox", status.as_u16()).into());
        }
        let (mut hit, mut kept, mut detail) = (false, false, None);
        for part in parts {
            match part.split_once('=') {
                None => {
                    hit |= part == "hit";
                    kept |= matches!(part, "stored" | "collapsed");
                }
                Some(("detail", word)) => detail = Some(word.trim_matches('"')),
                Some(_) => {}
            }
        }
        if status.is_client_error() || status.is_server_error() {
            let why = detail.map(|why| format!(" ({why})")).unwrap_or_default();
            return Verdict::Failed(format!("{}{why}", status.as_u16()).into());
        }
        match (hit, kept) {
            (true, _) => Verdict::Kept,
            (false, true) => Verdict::Rendered,
            (false, false) => Verdict::NotKept(detail.unwrap_or("not stored").into()),
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        !matches!(self, Verdict::Failed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn verdict(status: u16, lines: &[&'static str]) -> Verdict {
        let mut fields = Fields::new();
        for line in lines {
            fields.append(HeaderName::from_static("cache-status"), HeaderValue::from_static(line));
        }
        Verdict::of(StatusCode::from_u16(status).expect("a status"), &fields)
    }

    #[test]
    fn the_last_member_says_what_became_of_a_page() {
        assert_eq!(verdict(200, &["breadbox; hit; ttl=3"]), Verdict::Kept);
        assert_eq!(verdict(301, &["other; hit", "breadbox; fwd=uri-miss; stored"]), Verdict::Rendered);
        assert_eq!(verdict(200, &["other; hit, breadbox; fwd=uri-miss; collapsed"]), Verdict::Rendered);
        assert_eq!(verdict(200, &["breadbox; fwd=bypass; detail=cookie"]), Verdict::NotKept("cookie".into()));
        assert_eq!(verdict(200, &["breadbox; fwd=uri-miss"]), Verdict::NotKept("not stored".into()));
        assert_eq!(
            verdict(503, &["breadbox; fwd=uri-miss; detail=\"backoff\""]),
            Verdict::Failed("503 (backoff)".into())
        );
        assert_eq!(verdict(404, &["breadbox; hit"]), Verdict::Failed("404".into()));
        assert!(matches!(verdict(200, &[]), Verdict::Failed(_)));
    }
}
