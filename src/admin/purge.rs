//! `POST /-/purge`: from a JSON document to rules, and back to what was accepted, as it was understood.
//! It says what is wrong with a document rather than guess.

use super::answer::{Answer, Request};
use crate::config::PurgeMode;
use crate::policy::PurgeSeq;
use crate::policy::purge::request::{self, MAX_RULES, RequestError};
use crate::policy::purge::{Rule, Scope, foreign};
use crate::render::{Engine, Setup};
use http::header::HOST;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt::{self, Formatter};
use std::net::IpAddr;

/// The members that a document may have.
const MEMBERS: &str = "path, prefix, tag, host, all and mode";

/// Rules that are named in the log.
const LOGGED: usize = 5;

/// Purges what a JSON document names.
pub(super) async fn purge(body: &[u8], engine: &Engine) -> Answer {
    match read(body, &engine.setup()) {
        Ok((rules, mode)) => carry_out(&rules, mode, engine).await,
        Err(why) => Answer::bad(&why),
    }
}

/// Purges what publishing software names in a request of its own kind.
pub(super) async fn foreign(request: &Request<'_>, engine: &Engine) -> Answer {
    let setup = engine.setup();
    // Somebody who asks this listener by its address means every host.
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_of_a_site(host));
    let read = foreign::read(&setup.config, &setup.routes, request.method, request.target, host, request.headers);
    match read {
        Ok(purge) => carry_out(&purge.rules, purge.mode, engine).await,
        Err(why) => Answer::bad(&format!("what is to be purged {why}")),
    }
}

fn is_of_a_site(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_err() && !name.eq_ignore_ascii_case("localhost")
}

async fn carry_out(rules: &[Rule], mode: PurgeMode, engine: &Engine) -> Answer {
    match engine.purge(rules, mode).await {
        Ok(sequence) => {
            tracing::info!(
                what = shown(rules),
                rules = rules.len(),
                mode = mode.as_str(),
                sequence = sequence.0,
                "purged"
            );
            Answer::json(&document(rules, mode, sequence))
        }
        Err(why) => {
            tracing::error!(what = shown(rules), rules = rules.len(), mode = mode.as_str(), "purged, but {why}");
            Answer::unavailable(&format!("the purge is not safe: {why}"))
        }
    }
}

/// The first rules for the log, without queries, which may hold secrets.
fn shown(rules: &[Rule]) -> String {
    let one = |rule: &Rule| {
        let on = rule.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        let what = match &rule.scope {
            Scope::All => "everything".to_owned(),
            Scope::Path(path) => format!("path {path}"),
            Scope::Uri { path, .. } => format!("path {path} with a query"),
            Scope::Prefix(prefix) => format!("prefix {prefix}"),
            Scope::Tag(tag) => format!("tag {tag}"),
        };
        what + &on
    };
    let more = if rules.len() > LOGGED { ", …" } else { "" };
    let list: Vec<String> = rules.iter().take(LOGGED).map(one).collect();
    list.join(", ") + more
}

/// What was accepted, as it was understood.
pub(super) fn document(rules: &[Rule], mode: PurgeMode, sequence: PurgeSeq) -> Value {
    let accepted: Vec<Value> = rules.iter().map(described).collect();
    json!({ "accepted": accepted, "mode": mode.as_str(), "sequence": sequence.0 })
}

fn described(rule: &Rule) -> Value {
    let mut described = match &rule.scope {
        Scope::All if rule.host.is_some() => json!({}),
        Scope::All => json!({ "all": true }),
        Scope::Path(path) => json!({ "path": path }),
        Scope::Uri { path, query } => {
            json!({ "path": query.as_ref().map_or_else(|| format!("{path}?"), |query| format!("{path}?{query}")) })
        }
        Scope::Prefix(prefix) => json!({ "prefix": prefix }),
        Scope::Tag(tag) => json!({ "tag": tag }),
    };
    if let (Some(members), Some(host)) = (described.as_object_mut(), &rule.host) {
        members.insert("host".to_owned(), json!(host));
    }
    described
}

/// How many members an object has, repeated ones counted, of which a map keeps the last.
struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = Members;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Members(count))
            }
        }

        source.deserialize_map(Counter)
    }
}

