"use strict";
// The dashboard polls the listener's numbers and shows what became of them. Text reaches the page as text
// only; the token is kept in this tab and travels in an Authorization field, never in a URL.

const POLL = 2000;
const KEEP = 150; // samples: five minutes
const ENOUGH = 20; // requests that make a window say something
const OUTCOMES = ["hit", "stale", "fallback", "miss", "bypass", "failed", "refused", "not-found"];
const WORDS = {
  hit: "fresh from the store", stale: "stale from the store", fallback: "fallback page", miss: "waited for a render",
  bypass: "bypass", failed: "error page", refused: "refused", "not-found": "not in a list",
};
const GOOD = ["good", "not_modified", "not_found", "redirect", "uncacheable", "oversize", "client_error", "unexpected"];
const BAD = ["server_error", "timeout", "connect", "truncated", "garbled"];

const $ = (id) => document.getElementById(id);
const samples = [];
let token = sessionStorage.getItem("breadbox-token") || "";
let whenUnlocked = null;

// Building

const SVG = "http://www.w3.org/2000/svg";
function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (name, attributes, ...children) => build(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => build(document.createElementNS(SVG, name), attributes, children);

function table(id, columns, rows, empty) {
  const head = el("thead", {}, el("tr", {}, columns.map((column) =>
    el("th", { scope: "col", class: column.number ? "number" : null }, column.name))));
  const body = rows.length
    ? rows.map((row) => el("tr", {}, columns.map((column, at) =>
        el(at === 0 ? "th" : "td", {
          scope: at === 0 ? "row" : null,
          class: [column.number ? "number" : "", column.long ? "long" : ""].join(" ").trim() || null,
        }, column.of(row)))))
    : [el("tr", {}, el("td", { class: "empty", colspan: columns.length }, empty))];
  $(id).replaceChildren(head, el("tbody", {}, body));
}

function spark(values, label, top) {
  const shown = values.filter((value) => value !== null);
  const figure = svg("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label });
  if (shown.length < 2) return figure;
  const most = top || Math.max(...shown) || 1;
  const points = [];
  values.forEach((value, at) => {
    if (value === null) return;
    const x = (100 * at) / (values.length - 1), y = 28 - 26 * Math.min(1, value / most);
    points.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  });
  const first = points[0].split(",")[0], last = points[points.length - 1].split(",")[0];
  figure.append(svg("polygon", { class: "spark-fill", points: `${first},30 ${points.join(" ")} ${last},30` }));
  figure.append(svg("polyline", { class: "spark", points: points.join(" ") }));
  return figure;
}

function gauge(share, label) {
  const width = Math.max(0, Math.min(100, 100 * share));
  return svg("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("rect", { class: "track", x: 0, y: 20, width: 100, height: 8 }),
    svg("rect", { class: "fill", x: 0, y: 20, width, height: 8 }));
}

function shares(outcomes, label) {
  const all = sum(OUTCOMES.map((name) => outcomes[name] || 0));
  const bar = svg("svg", { class: "shares", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": label });
  let x = 0;
  for (const name of OUTCOMES) {
    const width = all ? (100 * (outcomes[name] || 0)) / all : 0;
    if (width > 0) bar.append(svg("rect", { class: name, x, y: 0, width, height: 10 }));
    x += width;
  }
  if (!all) bar.append(svg("rect", { class: "track", x: 0, y: 0, width: 100, height: 10 }));
  return bar;
}

// Saying

const sum = (list) => list.reduce((a, b) => a + b, 0);
const percent = (part, whole) => (whole > 0 ? share((100 * part) / whole) : "–");
const share = (number) => (number > 0 && number < 0.01 ? "< 0.01 %" : `${trim(number)} %`);
const trim = (number) => (number >= 100 || number === 0 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2));
const perSecond = (number) => (number === null ? "–" : `${trim(number)}/s`);
function seconds(value) {
  if (value === null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "> 60 s";
  if (value < 0.001) return `${trim(value * 1e6)} µs`;
  return value < 1 ? `${trim(value * 1e3)} ms` : `${trim(value)} s`;
}
function ago(ms) {
  const s = ms / 1000;
  if (s < 1) return "now";
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}
function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) { number /= 1024; at += 1; }
  return `${at === 0 ? number.toFixed(0) : trim(number)} ${units[at]}`;
}

// Counting

function quantile(share, bounds, buckets) {
  const all = buckets.length ? buckets[buckets.length - 1] : 0;
  if (!(all > 0)) return null;
  const rank = share * all;
  let below = 0, from = 0;
  for (let at = 0; at < bounds.length; at += 1) {
    if (buckets[at] >= rank) {
      const inside = buckets[at] - below;
      return from + (bounds[at] - from) * (inside > 0 ? (rank - below) / inside : 1);
    }
    below = buckets[at];
    from = bounds[at];
  }
  return Infinity;
}
const minus = (now, then) => now.map((value, at) => Math.max(0, value - (then ? then[at] || 0 : 0)));
function lessMap(now, then) {
  return Object.fromEntries(Object.entries(now).map(([name, value]) => [name, Math.max(0, value - ((then || {})[name] || 0))]));
}
/** What happened between two samples, or since the start. */
function between(now, then) {
  const before = (list, name) => (then ? then.totals[list].find((one) => one.name === name) : undefined) || {};
  const routes = now.totals.routes.map((route) => {
    const old = before("routes", route.name);
    return {
      name: route.name, outcomes: lessMap(route.outcomes, old.outcomes),
      buckets: minus(route.buckets, old.buckets), waited: minus(route.waited, old.waited),
    };
  });
  const origins = now.totals.origins.map((origin) => {
    const old = before("origins", origin.name);
    return { ...origin, results: lessMap(origin.results, old.results), buckets: minus(origin.buckets, old.buckets) };
  });
  const outcomes = {};
  for (const route of routes) for (const name of OUTCOMES) outcomes[name] = (outcomes[name] || 0) + (route.outcomes[name] || 0);
  const add = (lists) => lists.reduce((a, b) => b.map((value, at) => value + (a[at] || 0)), []);
  return {
    routes, origins, outcomes, requests: sum(Object.values(outcomes)),
    buckets: add(routes.map((route) => route.buckets)), renders: sum(origins.map(rendersOf)),
    renderBuckets: add(origins.map((origin) => origin.buckets)),
    bytes: now.totals.response_bytes - (then ? then.totals.response_bytes : 0),
    seconds: Math.max(0.001, then ? (now.now - then.now) / 1000 : now.now / 1000 - now.totals.started),
  };
}
const rendersOf = (origin) => sum([...GOOD, ...BAD].map((name) => origin.results[name] || 0));
const failedOf = (origin) => sum(BAD.map((name) => origin.results[name] || 0));
const stored = (outcomes) => (outcomes.hit || 0) + (outcomes.stale || 0);

// Showing

function show() {
  const now = samples[samples.length - 1];
  const recent = samples.length > 1 ? between(now, samples[0]) : null;
  const inWindow = recent !== null && recent.requests >= ENOUGH;
  const seen = inWindow ? recent : between(now, null);
  const steps = samples.slice(1).map((sample, at) => between(sample, samples[at]));
  const totals = now.totals;
  $("window").textContent = inWindow ? `the last ${ago(seen.seconds * 1000)}` : `since the start, ${ago(seen.seconds * 1000)} ago`;
  showHealth(now);
  showTiles(now, seen, steps);
  table("origins", [
    { name: "Origin", of: (one) => one.name },
    { name: "State", of: (one) => {
      const failing = now.failing.find(([name]) => name === one.name);
      return failing ? el("span", { class: "pill bad" }, `last ${failing[1]} failed`)
        : rendersOf(one) === 0 ? el("span", { class: "pill" }, "no renders") : el("span", { class: "pill good" }, "answers");
    } },
    { name: "Renders", number: true, of: (one) => perSecond(rendersOf(one) / seen.seconds) },
    { name: "Failed", number: true, of: (one) => percent(failedOf(one), rendersOf(one)) },
    { name: "Median", number: true, of: (one) => seconds(quantile(0.5, totals.render_bounds, one.buckets)) },
    { name: "95 %", number: true, of: (one) => seconds(quantile(0.95, totals.render_bounds, one.buckets)) },
    { name: "Running", number: true, of: (one) => String(one.running) },
    { name: "Waiting", number: true, of: (one) => String(one.waiting) },
  ], seen.origins, "No origin.");
  const slowness = (route) => quantile(0.95, totals.request_bounds, route.waited) || 0;
  const count = (route) => sum(Object.values(route.outcomes));
  const routes = seen.routes.filter((route) => count(route) > 0).sort((a, b) => slowness(b) - slowness(a) || count(b) - count(a));
  table("routes", [
    { name: "Route", long: true, of: (one) => one.name },
    { name: "Who answered", of: (one) => shares(one.outcomes, OUTCOMES.filter((name) => one.outcomes[name] > 0)
      .map((name) => `${WORDS[name]} ${percent(one.outcomes[name], count(one))}`).join(", ")) },
    { name: "From the store", number: true, of: (one) => percent(stored(one.outcomes), count(one)) },
    { name: "Requests", number: true, of: (one) => perSecond(count(one) / seen.seconds) },
    { name: "95 %, all", number: true, of: (one) => seconds(quantile(0.95, totals.request_bounds, one.buckets)) },
    { name: "95 %, waited", number: true, of: (one) => seconds(quantile(0.95, totals.request_bounds, one.waited)) },
  ], routes, "No requests yet.");
  table("failures", [
    { name: "When", of: (one) => (one.ms_ago < 1000 ? "now" : `${ago(one.ms_ago)} ago`) },
    { name: "Reason", of: (one) => el("span", { class: "pill bad" }, one.reason.replaceAll("_", " ")) },
    { name: "Origin", of: (one) => one.origin },
    { name: "Route", of: (one) => one.route },
    { name: "Path", long: true, of: (one) => one.path || el("span", { class: "quiet" }, "with the token") },
  ], now.failures.slice(0, 20), "No render has failed.");
  table("pages", [
    { name: "Page", long: true, of: (one) => one.url },
    { name: "Asked for", number: true, of: (one) => String(one.popularity) },
    { name: "Route", of: (one) => one.route || "–" },
    { name: "State", of: (one) => (one.freshness
      ? el("span", { class: `pill ${one.freshness === "fresh" ? "good" : "warn"}` }, one.freshness)
      : el("span", { class: "quiet" }, "not under this key")) },
    { name: "Age", number: true, of: (one) => (one.age === null ? "–" : ago(one.age * 1000)) },
    { name: "Size", number: true, of: (one) => (one.bytes === null ? "–" : bytes(one.bytes)) },
  ], now.pages || [], now.pages ? "No page was asked for yet." : "Paths are shown to who has the token.");
}

function showHealth(now) {
  const degraded = now.degraded.length > 0;
  const word = now.phase !== "running" ? now.phase : degraded ? "degraded" : "ready";
  if ($("health").textContent !== word) $("health").textContent = word;
  $("health").className = `pill ${word === "ready" ? "good" : "warn"}`;
  $("reasons").hidden = !degraded;
  $("reasons").replaceChildren(...now.degraded.map((reason) => el("li", {}, reason)));
  const taken = now.totals.config_last_reload === 1 ? "" : " (a newer one was refused)";
  $("facts").textContent = `${now.version} · up ${ago(now.now - now.totals.started * 1000)} · configuration ${now.totals.config_generation}${taken} · ${now.totals.connections} connections`;
}

function showTiles(now, seen, steps) {
  const { store, backoff_keys: backingOff } = now.totals;
  const failed = sum(seen.origins.map(failedOf));
  const ratio = (step, part) => (step.requests > 0 ? part / step.requests : null);
  const waiting = sum(seen.origins.map((origin) => origin.waiting));
  const running = sum(seen.origins.map((origin) => origin.running));
  const tiles = [
    ["From the store", percent(stored(seen.outcomes), seen.requests), `${seen.requests.toLocaleString("en")} requests`,
      spark(steps.map((step) => ratio(step, stored(step.outcomes))), "share of requests answered from the store, over time", 1)],
    ["Served stale", percent(seen.outcomes.stale, seen.requests), "while one render refreshes each",
      spark(steps.map((step) => ratio(step, step.outcomes.stale)), "share of requests answered with stale pages, over time")],
    ["Fallback pages", percent(seen.outcomes.fallback, seen.requests), "shown while a page is rendered",
      spark(steps.map((step) => ratio(step, step.outcomes.fallback)), "share of requests answered with a fallback page, over time")],
    ["Requests", perSecond(seen.requests / seen.seconds), `${bytes(seen.bytes / seen.seconds)}/s`,
      spark(steps.map((step) => step.requests / step.seconds), "requests a second, over time")],
    ["Time to answer, 95 %", seconds(quantile(0.95, now.totals.request_bounds, seen.buckets)),
      `median ${seconds(quantile(0.5, now.totals.request_bounds, seen.buckets))}`,
      spark(steps.map((step) => finite(quantile(0.95, now.totals.request_bounds, step.buckets))), "95 % of answers are faster, over time")],
    ["Renders", perSecond(seen.renders / seen.seconds), `${running} running, ${waiting} waiting`,
      spark(steps.map((step) => step.renders / step.seconds), "renders a second, over time")],
    ["Render time, 95 %", seconds(quantile(0.95, now.totals.render_bounds, seen.renderBuckets)),
      `median ${seconds(quantile(0.5, now.totals.render_bounds, seen.renderBuckets))}`,
      spark(steps.map((step) => finite(quantile(0.95, now.totals.render_bounds, step.renderBuckets))), "95 % of renders are faster, over time")],
    ["Failed renders", percent(failed, seen.renders), `${backingOff} ${backingOff === 1 ? "page backs" : "pages back"} off`,
      spark(steps.map((step) => sum(step.origins.map(failedOf)) / step.seconds), "failed renders a second, over time")],
    ["Renders saved", percent(seen.requests - seen.renders - (seen.outcomes.bypass || 0), seen.requests), "requests the origin never saw",
      spark(steps.map((step) => ratio(step, Math.max(0, step.requests - step.renders - step.outcomes.bypass))), "share of requests that the origin never saw, over time", 1)],
    ["Store", percent(store.bytes, store.capacity), `${store.pages.toLocaleString("en")} pages, ${bytes(store.bytes)} of ${bytes(store.capacity)}`,
      gauge(store.capacity > 0 ? store.bytes / store.capacity : 0, "share of the store's memory that is used")],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, value, note, figure]) => el("article", { class: "tile" },
    el("h3", {}, name), el("p", { class: "value" }, value), el("p", { class: "note" }, note), figure)));
}
const finite = (value) => (value !== null && Number.isFinite(value) ? value : null);

