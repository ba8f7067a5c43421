package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"
)

const monitoring = "../../scripts/monitoring/"

// exported is what a node with everything in it has: the labels of each metric, and the values of each label.
type exported map[string]map[string][]string

// exportedByAll returns the metrics of a node that has something in each place, and those that Prometheus adds.
func exportedByAll(t *testing.T) exported {
	t.Helper()
	now := time.Now()
	f, _ := everything(now)
	f.Sync.Mode = "keyed"
	for i := range f.Sync.Nodes {
		f.Sync.Nodes[i].Mode = "keyed"
	}
	// What the servers and the guard refuse has names that rules may rely on.
	real := testNode(t, nil).figures(now)
	f.HTTP.Refused, f.UDP.Refused, f.Guard.Refused = real.HTTP.Refused, real.UDP.Refused, real.Guard.Refused
	all := exported{"up": {"instance": nil, "job": nil}}
	for name, family := range families(t, f.page(now)) {
		labels := map[string][]string{"instance": nil, "job": nil}
		for _, m := range family.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		all[name] = labels
		switch family.GetType() {
		case dto.MetricType_SUMMARY:
			labels["quantile"] = []string{"0", "0.25", "0.5", "0.75", "1"}
		case dto.MetricType_HISTOGRAM:
			labels["le"] = nil
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				all[name+suffix] = labels
			}
			delete(all, name)
		}
	}
	return all
}

var (
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	selector = regexp.MustCompile(`([a-z_:]+)(\{[^}]*\})?`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring) \(([^)]*)\)`)
	// words of the language of expressions.
	words = []string{"sum", "min", "max", "count", "rate", "increase", "histogram_quantile", "time", "and", "unless", "or", "s", "m", "h"}
)

// check holds an expression to what is exported, and returns the labels that its metrics have.
func (e exported) check(t *testing.T, where, expr string) (labels []string) {
	t.Helper()
	rest := regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(expr, "")
	bare := grouping.ReplaceAllString(rest, "")
	found := 0
	for _, m := range selector.FindAllStringSubmatch(bare, -1) {
		name, matchers := m[1], m[2]
		if slices.Contains(words, name) {
			continue
		}
		metric, ok := e[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		found++
		for label := range metric {
			labels = append(labels, label)
		}
		if left := strings.Trim(matcher.ReplaceAllString(matchers, ""), "{},"); left != "" {
			t.Errorf("%s: %s: cannot read %q", where, name, left)
		}
		for _, l := range matcher.FindAllStringSubmatch(matchers, -1) {
			e.checkMatcher(t, where+": "+name, metric, l[1], l[3])
		}
	}
	if found == 0 {
		t.Errorf("%s: %q asks for no metric", where, expr)
	}
	for _, g := range grouping.FindAllStringSubmatch(rest, -1) {
		for label := range strings.SplitSeq(g[1], ", ") {
			if !slices.Contains(labels, label) {
				t.Errorf("%s: no metric of it has a label %s", where, label)
			}
		}
	}
	return labels
}

// checkMatcher holds a label and its values, of which | parts several, to what a metric has.
func (e exported) checkMatcher(t *testing.T, where string, metric map[string][]string, label, value string) {
	t.Helper()
	values, ok := metric[label]
	if !ok {
		t.Errorf("%s has no label %s", where, label)
	}
	fixed := label == "reason" || label == "protocol" || label == "quantile" || label == "direction" || label == "of" || label == "outcome"
	for one := range strings.SplitSeq(value, "|") {
		if fixed && !slices.Contains(values, one) {
			t.Errorf("%s: no %s is %s, there are %v", where, label, one, values)
		}
	}
}

// legend matches the labels in a legend or an annotation.
var legend = regexp.MustCompile(`\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}`)

func TestDashboardAsksForWhatThereIs(t *testing.T) {
	var d struct {
		Panels []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr, LegendFormat string }
			Datasource  struct{ UID string }
		}
		Templating struct {
			List []struct{ Name, Query string }
		}
	}
	text, err := os.ReadFile(monitoring + "grafana.json")
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	all, ids := exportedByAll(t), make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: id %d is there twice, or it lies outside: %+v", p.Title, p.ID, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: no description, no expressions or a data source of its own", p.Title)
		}
		for _, target := range p.Targets {
			labels := all.check(t, p.Title, target.Expr)
			for _, l := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("%s: the legend has %s, which no metric has", p.Title, l[1])
				}
			}
		}
	}
}

func TestAlertsAskForWhatThereIs(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	f, err := os.Open(monitoring + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	strict := yaml.NewDecoder(f)
	strict.KnownFields(true)
	if err := strict.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	all, names := exportedByAll(t), make(map[string]bool)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			labels := all.check(t, r.Alert, r.Expr)
			if names[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s is there twice, or lacks a severity or a text", r.Alert)
			}
			names[r.Alert] = true
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("%s: %v", r.Alert, err)
				}
			}
			for _, text := range r.Annotations {
				for _, l := range legend.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(labels, l[1]) {
						t.Errorf("%s: a text has %s, which no metric has", r.Alert, l[1])
					}
				}
			}
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d alerts", len(names))
	}
}
