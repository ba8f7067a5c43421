// The history as charts, drawn by uPlot.

import { figure, make, say, time } from "./dom.js";

const mib = (v) => figure(v) + " MiB";
// Each chart: its title, its lines (column, name, colour), how values are written, how much is drawn at least.
const lines = {
  announces: ["Announces a second", [["announces_http", "HTTP", "--c1"], ["announces_udp", "UDP", "--c2"]], figure, 1],
  peers: ["Peers", [["peers_ipv4", "IPv4", "--c1"], ["peers_ipv6", "IPv6", "--c2"]], figure, 1],
  latency: ["Time to answer an announce", [["http_p99_ms", "HTTP 99 %", "--c1"], ["udp_p99_ms", "UDP 99 %", "--c2"], ["http_p50_ms", "HTTP half", "--c3"], ["udp_p50_ms", "UDP half", "--c4"]], time, 0.1],
  livesync: ["Records to and from other nodes, a second", [["records_sent", "sent", "--c1"], ["records_received", "received", "--c2"], ["missed", "packets missed", "--c4"]], figure, 1],
  load: ["Processors busy, requests turned away", [["processors", "processors", "--c1"], ["pressed", "with less, a second", "--c2"], ["refused", "refused, a second", "--c4"]], figure, 0.1],
  memory: ["Memory of the program", [["memory_mib", "from the system", "--c1"]], mib, 10],
};

/** The colours of now: they change with the scheme of the system. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

class Chart {
  constructor(title, series, write, least) {
    Object.assign(this, { series, write, least });
    this.keys = series.map(() => make("b"));
    this.swatches = series.map(() => make("i"));
    this.plot = make("div", { class: "plot", role: "img", "aria-label": title });
    this.at = make("span", { class: "key" });
    this.figure = make("figure", { class: "chart" },
      make("figcaption", {}, make("strong", {}, title), ...series.map(([, name], i) => make("span", { class: "key" }, this.swatches[i], name + " ", this.keys[i])), this.at),
      this.plot);
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(this.plot);
  }

  size() {
    return { width: Math.max(this.plot.clientWidth, 60), height: Math.max(this.plot.clientHeight, 60) };
  }

  /** Makes the chart anew, in the colours of now. */
  build(data, seconds) {
    this.seconds = seconds;
    this.chart?.destroy();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.series.forEach(([, , c], i) => this.swatches[i].style.setProperty("--key", colour(c)));
    this.chart = new uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { range: (u) => { const now = u.data[0].at(-1) ?? Date.now() / 1000; return [now - this.seconds, now]; } },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, this.least) * 1.1] },
      },
      axes: [
        { ...axis, size: 24, space: 70, incrs: [1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1200, 1800], values: (u, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB").slice(0, u.scales.x.max - u.scales.x.min > 900 ? 5 : 8)) },
        { ...axis, size: 62, space: 30, values: (_, ticks) => ticks.map((t) => this.write(t)) },
      ],
      series: [{}, ...this.series.map(([, , c]) => ({ stroke: colour(c), width: 1.5, points: { show: false } }))],
      hooks: { setCursor: [() => this.legend()] },
    }, data, this.plot);
    this.legend();
  }

  /** Shows so many seconds. */
  show(data, seconds) {
    this.seconds = seconds;
    if (this.chart) this.chart.setData(data);
    else this.build(data, seconds);
    this.legend();
  }

  /** Writes the values under the cursor, else the latest. */
  legend() {
    const { data, cursor } = this.chart ?? {};
    if (!data) return;
    const i = cursor?.idx ?? data[0].length - 1;
    this.keys.forEach((key, k) => say(key, (data[k + 1][i] ?? null) === null ? "–" : this.write(data[k + 1][i])));
    say(this.at, cursor?.idx === null || cursor?.idx === undefined ? "" : new Date(data[0][i] * 1000).toLocaleTimeString("en-GB"));
  }
}

const spans = { fine: 300, coarse: 3600 }; // seconds

/** The charts of the page and the samples that they show. */
export class Charts {
  constructor(place) {
    this.span = "fine";
    this.charts = Object.values(lines).map((l) => new Chart(...l));
    place.append(...this.charts.map((c) => c.figure));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.forEach((c) => c.chart && c.build(this.data(c), spans[this.span])));
  }

  /** Takes in the history of before. */
  begin(history) {
    this.history = history;
    this.draw();
  }

  /** Takes in a frame's samples: those that are later than the latest there is. */
  add(sample, coarse) {
    if (!this.history) return;
    for (const [series, row, seconds] of [[this.history.fine, sample, spans.fine], [this.history.coarse, coarse, spans.coarse]]) {
      const times = series.values[0];
      if (row[0] <= (times.at(-1) ?? 0)) continue;
      series.values.forEach((column, i) => column.push(row[i]));
      while (times[0] < row[0] - seconds - 15) series.values.forEach((column) => column.shift());
    }
    this.draw();
  }

  show(span) {
    this.span = span;
    this.draw();
  }

  /** The times and the values of a chart. Where nothing was announced, nothing took any time: a gap. */
  data(chart) {
    const { columns, values } = this.history[this.span];
    const column = (name) => values[columns.indexOf(name)];
    return [values[0], ...chart.series.map(([name]) => (name.endsWith("_ms") ? column(name).map((v) => v || null) : column(name)))];
  }

  draw() {
    if (this.history && !document.hidden) this.charts.forEach((c) => c.show(this.data(c), spans[this.span]));
  }
}