// Asking

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  if (answer.status === 401 || answer.status === 403) {
    forget();
    unlock(answer.status === 401 ? "This token was not accepted." : (await answer.text()).trim());
    throw new Error("locked");
  }
  return answer;
}

async function poll() {
  try {
    const answer = await ask(token ? "-/status.json" : "status.json");
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const sample = await answer.json();
    const last = samples[samples.length - 1];
    if (last && last.totals.started !== sample.totals.started) samples.length = 0;
    samples.push(sample);
    if (samples.length > KEEP) samples.shift();
    $("trouble").hidden = true;
    show();
  } catch (error) {
    if (error.message !== "locked") {
      $("trouble").textContent = "Breadbox does not answer; what stands here is old.";
      $("trouble").hidden = false;
    }
  }
  setTimeout(poll, POLL);
}

function forget() {
  token = "";
  sessionStorage.removeItem("breadbox-token");
  $("unlock").textContent = "Enter the token";
}
function unlock(trouble, then) {
  if (then) whenUnlocked = then;
  $("ask-trouble").hidden = !trouble;
  $("ask-trouble").textContent = trouble || "";
  $("token").value = "";
  if (!$("ask").open) $("ask").showModal();
}
$("unlock").addEventListener("click", () => {
  if (token) { whenUnlocked = null; forget(); for (const sample of samples) delete sample.pages; if (samples.length) show(); } else unlock();
});
$("ask-form").addEventListener("submit", () => {
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem("breadbox-token", token);
  $("unlock").textContent = "Forget the token";
  const then = whenUnlocked;
  whenUnlocked = null;
  if (then) then();
});
$("ask").addEventListener("cancel", () => { whenUnlocked = null; });
$("ask-cancel").addEventListener("click", () => { whenUnlocked = null; $("ask").close(); });

