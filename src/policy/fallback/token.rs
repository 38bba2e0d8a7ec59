//! What a fallback page waits by, and what its visitor brings back: which render it was shown for, since when and
//! for how long, sealed so that nobody can make one. It says nothing of the page in clear: the key is in it as a
//! keyed hash.
//!
//! A token is good for one host, a cookie for one key as well; one is never good as the other, because a token
//! stands in a URL.

use crate::policy::{Key, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The render that the page was shown for.
    pub flight: u64,
    /// When the visitor was first shown it.
    pub since: Timestamp,
    /// How long it may be shown.
    pub hold: Duration,
    /// Tells pages apart that were shown for the same render.
    pub nonce: u64,
}

/// What a sealed token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// In the URL of a long poll.
    Poll = 1,
    /// In a cookie.
    Cookie = 2,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is none of ours, not for this host, key or use, or was changed.
    Forged,
    /// It was good.
    Expired,
}

/// How long a token is good after its page has been shown for long enough: slow networks, sleeping tabs.
pub const GRACE: Duration = Duration::from_secs(30);

const BODY: usize = 36;
const TAG: usize = 16;
const SEALED: usize = BODY + TAG;

impl Token {
    /// Until when the page may be shown.
    pub fn until(&self) -> Timestamp {
        self.since.later(self.hold)
    }

    fn ends(&self) -> Timestamp {
        self.until().later(GRACE)
    }
}

/// Seals tokens and knows its own.
#[derive(Clone)]
pub struct Seal(hmac::Key);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// A seal made from a secret: the same one for the same secret.
    pub fn new(secret: &[u8]) -> Self {
        const PURPOSE: &[u8] = b"breadbox fallback token 1";
        let of_secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Seal(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&of_secret, PURPOSE).as_ref()))
    }

    /// The token as text: letters, digits, `-` and `_`. `host` is a name, without a port.
    pub fn seal(&self, token: &Token, usage: Use, host: &str, key: &Key) -> String {
        let mut bytes = Vec::with_capacity(SEALED);
        bytes.extend_from_slice(&token.flight.to_be_bytes());
        bytes.extend_from_slice(&token.since.millis().to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(token.hold.as_millis()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&token.nonce.to_be_bytes());
        bytes.extend_from_slice(&self.of_key(key));
        let tag = self.tag(&bytes, usage, host);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The token that a long poll names.
    ///
    /// # Errors
    /// What is not ours or not for this host, and what is too old.
    pub fn open_poll(&self, text: &[u8], host: &str, now: Timestamp) -> Result<Token, Refused> {
        self.open(text, Use::Poll, host, now).map(|(token, _)| token)
    }

    /// The token that a visitor of this key brings back.
    ///
    /// # Errors
    /// What is not ours or for another host or key, and what is too old.
    pub fn open_cookie(&self, text: &[u8], host: &str, key: &Key, now: Timestamp) -> Result<Token, Refused> {
        let (token, of_key) = self.open(text, Use::Cookie, host, now)?;
        let same = bool::from(of_key.ct_eq(&self.of_key(key)));
        if same { Ok(token) } else { Err(Refused::Forged) }
    }

    fn open(&self, text: &[u8], usage: Use, host: &str, now: Timestamp) -> Result<(Token, [u8; 8]), Refused> {
        let mut bytes = [0; SEALED + 2];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| Refused::Forged)?;
        let sealed = bytes[..length].split_at_checked(BODY).filter(|(_, tag)| tag.len() == TAG);
        let (body, tag) = sealed.ok_or(Refused::Forged)?;
        if !bool::from(self.tag(body, usage, host).ct_eq(tag)) {
            return Err(Refused::Forged);
        }
        let (token, of_key) = read(body).ok_or(Refused::Forged)?;
        if now < token.ends() { Ok((token, of_key)) } else { Err(Refused::Expired) }
    }

    fn tag(&self, body: &[u8], usage: Use, host: &str) -> [u8; TAG] {
        self.sign(&[&[usage as u8], body, host.as_bytes()])
    }

    fn of_key(&self, key: &Key) -> [u8; 8] {
        self.sign(&[&[0], key.as_bytes()])
    }

    /// The beginning of the signature. Every message begins with what it is, and only its end varies in length.
    fn sign<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut start = [0; N];
        start.copy_from_slice(&context.sign().as_ref()[..N]);
        start
    }
}

