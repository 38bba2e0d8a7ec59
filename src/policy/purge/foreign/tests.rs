//! Requests as publishing software sends them, and what they cover here.

use super::*;
use crate::policy::testing;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

fn ask(method: &str, target: &str, host: Option<&str>, fields: &[(&str, &str)]) -> Result<Purge, RequestError> {
    let config = testing::config(vec![testing::route("/{*rest}")]);
    let headers = fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    read(&config, &RouteTable::new(&config).unwrap(), &method.parse().unwrap(), target.as_bytes(), host, &headers)
}

fn deleted(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<Rule> {
    let purge = ask(method, target, Some("shop.test"), fields).unwrap();
    assert_eq!(purge.mode, PurgeMode::Delete);
    purge.rules
}

fn on_shop(scope: Scope) -> Vec<Rule> {
    vec![Rule { scope, host: Some("shop.test".into()) }]
}

fn tags(names: &[&str]) -> Vec<Rule> {
    names.iter().map(|name| Rule::anywhere(Scope::Tag((*name).into()))).collect()
}

#[test]
fn wordpress_purges_urls_and_everything_below_one() {
    let default = [("X-Purge-Method", "default")];
    assert_eq!(deleted("PURGE", "/hello-world/", &default), on_shop(Scope::Path("/hello-world/".into())));
    let uri = Scope::Uri { path: "/".into(), query: Some("p=1".into()) };
    assert_eq!(deleted("PURGE", "/?p=1", &default), on_shop(uri));
    for fields in
        [&[("X-Purge-Method", "regex")][..], &[("X-VC-Purge-Method", "regex"), ("X-VC-Purge-Host", "shop.test")]]
    {
        assert_eq!(deleted("PURGE", "/.*", fields), on_shop(Scope::Prefix("/".into())));
        assert_eq!(deleted("PURGE", "/blog/.*", fields), on_shop(Scope::Prefix("/blog/".into())));
    }
    assert_eq!(deleted("PURGE", "/blog/*", &[]), on_shop(Scope::Prefix("/blog/".into())));
    let elsewhere = deleted("PURGE", "/x", &[("X-VC-Purge-Host", "Blog.test:443")]);
    assert_eq!(elsewhere, [Rule { scope: Scope::Path("/x".into()), host: Some("blog.test".into()) }]);
}

#[test]
fn drupal_bans_tags_and_urls() {
    for list in ["node:1 node_list", "node:1|node_list", "node:1,node_list", "(node:1|node_list)(,.+)?$"] {
        assert_eq!(deleted("BAN", "/", &[("Cache-Tags", list)]), tags(&["node:1", "node_list"]), "{list}");
    }
    assert_eq!(deleted("URIBAN", "/node/1", &[]), on_shop(Scope::Prefix("/node/1".into())));
    assert_eq!(deleted("BAN", "/", &[]), on_shop(Scope::Prefix("/".into())));
    assert_eq!(deleted("BAN", "/.*projects.*", &[]), on_shop(Scope::Prefix("/".into())));
}

#[test]
fn magento_purges_patterns_of_tags() {
    let pattern = "((^|,)cat_p_694(,|$))|((^|,)cms_b_footer-links(,|$))";
    assert_eq!(
        deleted("PURGE", "*/", &[("X-Magento-Tags-Pattern", pattern)]),
        tags(&["cat_p_694", "cms_b_footer-links"])
    );
    assert_eq!(deleted("PURGE", "/", &[("X-Magento-Tags-Pattern", ".*")]), [Rule::anywhere(Scope::All)]);
}

#[test]
fn symfony_bans_hosts_and_urls_and_purges_keys() {
    let fields = [("X-Host", "^(a\\.test|b\\.test)$"), ("X-Url", "^/news/.+"), ("X-Content-Type", ".*")];
    let below = |host: &str| Rule { scope: Scope::Prefix("/news/".into()), host: Some(host.into()) };
    assert_eq!(deleted("BAN", "/", &fields), [below("a.test"), below("b.test")]);
    let everywhere = deleted("BAN", "/", &[("X-Host", ".*"), ("X-Url", ".*"), ("X-Content-Type", "text/css")]);
    assert_eq!(everywhere, [Rule::anywhere(Scope::All)]);
    let soft = ask("PURGEKEYS", "/", None, &[("xkey-softpurge", "a b")]).unwrap();
    assert_eq!(soft, Purge { rules: tags(&["a", "b"]), mode: PurgeMode::Stale });
    assert_eq!(deleted("PURGEKEYS", "/", &[("xkey-purge", "a b")]), tags(&["a", "b"]));
}

#[test]
fn an_expression_covers_more_and_never_less() {
    let prefix = |url: &str| match &deleted("BAN", "/", &[("X-Url", url)])[..] {
        [Rule { scope: Scope::Prefix(prefix), .. }] => prefix.to_string(),
        [Rule { scope: Scope::All, .. }] => String::new(),
        other => panic!("{other:?}"),
    };
    for (url, start) in [
        ("/ab*", "/a"),
        ("/ab?$", "/a"),
        ("/ab+", "/ab"),
        ("/a(b|c)", ""),
        ("/a|/b", ""),
        ("/a\\.html$", "/a.html"),
        ("/a\\d", "/a"),
        ("/a[bc]", "/a"),
        ("/a.*b", "/a"),
        ("/a?page=1", "/a"),
        (".*\\.css", ""),
        ("/a%", "/a"),
    ] {
        assert_eq!(prefix(url), start, "{url}");
    }
}

#[test]
fn what_means_nothing_is_refused() {
    assert_eq!(ask("PURGE", "*", None, &[]), Err(RequestError::NotAPath));
    assert_eq!(ask("BAN", "/", None, &[("Cache-Tags", "")]), Err(RequestError::NotATag));
    assert_eq!(ask("PURGE", "/a", None, &[("X-VC-Purge-Host", "a/b")]), Err(RequestError::NotAHost));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(target in "[/a.*()|\\\\%?{}+^$-]{0,20}", list in "[a.*()|,^$\\\\ +?]{0,20}") {
        let _ = ask("BAN", &target, Some("a"), &[("X-Url", &target), ("X-Host", &list)]);
        let _ = ask("PURGE", &format!("/{target}"), None, &[("Cache-Tags", &list)]);
    }
}
