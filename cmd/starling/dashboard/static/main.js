// The page: takes a frame each second and puts it in its places.

import { Charts } from "./charts.js";
import { age, counted, figure, make, percent, say, time } from "./dom.js";
import { showPicture } from "./picture.js";
import { showAbuse, showDirectors, showEvents, showNodes, showPacing, showTop } from "./tables.js";

const patience = 5000; // milliseconds without a frame until the node is called lost
const again = 3000; // until it is asked again

const at = (id) => document.getElementById(id);
const charts = new Charts(at("charts"));
let version, events, history, moods, latest, heard = Date.now(), column = {};

async function fetchJSON(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Listens to the node until it is gone, and then tries again for ever. */
function listen() {
  const source = new EventSource("/api/v1/live");
  source.onopen = () => { events = history = undefined; };
  source.onmessage = (message) => {
    heard = Date.now();
    show(JSON.parse(message.data));
  };
  source.onerror = () => {
    source.close();
    setTimeout(listen, again);
    stale();
  };
}

/** Fetches the history of before, once; when that fails, with the next frame. */
async function remember() {
  if (history) return;
  history = fetchJSON("/api/v1/history");
  try {
    const samples = await history;
    samples.fine.columns.forEach((name, i) => { column[name] = i; });
    charts.begin(samples);
    if (latest) showFigures(latest);
  } catch {
    history = undefined;
  }
}

/** Says when nothing was heard of the node for too long: what is shown is of then. */
function stale() {
  const silent = Date.now() - heard, lost = silent > patience;
  document.body.classList.toggle("stale", lost);
  at("connection").dataset.mood = lost ? "bad" : "good";
  say(at("connection"), lost ? "no answer" : "live");
  const banner = at("lost");
  if (lost && banner.hidden) {
    say(banner, `No answer from this node since ${new Date(heard).toLocaleTimeString("en-GB")}. It is down, or cut off from you; what you see is from before.`);
    banner.hidden = false;
    document.title = "✕ no answer – Starling";
  } else if (!lost) {
    banner.hidden = true;
  }
}

/** Shows a verdict. */
function judge(id, verdict) {
  const box = at("verdict-" + id);
  box.dataset.mood = verdict.mood;
  say(box.querySelector(".word"), verdict.word);
  say(box.querySelector(".why"), verdict.why ?? "");
}

/** Reads out what has changed for better or worse, not the figures beside it, which change all the time. */
function announce(verdicts) {
  const now = Object.values(verdicts), key = (v) => (v.mood === "good" ? "good" : v.word), place = at("announcer");
  const changed = moods ? now.filter((v, i) => key(v) !== moods[i]) : [];
  moods = now.map(key);
  for (const v of changed) place.append(make("p", {}, v.word + (v.mood === "good" || !v.why ? "" : ": " + v.why)));
  while (place.children.length > 5) place.firstChild.remove();
}

function showTroubles(list) {
  const place = at("troubles");
  place.hidden = list.length === 0;
  if ([...place.children].map((c) => c.textContent).join("\n") === list.join("\n")) return;
  place.replaceChildren(...list.map((text) => make("li", {}, text)));
}

function showFigures(f) {
  const value = (name) => f.sample[column[name]] ?? 0;
  const http = value("announces_http"), udp = value("announces_udp");
  say(at("figure-announces"), figure(http + udp));
  say(at("figure-announces-by"), `${figure(http)} HTTP, ${figure(udp)} UDP`);
  say(at("figure-peers"), figure(f.peers.ipv4 + f.peers.ipv6));
  say(at("figure-peers-by"), `${figure(f.peers.ipv4)} IPv4, ${figure(f.peers.ipv6)} IPv6`);
  say(at("figure-torrents"), figure(f.torrents));
  say(at("figure-torrents-by"), `${percent(f.seeders / Math.max(f.seeders + f.leechers, 1))} seeders`);
  const slow = Math.max(value("http_p99_ms"), value("udp_p99_ms"));
  say(at("figure-latency"), slow > 0 ? time(slow) : "–");
  say(at("figure-latency-by"), ["http", "udp"].filter((name) => value(name + "_p99_ms") > 0)
    .map((name) => `${name.toUpperCase()} ${time(value(name + "_p99_ms"))}`).join(", ") || "no announce lately");
}

function show(f) {
  if (version && version !== f.version) location.reload(); // the node was upgraded, and this page is of the old one
  version = f.version;
  latest = f;
  stale();
  say(at("node"), f.tracker_id);
  say(at("about"), `version ${f.version}, up ${age(f.uptime_s)}` + (f.views.length > 1 ? `, ${counted(f.views.length, "tracker")} in this process` : ""));
  for (const [id, verdict] of Object.entries(f.verdicts)) judge(id, verdict);
  announce(f.verdicts);
  remember();
  const worst = Object.values(f.verdicts).find((v) => v.mood === "bad") ?? Object.values(f.verdicts).find((v) => v.mood === "warn");
  document.title = (worst ? `${worst.mood === "bad" ? "✕" : "!"} ${worst.word} – ` : "") + `Starling ${f.tracker_id}`;
  showTroubles(f.troubles);
  showFigures(f);
  showPicture(at("picture"), f);
  showNodes(at("nodes"), f);
  showPacing(at("pacing"), at("pacing-about"), at("pacing-trees"), f.pacing);
  showDirectors(at("directors"), f.directors);
  showAbuse(at("abuse"), f.abuse);
  showTop(at("top"), f.top);
  charts.add(f.sample, f.coarse);
  if (events !== f.events) {
    events = f.events;
    fetchJSON("/api/v1/events").then((list) => showEvents(at("events"), list.events)).catch(() => { events = undefined; });
  }
}

for (const input of document.querySelectorAll("input[name=span]")) input.addEventListener("change", () => charts.show(input.value));
document.addEventListener("visibilitychange", () => charts.draw());
setInterval(stale, 1000);
listen();