async function answerInto(id, work) {
  const place = $(id);
  place.hidden = false;
  place.textContent = "…";
  try {
    const lines = ((await work()).trim() || "done").split("\n");
    place.replaceChildren(...lines.map((line) => el("span", { class: "line" }, line)));
  } catch (error) {
    place.textContent = error.message === "locked" ? "The token was not accepted." : "Breadbox does not answer.";
  }
}

// The forms

const LABELS = { path: ["Path", "/products/42"], prefix: ["Prefix", "/products/"], tag: ["Tags, separated by spaces", "product-42"], host: ["Host", "shop.example.com"] };
$("purge-kind").addEventListener("change", () => {
  const all = $("purge-kind").value === "all";
  $("purge-value").hidden = $("purge-label").hidden = all;
  if (!all) [$("purge-label").textContent, $("purge-value").placeholder] = LABELS[$("purge-kind").value];
});
function purge() {
  const kind = $("purge-kind").value, value = $("purge-value").value.trim();
  const mode = document.querySelector("input[name=mode]:checked").value;
  const list = value.split(/[\s,]+/).filter(Boolean);
  const what = kind === "all" ? { all: true } : { [kind]: kind === "tag" ? list : value };
  answerInto("purge-answer", async () => {
    const headers = { "Content-Type": "application/json" };
    const answer = await ask("-/purge", { method: "POST", headers, body: JSON.stringify({ ...what, mode }) });
    return answer.text();
  });
}
$("purge").addEventListener("submit", (event) => {
  event.preventDefault();
  const all = $("purge-kind").value === "all";
  if (!all && !$("purge-value").value.trim()) { $("purge-value").focus(); return; }
  if (all && !confirm("Purge every page there is?")) return;
  if (token) purge(); else unlock("", purge);
});
function explain() {
  const query = new URLSearchParams({ url: $("explain-url").value.trim() });
  for (const line of $("explain-headers").value.split("\n")) if (line.trim()) query.append("header", line.trim());
  for (const line of $("explain-cookies").value.split("\n")) if (line.trim()) query.append("cookie", line.trim());
  answerInto("explain-answer", async () => (await ask(`-/explain?${query}`, { headers: { Accept: "text/plain" } })).text());
}
$("explain").addEventListener("submit", (event) => {
  event.preventDefault();
  if (token) explain(); else unlock("", explain);
});

$("legend").replaceChildren(...OUTCOMES.map((name) => el("span", {},
  svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: name, width: 10, height: 10, rx: 2 })), WORDS[name])));
if (token) $("unlock").textContent = "Forget the token";
poll();
