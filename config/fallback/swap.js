// What every fallback page runs: it waits until the page is there, then loads it, once, as a plain visit would.
// Lines like this one are left out of what is sent. The text is the same for everybody (what differs stands in
// attributes), so that a policy of the site's own can allow it by its hash.
(() => {
"use strict";
const { wait, hold } = document.currentScript.dataset;
const name = "breadbox " + location.pathname + location.search;
const id = Math.random();
const channel = self.BroadcastChannel && new BroadcastChannel(name);
let leads = null, gone = false, heard = false;

// A reload is what a plain visit would have been: the same history, referrer, cookies and place in the page. But no
// browser animates one, nor goes to a fragment that the page before did not have. So where a link of this site led here,
// or to a fragment, the page is replaced by itself. Its address is another one for that moment: the link's page, which
// keeps the referrer, or ours; or else a fragment would lead nowhere but to this document.
const swap = (state) => {
if (gone) return;
gone = true;
if (leads && channel) channel.postMessage(state || "over");
const visit = performance.getEntriesByType && performance.getEntriesByType("navigation")[0];
const { href, hash, origin } = location, from = document.referrer;
const linked = from.startsWith(origin + "/") && from !== href.split("#")[0];
const fresh = state === "answered" && visit && visit.type === "navigate" && !scrollY;
if (!fresh || !(hash || linked && "onpagereveal" in self)) return location.reload();
if (!linked) {
const nothing = document.createElement("meta");
nothing.name = "referrer";
nothing.content = "no-referrer";
document.head.append(nothing);
}
history.replaceState(null, "", linked ? from : "/.breadbox");
location.replace(href);
};
// The page that comes need not take part in the animation.
addEventListener("pageswap", ({ viewTransition }) => {
if (!viewTransition) return;
viewTransition.ready.catch(() => {});
viewTransition.finished.catch(() => {});
});
const later = (seconds) => setTimeout(swap, seconds * 1000 * (1 + Math.random() / 4));

// One tab polls for all tabs of this page, and goes on leading until it has left.
const poll = async () => {
if (gone) return;
const mine = leads = new AbortController();
if (channel) channel.postMessage(id);
try {
const answer = await fetch("/.breadbox/wait/" + wait, { cache: "no-store", signal: mine.signal });
if (answer.status === 200) return swap((await answer.json()).state);
later(Math.min(Math.max(Number(answer.headers.get("retry-after")) || 2, 1), 30));
} catch { mine.signal.aborted || later(3); }
};

// Web Locks are there on HTTPS and localhost alone. Elsewhere tabs ask each other, and of two that lead one gives way.
const elect = () => {
if (gone) return;
heard = false;
channel.postMessage("who");
setTimeout(() => heard ? setTimeout(elect, 2000) : poll(), 200 + Math.random() * 200);
};
if (channel) channel.onmessage = ({ data }) => {
if (data === "who") leads && channel.postMessage(id);
else if (typeof data === "string") swap(data);
else {
heard = true;
if (leads && data < id) {
leads.abort();
leads = null;
setTimeout(elect, 2000);
}
}
};
// A lock that comes late is that of a tab which has left: what it had to say may still be on its way.
const asked = Date.now();
const lock = () => {
setTimeout(poll, Date.now() - asked < 100 ? 0 : 250);
return new Promise(() => {});
};

addEventListener("pageshow", (event) => event.persisted && swap());
// Whatever becomes of the poll; and without cookies nothing would say that this page was shown before.
setTimeout(swap, Number(hold) + 5000);
if (!navigator.cookieEnabled) later(10);
else if (navigator.locks) navigator.locks.request(name, lock).catch(poll);
else if (channel) elect();
else poll();
})();
