//! The clock across restarts and from one process to the next.

use super::super::tests::{clock, page};
use super::*;
use crate::config::PurgeMode;
use crate::policy::Standing;
use crate::policy::purge::{Rule, Scope};
use crate::store::journal;

fn state(clock: &PurgeClock) -> ClockState {
    let mut state = ClockState::default();
    clock.with_state(&mut |now| state = now);
    state
}

fn path(path: &str) -> Vec<Rule> {
    vec![Rule::anywhere(Scope::Path(path.into()))]
}

/// A clock that begins with another one's state says the same of every page.
#[test]
fn a_clock_goes_on_where_another_ended() {
    let one = clock(10);
    let old = page("a", "/p", None, &["t"], one.now());
    let other = page("a", "/q", None, &["u"], one.now());
    one.purge(&path("/p"), PurgeMode::Delete);
    one.invalidate(other.key.uri_hash());
    one.invalidate_tag("x", PurgeMode::Stale);
    one.deploy("build-7");
    let new = page("a", "/p", None, &["t"], one.now());
    let two = clock(10);
    two.begin_at(&state(&one));
    assert_eq!(two.now(), one.now());
    assert_eq!(state(&two), state(&one));
    assert_eq!((two.standing(&old), two.standing(&new)), (Standing::Void, Standing::Fine));
    assert_eq!(two.standing(&other.clone()), Standing::Void);
    assert_eq!(two.deployed().map(|(id, since)| (id, since.0)), Some(("build-7".into(), 4)));
    assert!(two.purge(&path("/z"), PurgeMode::Stale) > one.now());
}

/// A process takes over while the other one still purges: neither's purges are lost on either's pages.
#[test]
fn a_purge_on_either_side_of_a_hand_over_covers_the_pages_of_both() {
    let old = clock(10);
    old.purge(&path("/before"), PurgeMode::Delete);
    let new = clock(10);
    new.begin_at(&state(&old));
    new.leave_room();
    let theirs = ["/before", "/by-old", "/by-new", "/none"].map(|path| page("a", path, None, &[], old.now()));
    let ours = ["/before", "/by-old", "/by-new", "/none"].map(|path| page("a", path, None, &[], new.now()));
    old.purge(&path("/by-old"), PurgeMode::Delete);
    new.purge(&path("/by-new"), PurgeMode::Delete);
    let later = page("a", "/by-new", None, &[], new.now());
    new.take_over(&state(&old));
    let say = |pages: &[crate::policy::Page; 4]| [0, 1, 2, 3].map(|i| new.standing(&pages[i].clone()));
    let covered = [Standing::Fine, Standing::Void, Standing::Void, Standing::Fine];
    assert_eq!(say(&theirs), covered);
    assert_eq!(say(&ours), covered);
    assert_eq!(new.standing(&later), Standing::Fine);
}

/// The journal could not be read at first: its pages may have higher numbers than anything here.
#[test]
fn what_was_purged_before_the_journal_could_be_read_covers_its_pages() {
    let old = clock(10);
    old.leave_room();
    old.leave_room();
    let theirs = page("a", "/p", None, &[], old.now());
    let new = clock(10);
    new.leave_room();
    new.purge(&path("/p"), PurgeMode::Stale);
    new.take_over(&state(&old));
    assert_eq!(new.standing(&theirs), Standing::Stale);
}

/// What a process has told is not told to it again: two of them would go on for ever.
#[test]
fn what_is_taken_in_is_told_to_the_other_side_only() {
    let between = clock(10);
    let (bequest, report) = (between.bequeath(), between.report());
    let changes = [Relative::Successor, Relative::Predecessor].map(|by| {
        let change = Change::Slot(by as u32, PurgeMode::Delete);
        between.take_in(&change, by);
        change
    });
    let first = |told: &mut Option<Change>, octets: &[u8]| {
        *told = journal::decoded(octets);
        Err(std::io::ErrorKind::BrokenPipe.into())
    };
    let (mut after, mut before) = (None, None);
    bequest.tell(|octets| first(&mut after, octets));
    report.tell_until_gone(|octets| first(&mut before, octets));
    let [by_successor, by_predecessor] = changes.map(Some);
    assert_eq!((after, before), (by_predecessor, by_successor));
}
