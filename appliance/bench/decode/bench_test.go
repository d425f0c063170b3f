package decode_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/bench/decode"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func model(t *testing.T, name string) decode.Model {
	t.Helper()
	src := enginetest.Tiny(t)
	split := func(exits ...int) *bundle.Bundle {
		dir := filepath.Join(t.TempDir(), "b")
		if _, err := split.Model(t.Context(), src, dir, split.Options{Exits: exits, Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return decode.Model{Name: name, Splits: []*bundle.Bundle{split(1, 3), split(2, 4)}, Batches: []int{2, 4}, BatchThreads: []int{1},
		Targets: append(decode.ChainTargets(), decode.ExitTarget("deep exit", 4, 1e9))}
}

func options() decode.Options {
	return decode.Options{Threads: 1, Prompt: 24, Decode: 3, Rounds: 2, Budget: 80 * time.Second, Seed: 1, Shortlist: 100, PeerReason: "none here"}
}

// tenfold is a peer that takes ten seconds for everything.
type tenfold struct{ prompts, decodes *int }

func (tenfold) Name() string { return "tenfold 1" }
func (p tenfold) Start(context.Context, string, decode.PeerOptions) (decode.PeerRunner, error) {
	return p, nil
}
func (p tenfold) Prompt(context.Context, []int32) (time.Duration, error) {
	*p.prompts++
	return 10 * time.Second, nil
}
func (p tenfold) Decode(context.Context, []int32) (time.Duration, error) {
	*p.decodes++
	return 10 * time.Second, nil
}
func (tenfold) Close() error { return nil }

// TestReport measures a tiny model and holds the report against the command's
// contract.
func TestReport(t *testing.T) {
	o := options()
	o.Peer = tenfold{new(int), new(int)}
	r, err := decode.Run(t.Context(), o, model(t, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, phase := range []string{"decode", "prompt"} {
		var p map[string]json.RawMessage
		if err := json.Unmarshal(got["tiny"][phase], &p); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"chained_over_unsplit", "exit1_over_unsplit", "exit2_over_unsplit", "over_peer", "bandwidth_share"} {
			var q bench.Quartiles
			if err := json.Unmarshal(p[key], &q); err != nil || !(q.P25 > 0 && q.P25 <= q.P50 && q.P50 <= q.P75) {
				t.Errorf("%s.%s is %s: %v", phase, key, p[key], err)
			}
		}
	}
	m := r["tiny"]
	var exits []int
	for _, e := range m.Decode.Exits {
		exits = append(exits, e.Blocks)
		if short := e.Head.Kind == decode.Shortlist; short != e.Head.Translator || short != (e.Head.Rows == 100) {
			t.Errorf("head %+v", e.Head)
		}
	}
	if want := []int{1, 1, 3, 3, 4, 4}; !slices.Equal(exits, want) {
		t.Errorf("exits %v, want %v", exits, want)
	}
	if m.Decode.OverPeer.P50 < 1 || m.Peer.Name != "tenfold 1" {
		t.Errorf("a peer that takes 10 s is faster: %+v, %+v", *m.Decode.OverPeer, m.Peer)
	}
	if len(m.Prompt.Exits) != 3 {
		t.Errorf("exits of a prompt: %+v", m.Prompt.Exits)
	}
	if len(m.Batch) != 5 {
		t.Errorf("batches %+v", m.Batch)
	}
	if last := m.Targets[len(m.Targets)-1]; last.Got == nil || last.Met {
		t.Errorf("a target out of reach: %+v", last)
	}
}

func TestWithoutPeer(t *testing.T) {
	r, err := decode.Run(t.Context(), options(), model(t, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	m := r["tiny"]
	if m.Decode.OverPeer != nil || m.Peer.Reason != "none here" {
		t.Errorf("%+v, %+v", m.Decode.OverPeer, m.Peer)
	}
	var text, markdown strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no peer: none here", "exit after 3 of 6, shortlist of 100 and translator", "short by", "not measured"} {
		if !strings.Contains(text.String(), want) || !strings.Contains(markdown.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	dir := t.TempDir()
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"decode.svg", "prompt.svg", "batch.svg"} {
		wellFormed(t, filepath.Join(dir, name))
	}
}

func wellFormed(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
	}
}

// A budget that is spent at once still gives a whole round, and no more.
func TestBudget(t *testing.T) {
	o := options()
	o.Rounds, o.Budget = 1000, time.Nanosecond
	p := tenfold{new(int), new(int)}
	o.Peer = p
	r, err := decode.Run(t.Context(), o, model(t, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	if m := r["tiny"]; m.Decode.Rounds != 1 || m.Prompt.Rounds != 1 || *p.decodes > 3*o.Decode {
		t.Errorf("%d and %d rounds, %d tokens of the peer's", m.Decode.Rounds, m.Prompt.Rounds, *p.decodes)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options()
	o.Progress = func(step string, _, _ int64) {
		if strings.HasSuffix(step, "prompt") {
			cancel()
		}
	}
	if _, err := decode.Run(ctx, o, model(t, "tiny")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
