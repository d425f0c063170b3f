package batch

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

// drafted is a board with the model itself as its draft model; with exits it has the first
// stage too.
func (r *rig) drafted(t testing.TB, sequences int, exits bool) decode.Model {
	t.Helper()
	m := decode.Model{Vocab: r.vocab, Context: positions}
	if exits {
		m = r.split(t, sequences)
		m.Exits = m.Exits[:1]
		m.Exits[0].Alone = false
	}
	m.Draft = &decode.DraftModel{Stage: enginetest.Open(t, r.path(t, bundle.Unsplit), r.with(sequences))}
	return m
}

// Several conversations with a draft model, at once and over shared prefixes, say what each
// says by itself.
func TestDraftsTogether(t *testing.T) {
	r := newRig(t)
	for name, mode := range map[string]infer.Mode{"alone": decode.Standalone, "with a cloud": decode.Collaborative} {
		t.Run(name, func(t *testing.T) {
			exits := mode == decode.Collaborative
			one := r.drafted(t, 1, exits)
			var opt Options
			opt.Sequences, opt.Queue = 3, 3
			if exits {
				opt.Open = r.clouds(t, 3)
			}
			s := open(t, r.drafted(t, 3, exits), opt)
			prefix := text(60, 1)
			var wg sync.WaitGroup
			for round := range 2 {
				for i := range 3 {
					prompt := slices.Concat(prefix, text(5, uint64(10*round+i+2)))
					o := options(mode, 12, uint64(i))
					var c decode.Cloud
					if exits {
						c, _ = r.clouds(t, 1)(0)
					}
					want := alone(t, one, c, prompt, o)
					wg.Go(func() {
						got, cached := answer(t, s, Ask{Prompt: prompt}, o)
						if len(got) != len(want) || round > 0 && cached < 60 {
							t.Errorf("%d tokens of %d, %d positions cached", len(got), len(want), cached)
							return
						}
						for k := range want {
							if got[k].ID != want[k].ID || got[k].Source != want[k].Source {
								t.Errorf("token %d: %+v, by itself %+v", k, got[k], want[k])
							}
						}
					})
				}
				wg.Wait()
			}
			by := map[infer.Source]int{}
			got, _ := answer(t, s, Ask{Prompt: text(20, 9)}, options(mode, 40, 7))
			for _, tok := range got {
				by[tok.Source]++
			}
			if by[infer.FromDraft] == 0 || (by[infer.FromCloud] > 0) != exits {
				t.Errorf("%v", by)
			}
		})
	}
}

// What a board with a draft model has computed outlives a restart, the draft's part too.
func TestDraftFromDisk(t *testing.T) {
	r := newRig(t)
	for _, exits := range []bool{false, true} {
		mode := decode.Standalone
		opt := Options{Cache: Cache{Dir: t.TempDir(), Bundle: "b", Least: 32}}
		if exits {
			mode, opt.Open = decode.Collaborative, r.clouds(t, 1)
		}
		prompt := text(80, 3)
		s := open(t, r.drafted(t, 1, exits), opt)
		want, _ := answer(t, s, Ask{Session: "s", Prompt: prompt}, options(mode, 8, 4))
		if err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if exits {
			opt.Open = r.clouds(t, 1)
		}
		m := r.drafted(t, 1, exits)
		s = open(t, m, opt)
		got, cached := answer(t, s, Ask{Session: "s", Prompt: prompt}, options(mode, 8, 4))
		if cached < 70 || len(got) != len(want) {
			t.Fatalf("exits %v: %d cached, %d tokens of %d", exits, cached, len(got), len(want))
		}
		for k := range want {
			if got[k].ID != want[k].ID {
				t.Errorf("exits %v, token %d: %+v, want %+v", exits, k, got[k], want[k])
			}
		}
	}
}

// failing is a stage that computes nothing while it is set to fail.
type failing struct {
	decode.Stage
	fails atomic.Bool
}

func (f *failing) Forward(b engine.Batch) (engine.Output, error) {
	if f.fails.Load() {
		return engine.Output{}, errors.New("out of memory")
	}
	return f.Stage.Forward(b)
}

// A draft model that fails is given up for a conversation: the log says so once, the
// conversation goes on without, and the next one has it again.
func TestDraftGivenUpAndTriedAgain(t *testing.T) {
	r := newRig(t)
	m := r.drafted(t, 1, true)
	draft := &failing{Stage: m.Draft.Stage}
	m.Draft.Stage = draft
	log, said := logged()
	s := open(t, m, Options{Open: r.clouds(t, 1), Log: log})
	prompt, o := text(20, 9), options(decode.Collaborative, 40, 7)
	bySource := func(prompt []int32) map[infer.Source]int {
		by := map[infer.Source]int{}
		got, _ := answer(t, s, Ask{Session: "s", Prompt: prompt}, o)
		for _, tok := range got {
			prompt, by[tok.Source] = append(prompt, tok.ID), by[tok.Source]+1
		}
		return by
	}
	draft.fails.Store(true)
	if by := bySource(prompt); by[infer.FromDraft] != 0 || by[infer.FromCloud] == 0 {
		t.Errorf("a draft that fails: %v", by)
	}
	draft.fails.Store(false)
	more := slices.Concat(s.slots[0].session.Held(), text(4, 3))
	if by := bySource(more); by[infer.FromDraft] != 0 {
		t.Errorf("it was given up, and speaks: %v", by)
	}
	if n := strings.Count(said(), "level=WARN"); n != 1 || !strings.Contains(said(), "out of memory") {
		t.Errorf("said %d times in %q", n, said())
	}
	if by := bySource(text(20, 10)); by[infer.FromDraft] == 0 {
		t.Errorf("it is not tried again: %v", by)
	}
}

// What the stages lag behind with is not kept as if it were there: an entry of no or of a
// few positions would be counted, and found, and be of no use.
func TestShortStateIsNotKept(t *testing.T) {
	r := newRig(t)
	s := open(t, r.split(t, 1), Options{Cache: Cache{Dir: t.TempDir(), Bundle: "b", Least: 32}})
	for n, want := range map[int]int{0: 0, 31: 0, 32: 1} {
		w := s.cache.claim(text(80, uint64(n)), "s")
		if w == nil {
			t.Fatal("no claim")
		}
		if err := s.cache.store(w, decode.State{Tokens: w.tokens[:n], KV: [][]byte{{1}}}); err != nil {
			t.Fatal(err)
		}
		bytes, entries := s.cache.size()
		if entries != want || (bytes > 0) != (want > 0) || len(s.cache.writing) != 0 {
			t.Errorf("%d positions: %d entries of %d bytes", n, entries, bytes)
		}
		for name := range maps.Clone(s.cache.entries) {
			s.cache.remove(name)
		}
	}
}
