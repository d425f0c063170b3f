package strategies

import (
	"fmt"
	"slices"

	"skerry/appliance/bench"
	"skerry/appliance/bench/strategies/sim"
)

// Clients is how many clients of a variant one cloud serves, on one core, as fast as it serves
// Whole clients of the whole model: 95 of 100 answers take no more than Within for a token, in
// seconds.
type Clients struct {
	Whole   int     `json:"whole"`
	Within  float64 `json:"p95_s"`
	Clients int     `json:"clients"`
}

// wholeClients are how many clients the whole model is served to, for comparison.
var wholeClients = []int{4, 16, 64}

// clients fills in how many clients of each row one cloud serves. Rows are in the order of the
// variants.
func (b *Bench) clients(s sim.Setting, l Link, recorded map[string][]sim.Answer, rows []Row) {
	spec := l.At(s.T)
	s.RTT, s.Rate = spec.RTT.Seconds(), spec.Rate
	base := b.Variants[0]
	whole := base.strategy(b.thresholds(base), false)
	counts := b.Serve
	if len(counts) == 0 {
		counts = wholeClients
	}
	for _, n := range counts {
		within := s.P95(whole, recorded[base.Name], n)
		for i, v := range b.Variants {
			if st := v.strategy(b.thresholds(v), b.Edge.Draft != nil); !v.Auto && st.Shares() {
				rows[i].Clients = append(rows[i].Clients, Clients{n, within, s.Clients(st, recorded[v.Name], within)})
			}
		}
	}
}

// boards is what is said of those of the clients, by whether all is simulated.
var boards = map[bool]string{false: "the cloud, its sessions and what they send are real, the boards are played; "}

// clientTable has the clients of a place's rows, false for none.
func (r *Report) clientTable(p place) (t bench.Table, ok bool) {
	t = bench.Table{Title: "Clients of one cloud core" + r.label(", "), Rows: [][]string{{""}}, Note: "as many as leave 95 of 100 answers the time for a token that so many of the whole model have, each with the same answers to give at the same times; " + boards[r.Simulated] + "link " + p.link}
	for _, x := range r.Rows {
		if x.Link != p.link || x.Slow != p.slow || len(x.Clients) == 0 {
			continue
		}
		cells := []string{x.Name}
		for _, c := range x.Clients {
			if len(t.Rows) == 1 {
				t.Rows[0] = append(t.Rows[0], fmt.Sprintf("as fast as %d (%.0f ms)", c.Whole, 1000*c.Within))
			}
			n := fmt.Sprint(c.Clients)
			if c.Clients == sim.MostClients || !r.Simulated && c.Clients == min(ClientsPerWhole*c.Whole, MostServed) {
				n = "at least " + n
			}
			cells = append(cells, n)
		}
		t.Rows = append(t.Rows, cells)
	}
	return t, slices.ContainsFunc(r.Rows, func(x Row) bool { return len(x.Clients) > 0 })
}
