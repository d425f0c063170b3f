package strategies

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/cloudlink/linksim"
)

func TestParseVariants(t *testing.T) {
	for _, name := range Default {
		if _, err := ParseVariant(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range Further {
		if v, err := ParseVariants([]string{name}); err != nil || len(v) != 2 || v[1].Name != name {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	all, err := ParseVariants([]string{"paper", " collaborative-t0.8-eager-q8", "paper"})
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	if v := all[0]; v.Mode != decode.CloudOnly || v.Encoding != IDs {
		t.Errorf("first is %+v", v)
	}
	if v := all[2]; v.Mode != decode.Collaborative || !v.Eager || v.Encoding != "q8_0" || !slices.Equal(v.Thresholds, []float64{0.8}) {
		t.Errorf("options give %+v", v)
	}
	own := []float64{0.97, 0.9}
	for name, want := range map[string][]float64{"naive": nil, "cloud-only": nil, "paper": {0.8, 0.8}, "collaborative": own, "standalone": own,
		"collaborative-unreached": {1.1, 1.1}, "collaborative-t0.5": {0.5, 0.5}} {
		v, err := ParseVariant(name)
		if got := v.thresholds(own); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s believes from %v, want %v (%v)", name, got, want, err)
		}
	}
	for _, bad := range []string{"", "verified-t0.8", "unsplit", "collaborative-", "collaborative-fast", "collaborative-t", "collaborative-t-1", "collaborative-tx", "paper-q8", "cloud", "naive-eager"} {
		if v, err := ParseVariant(bad); err == nil || !strings.Contains(err.Error(), "choose of cloud-only") {
			t.Errorf("%q is %+v, %v", bad, v, err)
		}
	}
}

// A draft model speaks in place of the exits, and with token ids the board has none.
func TestVariantsWithADraft(t *testing.T) {
	v, err := ParseVariant("collaborative-ids-t0.7")
	if err != nil || v.Encoding != IDs || !v.tokenIDs() {
		t.Fatalf("%+v, %v", v, err)
	}
	m := decode.Model{Exits: make([]decode.Exit, 2)}
	if _, err := v.On(m); err == nil || !strings.Contains(err.Error(), "--draft") {
		t.Errorf("without a draft: %v", err)
	}
	m.Draft = &decode.DraftModel{Threshold: 0.8}
	if on, err := v.On(m); err != nil || !on.SendsTokens() || len(on.Exits) != 1 || len(m.Exits) != 2 {
		t.Errorf("%+v, %v", on, err)
	}
	b := Bench{Edge: m}
	if r := b.row(v, linksim.Spec{}, 0.01); !r.Draft || *r.Threshold != 0.7 || r.cells()[1] != "draft 0.7" {
		t.Errorf("%+v", r)
	}
	plain, _ := ParseVariant("collaborative")
	if r := b.row(plain, linksim.Spec{}, 0.01); r.cells()[1] != "draft 0.8" {
		t.Errorf("%+v", r)
	}
	if s := v.strategy([]float64{0.8}, true); !s.IDs || !s.Drafts || s.T2 != 0.7 || s.ValueBytes != 0 {
		t.Errorf("%+v", s)
	}
}

func TestParseLink(t *testing.T) {
	l, err := ParseLink("rtt=0.1T,rate=30mbit,loss=1%")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.At(0.02), (linksim.Spec{RTT: 2 * time.Millisecond, Rate: 30e6, Loss: 0.01}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if l, err = ParseLink("rtt=3ms"); err != nil || l.At(9).RTT != 3*time.Millisecond {
		t.Errorf("%+v, %v", l, err)
	}
	all := l.Sweep()
	if len(all) != len(sweep) || all[0].At(0.01).RTT != 0 || all[len(all)-1].At(0.01).RTT != 50*time.Millisecond {
		t.Errorf("%+v", all)
	}
	for _, bad := range []string{"rtt=xT", "rtt=-1T", "rtt=1T,rtt=3ms", "speed=3", "rtt=1T,rate=fast", "rtt=infT"} {
		if _, err := ParseLink(bad); !errors.Is(err, linksim.ErrSpec) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// An edge that is slower is busy for longer, and what it is busy with is seen
// before it ends.
func TestClockStretches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, failed := &clock{slow: 3}, errors.New("out of memory")
		start, middle := time.Now(), time.Duration(0)
		err := c.run(func() error {
			time.Sleep(10 * time.Millisecond)
			middle = c.read()
			return failed
		})
		if err != failed || middle != 10*time.Millisecond || c.read() != 30*time.Millisecond || time.Since(start) != 30*time.Millisecond {
			t.Errorf("busy %v in the middle, %v of %v at the end; %v", middle, c.read(), time.Since(start), err)
		}
		time.Sleep(time.Second)
		if c.read() != 30*time.Millisecond {
			t.Errorf("idle time counts: %v", c.read())
		}
	})
}

// slowSession answers after a while, most of which it has computed.
type slowSession struct {
	Session
	wait, compute time.Duration
}

func (s slowSession) Ask(ctx context.Context, _, _ int) (decode.Row, time.Duration, error) {
	select {
	case <-time.After(s.wait):
		return decode.Row{}, s.compute, nil
	case <-ctx.Done():
		return decode.Row{}, 0, ctx.Err()
	}
}

// Communication is what the edge waits idle, beyond what the cloud computes.
func TestMeteredWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{slow: 1}
		far := &metered{Session: slowSession{wait: 50 * time.Millisecond, compute: 20 * time.Millisecond}, clock: c}
		far.Ask(t.Context(), 0, 1)
		if far.comm != 30*time.Millisecond {
			t.Errorf("an idle wait: %v", far.comm)
		}
		done := make(chan struct{})
		go func() { far.Ask(t.Context(), 0, 1); close(done) }()
		c.run(func() error { time.Sleep(45 * time.Millisecond); return nil })
		<-done
		if far.comm != 30*time.Millisecond {
			t.Errorf("of 50 ms the edge computed 45 and the cloud 20: %v", far.comm)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		far.Ask(ctx, 0, 1)
		if far.comm != 30*time.Millisecond {
			t.Errorf("an ask that was dropped: %v", far.comm)
		}
	})
}

func TestRowsAreMediansOfRounds(t *testing.T) {
	turns := func(factor float64) (x []*turn) {
		for _, s := range []float64{1, 100, 2} { // the second round was disturbed, for all
			x = append(x, &turn{total: s * factor, edge: s, comm: s / 4, cloud: Spent{s / 2 * factor, 10}, asks: 3, tokens: 6, bytes: 60, first: []float64{s, s, 9 * s}})
		}
		return x
	}
	v, _ := ParseVariant("collaborative")
	b := Bench{Edge: decode.Model{Exits: []decode.Exit{{Threshold: 0.9}, {Threshold: 0.8}}}}
	r := b.row(v, linksim.Spec{RTT: 20 * time.Millisecond}, 0.01)
	r.measured(turns(3), turns(1))
	if r.Total != 6 || r.OverCloudOnly != 3 || r.TimeSaved != -2 || r.PositionsSaved != 0 || r.Asks != 0.5 || r.BytesUp != 10 || r.First != 2 || r.RTTOverT != 2 ||
		*r.Threshold != 0.9 || *r.Threshold2 != 0.8 || r.Tokens != 6 {
		t.Errorf("%+v", r)
	}
}

// recorded is an answer whose first half exit 1 says, wrongly once.
func recorded(n int) []sim.Answer {
	a := sim.Answer{Prompt: 20}
	for i := range n {
		tok := sim.Token{C1: 0.5, C2: 0.6, EqualUp: true}
		if i < n/2 {
			tok.C1, tok.Equal1 = 0.95, i > 0
		}
		a.Tokens = append(a.Tokens, tok)
	}
	return []sim.Answer{a}
}

func TestReplay(t *testing.T) {
	variants, err := ParseVariants(Default)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]sim.Answer{}
	for _, v := range variants {
		said[v.Name] = recorded(40)
	}
	l, _ := ParseLink("rtt=3ms,rate=30mbit")
	rows := map[string]Row{}
	b := Bench{Edge: decode.Model{Exits: []decode.Exit{{Threshold: 0.9}, {Threshold: 0.9}}}, Options: Options{Variants: variants}}
	replayed, err := b.replay(sim.Paper(), l, said)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replayed {
		if !r.Simulated || r.Tokens != 40 {
			t.Errorf("%+v", r)
		}
		rows[r.Name] = r
	}
	if r := rows["cloud-only"]; r.OverCloudOnly != 1 || r.TimeSaved != 0 || r.Agreement != 1 || r.Threshold != nil {
		t.Errorf("%+v", r)
	}
	if r := rows["naive"]; r.OverCloudOnly < 4 {
		t.Errorf("naive is %.1f times as slow", r.OverCloudOnly)
	}
	for _, name := range []string{"paper", "collaborative"} {
		if r := rows[name]; r.Asks != 0.5 || r.Agreement != 39.0/40 || r.TimeSaved <= 0.25 {
			t.Errorf("%+v", r)
		}
	}
	// 59 positions for 40 tokens, in half precision, float32, and blocks of 34 bytes.
	for name, perValue := range map[string]float64{"paper": 2, "collaborative-unreached": 4, "collaborative-unreached-q8": 34.0 / 32} {
		if want := 59 * 4096 * perValue / 40; math.Abs(rows[name].BytesUp-want) > 1e-6 {
			t.Errorf("%s: %.0f bytes a token, want %.0f", name, rows[name].BytesUp, want)
		}
	}
}

