//! Negotiation: the clauses of RFC 9110 §12.5.3 one by one, and laws over any field.

use super::*;
use crate::config::Scheme;
use crate::policy::key::KeyUri;
use crate::policy::sample::{NOW, fields, request};
use crate::policy::{Fields, Key, Lifetime, PurgeMemo, PurgeSeq, Validators};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;

fn page_of(fields: Fields, representations: Representations) -> Page {
    Page {
        key: Key::of(KeyUri { scheme: Scheme::Http, host: "a", path: "/", query: None }),
        status: StatusCode::OK,
        fields,
        representations,
        lifetime: Lifetime {
            born: NOW,
            fresh_until: NOW,
            while_revalidate_until: NOW,
            if_error_until: NOW,
            has_ttl: true,
        },
        origin_validators: Validators::default(),
        tags: Box::default(),
        purge_seq: PurgeSeq(0),
        purge_memo: PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    }
}

/// A page in these codings, the later the smaller.
fn page(original: Coding, codings: &[Coding]) -> Page {
    let etag = HeaderValue::from_static("\"v1\"");
    let lengths = (1..).map(|n| 100 - n);
    let one = |(coding, len): (&Coding, usize)| {
        let body = Bytes::from(vec![b'x'; len]);
        Representation { coding: *coding, etag: None, len: len as u64, body: Some(body) }
    };
    let list = codings.iter().zip(lengths).map(one).collect();
    let all = Representations::from_parts(list, original, State::Made { by: 1 }, 0).expect("representations of a page");
    page_of(fields(&[("etag", "\"v1\""), ("vary", "rsc")]), all.retagged(Some(&etag)))
}

fn usual() -> Page {
    page(Coding::Identity, &[Coding::Identity, Coding::Gzip, Coding::Zstd, Coding::Br])
}

fn chosen(field: Option<&str>, page: &Page) -> Coding {
    let lines: Vec<&[u8]> = field.iter().map(|field| field.as_bytes()).collect();
    choose(&Accept::parse(lines.into_iter()), page).coding
}

#[test]
fn weights_decide_and_the_smallest_of_equals() {
    // RFC 9110 §12.5.3, with the field of browsers first.
    for (field, coding) in [
        ("gzip, deflate, br, zstd", Coding::Br),
        ("gzip", Coding::Gzip),
        ("GZIP", Coding::Gzip),
        ("x-gzip", Coding::Gzip),
        ("gzip;q=1.0, br;q=0.5", Coding::Gzip),
        ("gzip; q=0.2 , zstd ;q=0.3", Coding::Zstd),
        ("br;q=0.001", Coding::Br),
        ("br;q=0", Coding::Identity),
        ("*", Coding::Br),
        ("*;q=0", Coding::Identity),
        ("gzip;q=0, *", Coding::Br),
        ("br;q=0, *;q=0.5", Coding::Zstd),
        ("identity", Coding::Identity),
        ("identity, gzip;q=0.5", Coding::Identity),
        ("identity;q=0.5, gzip;q=0.5", Coding::Gzip),
        ("identity;q=0, gzip", Coding::Gzip),
        ("compress", Coding::Identity),
        ("deflate", Coding::Identity),
        ("br;q=0.5, br;q=0", Coding::Identity),
    ] {
        assert_eq!(chosen(Some(field), &usual()), coding, "{field}");
    }
}

#[test]
fn absent_and_empty_get_no_coding_but_are_not_the_same() {
    assert_eq!(chosen(None, &usual()), Coding::Identity);
    assert_eq!(chosen(Some(""), &usual()), Coding::Identity);
    // A page that is there in its origin's coding alone is acceptable to who says nothing.
    assert!(Accept::absent().weight(Coding::Gzip) > 0);
    assert_eq!(Accept::parse([&b""[..]].into_iter()).weight(Coding::Gzip), 0);
}

#[test]
fn broken_members_do_not_count() {
    for field in
        ["br;q=2", "br;q=0.1234", "br;q=", "br;q=-1", "br;level=5", "br;q=1.001", "br;q=1;q=1", ";q=1", "br br"]
    {
        assert_eq!(chosen(Some(field), &usual()), Coding::Identity, "{field}");
        assert_eq!(chosen(Some(&format!("{field}, gzip")), &usual()), Coding::Gzip, "{field}");
    }
}

#[test]
fn who_accepts_nothing_gets_no_coding() {
    for field in ["identity;q=0", "*;q=0", "identity;q=0, foo"] {
        assert_eq!(chosen(Some(field), &usual()), Coding::Identity, "{field}");
    }
    // Where only the origin's coding is there, that is what there is.
    assert_eq!(chosen(Some("identity"), &page(Coding::Opaque, &[Coding::Opaque])), Coding::Opaque);
    assert_eq!(chosen(Some("identity"), &page(Coding::Gzip, &[Coding::Gzip])), Coding::Gzip);
    assert_eq!(chosen(Some("identity"), &page(Coding::Gzip, &[Coding::Identity, Coding::Gzip])), Coding::Identity);
}

