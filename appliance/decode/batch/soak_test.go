package batch

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"skerry/appliance/infer"
	"skerry/build/testleak"
	"skerry/build/testseed"
)

// Many clients with shared prompts, conversations that go on, and requests that are
// given up at any moment: every answer is the one that a session alone would give.
func TestSoak(t *testing.T) {
	defer testleak.None(t, goleak.IgnoreCurrent())
	seed := testseed.Of(t)
	r := newRig(t)
	for name, k := range r.kinds() {
		opt, cloud := k.options(t, r, 4)
		opt.Queue, opt.Cache = 100, Cache{Dir: t.TempDir(), Least: 40, Bytes: 1 << 20, Unnamed: true}
		s, err := New(k.model(t, 4), opt)
		if err != nil {
			t.Fatal(err)
		}
		rounds := 12
		if testing.Short() {
			rounds = 4
		}
		type ran struct {
			prompt []int32
			seed   uint64
			tokens []infer.Token
		}
		var mu sync.Mutex
		var all []ran
		var wg sync.WaitGroup
		for c := range 6 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(c)))
				var talk []int32
				for range rounds {
					prompt := slices.Concat(text(60, uint64(rng.IntN(2))), text(1+rng.IntN(40), rng.Uint64()))
					if rng.IntN(2) == 0 && len(talk) > 0 && len(talk) < 300 {
						prompt = slices.Concat(talk, text(5, rng.Uint64()))
					}
					ctx, cancel := context.WithCancel(context.Background())
					stop := -1
					if rng.IntN(3) == 0 {
						stop = rng.IntN(8)
					}
					sl, err := s.Acquire(ctx, Ask{Client: name, Prompt: prompt})
					if err != nil {
						t.Error(err)
						cancel()
						return
					}
					sample, n := rng.Uint64(), 0
					o := options(k.mode, 10, sample)
					o.Prefill = func(done, total int) {
						if stop == 0 {
							cancel()
						}
					}
					a, err := sl.Session().Generate(ctx, prompt, o, func(infer.Token) {
						if n++; n == stop {
							cancel()
						}
					})
					cancel()
					sl.Release()
					if err != nil {
						t.Error(err)
						return
					}
					talk = slices.Clone(prompt)
					for _, tok := range a.Tokens {
						talk = append(talk, tok.ID)
					}
					mu.Lock()
					all = append(all, ran{prompt, sample, timeless(a.Tokens)})
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		st := s.Stats()
		t.Logf("%s: %d of %d positions kept, %d forked, %d from disk; %d rows in %d batches; %d entries",
			name, st.Kept, st.Prompt, st.Forked, st.Restored, st.Rows, st.Batches, st.CacheEntries)
		if err := s.Save(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
		one := k.model(t, 1)
		for _, x := range all {
			if n := len(x.tokens); n > 0 {
				o := options(k.mode, n, x.seed)
				same(t, name, textless(x.tokens), textless(alone(t, one, cloud, x.prompt, o)))
			}
		}
	}
}

// textless leaves out what depends on where an answer ends: bytes of a character that
// never became whole.
func textless(tokens []infer.Token) []infer.Token {
	for i := range tokens {
		tokens[i].Text = ""
	}
	return tokens
}
