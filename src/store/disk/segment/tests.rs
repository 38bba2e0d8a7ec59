//! Files of records, whole and damaged.

use super::*;
use proptest::prelude::*;

const STORE: StoreId = 0xB0B;

/// A file with these records, and where they are.
fn filled(dir: &Path, number: u32, records: &[&[u8]]) -> (Segment, Vec<Placed>) {
    let mut segment = Segment::create(dir, number, STORE).expect("a file");
    let mut placed = Vec::new();
    for (hash, record) in (10..).zip(records) {
        let mut framed = Vec::new();
        frame(hash, &mut framed, |out| out.extend_from_slice(record));
        let len = u32::try_from(framed.len()).expect("small");
        placed.push(Placed { hash, offset: u32::try_from(segment.len).expect("small"), len });
        segment.append(&framed).expect("it takes more");
    }
    (segment, placed)
}

#[test]
fn what_is_in_a_file_is_found_with_its_list_and_without() {
    let dir = tempfile::tempdir().expect("a directory");
    let (segment, placed) = filled(dir.path(), 3, &[b"one", b"", b"three"]);
    assert!(placed[1].is_removal() && !placed[0].is_removal());
    let (opened, found) = Segment::open(dir.path(), 3, STORE).expect("it is ours");
    assert_eq!((opened.len, &found), (segment.len, &placed));
    write_list(dir.path(), 3, STORE, &placed).expect("a list");
    let (opened, found) = Segment::open(dir.path(), 3, STORE).expect("it is ours");
    assert_eq!((opened.len, &found), (segment.len, &placed));
}

#[test]
fn a_file_of_another_store_or_number_is_foreign() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path(), 3, &[b"one"]);
    assert!(matches!(Segment::open(dir.path(), 3, STORE + 1), Err(SegmentError::Foreign)));
    std::fs::rename(path(dir.path(), 3), path(dir.path(), 4)).expect("it can be moved");
    assert!(matches!(Segment::open(dir.path(), 4, STORE), Err(SegmentError::Foreign)));
    std::fs::write(path(dir.path(), 5), b"short").expect("a file");
    assert!(matches!(Segment::open(dir.path(), 5, STORE), Err(SegmentError::Foreign)));
}

#[test]
fn only_our_names_are_ours() {
    assert_eq!(number("pages-0000000042.log"), Some(42));
    assert_eq!(number("pages-0000000042.list"), Some(42));
    for other in ["pages-42.log", "pages-0000000042", "pages-00000000xx.log", "lock", "pages-9999999999.log"] {
        assert_eq!(number(other), None, "{other}");
    }
}

proptest! {
    /// Whatever happens to a file, only records that were written are read from it.
    #[test]
    fn what_is_read_was_written(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        with_list in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let records: [&[u8]; 3] = [b"first record", b"second", b"the third of them"];
        let (_, placed) = filled(dir.path(), 1, &records);
        if with_list {
            write_list(dir.path(), 1, STORE, &placed).expect("a list");
        }
        let mut octets = std::fs::read(path(dir.path(), 1)).expect("the file");
        for (at, change) in changes {
            let at = at.index(octets.len());
            octets[at] ^= change;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        std::fs::write(path(dir.path(), 1), &octets).expect("the file");
        let Ok((_, found)) = Segment::open(dir.path(), 1, STORE) else { return Ok(()) };
        for one in found {
            let end = one.offset as usize + one.len as usize;
            let Some(record) = unframe(one.hash, &octets[one.offset as usize..end]) else { continue };
            prop_assert_eq!(record, records[usize::try_from(one.hash - 10).expect("one of three")]);
        }
    }
}