/// What a document means, or a sentence that says why it means nothing.
fn read(body: &[u8], setup: &Setup) -> Result<(Vec<Rule>, PurgeMode), String> {
    let document: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Value::Object(members) = document else {
        return Err(format!("the body is not a JSON object with the members {MEMBERS}"));
    };
    let known = |name: &&String| ["path", "prefix", "tag", "host", "all", "mode"].contains(&name.as_str());
    if let Some(unknown) = members.keys().find(|name| !known(name)) {
        return Err(format!("`{}` is not known; the members are {MEMBERS}", unknown.escape_debug()));
    }
    let all = serde_json::from_slice::<Members>(body).map_or(0, |all| all.0);
    if all != members.len() {
        return Err("a member is there twice; write a list, as in {\"path\": [\"/a\", \"/b\"]}".to_owned());
    }
    let mode = mode(members.get("mode"))?;
    let rules = rules(&members, setup)?;
    if rules.len() > MAX_RULES {
        return Err(format!("the body {}", RequestError::TooMany));
    }
    Ok((rules, mode))
}

fn mode(value: Option<&Value>) -> Result<PurgeMode, String> {
    let Some(value) = value else { return Ok(PurgeMode::Stale) };
    let mode = PurgeMode::ALL.into_iter().find(|mode| value.as_str() == Some(mode.as_str()));
    mode.ok_or_else(|| "`mode` is neither \"stale\" nor \"delete\"".to_owned())
}

fn rules(members: &Map<String, Value>, setup: &Setup) -> Result<Vec<Rule>, String> {
    let named: Vec<&str> =
        ["path", "prefix", "tag", "all"].into_iter().filter(|name| members.contains_key(*name)).collect();
    let hosts = members.get("host").map(|value| texts("host", value)).transpose()?;
    // Every combination of a host and what is named on it.
    let on: Vec<Option<&str>> = match &hosts {
        None => vec![None],
        Some(hosts) => hosts.iter().map(|host| Some(*host)).collect(),
    };
    match (&named[..], &hosts) {
        (["all"], None) if members["all"] == true => Ok(vec![Rule::anywhere(Scope::All)]),
        (["all"], None) => Err("`all` is not true".to_owned()),
        (["all"], Some(_)) => Err("`all` and `host` exclude each other; `host` alone purges all of a host".to_owned()),
        ([], None) => Err("nothing is named; write path, prefix, tag or host, or \"all\": true".to_owned()),
        ([], Some(hosts)) => each("host", hosts, &[None], |host, _| {
            Ok(vec![Rule { scope: Scope::All, host: Some(request::host(host)?) }])
        }),
        ([name], _) => {
            let texts = texts(name, &members[*name])?;
            each(name, &texts, &on, |text, host| match *name {
                "path" => request::path(&setup.config, &setup.routes, text, host),
                "prefix" => request::prefix(text, host).map(|rule| vec![rule]),
                _ => request::tags(text, host),
            })
        }
        (several, _) => Err(format!("{} exclude each other; send several requests", several.join(" and "))),
    }
}

/// The rules of every text on every host.
fn each(
    name: &str,
    texts: &[&str],
    hosts: &[Option<&str>],
    rule: impl Fn(&str, Option<&str>) -> Result<Vec<Rule>, RequestError>,
) -> Result<Vec<Rule>, String> {
    if texts.len().saturating_mul(hosts.len()) > MAX_RULES {
        return Err(format!("`{name}` {}", RequestError::TooMany));
    }
    let mut rules = Vec::new();
    for text in texts {
        for host in hosts {
            let shown: String = text.chars().take(80).collect();
            let wrong = |why: RequestError| match why {
                RequestError::NotAHost => format!("`host` or the host of `{name}` {why}"),
                _ => format!("`{name}`: {shown:?} {why}"),
            };
            rules.extend(rule(text, *host).map_err(wrong)?);
        }
    }
    Ok(rules)
}

/// One text, or a list of texts that is not empty.
fn texts<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, String> {
    let wrong = || format!("`{name}` is neither text nor a list of texts");
    let texts: Option<Vec<&str>> = match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let texts = texts.ok_or_else(wrong)?;
    if texts.is_empty() { Err(format!("`{name}` is an empty list")) } else { Ok(texts) }
}

#[cfg(test)]
mod tests;
