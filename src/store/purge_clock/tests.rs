//! The clock against a list of everything that was ever purged, and among threads.

use super::*;
use crate::config::Scheme;
use crate::policy::encoding::{Coding, Representations};
use crate::policy::key::KeyUri;
use crate::policy::{Fields, Lifetime, PurgeMemo, Timestamp, Validators};
use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;

pub(super) fn clock(rules: usize) -> PurgeClock {
    PurgeClock::new(NonZeroUsize::new(rules).expect("a limit"))
}

pub(in crate::store) fn page(host: &str, path: &str, query: Option<&str>, tags: &[&str], purge_seq: PurgeSeq) -> Page {
    let now = Timestamp::from_millis(1);
    Page {
        key: Key::of(KeyUri { scheme: Scheme::Http, host, path, query }),
        status: StatusCode::OK,
        fields: Fields::new(),
        representations: Representations::only(Coding::Identity, None, Bytes::new()),
        lifetime: Lifetime {
            born: now,
            fresh_until: now,
            while_revalidate_until: now,
            if_error_until: now,
            has_ttl: true,
        },
        origin_validators: Validators::default(),
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        purge_seq,
        purge_memo: PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    }
}

fn plain(path: &str, seq: PurgeSeq) -> Page {
    page("a", path, None, &[], seq)
}

fn tag(name: &str) -> Rule {
    Rule::anywhere(Scope::Tag(name.into()))
}

#[test]
fn a_page_rendered_before_an_invalidation_is_void_and_one_rendered_after_is_not() {
    let clock = clock(10);
    let before = plain("/p", clock.now());
    assert_eq!(clock.standing(&before), Standing::Fine);
    let at = clock.invalidate(before.key.uri_hash());
    assert_eq!(clock.standing(&before), Standing::Void);
    assert_eq!(clock.standing(&plain("/p", PurgeSeq(0))), Standing::Void, "also when it is stored only now");
    assert_eq!(clock.standing(&plain("/p", clock.now())), Standing::Fine);
    assert_eq!(clock.standing(&plain("/q", PurgeSeq(0))), Standing::Fine);
    assert_eq!(at, clock.now());
}

#[test]
fn uris_of_one_slot_invalidate_each_other() {
    let clock = clock(10);
    let page = plain("/p", clock.now());
    clock.invalidate(page.key.uri_hash().wrapping_add(SLOTS as u64));
    assert_eq!(clock.standing(&page), Standing::Void, "over-invalidated, never under");
}

#[test]
fn a_path_is_invalidated_with_all_its_queries_on_its_host() {
    let clock = clock(10);
    let pages = [page("a", "/p", Some("q"), &[], clock.now()), page("b", "/p", Some("q"), &[], clock.now())];
    clock.invalidate_path("a", "/p", PurgeMode::Stale);
    assert_eq!(pages.each_ref().map(|page| clock.standing(page)), [Standing::Stale, Standing::Fine]);
    clock.invalidate_path("b", "/p", PurgeMode::Delete);
    clock.invalidate_path("b", "/p", PurgeMode::Stale);
    assert_eq!(clock.standing(&pages[1]), Standing::Void, "a later and weaker one takes nothing back");
}

#[test]
fn a_render_that_a_purge_may_cover_is_told_from_one_that_it_cannot() {
    let clock = clock(10);
    let (key, seq) = (plain("/p", PurgeSeq(0)).key, clock.now());
    clock.purge(&[Rule::anywhere(Scope::Path("/other".into()))], PurgeMode::Delete);
    assert_eq!(clock.standing_of_render(&key, seq), Standing::Fine);
    clock.purge(&[tag("t")], PurgeMode::Delete);
    assert_eq!(clock.standing_of_render(&key, seq), Standing::Stale, "it may turn out to have the tag");
    assert_eq!(clock.standing_of_render(&key, clock.now()), Standing::Fine);
    clock.purge(&[Rule::anywhere(Scope::Path("/p".into()))], PurgeMode::Delete);
    assert_eq!(clock.standing_of_render(&key, seq), Standing::Void);
}

