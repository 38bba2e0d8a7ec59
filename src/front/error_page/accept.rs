//! In which of the forms that we have a client wants a page (RFC 9110 §12.5.1).

use http::{HeaderMap, header};

/// The form of an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Media {
    Html,
    Json,
    Text,
}

/// How much a client wants a form: by its `q`, in thousandths; then those that it names go before those
/// that a `*` covers, and what stands in front before what follows.
type Wish = (u16, bool, std::cmp::Reverse<usize>);

impl Media {
    /// The form that `Accept` asks for most; text where it asks for none of ours in particular.
    pub(in crate::front) fn wanted(headers: &HeaderMap) -> Media {
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range> = accepts.flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
        let wish = |media: Media| media.wish(&ranges).filter(|(quality, ..)| *quality > 0);
        let wishes = [Media::Text, Media::Json, Media::Html].map(|media| (wish(media), media));
        // Of equal ones the first: a `*` alone means text.
        let mut best = (None, Media::Text);
        for (wish, media) in wishes {
            if wish > best.0 {
                best = (wish, media);
            }
        }
        best.1
    }

    /// By the most specific range that covers the form (RFC 9110 §12.5.1).
    fn wish(self, ranges: &[Range]) -> Option<Wish> {
        let mut best: Option<(u8, Wish)> = None;
        for (index, range) in ranges.iter().enumerate() {
            let Some(specific) = self.covered_by(&range.essence) else { continue };
            if best.is_none_or(|(other, _)| specific > other) {
                best = Some((specific, (range.quality, specific == 2, std::cmp::Reverse(index))));
            }
        }
        best.map(|(_, wish)| wish)
    }

    /// How specifically a range covers the form: 2 by its name, 1 by its type, 0 as everything.
    fn covered_by(self, essence: &str) -> Option<u8> {
        let named = match self {
            Media::Html => matches!(essence, "text/html" | "application/xhtml+xml"),
            Media::Json => essence == "application/json" || essence.ends_with("+json"),
            Media::Text => essence == "text/plain",
        };
        match (essence, self) {
            _ if named => Some(2),
            ("text/*", Media::Html | Media::Text) | ("application/*", Media::Json) => Some(1),
            ("*/*", _) => Some(0),
            _ => None,
        }
    }

    /// The `Content-Type`.
    pub(in crate::front) const fn content_type(self) -> &'static str {
        match self {
            Media::Html => "text/html; charset=utf-8",
            Media::Json => "application/json",
            Media::Text => "text/plain; charset=utf-8",
        }
    }
}

/// A media range and its `q`.
struct Range {
    essence: String,
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = match quality {
            None => 1.0,
            Some(text) => text.parse::<f32>().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
        };
        (!essence.is_empty()).then_some(Range { essence, quality: (quality * 1000.0).round() as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_form_follows_accept() {
        for (accept, media) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Media::Html),
            ("application/json", Media::Json),
            ("application/problem+json, */*", Media::Json),
            ("application/json, text/html", Media::Json),
            ("application/json;q=0.5, text/html;q=0.9", Media::Html),
            ("text/html;q=0, application/json;q=0.1", Media::Json),
            ("text/html;q=0.1, */*", Media::Text),
            ("TEXT/HTML; Q=1", Media::Html),
            ("application/*", Media::Json),
            ("text/*", Media::Text),
            ("*/*", Media::Text),
            ("*/*;q=0", Media::Text),
            ("image/png", Media::Text),
            ("text/html;q=nan", Media::Text),
            (",;,q=1", Media::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Media::wanted(&headers), media, "{accept}");
        }
        assert_eq!(Media::wanted(&HeaderMap::new()), Media::Text);
    }
}
