// The cluster as a picture: who hears whom.
//
// A node that others run beside in one process tells what each of them hears, and all stand in a circle. A node alone knows
// only whom it hears itself: it stands in the middle.

import { counted, draw, lag, percent, short, show } from "./dom.js";

const mostNodes = 24;

/** How another node is, as one hears it: its mood and a word. */
export function stateOf(link) {
  switch (link.state) {
    case "silent": return ["bad", "silent"];
    case "ended": return ["neutral", "ended"];
    case "replaced": return ["neutral", "replaced"];
  }
  if (link.health && link.health !== "healthy") return ["warn", link.health];
  if (link.differs !== null && link.differs > link.differs_allowed) return ["warn", "differs"];
  return ["good", link.health || "heard"];
}

/** All nodes of the frame, by id: those that speak for themselves first. */
function gather(frame) {
  const nodes = new Map();
  for (const view of frame.views) {
    const mood = view.serving.mood;
    nodes.set(view.id, { id: view.id, address: view.address, peers: view.peers, mood, word: view.serving.word, sync: view.sync, speaks: true });
  }
  for (const view of frame.views) {
    for (const link of view.nodes) {
      if (nodes.has(link.id) || link.state === "replaced") continue;
      const [mood, word] = stateOf(link);
      nodes.set(link.id, { id: link.id, address: link.address, peers: link.peers, mood, word, keyed: link.mode === "keyed" });
    }
  }
  return [...nodes.values()].slice(0, mostNodes);
}

/** Whether the nodes stand around a ring: then the names of those at the top stand above them, where no line is. */
function isRing(nodes, star) {
  return !star && nodes.length > 2;
}

/** Gives each node a place: around an ellipse, clockwise from the top, and a node that alone speaks in the middle. */
function place(nodes, star, width, height) {
  const ring = isRing(nodes, star); // which has names above and below
  const x = width / 2, y = height / 2 - (ring ? 0 : 18), rx = width / 2 - 52, ry = height / 2 - (ring ? 70 : 50);
  const around = star ? nodes.slice(1) : nodes;
  around.forEach((n, i) => {
    const angle = (around.length <= 2 ? Math.PI : -Math.PI / 2) + (2 * Math.PI * i) / around.length;
    Object.assign(n, { x: x + Math.cos(angle) * rx, y: y + Math.sin(angle) * ry });
  });
  if (star) Object.assign(nodes[0], { x: around.length === 1 ? x + rx : x, y });
  if (nodes.length === 1) nodes[0].x = x;
}

/** What stands on a line. */
function labelOf(link) {
  if (link.state !== "heard") return link.state;
  const parts = [];
  if (link.mode === "keyed") parts.push(lag(link.lag_s));
  if (link.loss > 0) parts.push(percent(link.loss) + " lost");
  return parts.join(", ");
}

/** A line from a node to one that hears it, bent to its left so that the way back has room. */
function line(from, to, link, radius, bent, labelled) {
  const state = stateOf(link)[0], mood = state === "good" && (link.loss > 0.01 || link.lost_1m > 0) ? "warn" : state;
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const nx = (to.y - from.y) / length, ny = (from.x - to.x) / length, bow = bent ? 30 : 0; // (nx, ny) leads away from the line
  const mx = (from.x + to.x) / 2 + nx * bow, my = (from.y + to.y) / 2 + ny * bow;
  const end = (n, gap) => {
    const l = Math.hypot(mx - n.x, my - n.y) || 1, ux = (mx - n.x) / l, uy = (my - n.y) / l;
    return { x: n.x + ux * gap, y: n.y + uy * gap, ux, uy };
  };
  const start = end(from, radius + 3), tip = end(to, radius + 4), neck = { x: tip.x + tip.ux * 9, y: tip.y + tip.uy * 9 };
  const head = `M${tip.x} ${tip.y}L${neck.x - tip.uy * 4.5} ${neck.y + tip.ux * 4.5}L${neck.x + tip.uy * 4.5} ${neck.y - tip.ux * 4.5}z`;
  const parts = [
    draw("path", { class: "link", "data-mood": mood, d: `M${start.x} ${start.y}Q${mx} ${my} ${neck.x} ${neck.y}` }),
    draw("path", { class: "head-of", "data-mood": mood, d: head }),
  ];
  if (labelled || mood !== "good") {
    // The middle of the bow is half as far out as its point of control; the text stands beyond it.
    const out = bow / 2 + (bent ? 8 : 0), side = bent && Math.abs(nx) > 0.35;
    parts.push(draw("text", { class: "label", "data-mood": mood, "text-anchor": side ? (nx > 0 ? "start" : "end") : "middle",
      x: (from.x + to.x) / 2 + nx * out, y: (from.y + to.y) / 2 + ny * out + (bent ? (side ? 4 : 4 + ny * 4) : -7) }, labelOf(link)));
  }
  return draw("g", {}, draw("title", {}, `${to.id} hears ${from.id}: ${labelOf(link)}`), ...parts);
}

/** Draws the cluster into the SVG element. */
export function showPicture(svg, frame) {
  const nodes = gather(frame), star = frame.views.length === 1;
  // As wide as there is room, so that the texts are as large as those beside it.
  const width = Math.max(330, Math.min(680, svg.clientWidth || 640)), height = nodes.length <= (star ? 3 : 2) ? 170 : isRing(nodes, star) && nodes.length === 3 ? 300 : 350;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  place(nodes, star, width, height);
  const byID = new Map(nodes.map((n) => [n.id, n])), radius = nodes.length > 10 ? 17 : 25;
  const lines = [];
  for (const view of frame.views) {
    for (const link of view.nodes) {
      if (byID.has(link.id) && byID.has(view.id)) {
        lines.push(line(byID.get(link.id), byID.get(view.id), link, radius, !star, nodes.length <= (star ? 9 : width < 450 ? 3 : 5)));
      }
    }
  }
  const above = (n) => isRing(nodes, star) && n.y < height / 2 - 40;
  const circles = nodes.map((n, i) => draw("g", { class: i === 0 ? "node self" : "node", "data-mood": n.mood, "data-id": n.id },
    draw("title", {}, `${n.id}: ${n.word}`),
    draw("circle", { cx: n.x, cy: n.y, r: radius }),
    draw("text", { class: "amount", x: n.x, y: n.y + 5 }, n.speaks || n.keyed ? short(n.peers) : "?"),
    draw("text", { class: "mono name", x: n.x, y: above(n) ? n.y - radius - 25 : n.y + radius + 17 }, n.id),
    draw("text", { class: "sub", x: n.x, y: above(n) ? n.y - radius - 10 : n.y + radius + 32 }, i === 0 ? "this node" : n.word)));
  const picture = draw("g", {}, ...lines, ...circles);
  const bad = nodes.filter((n) => n.mood === "bad").map((n) => n.id);
  svg.setAttribute("aria-label", counted(nodes.length, "node") + (bad.length ? ", silent: " + bad.join(", ") : ", none is silent") +
    ". The table has what each hears.");
  show(svg, picture);
}
