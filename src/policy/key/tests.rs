//! Keys tell apart exactly what their components do, and are read back from their bytes.

use super::*;
use proptest::prelude::*;

fn uri<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> KeyUri<'a> {
    KeyUri { scheme: Scheme::Http, host, path, query }
}

#[test]
fn variants_share_the_uri_and_schemes_share_its_hash() {
    let http = Key::of(uri("a.com", "/x", None));
    let https = Key::of(KeyUri { scheme: Scheme::Https, ..uri("a.com", "/x", None) });
    let variant = http.with_variant(b"gzip");
    assert_ne!(http, https);
    assert_ne!(http, variant);
    assert_ne!(http, http.with_variant(b""));
    assert_eq!(variant.base_bytes(), http.as_bytes());
    assert_eq!(variant.with_variant(b"br"), http.with_variant(b"br"));
    assert_eq!(http.uri_hash(), https.uri_hash());
    assert_eq!(variant.uri_hash(), uri_hash("a.com", "/x", None));
    assert_ne!(uri_hash("a.com", "/x", None), uri_hash("a.com", "/x", Some("")));
    assert_eq!(https.uri(), KeyUri { scheme: Scheme::Https, ..uri("a.com", "/x", None) });
}

type Parts = (bool, String, String, Option<String>, Vec<Option<Vec<u8>>>);

fn key((https, host, path, query, components): &Parts) -> Key {
    let scheme = if *https { Scheme::Https } else { Scheme::Http };
    let uri = KeyUri { scheme, host, path, query: query.as_deref() };
    Key::with_components(uri, components.iter().map(Option::as_deref))
}

fn parts() -> impl Strategy<Value = Parts> {
    let component =
        proptest::option::of(proptest::collection::vec(prop_oneof![Just(0u8), Just(255), Just(b'a')], 0..5));
    (
        "[ab]?".prop_map(|s| s == "a"),
        "[ab\0]{0,3}",
        "[ab\0]{0,3}",
        proptest::option::of("[ab\0]{0,2}"),
        proptest::collection::vec(component, 2),
    )
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_their_components_are(one in parts(), other in parts()) {
        prop_assert_eq!(key(&one) == key(&other), one == other);
        let (_, host, path, query, _) = &one;
        let key = key(&one);
        let read = key.uri();
        prop_assert_eq!((read.host, read.path, read.query), (&**host, &**path, query.as_deref()));
        prop_assert_eq!(Key::from_bytes(key.as_bytes()), Some(key.clone()));
        prop_assert_eq!(key.variant_components(), one.4.iter().map(Option::as_deref).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_are_no_key_make_none(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..40)) {
        if let Some(key) = Key::from_bytes(&bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes[..]);
            prop_assert!(key.uri().path.len() < bytes.len());
            prop_assert!(key.variant_components().len() <= bytes.len());
        }
    }
}
