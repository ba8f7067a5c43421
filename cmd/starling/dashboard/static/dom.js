// What all parts of the page use: elements made of values, never of HTML, and numbers written for people.

/** Makes an element. A child that is no element becomes text; a false or empty one is left out. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of a picture. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== false && child !== ""));
  return element;
}

/** Puts text into an element, when it is another one: what does not change is not laid out again, nor read out. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes a table. Columns are {title, right, head}; rows are lists of texts or elements. */
export function table(caption, columns, rows) {
  const side = (column) => (column.right ? "right" : undefined);
  return make("table", {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...columns.map((c) => make("th", { scope: "col", class: side(c) }, c.title)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, i) =>
      columns[i].head ? make("th", { scope: "row", class: columns[i].class }, cell)
        : make("td", { class: columns[i].right ? "right" : columns[i].class }, cell))))));
}

const shown = new WeakMap();

/** Puts an element into a place, unless what is there already looks the same: what is selected or focused stays so. */
export function show(place, element) {
  const looks = element.outerHTML;
  if (shown.get(place) === looks) return;
  shown.set(place, looks);
  place.replaceChildren(element);
}

/** Puts tables into a place, each in a region that can be scrolled with the keyboard. The place keeps how far it was scrolled. */
export function showTables(place, tables) {
  tables.forEach((content, i) => {
    let region = place.children[i];
    if (!region) {
      region = make("div", { class: "scroll" });
      place.append(region);
    }
    const name = content.querySelector("caption")?.textContent ?? "";
    show(region, content);
    // What fits is no stop on the way through the page with the Tab key.
    if (region.scrollWidth > region.clientWidth) {
      region.setAttribute("tabindex", "0");
      region.setAttribute("role", "region");
      region.setAttribute("aria-label", name);
    } else {
      for (const a of ["tabindex", "role", "aria-label"]) region.removeAttribute(a);
    }
  });
  while (place.children.length > tables.length) place.lastChild.remove();
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 0.4, 7.2, 12, 1,234 */
export function figure(n) {
  if (n > 0 && n < 10 && n % 1 !== 0) return n.toFixed(n < 0.1 ? 2 : 1);
  return whole.format(n);
}

/** 950, 12k, 3.4M: where there is little room. */
export function short(n) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return (n / size).toFixed(n < 10 * size ? 1 : 0) + unit;
  }
  return whole.format(n);
}

/** 0.8 s, 42 s, 3 min, 2 h, 4 d */
export function age(s) {
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.floor(s) + " s";
  if (s < 7200) return Math.floor(s / 60) + " min";
  if (s < 172800) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " d";
}

/** A time in milliseconds: 0.02 ms, 3.1 ms, 420 ms, 1.2 s */
export function time(ms) {
  const size = Math.abs(ms);
  if (size >= 1000) return (ms / 1000).toFixed(1) + " s";
  return (size >= 10 ? ms.toFixed(0) : size >= 1 ? ms.toFixed(1) : ms.toFixed(2)) + " ms";
}

/** A lag in seconds, which is known to the millisecond; below zero: the other clock is ahead. */
export function lag(s) {
  return Math.abs(s) < 10 ? Math.round(s * 1000) + " ms" : s.toFixed(0) + " s";
}

/** A share: 0 %, 0.3 %, 12 % */
export function percent(share) {
  const p = share * 100;
  return (p === 0 ? "0" : p < 0.1 ? "<0.1" : p < 10 ? p.toFixed(1) : p.toFixed(0)) + " %";
}

/** A number of things. */
export function counted(n, thing) {
  return whole.format(n) + " " + thing + (n === 1 ? "" : "s");
}

/** Bytes or requests a second. */
export function rate(n, unit) {
  if (unit !== "bytes") return figure(n) + "/s";
  for (const [size, name] of [[1e9, "GB/s"], [1e6, "MB/s"], [1e3, "KB/s"]]) {
    if (n >= size) return +(n / size).toPrecision(3) + " " + name;
  }
  return figure(n) + " B/s";
}