#[test]
fn beyond_the_limit_the_oldest_rules_cover_what_was_older_than_they_were() {
    let clock = clock(2);
    let oldest = page("a", "/p", None, &[], clock.now());
    clock.purge(&[tag("1")], PurgeMode::Delete);
    let middle = page("a", "/p", None, &[], clock.now());
    clock.purge(&[tag("2")], PurgeMode::Stale);
    clock.purge(&[tag("2")], PurgeMode::Stale);
    assert_eq!(
        (clock.rules(), clock.standing(&oldest)),
        (2, Standing::Fine),
        "what is purged again takes no more room"
    );
    clock.purge(&[tag("3")], PurgeMode::Stale);
    assert_eq!((clock.rules(), clock.merged()), (2, 1));
    assert_eq!([clock.standing(&oldest), clock.standing(&middle)], [Standing::Void, Standing::Fine]);
    clock.limit(NonZeroUsize::MIN);
    assert_eq!((clock.rules(), clock.merged()), (1, 2));
    assert_eq!(clock.standing(&middle), Standing::Stale, "although its standing was remembered");
}

#[test]
fn tags_that_writes_changed_do_not_crowd_out_what_operators_purged() {
    let clock = clock(1);
    let pages = [page("a", "/p", None, &["1"], clock.now()), plain("/q", clock.now()), plain("/r", clock.now())];
    clock.purge(&[Rule::anywhere(Scope::Path("/q".into()))], PurgeMode::Delete);
    for number in 0..100 {
        clock.invalidate_tag(&number.to_string(), PurgeMode::Stale);
    }
    assert_eq!((clock.rules(), clock.merged()), (1, 0));
    let standings = pages.each_ref().map(|page| clock.standing(page));
    assert_eq!(standings, [Standing::Stale, Standing::Void, Standing::Fine]);
    assert_eq!(clock.standing_of_render(&pages[2].key, PurgeSeq(0)), Standing::Stale, "it may have one of the tags");
}

#[test]
fn purges_from_many_threads_are_all_seen() {
    // Every thread purges one shared page and checks that what it saw before is covered.
    const THREADS: usize = 4;
    const ROUNDS: u64 = 1_000;
    let clock = clock(100);
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (clock, start) = (&clock, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let before = page("a", "/p", None, &["t"], clock.now());
                    clock.standing(&before);
                    let at = if (round as usize + thread).is_multiple_of(2) {
                        clock.purge(&[tag("t")], PurgeMode::Delete)
                    } else {
                        clock.invalidate(before.key.uri_hash())
                    };
                    assert_eq!(clock.standing(&before), Standing::Void);
                    assert!(at > before.purge_seq);
                }
            });
        }
    });
    assert_eq!(clock.now(), PurgeSeq(THREADS as u64 * ROUNDS));
    assert_eq!(clock.standing(&plain("/p", clock.now())), Standing::Fine);
}

#[test]
fn a_page_read_while_it_is_purged_never_stays_fine() {
    // One thread compares the page all the time while another writes down a long purge; after it has
    // returned nobody finds the page fine.
    const ROUNDS: usize = 20;
    let clock = clock(10_000);
    let mut rules: Vec<Rule> = (0..2_000).map(|n| tag(&format!("other-{n}"))).collect();
    rules.push(tag("t"));
    for _ in 0..ROUNDS {
        let page = page("a", "/p", None, &["t"], clock.now());
        let (start, done) = (Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                while !done.load(Ordering::SeqCst) {
                    assert!(clock.standing(&page) != Standing::Void);
                }
            });
            start.wait();
            clock.purge(&rules, PurgeMode::Stale);
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(clock.standing(&page), Standing::Stale);
    }
}

/// What happens to the clock of the property.
#[derive(Clone, Debug)]
enum Step {
    Purge(Rule, PurgeMode),
    Write(String, String, PurgeMode),
    Render(String, String, Option<String>, Vec<String>),
}

