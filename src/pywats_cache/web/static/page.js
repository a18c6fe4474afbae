// Asks the service every two seconds while the page is seen, and draws what changed. Nothing else is asked.
"use strict";

const EVERY = 2000, KEEP = 150;
const OUTCOMES = { hit: "hits", stale: "stale", revalidated: "revalidated", collapsed: "collapsed", miss: "misses", bypass: "bypassed" };
const at = id => document.getElementById(id);
const readings = [];      // [time, figures], oldest first
const marks = new Set(); // times of invalidations
let paused = false, timer = null, asking = false;

const whole = number => Math.round(number).toLocaleString();
const percent = part => part === null ? "–" : `${(part * 100).toFixed(1)} %`;
function bytes(number) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (number < 1024) return `${unit === "B" ? number : number.toFixed(1)} ${unit}`;
    number /= 1024;
  }
  return `${number.toFixed(1)} GiB`;
}
function duration(seconds) {
  if (seconds < 1) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
function cell(text, kind, tag = "td") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

// What happened between two readings; null where a reading is missing or the service started anew.
function between(before, after) {
  const parts = {};
  for (const [name, field] of Object.entries(OUTCOMES)) {
    parts[name] = after[field] - before[field];
    if (parts[name] < 0) return null;
  }
  return parts;
}
function rate(parts) {
  if (parts === null) return null;
  const good = parts.hit + parts.stale + parts.collapsed;
  const all = good + parts.revalidated + parts.miss;
  return all ? good / all : null;
}

function show(stats, events) {
  const now = Date.now() / 1000;
  at("client").textContent = stats.client;
  Settings.offer(stats.settings);
  if (!stats.enabled) { state("the cache is off"); return; }
  readings.push([now, stats]);
  if (readings.length > KEEP) readings.shift();
  for (const event of events) if (event.status === "invalidation") marks.add(event.at);
  for (const time of marks) if (time < readings[0][0]) marks.delete(time);
  state(`live, ${new Date().toLocaleTimeString()}`);
  figures(stats, now);
  plots();
  at("routes").replaceChildren(...[...stats.rules].sort((a, b) => b.hits - a.hits).slice(0, 10).map(rule => row(
    cell(rule.rule), cell(whole(rule.hits), "n"), cell(whole(rule.fetches), "n"),
    cell(duration(rule.saved_seconds), "n"), cell(whole(rule.entries), "n"))));
  at("events").replaceChildren(...events.slice(0, 30).map(event => {
    const outcome = cell(`${event.method} ${event.status}`.trim(), "outcome");
    outcome.style.color = `var(--${event.status})`;
    const why = cell(event.reason);
    if (event.meaning) why.append(" ", cell(event.meaning, "meaning", "span"));
    return row(cell(new Date(event.at * 1000).toLocaleTimeString(), "time"), outcome, why, cell(event.rule),
      cell(event.status === "invalidation" ? "" : duration(event.took), "n"));
  }));
}

function figures(stats, now) {
  const minute = readings.find(([time]) => time >= now - 60);
  const parts = minute ? between(minute[1], stats) : null;
  const lately = rate(parts);
  at("rate").textContent = percent(stats.hit_rate);
  at("rate-note").textContent = lately === null ? "of cacheable requests" : `${percent(lately)} in the last minute`;
  at("requests").textContent = whole(stats.requests);
  at("requests-note").textContent = `${whole(stats.misses)} fetched, ${whole(stats.bypassed)} bypassed`;
  at("saved").textContent = duration(stats.saved_seconds);
  at("saved-note").textContent = stats.hits ? `${duration(stats.saved_seconds / stats.hits)} for each hit` : "";
  at("memory").textContent = bytes(stats.size_bytes);
  at("memory-meter").value = stats.size_bytes / stats.max_bytes;
  at("memory-note").textContent =
    `of ${bytes(stats.max_bytes)}; ${whole(stats.entries)} of ${whole(stats.max_entries)} entries, ${whole(stats.evictions)} evicted`;
}

function plots() {
  if (readings.length < 2) return;
  const steps = readings.map(([time, stats], n) => [time, n ? between(readings[n - 1][1], stats) : null]);
  Plot.line(at("rate-plot"), steps.map(([time, parts]) => [time, rate(parts)]), [...marks]);
  const last = rate(steps[steps.length - 1][1]);
  at("rate-plot").setAttribute("aria-label", `Hit rate, now ${percent(last)}; ${marks.size} invalidations`);
  Plot.stack(at("outcome-plot"), steps.map(([time, parts]) => [time, parts || {}]), Object.keys(OUTCOMES));
  const sums = {};
  for (const [, parts] of steps) for (const name in parts || {}) sums[name] = (sums[name] || 0) + parts[name];
  at("outcome-plot").setAttribute("aria-label",
    "Requests while this page is open: " + Object.entries(sums).map(([name, number]) => `${number} ${name}`).join(", "));
  at("legend").replaceChildren(...Object.keys(OUTCOMES).map(name => {
    const item = cell(`${name} ${whole(sums[name] || 0)}`, "", "li");
    item.prepend(Plot.swatch(name));
    return item;
  }));
}

function state(text) { at("state").textContent = text; }

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error || answer.status);
  return found;
}

async function refresh() {
  clearTimeout(timer);
  if (paused || asking) return;
  asking = true;
  try {
    const stats = await get("cache/stats");
    const found = stats.enabled ? await get("cache/events") : { events: [] };
    show(stats, found.events);
  } catch (error) {
    state(`the service does not answer (${error.message})`);
  } finally {
    asking = false;
  }
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
}

async function change(path, body) {
  const result = at("result");
  result.textContent = "…";
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${at("token").value}` },
      body: JSON.stringify(body),
    });
    const found = await answer.json();
    result.textContent = answer.ok ? `done: ${JSON.stringify(found)}` : `refused: ${found.error}`;
    if (found.field === "token") at("token").focus();
  } catch (error) {
    result.textContent = `failed: ${error.message}`;
  }
  refresh();
}

at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  at("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) state("paused"); else refresh();
});
at("operations").addEventListener("submit", event => {
  event.preventDefault();
  const tags = at("tag").value.split(",").map(tag => tag.trim()).filter(Boolean);
  change("cache/invalidate", { path: at("path").value.trim() || null, tags, soft: at("soft").checked });
});
at("clear").addEventListener("click", () => at("sure").showModal());
at("sure").addEventListener("close", () => { if (at("sure").returnValue === "yes") change("cache/clear", {}); });
at("token").addEventListener("change", () => {
  sessionStorage.setItem("pywats-cache-token", at("token").value);
  Settings.load();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

// `serve` prints an address with the token behind #, which a browser does not send anywhere.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("pywats-cache-token", given);
  window.history.replaceState(null, "", location.pathname);
}
at("token").value = sessionStorage.getItem("pywats-cache-token") || "";
refresh();