// draftedWell are answers of whose tokens the draft model, and prompt lookup, has most right.
func draftedWell(n int) []sim.Answer {
	a := sim.Answer{Prompt: 20}
	for i := range n {
		t := sim.Token{EqualUp: true, CDraft: .9, EqualDraft: i%8 != 0}
		if i%3 == 0 {
			t.Match, t.MatchRight = 5, min(7, n-i)
		}
		a.Tokens = append(a.Tokens, t)
	}
	return []sim.Answer{a, a}
}

// Auto is the variant that is predicted to be the fastest of those whose text is the whole
// model's: on a slow edge the cloud drafts for itself, near a fast one the board does, and over
// a long way where its drafts hide the round trip.
func TestAutoIsTheFastestAsPredicted(t *testing.T) {
	variants, err := ParseVariants([]string{"cloud-only+draft", "verified", "verified-ids", "collaborative", "auto"})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]sim.Answer{}
	for _, v := range variants {
		said[v.Name] = draftedWell(64)
	}
	b := Bench{Edge: decode.Model{Exits: []decode.Exit{{Threshold: 0.9}}, Draft: &decode.DraftModel{}}, Options: Options{Variants: variants, Split: .25}}
	l, _ := ParseLink("rtt=3ms,rate=30mbit")
	chosen := map[float64]string{}
	for _, slow := range []float64{1, 20} {
		s := sim.Paper()
		s.Slow, s.Draft = slow, .1
		rows, err := b.replay(s, l, said)
		if err != nil {
			t.Fatal(err)
		}
		var best, auto Row
		for _, r := range rows {
			if r.Slow != slow || !(r.Predicted > 0) {
				t.Errorf("%+v", r)
			}
			if r.Name == "auto" {
				auto = r
			} else if v, _ := ParseVariant(r.Name); v.exact() && (best.Name == "" || r.Total < best.Total) {
				best = r
			}
		}
		chosen[slow] = auto.Chosen
		if auto.Mode != "auto" || auto.Chosen == "" || math.Abs(auto.OverBest-auto.Total/best.Total) > 1e-9 || auto.OverBest > 1.1 {
			t.Errorf("an edge %gx slower: auto was %s, %.2f of the best, %s", slow, auto.Chosen, auto.OverBest, best.Name)
		}
		var text bytes.Buffer
		if err := (&Report{Rows: rows, Simulated: true, Setting: &s, T: s.T}).WriteText(&text); err != nil || !strings.Contains(text.String(), "auto was "+auto.Chosen) {
			t.Errorf("%v: %s", err, text.String())
		}
	}
	if chosen[20] != "cloud-only+draft" || chosen[1] == "cloud-only" {
		t.Errorf("chosen by the edge's slowness: %v", chosen)
	}
	b.Variants, _ = ParseVariants([]string{"auto"})
	if v, err := b.chosen(facts{cloud: Pass{T: .01}, slow: 1, said: draftedWell(8), answer: 8, prompts: 2}, l); err != nil || v.Name != "cloud-only" {
		t.Errorf("beside cloud-only alone auto is %q, %v", v.Name, err)
	}
}

