// The tables of the page: nodes, classes, torrents, events.

import { age, counted, figure, lag, make, percent, rate, say, short, show, showTables, table } from "./dom.js";
import { stateOf } from "./picture.js";

const most = 50; // nodes in a table

function state(mood, word) {
  return make("span", { class: "state", "data-mood": mood }, word);
}

/** The address without the port: nodes send from any. */
function host(address) {
  return (address || "–").replace(/:\d+$/, "");
}

function linkTable(view, alone) {
  if (view.nodes.length === 0) return make("p", { class: "empty" }, "No other node is heard.");
  const keyed = view.mode === "keyed" || view.nodes.some((n) => n.mode === "keyed");
  const columns = [{ title: "Node", head: true, class: "mono" }, { title: "Address", class: "mono" }, { title: "State" }, { title: "Heard", right: true }];
  if (keyed) columns.push({ title: "Peers", right: true }, { title: "Differs", right: true }, { title: "Lag, max", right: true });
  columns.push({ title: "Loss", right: true });
  const rows = view.nodes.slice(0, most).map((n) => {
    const row = [n.id, host(n.address), state(...stateOf(n)), age(n.last_heard_s) + " ago"];
    if (keyed && n.mode === "keyed") {
      row.push(figure(n.peers), n.differs === null ? "–" : figure(n.differs), `${lag(n.lag_s)}, ${lag(n.lag_max_s)}`);
    } else if (keyed) {
      row.push("–", "–", "–");
    }
    return [...row, percent(n.loss) + (n.lost_1m > 0 ? `, ${figure(n.lost_1m)} for good` : "")];
  });
  let caption = alone ? "What this node hears" : `What ${view.id} hears`;
  if (view.nodes.length > most) caption += `: ${most} of ${view.nodes.length} nodes`;
  return table(caption, columns, rows);
}

/** What each node of this process says of itself. */
function viewTable(views) {
  const columns = [{ title: "Node", head: true, class: "mono" }, { title: "State" }, { title: "In sync" }, { title: "Peers", right: true },
    { title: "Announces", right: true }, { title: "Hears", right: true }, { title: "Its page" }];
  return table("What each node says of itself", columns, views.map((v) => [
    v.id, state(v.serving.mood, v.serving.word), state(v.sync.mood, v.sync.word), figure(v.peers), figure(v.announces_per_s) + "/s",
    `${v.nodes.filter((n) => n.state === "heard").length} of ${v.nodes.length}`,
    v.admin ? make("a", { href: "http://" + v.admin + "/" }, v.admin) : "–",
  ]));
}

export function showNodes(place, frame) {
  const alone = frame.views.length === 1;
  const tables = alone ? [] : [viewTable(frame.views)];
  showTables(place, [...tables, linkTable(frame.views[0], alone)]);
}

/** Shows a section with one table, or hides it when there are no rows. */
function showSection(section, caption, columns, rows) {
  section.hidden = rows.length === 0;
  if (rows.length > 0) showTables(section.lastElementChild, [table(caption, columns, rows)]);
}

export function showDirectors(section, all) {
  const columns = [{ title: "Name", head: true }, { title: "Host" }, { title: "Torrents", right: true }, { title: "Peers", right: true },
    { title: "Group", class: "mono" }, { title: "Other nodes", right: true }, { title: "Live sync" }];
  const rows = all.slice(0, most).map((d) => [d.name, d.hostname + (d.port ? ":" + d.port : ""), figure(d.torrents), figure(d.peers.ipv4 + d.peers.ipv6),
    d.livesync.group, figure(d.livesync.nodes), d.livesync.trouble ? state("bad", d.livesync.trouble) : d.livesync.state]);
  showSection(section, all.length > most ? `${most} of ${all.length}` : "Their swarms are in none of the figures above", columns, rows);
}

const offences = { rate: "too many requests", early: "coming too early", budget: "more requests than a town makes",
  spray: "torrents that nobody knows", harvest: "collecting peers" };

export function showAbuse(section, abuse) {
  const columns = [{ title: "Network", head: true, class: "mono" }, { title: "For" }, { title: "Found by" }, { title: "Ends in", right: true }];
  const rows = abuse.clients.map((c) => [c.network, offences[c.reason] ?? c.reason, c.told ? "another node" : "this node", age(c.left_s)]);
  showSection(section, abuse.mode === "jail" ? "In the jail: served last for a time" : "Only watched: --abuse jail serves them last", columns, rows);
}

