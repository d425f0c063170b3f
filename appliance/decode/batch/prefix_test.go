package batch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// logged collects what is logged.
func logged() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b strings.Builder
	w := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})
	return slog.New(slog.NewTextHandler(w, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// kind is a way to serve the model.
type kind struct {
	mode  infer.Mode
	model func(testing.TB, int) decode.Model
	cloud bool
}

func (r *rig) kinds() map[string]kind {
	return map[string]kind{
		"standalone":    {decode.Standalone, r.split, false},
		"collaborative": {decode.Collaborative, r.split, true},
		"unsplit":       {decode.Unsplit, r.whole, false},
	}
}

// options to serve a kind, and the cloud of a session that is alone.
func (k kind) options(t testing.TB, r *rig, sequences int) (Options, decode.Cloud) {
	t.Helper()
	o := Options{Sequences: sequences}
	if !k.cloud {
		return o, nil
	}
	o.Open = r.clouds(t, sequences)
	c, err := r.clouds(t, 1)(0)
	if err != nil {
		t.Fatal(err)
	}
	return o, c
}

// A prefix that another slot holds is not computed again, while that one answers
// too, and nobody can tell from the answer.
func TestForkEqualsCold(t *testing.T) {
	r := newRig(t)
	for name, k := range r.kinds() {
		t.Run(name, func(t *testing.T) {
			opt, cloud := k.options(t, r, 3)
			s, one := open(t, k.model(t, 3), opt), k.model(t, 1)
			system := text(100, 1)
			first, second := slices.Concat(system, text(20, 2)), slices.Concat(system, text(30, 3))
			o := options(k.mode, 15, 7)
			o.Thresholds = []float64{1.1, 0} // the mid stage has all
			want1, want2 := alone(t, one, cloud, first, o), alone(t, one, cloud, second, o)

			sl, err := s.Acquire(t.Context(), Ask{Prompt: first})
			if err != nil {
				t.Fatal(err)
			}
			defer sl.Release()
			forked := false
			a, err := sl.Session().Generate(t.Context(), first, o, func(infer.Token) {
				if forked {
					return
				}
				forked = true
				got, cached := answer(t, s, Ask{Prompt: second}, o)
				if cached != len(system) {
					t.Errorf("%d positions were there, not %d", cached, len(system))
				}
				same(t, "forked", got, want2)
			})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "forked from", timeless(a.Tokens), want1)
			if st := s.Stats(); st.Forked != uint64(len(system)) || st.Prompt != uint64(len(first)+len(second)) {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A conversation that goes on finds its own slot as it was.
func TestConversationGoesOn(t *testing.T) {
	r := newRig(t)
	s, one := open(t, r.split(t, 2), Options{Sequences: 2}), r.split(t, 1)
	o := options(decode.Standalone, 15, 1)
	prompt := text(60, 1)
	for turn := range 3 {
		want := alone(t, one, nil, prompt, o)
		got, cached := answer(t, s, Ask{Prompt: prompt}, o)
		same(t, "turn", got, want)
		if turn > 0 && cached < len(prompt)-11 {
			t.Errorf("%d of %d positions were there", cached, len(prompt))
		}
		for _, tok := range got {
			prompt = append(prompt, tok.ID)
		}
		prompt = append(prompt, text(10, uint64(turn+10))...)
	}
}

// After a restart a shared prefix comes from disk, and so does a conversation that
// was idle at shutdown.
func TestDiskEqualsCold(t *testing.T) {
	r := newRig(t)
	for name, k := range r.kinds() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			system := text(140, 1)
			ask := func(s *Slots, n int, seed uint64) ([]infer.Token, int) {
				return answer(t, s, Ask{Session: fmt.Sprint(seed), Prompt: slices.Concat(system, text(n, seed))}, options(k.mode, 15, seed))
			}
			opt, cloud := k.options(t, r, 2)
			opt.Cache = Cache{Dir: dir, Bundle: "b"}
			s := open(t, k.model(t, 2), opt)
			ask(s, 10, 2)
			if st := s.Stats(); st.CacheEntries != 0 {
				t.Errorf("%d entries of what was seen once", st.CacheEntries)
			}
			ask(s, 10, 3)
			s.writes.Wait()
			if st := s.Stats(); st.CacheEntries != 1 || st.CacheBytes == 0 {
				t.Errorf("%d entries of what was seen twice", st.CacheEntries)
			}
			if err := s.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			held := slices.Clone(s.slots[0].session.Held())
			s.Close()

			one := k.model(t, 1)
			opt, _ = k.options(t, r, 2)
			opt.Cache = Cache{Dir: dir, Bundle: "b"}
			s = open(t, k.model(t, 2), opt)
			got, cached := ask(s, 12, 4)
			if cached != len(system) {
				t.Errorf("%d positions were there", cached)
			}
			same(t, "restored", got, alone(t, one, cloud, slices.Concat(system, text(12, 4)), options(k.mode, 15, 4)))
			next := slices.Concat(held, text(9, 9))
			got, cached = answer(t, s, Ask{Prompt: next}, options(k.mode, 15, 5))
			if cached != len(held) {
				t.Errorf("%d of %d positions of the conversation were there", cached, len(held))
			}
			same(t, "conversation", got, alone(t, one, cloud, next, options(k.mode, 15, 5)))

			other := open(t, k.model(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir, Bundle: "another"}})
			if _, n := other.cached(next); n != 0 {
				t.Error("an entry of another bundle is used")
			}
		})
	}
}

// A damaged file is deleted, said aloud, and the prompt is computed.
func TestDamagedCache(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	prompt := text(150, 1)
	o := options(decode.Standalone, 5, 1)
	s := open(t, r.split(t, 1), Options{Cache: Cache{Dir: dir, Unnamed: true}})
	want, _ := answer(t, s, Ask{Prompt: prompt}, o)
	answer(t, s, Ask{Prompt: prompt}, o)
	s.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.kv"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{"head": 40, "body": len(whole) - 1000} {
		bad := slices.Clone(whole)
		bad[at] ^= 1
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(dir, ".x.kv123"), bad, 0o600) // left by a power cut
		log, said := logged()
		s := open(t, r.split(t, 1), Options{Cache: Cache{Dir: dir, Unnamed: true}, Log: log})
		got, cached := answer(t, s, Ask{Prompt: prompt}, o)
		same(t, name, got, want)
		s.Close()
		if cached != 0 || !strings.Contains(said(), "damaged") {
			t.Errorf("%s: %d cached, logged %q", name, cached, said())
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// The cache keeps to its size, and forgets what was used least recently.
func TestCacheSize(t *testing.T) {
	r := newRig(t)
	s := open(t, r.split(t, 1), Options{Cache: Cache{Dir: t.TempDir(), Least: 50, Unnamed: true}})
	o := options(decode.Standalone, 2, 1)
	for i := range 6 {
		if i == 3 {
			s.cache.opt.Bytes = 3*s.cache.bytes/2 + 1000 // room for four or so
		}
		answer(t, s, Ask{Prompt: text(100, uint64(i))}, o)
		answer(t, s, Ask{Prompt: text(100, uint64(i))}, o)
		s.writes.Wait()
	}
	st := s.Stats()
	if st.CacheBytes > s.cache.opt.Bytes || st.CacheEntries != 4 {
		t.Errorf("%d entries, %d bytes of %d", st.CacheEntries, st.CacheBytes, s.cache.opt.Bytes)
	}
	for i := range 6 {
		if _, n := s.cached(text(100, uint64(i))); (n >= 99) != (i >= 2) {
			t.Errorf("prompt %d: %d positions", i, n)
		}
	}
}

// Each conversation has its whole context, whatever the others hold, and ends where
// that does.
func TestEachHasItsOwnRoom(t *testing.T) {
	r := newRig(t)
	s, one := open(t, r.split(t, 3), Options{Sequences: 3}), r.split(t, 1)
	o := options(decode.Standalone, 2*positions, 1)
	var wg sync.WaitGroup
	for i := range 3 {
		prompt := text(100*(i+1), uint64(i))
		want := alone(t, one, nil, prompt, o)
		if n := len(prompt) + len(want); n < positions || n > positions+1 {
			t.Errorf("alone it ends at %d", n)
		}
		wg.Go(func() {
			got, _ := answer(t, s, Ask{Prompt: prompt}, o)
			same(t, "beside others", got, want)
		})
	}
	wg.Wait()
}

// A prompt that is given up in the middle leaves what was computed of it.
func TestCancelledPrefill(t *testing.T) {
	r := newRig(t)
	for name, k := range r.kinds() {
		t.Run(name, func(t *testing.T) {
			opt, cloud := k.options(t, r, 1)
			s := open(t, k.model(t, 1), opt)
			prompt, o := text(400, 1), options(k.mode, 10, 1)
			want := alone(t, k.model(t, 1), cloud, prompt, o)
			sl, err := s.Acquire(t.Context(), Ask{Prompt: prompt})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cut, at := o, 0
			cut.Prefill = func(done, total int) {
				if at = done; total != 400 {
					t.Errorf("of %d", total)
				}
				if done > 100 {
					cancel()
				}
			}
			a, err := sl.Session().Generate(ctx, prompt, cut, nil)
			sl.Release()
			if err != nil || a.Finish != infer.Cancelled || len(a.Tokens) > 0 || at > 300 {
				t.Fatalf("%v, %+v, at %d", err, a, at)
			}
			got, cached := answer(t, s, Ask{Prompt: prompt}, o)
			if cached != at {
				t.Errorf("%d positions were there, not %d", cached, at)
			}
			same(t, "after the cut", got, want)
		})
	}
}

// Caches of several models in one directory keep to one bound together.
func TestBoundOfSeveralCaches(t *testing.T) {
	dir := t.TempDir()
	st := decode.State{Tokens: text(2*worthwhile, 1), KV: [][]byte{make([]byte, 10000)}}
	size := int64(len(entryOf(t, st)))
	log, said := logged()
	var caches []*cache
	for _, bundle := range []string{"a", "b"} {
		c, err := openCache(Cache{Dir: dir, Bytes: 3 * size, Bundle: bundle, Least: 1, Unnamed: true}, false, log)
		if err != nil {
			t.Fatal(err)
		}
		caches = append(caches, c)
	}
	files := func() int {
		all, err := filepath.Glob(filepath.Join(dir, "*"+entrySuffix))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	keep := func(c *cache, first int32) {
		own := st
		own.Tokens = slices.Clone(st.Tokens)
		own.Tokens[0] = first
		w := c.claim(own.Tokens, "s")
		if w == nil {
			t.Fatal("it is not worth a file")
		}
		if err := c.store(w, own); err != nil {
			t.Fatal(err)
		}
	}
	for first := range int32(2) {
		keep(caches[0], first)
		keep(caches[1], first)
	}
	if n := files(); n != 4 {
		t.Fatalf("%d files", n)
	}
	for _, c := range caches {
		c.refresh()
	}
	for i, c := range caches {
		if bytes, entries := c.size(); entries != 3 || files() != 3 || bytes > 3*size {
			t.Errorf("cache %d knows %d files with %d bytes; there are %d, and room for 3", i, entries, bytes, files())
		}
	}
	if said() != "" {
		t.Error(said())
	}
}
