package netnstests

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDashboard looks at the page of a node as an operator does, in a real browser: it shows the cluster, moves with an announce, says within
// its time that a node is lost and that its own node does not answer, and does without a mouse, an eye, or another host.
func TestDashboard(t *testing.T) {
	c := newCluster(t, []string{"a", "b", "c"})
	a, lost := c.nodes[0], c.nodes[2]
	const origin = "http://127.0.0.1:6970"
	b := c.hosts["a"].browse()
	b.look(1280, 900, "light")
	b.open(origin + "/")
	b.until("the page shows its node", fmt.Sprintf(`document.querySelector("#node")?.textContent === %q`, a.id))
	for _, n := range c.nodes {
		b.until("all nodes are there and well", moodOf(n)+` !== "bad"`)
	}
	b.until("this node is among the nodes", moodOf(a)+` === "good"`)
	b.until("nothing is announced yet", `document.querySelector("#figure-peers").textContent === "0"`)

	lost.kill()
	p := peer{c.hosts["x"], hash(1), 6881}
	p.announce(c.hosts["b"].ip4, 1, "started")
	b.until("the page moves with an announce to another node", `document.querySelector("#figure-peers").textContent === "1"`)
	b.until("the events tell who came", `document.querySelector("#events").innerText.includes("is heard")`)
	b.until("the charts are drawn", `document.querySelectorAll("#charts canvas").length === 6`)
	b.readable()
	b.reachable()

	b.until("the lost node is red", moodOf(lost)+` === "bad"`)
	b.until("the cluster is not in sync", `document.querySelector("#verdict-sync").dataset.mood === "bad"`)
	b.until("who cannot see it is told", `document.querySelector("#announcer").textContent.includes("Not in sync")`)
	b.until("the events tell of it", `document.querySelector("#events").innerText.includes("fallen silent")`)
	dir := t.ArtifactDir()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1280, 390} {
			b.look(width, 844, scheme)
			b.until("nothing is wider than the window", `document.documentElement.scrollWidth <= innerWidth`)
			b.contrast(scheme)
			b.picture(dir, fmt.Sprintf("dashboard-%d-%s.png", width, scheme))
		}
	}
	b.clean(origin)

	a.stop()
	b.until("the page says that its node is gone", `!document.querySelector("#lost").hidden && document.body.classList.contains("stale")`)
	b.picture(dir, "dashboard-no-answer.png")
}

// moodOf is what the picture shows a node as.
func moodOf(n *node) string {
	return fmt.Sprintf(`document.querySelector("#picture [data-id='%s']")?.dataset.mood`, n.id)
}

// An accessible is what a screen reader is told of a part of the page.
type accessible struct {
	Ignored    bool
	Role, Name struct{ Value any }
	Properties []struct {
		Name  string
		Value struct{ Value any }
	}
}

func (a *accessible) focusable() bool {
	for _, p := range a.Properties {
		if p.Name == "focusable" {
			return p.Value.Value == true
		}
	}
	return false
}

// readable fails the test when a screen reader cannot find its way: each landmark is there, headings go down by single steps, and whatever
// can have the focus has a name, as have all tables and pictures.
func (b *browser) readable() {
	b.t.Helper()
	var tree struct{ Nodes []accessible }
	b.call("Accessibility.getFullAXTree", nil, &tree)
	var roles []string
	for i := range tree.Nodes {
		n := &tree.Nodes[i]
		role, name := fmt.Sprint(n.Role.Value), n.Name.Value
		if n.Ignored {
			continue
		}
		roles = append(roles, role)
		named := slices.Contains([]string{"table", "img", "image", "region", "link", "radio", "figure"}, role) || n.focusable() && role != "RootWebArea" && role != "main"
		if named && role != "figure" && (name == nil || strings.TrimSpace(fmt.Sprint(name)) == "") {
			text, _ := json.Marshal(n)
			b.t.Errorf("a %s has no name: %s", role, text)
		}
	}
	for _, landmark := range []string{"banner", "main", "navigation", "contentinfo", "heading", "status", "table"} {
		if !slices.Contains(roles, landmark) {
			b.t.Errorf("there is no %s for a screen reader; there are %v", landmark, roles)
		}
	}
	if got := b.eval(`[...document.querySelectorAll("h1, h2, h3")].map((h) => h.tagName).join(" ")`); !strings.HasPrefix(got, "H1 H2") || strings.Contains(got[1:], "H1") {
		b.t.Errorf("headings are %s", got)
	}
}

// reachable goes through the page with the Tab key: the way to the contents comes first, what can be changed is on it, and it comes to an end.
func (b *browser) reachable() {
	b.t.Helper()
	var stops []string
	for range 40 {
		b.press("Tab", 9)
		stop := b.eval(`document.activeElement.tagName + " " + (document.activeElement.getAttribute("href") ?? document.activeElement.value ?? "")`)
		if strings.HasPrefix(stop, "BODY") || len(stops) > 0 && stop == stops[0] {
			break
		}
		stops = append(stops, stop)
	}
	for i, want := range []string{"A #main", "INPUT fine", "A /metrics"} {
		at := slices.Index(stops, want)
		if at < 0 || i == 0 && at != 0 || len(stops) == 40 {
			b.t.Errorf("%s is not where it should be on the way with Tab: %v", want, stops)
		}
	}
	b.eval(`document.querySelector("input[value=fine]").focus()`)
	b.press("ArrowRight", 39)
	if got := b.eval(`document.querySelector("input[name=span]:checked").value`); got != "coarse" {
		b.t.Errorf("the arrow keys do not choose the hour: %s", got)
	}
}

// contrast fails the test when a text differs too little from what is behind it (WCAG 2.2, 1.4.3: 4.5, or 3 for large ones).
func (b *browser) contrast(scheme string) {
	b.t.Helper()
	const look = `(() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; } return rgba("Canvas"); };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility({ visibilityProperty: true }) || e.closest(".hidden, .skip, .banner, title, noscript")) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement;
    const filled = svg && e.classList.contains("amount") ? rgba(getComputedStyle(e.parentNode.querySelector("circle")).fill) : behind(e);
    const [a, b] = [light(rgba(svg ? style.fill : style.color)), light(filled)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 600);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) bad.push(e.tagName + "." + e.getAttribute("class") + " " + JSON.stringify(e.textContent.slice(0, 30)) + " " + ratio.toFixed(2));
  }
  return bad.join("\n");
})()`
	if bad := b.eval(look); bad != "" {
		b.t.Errorf("too little contrast in %s:\n%s", scheme, bad)
	}
}