export function showTop(place, torrents) {
  if (torrents.length === 0) {
    show(place, make("p", { class: "empty" }, "No torrent has peers."));
    return;
  }
  const columns = [{ title: "Info hash", head: true, class: "mono hash" }, { title: "Seeders", right: true }, { title: "Leechers", right: true }, { title: "Downloaded", right: true }];
  const rows = torrents.map((t) => [make("span", { title: t.info_hash }, t.info_hash), figure(t.seeders), figure(t.leechers), figure(t.downloaded)]);
  showIn(place, table(`The ${torrents.length === 1 ? "one" : torrents.length} with the most peers, counted every ten seconds`, columns, rows));
}

export function showEvents(place, events) {
  if (events.length === 0) {
    show(place, make("p", { class: "empty" }, "Nothing has happened yet."));
    return;
  }
  const columns = [{ title: "When" }, { title: "What" }, { title: "", class: "wrap" }];
  const rows = events.slice(0, 25).map((e) => {
    const at = new Date(e.time);
    return [make("time", { datetime: e.time, title: at.toString() }, when(at)),
      state(e.trouble ? "bad" : "good", e.kind.replaceAll("-", " ")), e.text + (e.count > 1 ? ` (${figure(e.count)} times)` : "")];
  });
  showIn(place, table("The latest first", columns, rows));
}

/** The time of today, else the day too. */
function when(at) {
  const clock = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? clock : at.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) + " " + clock;
}

/** Shows one table where there may have been a sentence. */
function showIn(place, content) {
  if (!place.querySelector(".scroll")) show(place, make("div", { class: "tables" }));
  showTables(place.firstChild, [content]);
}

/** A bar as wide as the root's rate: what is a class's own, what of it is used, and what it has beyond. */
function bar(c, root) {
  const share = (n) => Math.max(0, Math.min(100, (100 * n) / Math.max(root, 1)));
  const box = make("div", { class: "bar", "aria-hidden": "true" });
  const part = (name, from, to) => {
    if (to <= from) return;
    const span = make("span", { class: name });
    span.style.left = share(from) + "%";
    span.style.width = share(to) - share(from) + "%";
    box.append(span);
  };
  part("own", 0, c.rate);
  part("used", 0, Math.min(c.rate, c.actual));
  part("over", c.rate, c.actual);
  return box;
}

function treeTable(tree) {
  const unit = (n) => rate(n, tree.unit), queues = tree.classes.some((c) => c.queue);
  const columns = [{ title: "Class", head: true }, { title: "Rate", right: true }, { title: "Ceiling", right: true }, { title: "Now", right: true },
    { title: "In use" }, { title: "Borrowed", right: true }, { title: "Lent", right: true }];
  if (queues) columns.push({ title: "Waiting", right: true }, { title: "Longest", right: true }, { title: "Late", right: true }, { title: "Dropped", right: true });
  const rows = tree.classes.map((c) => {
    const row = ["\u2003".repeat(c.depth) + (c.depth ? "└ " : "") + c.name, unit(c.rate), unit(c.ceil), unit(c.actual), bar(c, tree.classes[0].rate),
      amount(c.borrowed, tree.unit), amount(c.lent, tree.unit)];
    if (!queues) return row;
    const q = c.queue;
    return [...row, ...(q ? [figure(q.waiting), q.longest_wait_s > 0 ? age(q.longest_wait_s) : "–", figure(q.expired), figure(q.dropped)] : ["", "", "", ""])];
  });
  return table(tree.name[0].toUpperCase() + tree.name.slice(1), columns, rows);
}

/** Tokens that were borrowed or lent so far. */
function amount(n, unit) {
  return n <= 0 ? "–" : unit === "bytes" ? short(n) + "B" : short(n);
}

export function showPacing(section, about, place, pacing) {
  section.hidden = !pacing;
  if (!pacing) return;
  const parts = [];
  if (pacing.rate > 0) parts.push(rate(pacing.rate, "bytes") + " of answers in force");
  if (pacing.announce_rate > 0) parts.push(figure(pacing.announce_rate) + " announces a second");
  if (pacing.uplink) parts.push(`${rate(pacing.uplink.share, "bytes")} of the uplink's ${rate(pacing.uplink.total, "bytes")}`);
  const held = Object.values(pacing.jail?.held ?? {}).reduce((a, b) => a + b, 0);
  if (held > 0) parts.push(counted(held, "client") + " in the jail");
  parts.push("solid: a class's own rate in use, striped: borrowed");
  say(about, parts.join("; ") + ".");
  showTables(place, pacing.trees.map(treeTable));
}