fn read(mut body: &[u8]) -> Option<(Token, [u8; 8])> {
    let mut word = || {
        let (word, rest) = body.split_first_chunk::<8>()?;
        body = rest;
        Some(*word)
    };
    let flight = u64::from_be_bytes(word()?);
    let since = Timestamp::from_millis(u64::from_be_bytes(word()?));
    let (hold, mut rest) = body.split_first_chunk::<4>()?;
    let hold = Duration::from_millis(u64::from(u32::from_be_bytes(*hold)));
    let mut word = || {
        let (word, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        Some(*word)
    };
    let nonce = u64::from_be_bytes(word()?);
    Some((Token { flight, since, hold, nonce }, word()?))
}

/// The name in an authority, without its port; IPv6 stays in brackets.
pub fn name_of(authority: &str) -> &str {
    let port = authority.rfind(':').filter(|colon| authority[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    port.map_or(authority, |colon| &authority[..colon])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;
    use crate::policy::key::KeyUri;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn key(path: &str) -> Key {
        Key::of(KeyUri { scheme: Scheme::Http, host: "a.test", path, query: None })
    }

    fn token() -> Token {
        Token { flight: 7, since: NOW, hold: Duration::from_secs(30), nonce: u64::MAX }
    }

    #[test]
    fn a_token_is_good_for_its_use_host_and_key_until_it_ends() {
        let seal = Seal::new(b"secret");
        let (poll, cookie) = (
            seal.seal(&token(), Use::Poll, "a.test", &key("/p")),
            seal.seal(&token(), Use::Cookie, "a.test", &key("/p")),
        );
        assert_eq!(seal.open_poll(poll.as_bytes(), "a.test", NOW), Ok(token()));
        assert_eq!(seal.open_cookie(cookie.as_bytes(), "a.test", &key("/p"), NOW), Ok(token()));
        assert_eq!(Seal::new(b"secret").open_poll(poll.as_bytes(), "a.test", NOW), Ok(token()), "by the secret alone");
        let late = token().until().later(GRACE);
        assert_eq!(seal.open_poll(poll.as_bytes(), "a.test", late), Err(Refused::Expired));
        for forged in [
            seal.open_poll(poll.as_bytes(), "b.test", NOW),
            seal.open_poll(cookie.as_bytes(), "a.test", NOW),
            seal.open_cookie(poll.as_bytes(), "a.test", &key("/p"), NOW),
            seal.open_cookie(cookie.as_bytes(), "a.test", &key("/q"), NOW),
            Seal::new(b"other").open_poll(poll.as_bytes(), "a.test", NOW),
        ] {
            assert_eq!(forged, Err(Refused::Forged));
        }
    }

    #[test]
    fn the_host_is_a_name_without_a_port() {
        for (authority, name) in [
            ("a.test", "a.test"),
            ("a.test:8080", "a.test"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
        ] {
            assert_eq!(name_of(authority), name);
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_a_token_can_be_changed(at in 0..70_usize, to in any::<u8>(), longer in any::<bool>()) {
            let seal = Seal::new(b"secret");
            let good = seal.seal(&token(), Use::Poll, "a.test", &key("/p")).into_bytes();
            let mut other = good.clone();
            let at = at % other.len();
            other[at] = to;
            if longer {
                other.push(to);
            }
            let opened = seal.open_poll(&other, "a.test", NOW);
            prop_assert_eq!(opened.is_ok(), other == good);
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Seal::new(b"secret").open_poll(&text, "a.test", NOW).is_err());
        }
    }
}
