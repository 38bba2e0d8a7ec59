//! YAML's merge key: `<<: *anchor` adds the entries of another mapping that the mapping itself does
//! not have; of a list of mappings the first that has a key gives it.

use super::{Entry, Node, SyntaxError, Value};
use std::collections::HashSet;

/// The entries of a mapping with its `<<` resolved.
pub(super) fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, SyntaxError> {
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
    let mut seen: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
    for merge in merges {
        for entry in sources(merge.value)? {
            if seen.insert(entry.key.clone()) {
                own.push(entry);
            }
        }
    }
    Ok(own)
}

fn sources(node: Node) -> Result<Vec<Entry>, SyntaxError> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            items.into_iter().map(sources).collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
        }
        _ => Err(SyntaxError::new(node.line, "merges (<<) what is not a mapping", "write <<: *name of a mapping")),
    }
}
