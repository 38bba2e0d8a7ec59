//! Characters that a line must not hold as they are: they end it, move a terminal's cursor, or change the
//! order in which it is shown.

use std::fmt::{self, Write};

/// Whether a character does more than show itself: controls (C0, DEL, C1), line and paragraph separators,
/// and marks that turn the direction of text around.
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes a line of JSON without its end. What its writer let pass stands within a string, where an escape
/// means the same.
pub(super) fn write_json(line: &str, out: &mut impl Write) -> fmt::Result {
    if line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return out.write_str(line);
    }
    let mut rest = line;
    while let Some((at, steering)) = rest.char_indices().find(|(_, c)| steers(*c)) {
        out.write_str(&rest[..at])?;
        write!(out, "\\u{:04x}", u32::from(steering))?;
        rest = &rest[at + steering.len_utf8()..];
    }
    out.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_of_json_means_the_same_and_steers_nothing(text in "\\PC*|[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}-\u{202e}]*") {
            let mut line = String::new();
            write_json(&serde_json::to_string(&text).unwrap(), &mut line).unwrap();
            prop_assert!(!line.contains(steers), "{:?}", line);
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