fn rule() -> impl Strategy<Value = Rule> {
    let scope = prop_oneof![
        1 => Just(Scope::All),
        8 => "/[ab]".prop_map(|path| Scope::Path(path.into())),
        8 => ("/[ab]", proptest::option::of("[pq]")).prop_map(|(path, query)| Scope::Uri { path: path.into(), query: query.map(Into::into) }),
        8 => "/[ab]{0,2}".prop_map(|prefix| Scope::Prefix(prefix.into())),
        8 => "[tuv]".prop_map(|tag| Scope::Tag(tag.into())),
    ];
    (scope, proptest::option::of("[xy](:81)?")).prop_map(|(scope, host)| Rule { scope, host: host.map(Into::into) })
}

fn step() -> impl Strategy<Value = Step> {
    let mode = || prop_oneof![Just(PurgeMode::Stale), Just(PurgeMode::Delete)];
    prop_oneof![
        3 => (rule(), mode()).prop_map(|(rule, mode)| Step::Purge(rule, mode)),
        1 => ("[xy](:81)?", "/[ab]", mode()).prop_map(|(host, path, mode)| Step::Write(host, path, mode)),
        3 => ("[xy](:81)?", "/[ab]{1,2}", proptest::option::of("[pq]"), proptest::collection::vec("[tuv]", 0..3))
            .prop_map(|(host, path, query, tags)| Step::Render(host, path, query, tags)),
    ]
}

/// Whether a rule covers a page, said without labels.
fn covers(rule: &Rule, page: &Page) -> bool {
    let uri = page.key.uri();
    let host = rule.host.as_deref().is_none_or(|host| uri.host == host || uri.host.split(':').next() == Some(host));
    host && match &rule.scope {
        Scope::All => true,
        Scope::Path(path) => **path == *uri.path,
        Scope::Uri { path, query } => **path == *uri.path && query.as_deref() == uri.query,
        Scope::Prefix(prefix) => uri.path.starts_with(&**prefix),
        Scope::Tag(tag) => page.tags.contains(tag),
    }
}

fn expected(mode: PurgeMode) -> Standing {
    if mode == PurgeMode::Stale { Standing::Stale } else { Standing::Void }
}

/// Takes the steps; compares every page with a list of all purges after each. `exact`: with room for
/// every rule the two agree; otherwise the clock may cover more.
fn agrees(steps: Vec<Step>, limit: usize, exact: bool) -> Result<(), TestCaseError> {
    let clock = clock(limit);
    let mut pages: Vec<(Page, Standing)> = Vec::new();
    for step in steps {
        match step {
            Step::Render(host, path, query, tags) => {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                pages.push((page(&host, &path, query.as_deref(), &tags, clock.now()), Standing::Fine));
            }
            Step::Purge(rule, mode) => {
                clock.purge(std::slice::from_ref(&rule), mode);
                let covered = pages.iter_mut().filter(|(page, _)| covers(&rule, page));
                covered.for_each(|(_, standing)| *standing = (*standing).max(expected(mode)));
            }
            Step::Write(host, path, mode) => {
                clock.invalidate_path(&host, &path, mode);
                let is_it = |page: &Page| (page.key.uri().host, page.key.uri().path) == (&*host, &*path);
                let covered = pages.iter_mut().filter(|(page, _)| is_it(page));
                covered.for_each(|(_, standing)| *standing = (*standing).max(expected(mode)));
            }
        }
        prop_assert!(clock.rules() <= limit);
        for (page, standing) in &pages {
            let said = clock.standing(page);
            let copy = page.clone();
            prop_assert_eq!(said, clock.standing(&copy), "what is remembered is what is compared");
            prop_assert!(
                if exact { said == *standing } else { said >= *standing },
                "{:?} {:?} {:?}",
                page,
                said,
                standing
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_clock_agrees_with_a_list_of_all_purges(steps in proptest::collection::vec(step(), 0..40)) {
        // A later, weaker write to a path whose slot deletes covers more, so writes delete here.
        let steps = steps.into_iter().map(|step| match step {
            Step::Write(host, path, _) => Step::Write(host, path, PurgeMode::Delete),
            step => step,
        });
        agrees(steps.collect(), 1000, true)?;
    }

    #[test]
    fn a_clock_without_room_covers_more_and_never_less(steps in proptest::collection::vec(step(), 0..60), limit in 1_usize..5) {
        agrees(steps, limit, false)?;
    }
}
