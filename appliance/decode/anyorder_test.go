package decode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/build/testseed"
)

// oracle says what each who speaks would say.
type oracle struct {
	t     *testing.T
	vocab *engine.Vocab
}

// after is the token that one says after a text; the answer begins at a position.
func (r oracle) after(by int, text []int32, o infer.Sampling) int32 {
	sums := [2]uint64{}
	for _, id := range text {
		sums[0] = stir(sums[0], stir(0, uint64(id)))
		sums[1] = stir(sums[1], sums[0])
	}
	if by == byExit {
		sums[1] = sums[0]
	}
	sampler, err := engine.NewSampler(context.Background(), r.vocab, o)
	if err != nil {
		r.t.Fatal(err)
	}
	defer sampler.Close()
	for _, id := range text {
		sampler.Accept(id)
	}
	id, err := sampler.Sample(nil, spoken(by, sums, r.vocab.Size()), len(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestAnyOrderOfThings: whatever modes follow one another in a session, with whatever cloud, cut,
// cancelled, forked, written down and read back: each token is what its source says after just the
// tokens before it, and the cloud has the session's positions and no others.
func TestAnyOrderOfThings(t *testing.T) {
	vocab := fakeVocab(t)
	seed := testseed.Of(t)
	runs := 150
	if testing.Short() {
		runs = 15
	}
	for run := range runs {
		synctest.Test(t, func(t *testing.T) { anyOrder(t, vocab, seed+uint64(run)*1000) })
		if t.Failed() {
			return
		}
	}
}

func anyOrder(t *testing.T, vocab *engine.Vocab, seed uint64) {
	rng, size := rand.New(rand.NewPCG(seed, 7)), vocab.Size()
	says := oracle{t, vocab}
	kind := []string{"tokens", "draft", "exit", "exit and tail"}[rng.IntN(4)]
	var log []string
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	m := Model{Vocab: vocab, Context: 500, Whole: newStirred(0, byWhole, size, 12*time.Millisecond)}
	drafts := newStirred(0, byDraft, size, 3*time.Millisecond)
	if rng.IntN(4) == 0 {
		drafts.chance = func() bool { return rng.IntN(60) == 0 }
	}
	draft := &DraftModel{Stage: drafts}
	switch kind {
	case "tokens":
		m.Exits, m.Draft = []Exit{{Stage: NewTokenStage()}}, draft
	case "draft":
		m.Exits, m.Draft = []Exit{{Stage: newStirred(0, byWhole, size, 6*time.Millisecond), Head: stirredHead{size}}}, draft
	case "exit and tail":
		m.Tail = newStirred(stirredWidth, byWhole, size, 6*time.Millisecond)
		fallthrough
	default:
		m.Exits = []Exit{{Stage: newStirred(0, byWhole, size, 6*time.Millisecond), Head: stirredHead{size}, Alone: rng.IntN(2) == 0}}
	}
	often := []float64{0, 0.02, 0.2}[rng.IntN(3)]
	var clouds [2]*stirredCloud
	open := func(i int) Cloud {
		width := stirredWidth
		if kind == "tokens" {
			width = 1
		}
		c := &stirredCloud{trouble: trouble{rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), mu: new(sync.Mutex), often: often}, stage: newStirred(width, byWhole, size, 0), oneRow: rng.IntN(8) == 0}
		c.said = func(text []int32, o LeadOptions, n int) (out []int32) {
			for range n {
				out = append(out, says.after(byWhole, slices.Concat(text, out), o.Sampling))
			}
			return out
		}
		clouds[i] = c
		if rng.IntN(4) > 0 {
			return stirredLeader{c}
		}
		return c
	}
	var sessions [2]*Session
	for i := range sessions {
		sessions[i] = NewSession(m, i, open(i))
	}
	modes := []infer.Mode{Verified, Verified, CloudLed, CloudLed, Unsplit, Collaborative, Standalone}
	random := func(n int) (out []int32) {
		for range n {
			out = append(out, 300+int32(rng.IntN(24)))
		}
		return out
	}
	for answer := range 12 {
		i := rng.IntN(2)
		s, c := sessions[i], clouds[i]
		switch rng.IntN(10) {
		case 0:
			n, err := s.Fork(sessions[1-i], rng.IntN(len(sessions[1-i].Tokens())+1))
			if note("session %d: forked %d, %v", i, n, err); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, strings.Join(log, "\n"), err)
			}
		case 1:
			st, err := s.Export(t.Context(), rng.IntN(len(s.Tokens())+1))
			n := 0
			if err == nil && len(st.Tokens) > 0 {
				n, err = s.Import(st)
			}
			if note("session %d: read back %d, %v", i, n, err); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, strings.Join(log, "\n"), err)
			}
		case 2:
			s.RetryDraft()
		}
		if s.Lost() != nil {
			err := s.Renew(open(i))
			c = clouds[i]
			if note("session %d: renewed, %v", i, err); err != nil {
				t.Fatal(err)
			}
		}
		keep := rng.IntN(len(s.Tokens()) + 1)
		if rng.IntN(2) == 0 {
			keep = len(s.Tokens())
		}
		if keep > 350 {
			keep = rng.IntN(50)
		}
		prompt := slices.Concat(s.Tokens()[:keep], random(1+rng.IntN(12)))
		var said []int32
		if rng.IntN(4) == 0 {
			said = random(1 + rng.IntN(5))
		}
		o := Options{
			Mode: modes[rng.IntN(len(modes))], IgnoreEnd: true, MaxTokens: len(said) + 1 + rng.IntN(60), Said: said,
			OnLoss:   []infer.OnLoss{infer.GoAlone, infer.GoAlone, infer.AwaitCloud, infer.EndAnswer}[rng.IntN(4)],
			Draft:    []infer.Drafting{infer.DraftAuto, infer.DraftModel, infer.DraftLookup, infer.DraftOff}[rng.IntN(4)],
			Logprobs: rng.IntN(3) == 0, NoDraftAhead: rng.IntN(3) == 0,
			Sampling: []infer.Sampling{{}, {Temperature: 0.8, TopK: 5, Seed: uint64(rng.IntN(99))}, {Temperature: 0.7, TopK: 8, Repeat: 1.3, Seed: 3}, {Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 305, Bias: 3}}}}}[rng.IntN(4)],
		}
		if o.Mode == Collaborative && rng.IntN(2) == 0 {
			o.MaxTokenLatency = time.Duration(20+rng.IntN(200)) * time.Millisecond
		}
		lead, led := rng.IntN(30), 0
		if rng.IntN(3) == 0 {
			o.CloudLeads = func() bool { led++; return led/(lead+1)%2 == 0 }
		}
		if boards := 0; rng.IntN(3) == 0 {
			o.BoardLeads = func() bool { boards++; return boards/(lead+1)%3 == 0 }
		}
		ctx, cancel := context.WithCancel(t.Context())
		if rng.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rng.IntN(1500))*time.Millisecond)
		}
		drafted := s.draft != nil
		a, err := s.Generate(ctx, prompt, o, nil)
		cancel()
		note("session %d: %s after %d of %d tokens with %d said, %d at most, on loss %s, draft %s: %d tokens, %s, %v, lost %v, %v",
			i, o.Mode, keep, len(prompt), len(said), o.MaxTokens, o.OnLoss, o.Draft, len(a.Tokens), a.Finish, bySource(a), a.Lost, err)
		text := slices.Concat(prompt, said)
		for n, tok := range a.Tokens {
			who := []int{byWhole}
			switch {
			case tok.Verified:
			case tok.Source == infer.FromDraft:
				who = []int{byDraft}
			case tok.Source == infer.Fallback && drafted: // which may have failed since
				who = []int{byDraft, byExit}
			default:
				who = []int{byExit}
			}
			if !slices.ContainsFunc(who, func(by int) bool { return says.after(by, text, o.Sampling) == tok.ID }) {
				t.Fatalf("seed %d, %s, %s\ntoken %d of answer %d is none of %v: %+v", seed, kind, strings.Join(log, "\n"), n, answer, who, tok)
			}
			text = append(text, tok.ID)
		}
		c.mu.Lock()
		wrong := c.wrong
		if kind == "tokens" && s.cloudErr == nil {
			for at, id := range c.rows {
				if at >= len(s.tokens) || int32(id) != s.tokens[at] {
					wrong = errors.Join(wrong, fmt.Errorf("the cloud has %v at %d", id, at))
				}
			}
		}
		c.mu.Unlock()
		ended := a.Finish == infer.Length || a.Finish == infer.Cancelled && ctx.Err() != nil || a.Finish == infer.CloudLost && errors.Is(err, errLost) || errors.Is(err, errDraftModel)
		if wrong != nil || !ended || !slices.Equal(text, s.tokens) && err == nil {
			t.Fatalf("seed %d, %s, %s\nanswer %d: %v", seed, kind, strings.Join(log, "\n"), answer, wrong)
		}
	}
}
