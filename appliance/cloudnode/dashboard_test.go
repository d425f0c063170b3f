package cloudnode

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v3"
)

// dashboard is what of Grafana's the test looks at.
type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Query string }
	}
	Panels []struct {
		ID          int
		Title, Type string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, LegendFormat, RefID string }
		FieldConfig struct{ Defaults struct{ Unit string } }
		Datasource  struct{ UID string }
	}
}

// exported is what a metric of the cloud is: its labels, and whether it is a counter.
type exported struct {
	labels  []string
	counter bool
}

func exportedMetrics() map[string]exported {
	load := sampleLoad()
	all := map[string]exported{"process_resident_memory_bytes": {labels: []string{"instance", "job"}}} // of the client library
	for _, s := range load.samples("v9") {
		labels := []string{"instance", "job"} // Prometheus's own
		for _, l := range s.Labels {
			labels = append(labels, l.Name)
		}
		all[s.Name] = exported{labels, s.Counter}
	}
	return all
}

// Every query of the dashboard is one that Prometheus understands, of metrics and labels that a
// cloud exports, with rates of counters and of nothing else.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(Dashboard), &d); err != nil {
		t.Fatal(err)
	}
	metrics := exportedMetrics()
	used, ids := map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("the panel %q: %+v", p.Title, p)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m").Replace(q.Expr)
			e, err := metricsql.Parse(expr)
			if err != nil {
				t.Errorf("%s: %s: %v", p.Title, q.Expr, err)
				continue
			}
			labels := checkQuery(t, q.Expr, e, metrics, used)
			for _, part := range strings.Split(q.LegendFormat, "{{")[1:] {
				if name, _, _ := strings.Cut(part, "}}"); !slices.Contains(labels, name) {
					t.Errorf("%s: %s has no label %s for its legend", p.Title, q.Expr, name)
				}
			}
		}
	}
	for _, v := range d.Templating.List {
		if name, ok := strings.CutPrefix(v.Query, "label_values("); ok {
			name, _, _ = strings.Cut(name, ",")
			if _, there := metrics[name]; !there {
				t.Errorf("the variable %s is of %s, which is not exported", v.Name, name)
			}
		}
	}
	if len(d.Panels) < 15 || len(used) < 15 {
		t.Errorf("%d panels of %d metrics", len(d.Panels), len(used))
	}
	for _, m := range []string{"info", "boards", "sessions", "pass_seconds", "further_position_seconds", "queued_positions", "wait_seconds", "contexts"} {
		if !used["skerry_cloud_"+m] {
			t.Errorf("skerry_cloud_%s is in no panel; those that are: %v", m, slices.Sorted(maps.Keys(used)))
		}
	}
}

// checkQuery checks the metrics, labels and rates of a query, and returns the labels that it
// keeps, of all its metrics.
func checkQuery(t *testing.T, text string, e metricsql.Expr, metrics map[string]exported, used map[string]bool) (labels []string) {
	t.Helper()
	rated := map[*metricsql.MetricExpr]bool{}
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		if r, ok := e.(*metricsql.RollupExpr); ok {
			if m, ok := r.Expr.(*metricsql.MetricExpr); ok {
				rated[m] = true
			}
		}
	})
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			for _, filters := range e.LabelFilterss {
				name := ""
				for _, f := range filters {
					if f.Label == "__name__" {
						name = f.Value
					}
				}
				m, ok := metrics[name]
				if !ok {
					t.Errorf("%s: the cloud exports no %s", text, name)
					continue
				}
				used[name] = true
				labels = append(labels, m.labels...)
				if m.counter != rated[e] {
					t.Errorf("%s: %s, a counter: %v, with a rate: %v", text, name, m.counter, rated[e])
				}
				for _, f := range filters {
					if f.Label != "__name__" && !slices.Contains(m.labels, f.Label) {
						t.Errorf("%s: %s has no label %s", text, name, f.Label)
					}
				}
			}
		case *metricsql.AggrFuncExpr:
			for _, by := range e.Modifier.Args {
				if !slices.Contains(labels, by) {
					t.Errorf("%s: nothing has the label %s", text, by)
				}
			}
			if e.Name != "topk" {
				labels = slices.Clone(e.Modifier.Args)
			}
		}
	})
	return labels
}

// The file with which Grafana finds the dashboard names the directory that the package puts it in.
func TestProvisioning(t *testing.T) {
	text, err := os.ReadFile("grafana/provisioning.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	if err := yaml.Unmarshal(text, &p); err != nil || p.APIVersion != 1 || len(p.Providers) != 1 || p.Providers[0].Type != "file" {
		t.Fatalf("%+v, %v", p, err)
	}
	parts, err := os.ReadFile("../../build/deb/parts.go")
	if err != nil || !strings.Contains(string(parts), `"`+p.Providers[0].Options.Path+`/skerry-cloud.json"`) {
		t.Errorf("the package puts no dashboard into %s: %v", p.Providers[0].Options.Path, err)
	}
}
