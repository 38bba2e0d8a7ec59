//! Records there and back, and what is no record.

use super::*;
use crate::config::Scheme;
use crate::policy::key::KeyUri;
use crate::policy::sample::{NOW, fields};
use proptest::prelude::*;

/// Everything of a page but its memo and its demand, which are not written.
fn shown(page: &Page) -> String {
    let Page { key, status, fields, representations, lifetime, origin_validators, tags, purge_seq, .. } = page;
    let bodies: Vec<_> =
        representations.all().iter().map(|r| (r.coding, r.etag.clone(), r.len, r.body.clone())).collect();
    let how = (representations.original().coding, representations.state());
    format!(
        "{key:?} {status} {fields:?} {bodies:?} {how:?} {lifetime:?} {origin_validators:?} {tags:?} {purge_seq:?} {:?} {:?}",
        page.selecting, page.unkeyed_vary
    )
}

fn key(path: &str, query: Option<&str>) -> Key {
    Key::of(KeyUri { scheme: Scheme::Https, host: "shop.test", path, query })
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a field value")
}

fn page(path: &str, body: &[u8], tags: &[String], etag: Option<&str>) -> Page {
    let body = Bytes::copy_from_slice(body);
    let coded =
        Representation { coding: Coding::Gzip, etag: Some(value("\"x-gzip\"")), len: 3, body: Some("zip".into()) };
    let plain =
        Representation { coding: Coding::Identity, etag: etag.map(value), len: body.len() as u64, body: Some(body) };
    Page {
        key: key(path, Some("a=1")).with_variant(b"de"),
        status: StatusCode::NOT_FOUND,
        fields: fields(&[("content-type", "text/html"), ("set", "1"), ("set", "2")]),
        representations: Representations::from_parts(
            vec![plain, coded],
            Coding::Identity,
            State::Made { by: 7 },
            1 << 100 | 5,
        )
        .expect("representations"),
        lifetime: Lifetime {
            born: NOW,
            fresh_until: NOW.later(std::time::Duration::from_secs(60)),
            while_revalidate_until: Timestamp::FOREVER,
            if_error_until: Timestamp::FOREVER,
            has_ttl: true,
        },
        origin_validators: Validators { etag: etag.map(value), last_modified: None },
        tags: tags.iter().map(|tag| tag.as_str().into()).collect(),
        purge_seq: PurgeSeq(77),
        purge_memo: PurgeMemo::default(),
        selecting: Box::new([
            Selecting { name: HeaderName::from_static("accept-language"), value: Some(Box::from(&b"de"[..])) },
            Selecting { name: HeaderName::from_static("x-other"), value: None },
        ]),
        unkeyed_vary: Box::new([HeaderName::from_static("x-device")]),
    }
}

fn written(key: &Key, entry: &Entry) -> Bytes {
    let mut out = Vec::new();
    write(key, entry, wall().written(NOW), &mut out);
    out.into()
}

/// The machine's clock goes on between two looks at it.
fn wall() -> &'static Wall {
    static WALL: std::sync::OnceLock<Wall> = std::sync::OnceLock::new();
    WALL.get_or_init(|| Wall::at(NOW))
}

#[test]
fn variants_come_back_in_their_order() {
    let base = key("/p", None);
    let list = ["de", "fr"].map(|language| {
        let selecting =
            Selecting { name: HeaderName::from_static("accept-language"), value: Some(language.as_bytes().into()) };
        (base.with_variant(language.as_bytes()), Box::from([selecting]))
    });
    let entry = Entry::Variants(Arc::new(Variants::from(list.to_vec())));
    let (read_key, read) = read(&written(&base, &entry), wall(), NOW).expect("it is whole");
    let Entry::Variants(read) = read else { panic!("not a list of variants") };
    assert_eq!(read_key, base);
    assert_eq!(*read, Variants::from(list.to_vec()));
}

#[test]
fn a_body_is_a_part_of_its_record() {
    let entry = Entry::Page(Arc::new(page("/p", &[7; 5000], &[], None)));
    let record = written(&key("/p", None), &entry);
    let Some((_, Entry::Page(page))) = read(&record, wall(), NOW) else { panic!("not a page") };
    let body = page.representations.original().body.clone().expect("a body");
    assert!(record.as_ptr_range().contains(&body.as_ptr()));
}

proptest! {
    #[test]
    fn a_page_comes_back_as_it_was(
        path in "/[a-z\u{e9}/]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..300),
        tags in proptest::collection::vec("[a-z]{1,8}", 0..4),
        etag in proptest::option::of("\"[a-z]{0,5}\""),
    ) {
        let page = page(&path, &body, &tags, etag.as_deref());
        let key = page.key.clone();
        let record = written(&key, &Entry::Page(Arc::new(page.clone())));
        prop_assert_eq!(key_of(&record), Some(key.clone()));
        let Some((read_key, Entry::Page(read))) = read(&record, wall(), NOW) else { panic!("not a page") };
        prop_assert_eq!(read_key, key);
        prop_assert_eq!(shown(&read), shown(&page));
    }

    /// A record with anything changed in it, or cut off, gives something or nothing, and no panic; a length
    /// that lies sets nothing aside.
    #[test]
    fn what_is_no_record_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut record = written(&key("/p", None), &Entry::Page(Arc::new(page("/p", b"body", &["t".into()], Some("\"e\""))))).to_vec();
        for (at, octet) in changes {
            let at = at.index(record.len());
            record[at] = octet;
        }
        record.truncate(cut.index(record.len()) + 1);
        let _ = key_of(&record);
        let _ = read(&record.into(), wall(), NOW);
    }

    #[test]
    fn noise_is_no_record(noise in proptest::collection::vec(any::<u8>(), 0..200), kind in 1u8..4) {
        let _ = read(&noise.clone().into(), wall(), NOW);
        let like_one = [&FORMAT.to_le_bytes()[..], &[kind], &noise].concat();
        let _ = read(&like_one.into(), wall(), NOW);
    }
}
