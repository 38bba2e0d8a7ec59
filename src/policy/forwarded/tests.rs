//! What bypasses carry, from strangers and from trusted peers.

use super::*;
use crate::policy::admission::{Admission, admit};
use crate::policy::route::RouteTable;
use crate::policy::testing::{self, Ask};
use http::HeaderMap;

/// The fields of a bypass as the origin gets them.
fn sent(ask: &Ask) -> HeaderMap {
    let config = testing::config(vec![testing::route("/{*rest}")]);
    let table = RouteTable::new(&config).unwrap();
    let Admission::Bypass(bypass) = admit(&config, &table, &ask.incoming()) else { panic!("{ask:?} is no bypass") };
    let changes = bypass_fields(&config, &bypass, &ask.incoming());
    let mut headers = ask.headers.clone();
    changes.remove.iter().for_each(|name| drop(headers.remove(name)));
    changes.set.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
    headers
}

fn spoofing(ask: Ask) -> Ask {
    let fields = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example.com"),
        ("x-forwarded-port", "1"),
        ("x_forwarded_host", "evil"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("accept", "*/*"),
    ];
    fields.iter().fold(ask.method("POST"), |ask, (name, value)| ask.field(name, value))
}

#[test]
fn what_a_stranger_says_about_themselves_is_replaced() {
    let sent = sent(&spoofing(Ask::get("http://A.com:80/x")));
    let expected = [
        ("host", "a.com"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.com"),
        ("accept", "*/*"),
    ];
    for (name, value) in expected {
        assert_eq!(sent.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
    assert_eq!(sent.len(), expected.len(), "{sent:?}");
}

#[test]
fn a_trusted_peer_is_believed_and_its_address_appended() {
    let sent = sent(&spoofing(Ask::get("/x").peer("::ffff:10.0.0.7")));
    for (name, value) in [
        ("host", "shop.example.com"),
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.0.0.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example.com"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
    ] {
        assert_eq!(sent.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
}

#[test]
fn a_trusted_peers_host_counts_only_if_it_is_one_host() {
    for bad in [&["a, b"][..], &["a.com", "b.com"], &["a b"], &[]] {
        let ask = bad
            .iter()
            .fold(Ask::get("/x").method("POST").peer("10.0.0.7"), |ask, host| ask.field("x-forwarded-host", host));
        assert_eq!(sent(&ask).get_all(FORWARDED_HOST).iter().collect::<Vec<_>>(), ["shop.example.com"], "{bad:?}");
    }
}

#[test]
fn the_list_of_names_is_sorted_and_spelled_as_it_is_compared() {
    assert!(NAMES.is_sorted() && NAMES.iter().all(|name| !name.contains('_')));
}

#[test]
fn a_proxy_does_not_lend_its_visitors_its_address() {
    let config = testing::config(vec![testing::route("/")]);
    let networks = ["10.1.0.0/16".parse().unwrap(), "192.0.2.7/32".parse().unwrap()];
    let is_from = |ask: Ask| is_from(&networks, &config, &ask.incoming());
    // 10.0.0.0/8 is trusted.
    for (peer, hops, expected) in [
        ("192.0.2.7", &[][..], true),
        ("::ffff:192.0.2.7", &[], true),
        ("192.0.2.8", &[], false),
        ("192.0.2.8", &["192.0.2.7"], false),
        ("192.0.2.7", &["1.1.1.1"], true),
        ("10.1.0.1", &[], true),
        ("10.2.0.1", &[], false),
        ("10.1.0.1", &["1.1.1.1"], false),
        ("10.1.0.1", &["192.0.2.7, 1.1.1.1"], false),
        ("10.2.0.1", &["1.1.1.1, 192.0.2.7, 10.3.0.1"], true),
        ("10.2.0.1", &["192.0.2.7", "1.1.1.1"], false),
        ("10.1.0.1", &["unknown"], false),
        ("10.1.0.1", &["10.3.0.1"], true),
    ] {
        let ask = hops.iter().fold(Ask::get("/").peer(peer), |ask, hop| ask.field("x-forwarded-for", hop));
        assert_eq!(is_from(ask), expected, "{peer} {hops:?}");
    }
}