#[test]
fn a_condition_selects_the_representation_that_it_names() {
    let page = usual();
    let tag = |coding| page.representations.get(coding).and_then(|one| one.etag.as_ref()).expect("a tag").clone();
    let select = |condition: &str, coding, accept: &str| {
        let tag = String::from_utf8(tag(coding).as_bytes().to_vec()).expect("ASCII");
        select(&request(&[("accept-encoding", accept), (condition, tag.as_str())]), &page).coding
    };
    assert_eq!(select("if-none-match", Coding::Gzip, "br, gzip"), Coding::Gzip);
    assert_eq!(select("if-none-match", Coding::Identity, "br"), Coding::Identity);
    assert_eq!(select("if-range", Coding::Gzip, "br, gzip"), Coding::Gzip);
    assert_eq!(select("if-match", Coding::Gzip, "br, gzip"), Coding::Gzip);
    // Not one that the client does not accept.
    assert_eq!(select("if-none-match", Coding::Gzip, "br"), Coding::Br);
    assert_eq!(select("if-none-match", Coding::Identity, "br, identity;q=0"), Coding::Br);
}

#[test]
fn every_representation_says_what_it_is() {
    let page = usual();
    let show = |coding| {
        let one = page.representations.get(coding).expect("is there");
        let fields = page.fields_of(one);
        fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect::<Vec<_>>()
    };
    assert_eq!(show(Coding::Identity), ["etag: \"v1\"", "vary: rsc, Accept-Encoding"]);
    let br = show(Coding::Br);
    assert!(br[0].starts_with("etag: \"v1-br-") && br[0].ends_with('"'), "{br:?}");
    assert_eq!(br[1..], ["vary: rsc, Accept-Encoding", "content-encoding: br"]);
}

#[test]
fn tags_of_codings_stay_weak_and_unquoted_as_they_were() {
    let all = Representations::from_parts(
        vec![
            Representation { coding: Coding::Identity, etag: None, len: 3, body: None },
            Representation { coding: Coding::Br, etag: None, len: 2, body: Some(Bytes::from_static(b"ab")) },
        ],
        Coding::Identity,
        State::Made { by: 1 },
        0,
    );
    let all = all.expect("representations");
    for (origins, ours) in [("W/\"1\"", "W/\"1-br\""), ("abc", "abc-br-"), ("\"\"", "\"-br-"), ("\"a\"b", "\"a\"b-br-")]
    {
        let tagged = all.clone().retagged(Some(&HeaderValue::from_static(origins)));
        let tag = tagged.get(Coding::Br).and_then(|one| one.etag.clone()).expect("a tag");
        assert!(tag.to_str().expect("ASCII").starts_with(ours), "{tag:?}");
    }
    assert!(all.clone().retagged(None).all().iter().all(|one| one.etag.is_none()));
    assert!(all.retagged(Some(&HeaderValue::from_static(""))).get(Coding::Br).is_some_and(|one| one.etag.is_none()));
}

#[test]
fn parts_that_make_no_page_are_refused() {
    let one = |coding, len, body: Option<&'static [u8]>| Representation {
        coding,
        etag: None,
        len,
        body: body.map(Bytes::from_static),
    };
    let (identity, br) = (Coding::Identity, Coding::Br);
    for list in [
        vec![],
        vec![one(br, 2, Some(b"ab"))],
        vec![one(identity, 2, None)],
        vec![one(identity, 2, Some(b"ab")), one(br, 1, None)],
        vec![one(identity, 3, Some(b"ab"))],
        vec![one(identity, 2, Some(b"ab")), one(identity, 2, None)],
    ] {
        assert!(Representations::from_parts(list.clone(), identity, State::Made { by: 1 }, 0).is_none(), "{list:?}");
    }
}

#[test]
fn demand_is_counted_to_four_and_halved() {
    let demand = Demand::default();
    (0..9).for_each(|_| demand.note());
    assert_eq!((demand.count(), demand.halved().count(), demand.halved().halved().count()), (4, 2, 1));
}

fn any_field() -> impl Strategy<Value = String> {
    let name = prop_oneof!["(gzip|br|zstd|identity|deflate|x-gzip|\\*|foo)", "[a-z*;=\", ]{0,6}"];
    let weight = prop_oneof![Just(String::new()), ";q=(0|1|0\\.[0-9]{1,3}|1\\.0|2|x)", "; *[qQ]=0?\\.?[0-9]{0,4}"];
    proptest::collection::vec((name, weight).prop_map(|(name, weight)| name + &weight), 0..5)
        .prop_map(|members| members.join(", "))
}

proptest! {
    #[test]
    fn what_is_refused_is_never_sent_while_something_else_is_accepted(field in any_field()) {
        let page = usual();
        let accept = Accept::parse([field.as_bytes()].into_iter());
        let one = choose(&accept, &page);
        let best = page.representations.all().iter().map(|one| accept.weight(one.coding)).max().unwrap_or(0);
        prop_assert_eq!(accept.weight(one.coding), best);
        if best == 0 {
            prop_assert_eq!(one.coding, Coding::Identity);
        }
        for other in page.representations.all().iter().filter(|other| accept.weight(other.coding) == best && best > 0) {
            prop_assert!(one.len <= other.len);
        }
    }

    #[test]
    fn lines_count_like_one_list(one in any_field(), other in any_field()) {
        prop_assume!(!one.contains('"') && !other.contains('"'));
        let joined = format!("{one},{other}");
        let apart = Accept::parse([one.as_bytes(), other.as_bytes()].into_iter());
        prop_assert_eq!(apart, Accept::parse([joined.as_bytes()].into_iter()));
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = choose(&Accept::parse([bytes.as_slice()].into_iter()), &usual());
    }
}
