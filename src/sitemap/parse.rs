//! One document: the URLs in it, or the sitemaps that it lists. Bounded whatever it holds: entities of its
//! own are not expanded, and what it unpacks to is measured while it unpacks.

use flate2::read::MultiGzDecoder;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;
use std::io::Read;
use thiserror::Error;

/// Bytes of a document, unpacked; sitemaps.org allows 50 MiB.
pub(crate) const MAX_DOCUMENT: usize = 64 << 20;

/// Bytes of one URL; sitemaps.org allows 2,048.
const MAX_URL: usize = 8 << 10;

/// Elements within each other; a sitemap has three, and extensions a few more.
const MAX_DEPTH: usize = 32;

/// What a document holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// URLs of pages.
    Pages(Vec<String>),
    /// URLs of sitemaps.
    Index(Vec<String>),
}

/// Why a document is no sitemap.
#[derive(Debug, Error)]
pub(super) enum ParseError {
    #[error("is larger than 64MiB unpacked")]
    TooLarge,
    #[error("is not gzip, though it begins like it ({0})")]
    Gzip(std::io::Error),
    #[error("is not UTF-8")]
    Encoding,
    #[error("is not well-formed: {0}")]
    Xml(#[from] quick_xml::Error),
    #[error("ends in the middle")]
    Truncated,
    #[error("has more than 32 elements within each other")]
    Depth,
    #[error("has a URL of more than 8KiB")]
    LongUrl,
    #[error("is not a sitemap: it begins with <{0}>")]
    Root(String),
    #[error("is not a sitemap: it is neither XML nor a list of URLs")]
    Nothing,
}

/// Reads a document as it came.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, ParseError> {
    let unpacked;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked = unpack(bytes)?;
        &unpacked
    } else {
        bytes
    };
    if bytes.len() > MAX_DOCUMENT {
        return Err(ParseError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    if text.starts_with('<') { xml(text) } else { lines(text) }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, ParseError> {
    let mut unpacked = Vec::new();
    let most = MAX_DOCUMENT as u64 + 1;
    MultiGzDecoder::new(bytes).take(most).read_to_end(&mut unpacked).map_err(ParseError::Gzip)?;
    Ok(unpacked)
}

/// A sitemap may be a list of URLs, one a line.
fn lines(text: &str) -> Result<Document, ParseError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pages: Vec<String> = lines.map(str::to_owned).collect();
    if pages.iter().any(|page| page.len() > MAX_URL) {
        return Err(ParseError::LongUrl);
    }
    let is_url = |page: &String| page.starts_with("http://") || page.starts_with("https://");
    if pages.iter().all(is_url) && !pages.is_empty() { Ok(Document::Pages(pages)) } else { Err(ParseError::Nothing) }
}

/// The `<loc>` of every `<url>` or `<sitemap>`; those of images, videos and the like are an extension's.
fn xml(text: &str) -> Result<Document, ParseError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<String> = Vec::new();
    let mut root = None;
    let mut url = String::new();
    let mut found = Vec::new();
    loop {
        let is_location = root.as_ref().is_some_and(|root: &Root| root.is_location(&open));
        match reader.read_event()? {
            Event::Start(element) => {
                let name = element.name();
                let name: &str = name.as_ref();
                if open.is_empty() {
                    root = Some(Root::of(name)?);
                }
                if open.len() == MAX_DEPTH {
                    return Err(ParseError::Depth);
                }
                open.push(name.to_owned());
                url.clear();
            }
            Event::End(_) => {
                if is_location {
                    found.push(url.trim().to_owned());
                }
                open.pop();
            }
            Event::Text(text) if is_location => url.push_str(&text.xml10_content()),
            Event::CData(text) if is_location => url.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) if is_location => url.push_str(&resolved(&entity)?),
            Event::Eof if !open.is_empty() => return Err(ParseError::Truncated),
            Event::Eof => break,
            _ => {}
        }
        if url.len() > MAX_URL {
            return Err(ParseError::LongUrl);
        }
    }
    found.retain(|url| !url.is_empty());
    match root.map(|root| root.entry) {
        Some(Entry::Page) => Ok(Document::Pages(found)),
        Some(Entry::Sitemap) => Ok(Document::Index(found)),
        None => Err(ParseError::Nothing),
    }
}

/// What a document lists.
#[derive(Clone, Copy)]
enum Entry {
    Page,
    Sitemap,
}

/// The outermost element: its prefix, if it has one, is that of everything that belongs to sitemaps.
struct Root {
    entry: Entry,
    names: [String; 2],
}

impl Root {
    fn of(name: &str) -> Result<Root, ParseError> {
        let (prefix, local) = name.rfind(':').map_or(("", name), |colon| name.split_at(colon + 1));
        let (entry, of_entry) = match local {
            "urlset" => (Entry::Page, "url"),
            "sitemapindex" => (Entry::Sitemap, "sitemap"),
            _ => return Err(ParseError::Root(name.chars().filter(|c| !c.is_control()).take(40).collect())),
        };
        Ok(Root { entry, names: [format!("{prefix}{of_entry}"), format!("{prefix}loc")] })
    }

    fn is_location(&self, open: &[String]) -> bool {
        matches!(open, [_, names @ ..] if names == self.names)
    }
}

fn resolved(entity: &BytesRef<'_>) -> Result<String, ParseError> {
    if let Some(c) = entity.resolve_char_ref()? {
        return Ok(c.to_string());
    }
    // What the document declares itself stays what it is: nothing can grow that way.
    let name = entity.xml10_content();
    Ok(resolve_predefined_entity(&name).map_or_else(|| format!("&{name};"), str::to_owned))
}
