//! The journal as octets, whole, cut off and changed.

use super::*;
use proptest::prelude::*;

const STORE: StoreId = 9;

fn state() -> ClockState {
    let mut state = ClockState { sequence: 3, ..ClockState::default() };
    state.purged.floor = Mark { stale: 2, delete: 1 };
    state.purged.noted.insert(8, Noted { mark: Mark { stale: 3, delete: 0 }, prefix: Some(4), hosted: true });
    state.written.noted.insert(9, Noted { mark: Mark { stale: 0, delete: 2 }, prefix: None, hosted: false });
    state.slots.insert(65_535, (2, true));
    state
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let mode = prop_oneof![Just(PurgeMode::Stale), Just(PurgeMode::Delete)];
    let list = prop_oneof![Just(List::Purged), Just(List::Written)];
    let rule = proptest::option::of((0u64..5, proptest::option::of(0usize..9), any::<bool>()));
    let change = prop_oneof![
        (list, mode.clone(), proptest::collection::vec(rule, 0..4)).prop_map(|(l, m, r)| Change::Rules(l, m, r)),
        (0u32..9, mode).prop_map(|(slot, mode)| Change::Slot(slot, mode)),
        "[a-z]{0,9}".prop_map(|id| Change::Deploy(id.into())),
    ];
    proptest::collection::vec(change, 0..8)
}

/// A journal with these changes behind [`state`], what it says, and where its entries end.
fn journal(changes: &[Change]) -> (Vec<u8>, ClockState, Vec<usize>) {
    let mut state = state();
    let mut octets = begin(STORE, &state);
    let mut ends = vec![octets.len()];
    for (sequence, change) in (4..).zip(changes) {
        add(STORE, sequence, change, &mut octets);
        state.apply(sequence, change.clone());
        ends.push(octets.len());
    }
    (octets, state, ends)
}

fn at(end: usize, changes: &[Change], ends: &[usize]) -> Read {
    let whole = ends.iter().filter(|known| **known <= end).count();
    if whole == 0 { Read::Broken } else { Read::Whole(STORE, journal(&changes[..whole - 1]).1) }
}

proptest! {
    #[test]
    fn a_journal_says_what_was_written(changes in changes()) {
        let (octets, state, _) = journal(&changes);
        prop_assert_eq!(read(&octets), Read::Whole(STORE, state));
    }

    /// A write that was cut off, or of which nothing but its length reached the device, is left out.
    #[test]
    fn an_unfinished_end_is_left_out(changes in changes(), cut in any::<prop::sample::Index>(), zeros in 0usize..50) {
        let (octets, _, ends) = journal(&changes);
        let end = cut.index(octets.len() + 1);
        prop_assert_eq!(read(&octets[..end]), at(end, &changes, &ends));
        if ends.contains(&end) {
            let padded = [&octets[..end], &vec![0; zeros][..]].concat();
            prop_assert_eq!(read(&padded), at(end, &changes, &ends));
        }
    }

    /// Whatever else is changed is noticed: nothing that was written is silently missing.
    #[test]
    fn a_changed_octet_is_noticed(changes in changes(), place in any::<prop::sample::Index>(), change in 1u8..) {
        let (mut octets, _, _) = journal(&changes);
        let place = place.index(octets.len());
        octets[place] ^= change;
        prop_assert_eq!(read(&octets), Read::Broken);
    }

    #[test]
    fn noise_is_no_journal(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read(&noise), Read::Broken);
        let mut like_one = begin(STORE, &state());
        like_one.extend_from_slice(&noise);
        let _ = read(&like_one);
    }
}
