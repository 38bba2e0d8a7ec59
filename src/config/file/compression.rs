//! `compression`: at the top of the file for all routes, and on a route for its own pages. What a route
//! leaves out is as at the top.

use super::cursor::{At, Keys, Shape, count};
use super::mistake::Wrong;
use super::schema::{self, Section};
use crate::config::{CacheMode, Codec, Compression, Compressor, Encoders, NamePatterns};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Bytes of the smallest page that is worth it: below, a coding saves no packet.
const MIN_SIZE: usize = 1 << 10;

/// Media types that compress well. Images, video, archives and fonts of the web are compressed already.
const TYPES: [&str; 15] = [
    "text/*",
    "*+json",
    "*+xml",
    "application/json",
    "application/xml",
    "application/javascript",
    "application/x-javascript",
    "application/wasm",
    "application/x-ndjson",
    "application/yaml",
    "application/graphql",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/vnd.microsoft.icon",
];

/// Media types that a list may name.
const MAX_TYPES: usize = 128;

/// What the top of the file says.
pub(super) struct Top {
    /// What holds on `isr` and `static` routes that say nothing.
    everywhere: Option<Arc<Compression>>,
    /// What a route begins with.
    base: Compression,
    pub(super) encoders: Encoders,
}

/// The key at the top.
pub(super) fn top(at: &At<'_>) -> Top {
    let default = Compression {
        compressors: vec![compressor(Codec::Br), compressor(Codec::Gzip)],
        min_size: MIN_SIZE,
        types: NamePatterns::new(TYPES),
        ignore_no_transform: false,
    };
    if at.shape() == Shape::Scalar {
        let on = word(at);
        let everywhere = on.then(|| Arc::new(default.clone()));
        return Top { everywhere, base: default, encoders: encoders(&at.absent().section(&schema::COMPRESSION)) };
    }
    let keys = at.section(&schema::COMPRESSION);
    let read = rules(&keys, &schema::COMPRESSION_QUALITY, &default);
    // A route that switches it on has codings, even where there are none at the top.
    let base = read.clone().unwrap_or(default);
    Top { everywhere: read.map(Arc::new), base, encoders: encoders(&keys) }
}

/// The key of a route. Nothing said means: as at the top, but not on `headers`, where answers are the
/// origin's to form.
pub(super) fn of_route(at: &At<'_>, mode: CacheMode, top: &Top) -> Option<Arc<Compression>> {
    match at.shape() {
        Shape::Absent if mode.is_anonymous() => top.everywhere.clone(),
        Shape::Absent => None,
        Shape::Scalar => word(at).then(|| Arc::new(top.base.clone())),
        Shape::List | Shape::Map => {
            let keys = at.section(&schema::ROUTE_COMPRESSION);
            let mut own = rules(&keys, &schema::ROUTE_COMPRESSION_QUALITY, &top.base)?;
            own.ignore_no_transform = keys.key("ignore_no_transform").flag(false);
            Some(match &top.everywhere {
                Some(same) if **same == own => Arc::clone(same),
                _ => Arc::new(own),
            })
        }
    }
}

fn word(at: &At<'_>) -> bool {
    at.choice(&[("on", true), ("off", false), ("none", false)]).unwrap_or(true)
}

/// `None` where there are no codings.
fn rules(keys: &Keys<'_>, quality: &'static Section, base: &Compression) -> Option<Compression> {
    let codings = keys.key("codings");
    let quality = keys.key("quality").section(quality);
    let inherited = |codec: Codec| base.compressors.iter().find(|one| one.codec == codec).map(|one| one.quality);
    let compressor = |codec: Codec| {
        let at = quality.key(codec.as_str());
        let default = inherited(codec).unwrap_or(codec.default_quality());
        let read = at.count(usize::from(default), 1..=usize::from(codec.best_quality()));
        Compressor { codec, quality: u8::try_from(read).unwrap_or(default) }
    };
    // Read whether they are used or not, so that a mistake in them is found.
    let all = Codec::ALL.map(compressor);
    let named = if codings.is_set() { codings.set(codec) } else { base.compressors.iter().map(|c| c.codec).collect() };
    let of = |codec: Codec| all[codec as usize];
    let read = Compression {
        compressors: named.into_iter().map(of).collect(),
        min_size: keys.key("min_size").size(base.min_size, 0..=1 << 30),
        types: types(&keys.key("types")).unwrap_or_else(|| base.types.clone()),
        ignore_no_transform: base.ignore_no_transform,
    };
    (!read.compressors.is_empty()).then_some(read)
}

fn codec(text: &str) -> Result<Codec, Wrong> {
    let found = Codec::ALL.into_iter().find(|codec| codec.as_str() == text);
    found.ok_or_else(|| {
        let wrong = Wrong::new("is not a coding that pages are kept in", "write br, zstd or gzip");
        if text == "brotli" { wrong.suggest("write br".to_owned()) } else { wrong }
    })
}

fn types(at: &At<'_>) -> Option<NamePatterns> {
    if !at.is_set() {
        return None;
    }
    let types = at.set(media_type);
    if types.len() > MAX_TYPES {
        at.wrong(format!("has more than {MAX_TYPES} entries"), "use patterns: text/*");
    }
    Some(NamePatterns::new(types))
}

/// A media type without parameters, in which one `*` stands for any run of characters.
fn media_type(text: &str) -> Result<Box<str>, Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-*/".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) || !(text.contains('/') || text.contains('*')) {
        return Err(Wrong::new("is not a media type", "write for example text/html, text/* or application/json"));
    }
    if text.bytes().filter(|byte| *byte == b'*').count() > 1 {
        return Err(Wrong::new("has more than one *", "write one * in each type"));
    }
    Ok(text.to_ascii_lowercase().into())
}

const fn compressor(codec: Codec) -> Compressor {
    Compressor { codec, quality: codec.default_quality() }
}

fn encoders(keys: &Keys<'_>) -> Encoders {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let auto = cores.div_ceil(4);
    let read = keys.key("threads").read(|text| match text {
        "auto" => Ok(auto),
        _ => count(text, &(1..=64)),
    });
    Encoders {
        threads: NonZeroUsize::new(read.unwrap_or(auto)).unwrap_or(NonZeroUsize::MIN),
        max_waiting: keys.key("max_waiting").count(65_536, 0..=1_000_000),
    }
}
