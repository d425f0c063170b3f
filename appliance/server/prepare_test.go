package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"skerry/appliance/infer"
)

// counted is a tokenizer of one token a byte that notes what it is given, and takes
// its time.
type counted struct {
	letters
	pace  time.Duration // for a kilobyte
	calls atomic.Int64
	bytes atomic.Int64
	now   atomic.Int64
	most  atomic.Int64
}

func (v *counted) Tokenize(text string, special, markup bool) ([]int32, error) {
	v.calls.Add(1)
	v.bytes.Add(int64(len(text)))
	n := v.now.Add(1)
	defer v.now.Add(-1)
	for most := v.most.Load(); n > most && !v.most.CompareAndSwap(most, n); most = v.most.Load() {
	}
	time.Sleep(v.pace * time.Duration(len(text)) / 1024)
	return v.letters.Tokenize(text, special, markup)
}

// reading is a core whose model has the tokenizer, and which is ready.
func reading(t *testing.T, w *world, v *counted, longest int) *Core {
	t.Helper()
	c := begin(w, nil)
	ready(t, c)
	c.mu.Lock()
	c.main().model.Vocab, c.main().model.Longest = v, longest
	c.mu.Unlock()
	return c
}

func rawOf(text string) infer.Request { return infer.Request{Prompt: text, Raw: true} }

// What cannot fit is refused by its bytes and by its messages, before anything is
// tokenized; what may fit is not.
func TestSizeIsLookedAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &counted{}
		w := newWorld()
		c := reading(t, w, v, 10)
		many := make([]infer.Message, w.context+1)
		for i := range many {
			many[i] = infer.Message{Role: "user", Content: "a"}
		}
		user := func(text string) infer.Request {
			return infer.Request{Messages: []infer.Message{{Role: "user", Content: text}}}
		}
		for name, r := range map[string]infer.Request{
			"a prompt": rawOf(strings.Repeat("x", 10*w.context+1)), "a message": user(strings.Repeat("x", 10*w.context+1)),
			"two":           {Messages: append(user(strings.Repeat("x", 6*w.context)).Messages, user(strings.Repeat("x", 6*w.context)).Messages...)},
			"many messages": {Messages: many}, "after a thought": user("<think>x</think>" + strings.Repeat("x", 10*w.context+1)),
		} {
			_, err := c.Ask(t.Context(), r)
			wantCode(t, err, infer.TooLong, "")
			_, err = c.Count(t.Context(), r)
			wantCode(t, err, infer.TooLong, "")
			if n := v.calls.Load(); n != 0 {
				t.Errorf("%s: %d texts were tokenized", name, n)
			}
		}
		// One that is a little too long is counted, and is too long all the same.
		for over := range 2 {
			n, err := c.Count(t.Context(), rawOf(strings.Repeat("x", w.context+over)))
			wantCode(t, err, infer.TooLong, "")
			if n < w.context {
				t.Errorf("%d tokens are counted, and there are %d positions", n, w.context)
			}
		}
		v.calls.Store(0)
		// What a template may leave out does not count.
		for name, r := range map[string]infer.Request{
			"space": user(strings.Repeat(" ", 20*w.context) + "hi"), "a thought": user("<think>" + strings.Repeat("x", 20*w.context) + "</think>hi"),
		} {
			if c.main().model.fits(r) != nil {
				t.Errorf("%s counts", name)
			}
		}
		if err := c.main().model.fits(rawOf(strings.Repeat("x", 10*w.context))); err != nil {
			t.Errorf("what may fit: %v", err)
		}
		r := rawOf(strings.Repeat("x", w.context))
		r.Context = 5
		_, err := c.Ask(t.Context(), r)
		wantCode(t, err, infer.TooLong, "context 5")
		_, err = c.Ask(t.Context(), rawOf(strings.Repeat("x", w.context)))
		wantCode(t, err, infer.TooLong, "prompt is 100 tokens, context 100: shorten it")
		stop(t, c)
	})
}

