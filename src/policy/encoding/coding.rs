//! The content codings that are told apart (RFC 9110 §8.4.1, RFC 7932, RFC 8878).

use crate::policy::fields::Fields;
use crate::policy::list::members;
use http::{HeaderValue, header};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Coding {
    /// None.
    Identity = 0,
    /// `gzip`, also called `x-gzip`.
    Gzip = 1,
    /// `br`
    Br = 2,
    /// `zstd`
    Zstd = 3,
    /// `deflate`: zlib, or raw deflate from those who misread that.
    Deflate = 4,
    /// Another one, or several on top of each other: passed on as the origin sent it.
    Opaque = 5,
}

impl Coding {
    /// Every value; its position is its number.
    pub const ALL: [Coding; 6] =
        [Coding::Identity, Coding::Gzip, Coding::Br, Coding::Zstd, Coding::Deflate, Coding::Opaque];

    /// The coding of a response with these fields.
    pub fn of(fields: &Fields) -> Coding {
        let all = fields.get_all(&header::CONTENT_ENCODING).flat_map(|value| members(value.as_bytes()));
        let mut applied = all.filter(|member| !member.is_empty() && !member.eq_ignore_ascii_case(b"identity"));
        match (applied.next(), applied.next()) {
            (None, _) => Coding::Identity,
            (Some(name), None) => Coding::named(name).unwrap_or(Coding::Opaque),
            (Some(_), Some(_)) => Coding::Opaque,
        }
    }

    /// The coding with this name, in any case; `None` for names that are not known here.
    pub fn named(name: &[u8]) -> Option<Coding> {
        let known: &[(&[u8], Coding)] = match name.len() {
            2 => &[(b"br", Coding::Br)],
            4 => &[(b"gzip", Coding::Gzip), (b"zstd", Coding::Zstd)],
            6 => &[(b"x-gzip", Coding::Gzip)],
            7 => &[(b"deflate", Coding::Deflate)],
            8 => &[(b"identity", Coding::Identity)],
            _ => return None,
        };
        known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, coding)| *coding)
    }

    /// Its name, as `Content-Encoding` has it; also what metrics and `explain` call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Br => "br",
            Coding::Zstd => "zstd",
            Coding::Deflate => "deflate",
            Coding::Opaque => "other",
        }
    }

    /// Its name as a field value.
    pub const fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}
