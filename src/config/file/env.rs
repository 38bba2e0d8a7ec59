//! `${VAR}` and `${VAR:-default}` in a scalar. Expansion happens after the file was parsed, so the
//! value of a variable can never add keys, lists or comments; `$${` stands for a literal `${`.

use std::borrow::Cow;

/// Why a text cannot be expanded. Carries text of the file only, never a variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EnvError {
    /// The variable is not set (or is not UTF-8) and has no default.
    Unset(String),
    /// `${` without `}`.
    Unclosed,
    /// What stands between the braces is neither `VAR` nor `VAR:-default`.
    Form(String),
}

/// Replaces the variables of `raw`. As in a shell, `:-` also replaces a variable that is empty.
pub(super) fn expand<'a>(raw: &'a str, env: &dyn Fn(&str) -> Option<String>) -> Result<Cow<'a, str>, EnvError> {
    if !raw.contains("${") {
        return Ok(Cow::Borrowed(raw));
    }
    let mut expanded = String::new();
    let mut rest = raw;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(escaped) = before.strip_suffix('$') {
            expanded.push_str(escaped);
            expanded.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.push_str(before);
        let end = reference.find('}').ok_or(EnvError::Unclosed)?;
        expanded.push_str(&value(&reference[2..end], env)?);
        rest = &reference[end + 1..];
    }
    expanded.push_str(rest);
    Ok(Cow::Owned(expanded))
}

fn value(reference: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, EnvError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) || default.is_some_and(|text| text.contains("${")) {
        return Err(EnvError::Form(reference.to_owned()));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(EnvError::Unset(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::{EnvError, expand};

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("shop".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once_and_defaults_fill_in_as_in_a_shell() {
        let cases = [
            ("plain $HOST }", "plain $HOST }"),
            ("a ${HOST} b ${HOST}", "a shop b shop"),
            ("${HOST:-x}", "shop"),
            ("${NONE:-x y}", "x y"),
            ("${NONE:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("[${EMPTY}]", "[]"),
            ("${TRICK}", "${HOST}"),
            ("$${HOST} ${HOST}", "${HOST} shop"),
        ];
        for (raw, expanded) in cases {
            assert_eq!(expand(raw, &env).as_deref(), Ok(expanded), "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        assert_eq!(expand("${NONE}", &env), Err(EnvError::Unset("NONE".to_owned())));
        assert_eq!(expand("${HOST", &env), Err(EnvError::Unclosed));
        for form in ["", "9X", "A B", "HOST-x", "HOST:-${EMPTY"] {
            assert_eq!(expand(&format!("${{{form}}}"), &env), Err(EnvError::Form(form.to_owned())), "{form}");
        }
    }
}
