//! Compressing bodies, and undoing it within a bound. It decides nothing, and keeps nothing.
//!
//! Every output has a bound of its own, so that a few bytes cannot become a memory full of them.

use crate::config::{Codec, Compressor};
use crate::policy::encoding::{Coding, Representation, Representations};
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression as Level;
use flate2::read::{DeflateDecoder, GzEncoder, MultiGzDecoder, ZlibDecoder};
use std::io::{self, Read};

/// Bits of the window by which brotli and zstd look back: 4 MiB, and 8 MiB, which is what decoders have
/// to understand (RFC 8878 §3.1.1.1.2, RFC 9659).
const BROTLI_WINDOW: i32 = 22;
const ZSTD_WINDOW: u32 = 23;
const BUFFER: usize = 16 * 1024;
/// A decoded body begins with at most so much room.
const LIKELY: usize = 256 * 1024;

/// A body could not be brought back to what it was before its coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// It is not in that coding, or ends too early.
    #[error("the body is not in the coding that it claims")]
    Broken,
    /// It would be larger than allowed.
    #[error("the body would be larger than store.max_page without its coding")]
    TooLarge,
    /// There is no decoder.
    #[error("the coding is not known")]
    Unknown,
}

/// The body in a coding, with no memory to spare.
///
/// # Errors
/// When a compressor fails, which none should.
pub fn encode(compressor: Compressor, body: &[u8]) -> io::Result<Vec<u8>> {
    let quality = compressor.quality;
    match compressor.codec {
        Codec::Br => {
            let params = BrotliEncoderParams {
                quality: i32::from(quality),
                lgwin: BROTLI_WINDOW,
                size_hint: body.len(),
                ..BrotliEncoderParams::default()
            };
            let mut coded = Vec::with_capacity(body.len() / 4);
            brotli::BrotliCompress(&mut &body[..], &mut coded, &params)?;
            Ok(coded)
        }
        Codec::Zstd => zstd::bulk::compress(body, i32::from(quality)),
        Codec::Gzip => {
            let mut coded = Vec::with_capacity(body.len() / 4);
            GzEncoder::new(body, Level::new(u32::from(quality))).read_to_end(&mut coded)?;
            Ok(coded)
        }
    }
}

/// A body without its coding, of at most `most` bytes.
///
/// # Errors
/// [`Undecodable`].
pub fn decode(coding: Coding, body: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
    match coding {
        Coding::Identity if body.len() <= most => Ok(body.to_vec()),
        Coding::Identity => Err(Undecodable::TooLarge),
        Coding::Gzip => bounded(MultiGzDecoder::new(body), most),
        Coding::Br => bounded(brotli::Decompressor::new(body, BUFFER), most),
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(|_| Undecodable::Broken)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(|_| Undecodable::Broken)?;
            bounded(decoder, most)
        }
        // RFC 9110 §8.4.1.2: zlib; some send what the name says.
        Coding::Deflate => match bounded(ZlibDecoder::new(body), most) {
            Err(Undecodable::Broken) => bounded(DeflateDecoder::new(body), most),
            result => result,
        },
        Coding::Opaque => Err(Undecodable::Unknown),
    }
}

/// The same for a body whose length without its coding is known, `len` bytes: it is made in one piece, two to three
/// times as fast (`benches/encodings.rs`).
///
/// # Errors
/// [`Undecodable`]; a body of another length is [broken](Undecodable::Broken).
pub fn undo(coding: Coding, body: &[u8], len: usize) -> Result<Vec<u8>, Undecodable> {
    let in_one = match coding {
        // Of several members (RFC 1952 §2.2) it reads the first.
        Coding::Gzip => {
            let mut plain = vec![0; len];
            let made = libdeflater::Decompressor::new().gzip_decompress(body, &mut plain);
            made.is_ok_and(|made| made == len).then_some(plain)
        }
        Coding::Zstd => zstd::bulk::decompress(body, len).ok(),
        _ => None,
    };
    let plain = in_one.map_or_else(|| decode(coding, body, len), Ok)?;
    if plain.len() == len { Ok(plain) } else { Err(Undecodable::Broken) }
}

/// The body of a representation that is not kept, from one that is; `None` where they do not agree.
pub(crate) fn unpack(all: &Representations, wanted: &Representation) -> Option<Bytes> {
    // Those that are undone fastest come first.
    let from = [Coding::Gzip, Coding::Zstd, Coding::Deflate, Coding::Br];
    let (coding, body) = from.into_iter().find_map(|coding| Some((coding, all.get(coding)?.body.as_ref()?)))?;
    let len = usize::try_from(wanted.len).ok()?;
    let plain = undo(coding, body, len).ok()?;
    Some(Bytes::from(plain.into_boxed_slice()))
}

