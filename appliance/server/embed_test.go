package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// embedWorld is a world whose slots make vectors of a text's first token and its length.
type embedWorld struct {
	*world
	none   bool // it makes none
	others bool // wait for a slot
	asks   []batch.Ask
	texts  []string
}

func (w *embedWorld) Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (*Model, error) {
	m, err := w.world.Load(ctx, of, report)
	if err == nil {
		m.Slots, m.Info.Embedding = embedSlots{fakeSlots{w.world}, w}, 3
	}
	return m, err
}

type embedSlots struct {
	fakeSlots
	w *embedWorld
}

func (s embedSlots) Embeds() (int, error) {
	if s.w.none {
		return 0, fmt.Errorf("%w: only a part is here", decode.ErrNoEmbedding)
	}
	return s.w.context, nil
}

func (s embedSlots) Contended() bool { return s.w.others }

func (s embedSlots) Acquire(ctx context.Context, a batch.Ask) (Slot, error) {
	s.w.mu.Lock()
	s.w.asks = append(s.w.asks, a)
	s.w.mu.Unlock()
	a.Progress = func(int) {}
	if _, err := s.fakeSlots.Acquire(ctx, a); err != nil {
		return nil, err
	}
	return s, nil
}

func (s embedSlots) Embed(ctx context.Context, tokens []int32, progress func(done, total int)) ([]float32, error) {
	select {
	case <-time.After(s.w.pace):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	progress(len(tokens), len(tokens))
	var text strings.Builder
	for _, id := range tokens {
		text.WriteByte(byte(id))
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.texts = append(s.w.texts, text.String())
	return []float32{0.6, 0.8, float32(tokens[0])}, nil
}

// withEmbeddings runs a test in a bubble, with a core whose model is there.
func withEmbeddings(t *testing.T, w *embedWorld, do func(t *testing.T, c *Core)) {
	synctest.Test(t, func(t *testing.T) {
		w.world = newWorld()
		c := New(Options{Loader: w})
		ready(t, c)
		do(t, c)
		stop(t, c)
		if n := len(w.free); n != 2 {
			t.Errorf("%d slots are free", n)
		}
	})
}

func texts(all ...string) (in []infer.EmbedText) {
	for _, t := range all {
		in = append(in, infer.EmbedText{Text: t})
	}
	return in
}

func TestEmbed(t *testing.T) {
	w := &embedWorld{}
	withEmbeddings(t, w, func(t *testing.T, c *Core) {
		in := append(texts("hello", "b"), infer.EmbedText{Tokens: []int32{'x', 'y'}})
		got, err := c.Embed(t.Context(), infer.EmbedRequest{Client: "me", Texts: in})
		if err != nil || got.Tokens != 8 || got.Pooling != "mean" || got.Model != "tiny" || len(got.Truncated) != 0 || got.Total != 3*w.pace {
			t.Fatalf("%+v, %v", got, err)
		}
		if !slices.Equal(w.texts, []string{"hello", "b", "xy"}) {
			t.Errorf("the texts are %q", w.texts)
		}
		for i, first := range []float32{'h', 'b', 'x'} {
			if got.Vectors[i][2] != first {
				t.Errorf("vector %d is %v", i, got.Vectors[i])
			}
		}
		if len(w.asks) != 1 || !w.asks[0].Anew || w.asks[0].Client != "me" || w.asks[0].Admitted {
			t.Errorf("the slot was asked for by %+v", w.asks)
		}
		short, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a"), Dimensions: 1})
		if err != nil || len(short.Vectors[0]) != 1 || math.Abs(float64(short.Vectors[0][0]-1)) > 1e-6 {
			t.Errorf("one dimension: %+v, %v", short, err)
		}
	})
}

// Between two texts a request gives its slot to others that wait, and comes back.
func TestEmbedGivesWay(t *testing.T) {
	w := &embedWorld{others: true}
	withEmbeddings(t, w, func(t *testing.T, c *Core) {
		if _, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a", "b", "c")}); err != nil {
			t.Fatal(err)
		}
		if len(w.asks) != 3 || w.asks[0].Admitted || !w.asks[1].Admitted || !w.asks[2].Admitted {
			t.Errorf("slots were asked for by %+v", w.asks)
		}
	})
}

func TestEmbedTruncates(t *testing.T) {
	w := &embedWorld{}
	withEmbeddings(t, w, func(t *testing.T, c *Core) {
		long := strings.Repeat("word ", 20000)
		got, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a", long, long[:w.context]), Truncate: true})
		if err != nil || got.Tokens != 1+2*w.context || !slices.Equal(got.Truncated, []int{1}) {
			t.Errorf("%d tokens, truncated %v: %v", got.Tokens, got.Truncated, err)
		}
		in := []infer.EmbedText{{Tokens: slices.Repeat([]int32{'x'}, 101)}}
		got, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: in, Truncate: true})
		if err != nil || got.Tokens != w.context || len(in[0].Tokens) != 101 {
			t.Errorf("%d tokens: %v", got.Tokens, err)
		}
		for name, in := range map[string]infer.EmbedText{"text": {Text: long}, "a little": {Text: long[:101]}, "tokens": in[0]} {
			_, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: append(texts("a"), in)})
			wantCode(t, err, infer.TooLong, "context 100")
			var said *infer.Error
			if errors.As(err, &said) && (said.Param != "input[1]" || said.Context != 100 || said.Tokens <= 100) {
				t.Errorf("%s: %+v", name, said)
			}
		}
	})
}

func TestEmbedRefuses(t *testing.T) {
	w := &embedWorld{}
	withEmbeddings(t, w, func(t *testing.T, c *Core) {
		_, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a", "")})
		wantCode(t, err, infer.BadRequest, "input[1] is empty")
		_, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: []infer.EmbedText{{Tokens: []int32{}}}})
		wantCode(t, err, infer.BadRequest, "input[0] is empty")
		_, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a"), Dimensions: 4})
		wantCode(t, err, infer.BadRequest, "vectors of tiny have 3")
		_, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a"), Model: "nobody"})
		wantCode(t, err, infer.NoModel, "nobody")
		w.full = &infer.Error{Code: infer.Busy, Message: "the queue is full"}
		_, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a")})
		wantCode(t, err, infer.Busy, "the queue is full")
		w.full = nil
		w.none = true
		_, err = c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a")})
		wantCode(t, err, infer.BadRequest, `only a part is here; use mode = "unsplit"`)
	})
}

// A request ends when its client goes, and when the daemon does.
func TestEmbedEnds(t *testing.T) {
	w := &embedWorld{}
	withEmbeddings(t, w, func(t *testing.T, c *Core) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(w.pace/2, cancel)
		if _, err := c.Embed(ctx, infer.EmbedRequest{Texts: texts("a", "b")}); !errors.Is(err, context.Canceled) {
			t.Errorf("the client has gone: %v", err)
		}
		w.pace = time.Hour
		ended := make(chan error)
		go func() {
			_, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a", "b")})
			ended <- err
		}()
		synctest.Wait()
		at := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		down := make(chan error)
		go func() { down <- c.Shutdown(soon) }()
		wantCode(t, <-ended, infer.Stopping, "stopping")
		if err := <-down; err != nil || time.Since(at) != time.Second {
			t.Errorf("the end took %s: %v", time.Since(at), err)
		}
		_, err := c.Embed(t.Context(), infer.EmbedRequest{Texts: texts("a")})
		wantCode(t, err, infer.Stopping, "stopping")
	})
}
