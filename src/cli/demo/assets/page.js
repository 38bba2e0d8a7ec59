// Says at the foot of the page how fast it came and how old it is.

const stamp = document.getElementById('stamp');
const arrival = document.getElementById('arrival');
const [navigation] = performance.getEntriesByType('navigation');
const waited = Math.max(0, Math.round(navigation.responseStart - navigation.requestStart));
const age = Math.max(0, (performance.timeOrigin + navigation.responseStart - stamp.dataset.rendered) / 1000);

arrival.textContent = `You waited ${waited} ms for it. It was ${age.toFixed(1)} s old then.`;