// A long text is counted in pieces, no further than it can fit, and for no longer than
// its client is there.
func TestTokenizingStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &counted{pace: time.Second}
		w := newWorld()
		w.context = 100_000
		c := reading(t, w, v, 100)
		_, err := c.Ask(t.Context(), rawOf(strings.Repeat("word ", 1_000_000)))
		wantCode(t, err, infer.TooLong, "prompt is over 1")
		if n := v.bytes.Load(); n > 2*100_000+2*stretch {
			t.Errorf("%d bytes were tokenized", n)
		}
		v.bytes.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Ask(ctx, rawOf(strings.Repeat("x", 90_000))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client went: %v", err)
		}
		if n, took := v.bytes.Load(), time.Since(began); n > stretch || took > 33*time.Second {
			t.Errorf("%d bytes were tokenized in %v", n, took)
		}
		if c.preparing != 0 || !c.promptTurns.TryAcquire(promptsAtOnce) {
			t.Error("its place is taken for good")
		}
		c.promptTurns.Release(promptsAtOnce)
		stop(t, c)
	})
}

// A few prompts are made at once, those that wait count against the queue, and a full
// queue refuses before any work.
func TestPromptsWaitWithinTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &counted{pace: time.Minute}
		w := newWorld()
		c := reading(t, w, v, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var busy, gone atomic.Int64
		for range 30 {
			wg.Go(func() {
				_, err := c.Count(ctx, rawOf(strings.Repeat("x", 90)))
				var failure *infer.Error
				switch {
				case errors.As(err, &failure) && failure.Code == infer.Busy && failure.RetryAfter > 0:
					busy.Add(1)
				case errors.Is(err, context.Canceled):
					gone.Add(1)
				case err != nil: // of those under way the work is done by then
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		if n := busy.Load(); n != 30-promptsAtOnce-7 { // the queue's limit
			t.Errorf("%d are refused at once", n)
		}
		cancel()
		wg.Wait()
		if n := v.most.Load(); n > promptsAtOnce || gone.Load() == 0 {
			t.Errorf("%d prompts were made at once", n)
		}
		v.calls.Store(0)
		w.full = &infer.Error{Code: infer.Busy, RetryAfter: time.Second, Message: "the queue is full"}
		_, err := c.Ask(t.Context(), rawOf("x"))
		wantCode(t, err, infer.Busy, "the queue is full")
		if n := v.calls.Load(); n != 0 {
			t.Errorf("%d texts were tokenized for nothing", n)
		}
		w.full = nil
		stop(t, c)
	})
}

// Pieces of a text are its whole, and none cuts a character.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"word word word word", "ééééééééééé", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const most = 8
		valid := utf8.ValidString(text)
		for text != "" {
			n := cut(text, most)
			if n <= 0 || n > most {
				t.Fatalf("a piece of %d bytes", n)
			}
			if valid && !utf8.ValidString(text[:n]) {
				t.Fatalf("a character is cut at %d", n)
			}
			text = text[n:]
		}
	})
}

// slowPictures encodes no image before it may.
type slowPictures struct{ may chan struct{} }

func (p slowPictures) Use(context.Context, []byte) ([]int32, func(), error) {
	<-p.may
	return []int32{1 << 30, 1<<30 + 1}, func() {}, nil
}

// However many images are encoded, which takes seconds, text is read meanwhile.
func TestTextDoesNotWaitForImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil)
		ready(t, c)
		p := slowPictures{make(chan struct{})}
		c.mu.Lock()
		c.main().model.Images = p
		c.mu.Unlock()
		var all sync.WaitGroup
		count := func(images ...infer.Image) (counted *atomic.Bool) {
			counted = &atomic.Bool{}
			all.Go(func() {
				_, err := c.Count(t.Context(), infer.Request{Messages: []infer.Message{{Role: "user", Content: "a", Images: images}}})
				if err != nil {
					t.Error(err)
				}
				counted.Store(true)
			})
			return counted
		}
		var seen []*atomic.Bool
		for range promptsAtOnce {
			seen = append(seen, count(show(0, "x")))
		}
		synctest.Wait()
		text := count()
		synctest.Wait()
		if !text.Load() || seen[0].Load() {
			t.Errorf("while images are encoded text is counted: %v, and they are: %v", text.Load(), seen[0].Load())
		}
		close(p.may)
		all.Wait()
		stop(t, c)
	})
}
