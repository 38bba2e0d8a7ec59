//! What a YAML parser's complaint most likely means to somebody who wrote `proxy.yaml` by hand.

use super::SyntaxError;
use saphyr_parser::ScanError;

/// The parser's error with a remedy taken from the text around it.
pub(super) fn explain(text: &str, error: &ScanError) -> SyntaxError {
    let line = error.marker().line();
    if let Some(quoted) = path_to_quote(text, line) {
        return SyntaxError::new(
            quoted.line,
            "is not valid YAML: a path with { } inside of [ ] is not quoted",
            format!("quote it, as in [ \"{}\" ]", quoted.path),
        );
    }
    if let Some(line) = nearby(line).find(|line| nth_line(text, *line).is_some_and(has_unquoted_variable)) {
        let problem = "is not valid YAML: a variable inside of [ ] or { } is not quoted";
        return SyntaxError::new(line, problem, "quote it, as in [ \"${VAR}\" ]");
    }
    if nth_line(text, line).is_some_and(|source| source.trim_start_matches(' ').starts_with('\t')) {
        return SyntaxError::new(line, "is indented with a tab", "indent with spaces");
    }
    let problem = format!("is not valid YAML: {}", error.info());
    SyntaxError::new(line, problem, "check the indentation, quotes and brackets here and in the line above")
}

struct Unquoted {
    line: usize,
    path: String,
}

/// Parsers notice a mistake where it is or a line later.
fn nearby(line: usize) -> impl Iterator<Item = usize> {
    [line, line.saturating_sub(1)].into_iter()
}

/// `[ /a/{id} ]`: the brace opens a mapping in the middle of a text.
fn path_to_quote(text: &str, line: usize) -> Option<Unquoted> {
    nearby(line).find_map(|line| {
        let path = unquoted_path(nth_line(text, line)?)?;
        Some(Unquoted { line, path: path.to_owned() })
    })
}

fn unquoted_path(source: &str) -> Option<&str> {
    let (_, list) = source.split_once('[')?;
    list.split([',', '[', ']']).map(str::trim).find(|item| item.starts_with('/') && item.contains('{'))
}

/// `[ ${VAR} ]`: the same brace; in a block, as in `token: ${VAR}`, it is an ordinary character.
fn has_unquoted_variable(source: &str) -> bool {
    let Some((before, _)) = source.split_once("${") else { return false };
    before.contains(['[', '{']) && before.trim_end().ends_with(['[', '{', ',', ':'])
}

fn nth_line(text: &str, line: usize) -> Option<&str> {
    text.lines().nth(line.checked_sub(1)?)
}
