//! What a replay found, as text.

use super::kept::{ASSUMED_TTL, MOST};
use super::tally::{RouteTotals, SplittingParameter, Totals};
use crate::config::{CacheMode, Config, OriginId, QueryRule};
use crate::policy::explain::human;
use std::io::{self, Write};
use std::time::Duration;

/// How many parameters are listed.
const LISTED: usize = 10;
/// A parameter with no more values than this splits nothing worth a word.
const FEW_VALUES: u64 = 20;

/// Writes the report.
pub(super) fn write(totals: &Totals, config: &Config, out: &mut impl Write) -> io::Result<()> {
    let requests = totals.requests();
    let span = totals.span.map_or(Duration::ZERO, |(first, last)| Duration::from_millis(last - first));
    writeln!(out, "\nreplay: {requests} requests over {}", human(span))?;
    if totals.malformed > 0 {
        writeln!(out, "skipped: {} of {} lines are not in the combined format", totals.malformed, totals.lines)?;
    }
    if requests == 0 {
        return writeln!(out, "nothing to replay");
    }
    let sum = |of: fn(&RouteTotals) -> u64| totals.routes.iter().map(of).sum::<u64>();
    let (hits, stale) = (sum(|route| route.hits), sum(|route| route.stale));
    writeln!(out, "\nfrom the store   {:>7}   fresh {}, stale {}", share(hits + stale, requests), hits, stale)?;
    writeln!(out, "waits for a render {:>5}   {}", share(sum(|r| r.misses), requests), sum(|r| r.misses))?;
    writeln!(out, "bypasses         {:>7}   {}", share(sum(|r| r.bypasses), requests), bypasses(totals))?;
    if totals.refused > 0 {
        writeln!(out, "refused          {:>7}   400 or 421: {}", share(totals.refused, requests), totals.refused)?;
    }
    if sum(|route| route.unstored) > 0 {
        writeln!(
            out,
            "errors           {:>7}   not stored: {}",
            share(sum(|r| r.unstored), requests),
            sum(|r| r.unstored)
        )?;
    }
    routes(totals, config, out)?;
    for (index, origin) in config.origins.iter().enumerate() {
        let renders = totals.renders(config, OriginId(index));
        let a_second = renders as f64 / span.as_secs_f64().max(1.0);
        writeln!(out, "origin {}: {renders} renders, {a_second:.2} a second", origin.name)?;
    }
    parameters(totals, config, out)?;
    assumptions(totals, config, out)
}

fn bypasses(totals: &Totals) -> String {
    let mut reasons: Vec<_> = totals.bypasses.iter().filter(|(_, count)| *count > 0).collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{} {count}", reason.as_str())).collect();
    if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") }
}

fn routes(totals: &Totals, config: &Config, out: &mut impl Write) -> io::Result<()> {
    let names = config.routes.iter().map(|route| &*route.name).chain(["no route"]);
    let mut rows: Vec<(&str, &RouteTotals)> = names.zip(&totals.routes).filter(|(_, t)| t.requests() > 0).collect();
    rows.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.requests()));
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "\n{:<width$} {:>10} {:>10} {:>10} {:>10}",
        "route", "requests", "from store", "renders", "bypasses"
    )?;
    for (name, route) in rows {
        let stored = share(route.hits + route.stale, route.requests());
        let (requests, renders) = (route.requests(), route.renders());
        writeln!(out, "{name:<width$} {requests:>10} {stored:>10} {renders:>10} {:>10}", route.bypasses)?;
    }
    writeln!(out)
}

fn parameters(totals: &Totals, config: &Config, out: &mut impl Write) -> io::Result<()> {
    let splitting: Vec<&SplittingParameter> =
        totals.parameters.iter().filter(|one| one.values > FEW_VALUES).take(LISTED).collect();
    if splitting.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nparameters that split the cache (a page for each value):")?;
    for one in splitting {
        let route = config.route(one.route);
        let name: String = one.name.chars().filter(|c| !c.is_control()).collect();
        writeln!(out, "  {name} on {}: about {} values in {} requests", route.name, one.values, one.requests)?;
        writeln!(out, "    {}", suggestion(totals, config, one, &name))?;
    }
    if totals.parameters_are_cut {
        writeln!(out, "  (there are more names than are counted)")?;
    }
    Ok(())
}

/// What to write in `proxy.yaml` if the parameter does not change the page.
fn suggestion(totals: &Totals, config: &Config, one: &SplittingParameter, name: &str) -> String {
    let route = config.route(one.route);
    if route.cache == CacheMode::Headers {
        return "on `cache: headers` every query is a page of its own; `cache: isr` with `query: [...]` changes that"
            .into();
    }
    let others = totals.parameters.iter().filter(|other| other.route == one.route && other.name != one.name);
    let mut others: Vec<&str> = match &route.query {
        QueryRule::Only(names) => names.iter().map(AsRef::as_ref).filter(|listed| *listed != name).collect(),
        _ => others.filter(|other| other.values <= FEW_VALUES).map(|other| &*other.name).collect(),
    };
    others.sort_unstable();
    let list = if others.is_empty() { "none".to_owned() } else { format!("[ {} ]", others.join(", ")) };
    format!("if it does not change the page: `query: {list}` on the route, or `{name}` in `tracking:`")
}

fn assumptions(totals: &Totals, config: &Config, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nassumed, because a log does not tell:")?;
    writeln!(out, "  every answer but an error may be stored; responses name no lifetime, so `default` counts")?;
    if config.routes.iter().any(|route| route.cache == CacheMode::Headers) {
        writeln!(out, "  pages of `cache: headers` are fresh for {} and never served stale", human(ASSUMED_TTL))?;
    }
    writeln!(out, "  no request carries a cookie or a field that a route keys on or bypasses for")?;
    let host = config.hosts.as_ref().and_then(|hosts| hosts.first());
    writeln!(out, "  all requests are for one host ({})", host.map_or("any", AsRef::as_ref))?;
    writeln!(out, "  nothing is purged or evicted; the store starts empty")?;
    if totals.forgotten > 0 {
        writeln!(out, "  more than {MOST} pages: {} that nobody asked for lately were forgotten", totals.forgotten)?;
    }
    Ok(())
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}