fn bounded(decoder: impl Read, most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut body = Vec::with_capacity(most.min(LIKELY));
    let limit = (most as u64).saturating_add(1);
    decoder.take(limit).read_to_end(&mut body).map_err(|_| Undecodable::Broken)?;
    if body.len() > most {
        return Err(Undecodable::TooLarge);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> impl Iterator<Item = Compressor> {
        let of = |codec: Codec| [1, codec.default_quality()].map(|quality| Compressor { codec, quality });
        Codec::ALL.into_iter().flat_map(of)
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let zeros = vec![0; 32 << 20];
        for compressor in all() {
            let bomb = encode(compressor, &zeros).expect("zeros can be compressed");
            assert!(bomb.len() < 400_000, "{compressor:?} makes {} bytes", bomb.len());
            assert_eq!(decode(compressor.codec.into(), &bomb, 1 << 20), Err(Undecodable::TooLarge), "{compressor:?}");
        }
    }

    #[test]
    fn a_window_that_is_too_wide_is_refused() {
        // A frame of zstd that claims a window of 2 GiB.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
        assert_eq!(decode(Coding::Zstd, &frame, 1 << 20), Err(Undecodable::Broken));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_broken() {
        let body = b"a page that is long enough to be cut".repeat(20);
        for compressor in all() {
            let coded = encode(compressor, &body).expect("text can be compressed");
            for cut in [0, 1, coded.len() / 2, coded.len() - 1] {
                let decoded = decode(compressor.codec.into(), &coded[..cut], 1 << 20);
                assert!(decoded.is_err() || cut == 0, "{compressor:?} {cut}");
            }
            assert_eq!(decode(compressor.codec.into(), &body, 1 << 20), Err(Undecodable::Broken), "{compressor:?}");
        }
        assert_eq!(decode(Coding::Opaque, &body, 1 << 20), Err(Undecodable::Unknown));
    }

    #[test]
    fn what_has_another_length_than_was_said_is_broken() {
        let body = b"a page that is long enough to be cut".repeat(20);
        for compressor in all() {
            let coded = encode(compressor, &body).expect("text can be compressed");
            let coding = compressor.codec.into();
            for len in [0, 1, body.len() - 1] {
                assert!(undo(coding, &coded, len).is_err(), "{compressor:?} {len}");
            }
            for len in [body.len() + 1, 1 << 20] {
                assert_eq!(undo(coding, &coded, len), Err(Undecodable::Broken), "{compressor:?} {len}");
            }
            assert_eq!(undo(coding, &coded[..coded.len() - 1], body.len()), Err(Undecodable::Broken), "{compressor:?}");
        }
    }

    #[test]
    fn all_members_of_gzip_are_read() {
        let member = |text: &[u8]| encode(Compressor { codec: Codec::Gzip, quality: 6 }, text).expect("memory");
        let both = [member(b"one page, "), member(b"two members")].concat();
        assert_eq!(undo(Coding::Gzip, &both, 21).as_deref(), Ok(&b"one page, two members"[..]));
    }

    #[test]
    fn both_kinds_of_deflate_are_read() {
        let mut zlib = Vec::new();
        flate2::read::ZlibEncoder::new(&b"page"[..], Level::new(6)).read_to_end(&mut zlib).expect("memory");
        let mut raw = Vec::new();
        flate2::read::DeflateEncoder::new(&b"page"[..], Level::new(6)).read_to_end(&mut raw).expect("memory");
        assert_eq!(decode(Coding::Deflate, &zlib, 4).as_deref(), Ok(&b"page"[..]));
        assert_eq!(decode(Coding::Deflate, &raw, 4).as_deref(), Ok(&b"page"[..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_compressed_comes_back(body in proptest::collection::vec(any::<u8>(), 0..3000), times in 1_usize..4) {
            let body = body.repeat(times);
            for compressor in all() {
                let coded = encode(compressor, &body).expect("anything can be compressed");
                let decoded = decode(compressor.codec.into(), &coded, body.len());
                prop_assert_eq!(decoded.as_deref(), Ok(&body[..]), "{:?}", compressor);
                let undone = undo(compressor.codec.into(), &coded, body.len());
                prop_assert_eq!(undone.as_deref(), Ok(&body[..]), "{:?}", compressor);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for coding in Coding::ALL {
                if let Ok(body) = decode(coding, &bytes, 4096) {
                    prop_assert!(body.len() <= 4096);
                }
            }
        }
    }
}