// What prompt lookup would have drafted in place of each token is recorded with how much of it
// is right.
func TestMatches(t *testing.T) {
	a := said{prompt: []int32{1, 2, 3, 4, 9, 1, 2}, tokens: []int32{3, 4, 7}}
	r := sim.Answer{Tokens: make([]sim.Token, 3)}
	a.matches(&r)
	for i, want := range []struct {
		match bool
		right int
	}{{true, 2}, {true, 1}, {true, 0}} {
		if got := r.Tokens[i]; (got.Match > 0) != want.match || got.MatchRight != want.right {
			t.Errorf("token %d: %+v", i, got)
		}
	}
}

// Whoever reads a simulation, in whatever form, reads that it is one.
func TestSimulationsSaySo(t *testing.T) {
	variants, _ := ParseVariants([]string{"paper"})
	s := sim.Paper()
	b := Bench{Options: Options{Variants: variants}}
	r := &Report{T: s.T, M: s.M, Simulated: true, Setting: &s}
	for _, f := range []float64{0.1, 1} {
		rows, err := b.replay(s, Link{OverT: f, InT: true}, map[string][]sim.Answer{"cloud-only": recorded(8), "paper": recorded(8)})
		if err != nil {
			t.Fatal(err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	var text, markdown bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := r.WritePlot(filepath.Join(dir, "s.svg")); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "s.svg"))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(r)
	for form, s := range map[string]string{"text": text.String(), "markdown": markdown.String(), "plot": string(svg)} {
		if !strings.Contains(strings.ToLower(s), "simulated") {
			t.Errorf("the %s does not say that it is simulated:\n%.400s", form, s)
		}
	}
	if n := strings.Count(string(data), `"simulated":true`); n != 1+len(r.Rows) {
		t.Errorf("%d of %d rows and the report are marked", n, len(r.Rows))
	}
	if strings.Contains(text.String(), "NaN") || !strings.Contains(text.String(), "RTT 1.00 T, simulated") {
		t.Errorf("%s", text.String())
	}
	r.Simulated = false
	text.Reset()
	if err := r.WriteText(&text); err != nil || strings.Contains(strings.ToLower(text.String()), "simulated") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestPrompts(t *testing.T) {
	if p := Prompts(""); len(p) != 8 {
		t.Errorf("%d prompts of our own", len(p))
	}
	if p := Prompts("one\n\n two \n"); !slices.Equal(p, []string{"one", "two"}) {
		t.Errorf("%q", p)
	}
}

func TestClients(t *testing.T) {
	variants, err := ParseVariants([]string{"collaborative", "naive", "auto"})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]sim.Answer{}
	for _, v := range variants {
		said[v.Name] = recorded(12)
	}
	l, _ := ParseLink("rtt=3ms,rate=30mbit")
	b := Bench{Edge: decode.Model{Exits: []decode.Exit{{Threshold: 0.9}, {Threshold: 0.9}}}, Options: Options{Variants: variants}}
	rows := make([]Row, len(variants))
	for i, v := range variants {
		rows[i].Name = v.Name
	}
	b.clients(sim.Paper(), l, said, rows)
	if c := rows[0].Clients; len(c) != len(wholeClients) || c[0].Clients < 4 || c[0].Within < 0.035 {
		t.Errorf("%+v", c)
	}
	if c := rows[1].Clients; rows[1].Name != "collaborative" || len(c) != len(wholeClients) || len(rows[2].Clients)+len(rows[3].Clients) > 0 {
		t.Errorf("%+v", rows)
	}
	r := Report{Rows: rows, Simulated: true}
	table, ok := r.clientTable(place{})
	if !ok || len(table.Rows) != 3 || len(table.Rows[0]) != 4 {
		t.Errorf("%+v", table)
	}
}
