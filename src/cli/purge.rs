//! `breadbox purge`: tells a running Breadbox what to purge, and what it said to that.

use super::admin_client::Target;
use clap::ArgGroup;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Purge pages of a running Breadbox.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(false).args(["path", "prefix", "tag", "all"]))]
#[command(group = ArgGroup::new("named").multiple(true).args(["path", "prefix", "tag", "host", "all"]))]
pub struct Args {
    /// A path with all its queries and variants, or with one query, or a URL. May be repeated.
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// Every path that begins so. May be repeated.
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<String>,
    /// Every page with one of these tags.
    #[arg(long, value_name = "TAG", num_args = 1..)]
    tag: Vec<String>,
    /// Everything; together with --host everything of these hosts.
    #[arg(long)]
    all: bool,
    /// On these hosts only; without a port on every port. May be repeated.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// stale: served while it is rendered again. delete: never served again.
    #[arg(long, value_name = "MODE", default_value = "stale", value_parser = ["stale", "delete"])]
    mode: String,
    #[command(flatten)]
    target: Target,
}

/// Purges and describes on `out` what was accepted. Fails where nothing was.
pub(super) fn purge(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let answer = args.target.post("/-/purge", &args.document())?;
    let accepted = answer["accepted"].as_array().map_or(&[][..], Vec::as_slice);
    for rule in accepted {
        writeln!(out, "purged {}", described(rule))?;
    }
    let mode = answer["mode"].as_str().unwrap_or_default();
    writeln!(out, "mode {mode}, sequence {}", answer["sequence"])?;
    Ok(())
}

impl Args {
    fn document(&self) -> Value {
        let mut members = Map::from_iter([("mode".to_owned(), json!(self.mode))]);
        for (name, texts) in [("path", &self.path), ("prefix", &self.prefix), ("tag", &self.tag), ("host", &self.host)]
        {
            if !texts.is_empty() {
                members.insert(name.to_owned(), json!(texts));
            }
        }
        // Everything of a host is the host alone.
        if self.all && self.host.is_empty() {
            members.insert("all".to_owned(), json!(true));
        }
        Value::Object(members)
    }
}

fn described(rule: &Value) -> String {
    let members = rule.as_object().into_iter().flatten();
    let said = members.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => "everything".to_owned(),
    });
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn document(line: &str) -> Option<Value> {
        Line::try_parse_from(line.split(' ')).ok().map(|line| line.args.document())
    }

    #[test]
    fn arguments_become_a_document() {
        assert_eq!(document("purge --path /a"), Some(json!({"path": ["/a"], "mode": "stale"})));
        assert_eq!(
            document("purge --tag a b --mode delete --host x"),
            Some(json!({"tag": ["a", "b"], "host": ["x"], "mode": "delete"}))
        );
        assert_eq!(document("purge --all"), Some(json!({"all": true, "mode": "stale"})));
        assert_eq!(document("purge --all --host x"), Some(json!({"host": ["x"], "mode": "stale"})));
    }

    #[test]
    fn what_is_purged_is_named_once() {
        for line in
            ["purge", "purge --path /a --tag b", "purge --all --path /a", "purge --host x", "purge --all --mode soft"]
        {
            assert_eq!(document(line), None, "{line}");
        }
    }

    #[test]
    fn what_was_accepted_is_told_in_a_line() {
        assert_eq!(described(&json!({"path": "/a", "host": "x"})), "host x, path /a");
        assert_eq!(described(&json!({"all": true})), "everything");
    }
}
