package metrics

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"skerry/appliance/status/statustest"
)

// Pieces of PromQL.
var (
	quoted      = regexp.MustCompile(`"[^"]*"`)
	grouping    = regexp.MustCompile(`\b(by|on|without)\s*\([^)]*\)`)
	matchers    = regexp.MustCompile(`\{[^}]*\}`)
	ranges      = regexp.MustCompile(`\[[^\]]*\]`)
	identifier  = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\b\s*\(?`)
	labelName   = regexp.MustCompile(`[a-z_]+`)
	labelBefore = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)`)
	operators   = []string{"and", "or", "unless", "bool"}
)

// known has the labels by metric, as they are served.
func known(t *testing.T) map[string][]string {
	labels := map[string][]string{}
	for _, f := range gather(t, full(statustest.Busy())) {
		names := []string{"instance", "job"}
		for _, l := range f.Metric[0].Label {
			names = append(names, l.GetName())
		}
		labels[f.GetName()] = names
		if f.Metric[0].Histogram != nil {
			labels[f.GetName()+"_bucket"] = append(names, "le")
		}
	}
	return labels
}

// faults of a query: it names a metric that there is not, or a label that none of
// its metrics has.
func faults(query string, known map[string][]string) (faults []string) {
	bare := quoted.ReplaceAllString(query, `""`)
	var used []string
	for _, g := range grouping.FindAllString(bare, -1) {
		_, list, _ := strings.Cut(g, "(")
		used = append(used, labelName.FindAllString(list, -1)...)
	}
	for _, m := range matchers.FindAllString(bare, -1) {
		for _, l := range labelBefore.FindAllStringSubmatch(m, -1) {
			used = append(used, l[1])
		}
	}
	rest := ranges.ReplaceAllString(matchers.ReplaceAllString(grouping.ReplaceAllString(bare, ""), ""), "")
	var has []string
	metrics := 0
	for _, word := range identifier.FindAllString(rest, -1) {
		name := strings.TrimSpace(word)
		if strings.HasSuffix(name, "(") || slices.Contains(operators, name) {
			continue
		}
		metrics++
		labels, is := known[name]
		if !is {
			faults = append(faults, "there is no metric "+name)
		}
		has = append(has, labels...)
	}
	if metrics == 0 {
		faults = append(faults, "it names no metric")
	}
	for _, l := range used {
		if !slices.Contains(has, l) {
			faults = append(faults, "no metric of it has the label "+l)
		}
	}
	if strings.Count(bare, "(") != strings.Count(bare, ")") {
		faults = append(faults, "its parentheses do not match")
	}
	return faults
}

func checkQuery(t *testing.T, where, query string, known map[string][]string) {
	t.Helper()
	for _, fault := range faults(query, known) {
		t.Errorf("%s: %s: %s", where, fault, query)
	}
}

// The check itself finds what is wrong.
func TestFaults(t *testing.T) {
	for _, q := range []string{
		`rate(skerry_tokens[5m])`, `sum by (session) (skerry_tokens_total)`, `skerry_state{sate="ready"} == 0`, `sum(1)`,
		`skerry_rtt{instance="skerry_info"} + skerry_info`, `(skerry_info`,
	} {
		if len(faults(q, known(t))) != 1 {
			t.Errorf("%s has %q", q, faults(q, known(t)))
		}
	}
}

type dashboard struct {
	Title  string `json:"title"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct{ H, W, X, Y int }
		Targets []struct {
			RefID string `json:"refId"`
			Expr  string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(Dashboard), &d); err != nil {
		t.Fatal(err)
	}
	names := known(t)
	ids, cells := map[int]bool{}, map[[2]int]string{}
	var all strings.Builder
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is given twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W == 0 || g.H == 0 || g.X+g.W > 24 {
			t.Errorf("%s: it lies at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if over := cells[[2]int{x, y}]; over != "" {
					t.Fatalf("%s lies over %s", p.Title, over)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: no query", p.Title)
		}
		for _, q := range p.Targets {
			checkQuery(t, p.Title, q.Expr, names)
			all.WriteString(q.Expr + "\n")
		}
	}
	for _, want := range []string{"skerry_tokens_total", "skerry_first_token_seconds", "skerry_queue_waiting", "skerry_link_rtt", "skerry_link_loss",
		"skerry_link_goodput", "skerry_link_state", "memory", "temperature", "skerry_health_problem"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("nothing shows %s", want)
		}
	}
}

func TestAlerts(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(Alerts))
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	names, seen := known(t), map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] || r.Alert == "" {
				t.Errorf("%q is declared twice", r.Alert)
			}
			seen[r.Alert] = true
			checkQuery(t, r.Alert, r.Expr, names)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || !strings.Contains(r.Annotations["description"], "`") {
				t.Errorf("%s does not say how bad it is and what to do", r.Alert)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d rules", len(seen))
	}
}
