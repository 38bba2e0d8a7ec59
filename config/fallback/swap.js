// What every fallback page runs: it waits until the page is there, then loads it, once, as a plain visit would.
// Lines like this one are left out of what is sent. The text is the same for everybody (what differs stands in
// attributes), so that a policy of the site's own can allow it by its hash.
(() => {
"use strict";
const { wait, hold } = document.currentScript.dataset;
const name = "breadbox " + location.pathname + location.search;
const channel = self.BroadcastChannel && new BroadcastChannel(name);
let leads = false, gone = false, heard = false;

// A reload keeps the history, the fragment and the place in the page. Replacing the page by itself keeps the history
// too and lets the browser animate it, where there is no fragment (it would only be scrolled to) and no place to keep.
const swap = () => {
if (gone) return;
gone = true;
if (leads && channel) channel.postMessage("over");
const visit = performance.getEntriesByType && performance.getEntriesByType("navigation")[0];
const animates = "onpagereveal" in self && visit && visit.type === "navigate" && !scrollY;
if (animates && !location.href.includes("#")) location.replace(location.href);
else location.reload();
};
const later = (seconds) => setTimeout(swap, seconds * 1000 * (1 + Math.random() / 4));

// One tab polls for all tabs of this page, and goes on leading until it has left.
const poll = async () => {
leads = true;
try {
const answer = await fetch("/.breadbox/wait/" + wait, { cache: "no-store" });
if (answer.status === 200) return swap();
later(Math.min(Math.max(Number(answer.headers.get("retry-after")) || 2, 1), 30));
} catch { later(3); }
};

// Web Locks are there on HTTPS and localhost alone. Elsewhere tabs ask each other.
const elect = () => {
heard = false;
channel.postMessage("who");
setTimeout(() => heard ? setTimeout(elect, 2000) : poll(), 100 + Math.random() * 200);
};
if (channel) channel.onmessage = ({ data }) => {
if (data === "over") swap();
else if (data === "who" && leads) channel.postMessage("me");
else if (data === "me") heard = true;
};

addEventListener("pageshow", (event) => event.persisted && swap());
// Whatever becomes of the poll; and without cookies nothing would say that this page was shown before.
setTimeout(swap, Number(hold) + 5000);
if (!navigator.cookieEnabled) later(10);
else if (navigator.locks) navigator.locks.request(name, () => { poll(); return new Promise(() => {}); }).catch(poll);
else if (channel) elect();
else poll();
})();
