package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// leadingCloud says a text by itself, several tokens at a time, or row by row.
type leadingCloud struct {
	rowsCloud
	ids   []int32 // of its positions
	burst int     // tokens at a time
	over  int     // says so many more than are wanted
	// led may change what is said, or fail; n counts.
	led      func(n int, said []infer.Token) ([]infer.Token, error)
	leads, n int
	leading  bool
	wrong    error // what was done to it that may not be
}

func (c *leadingCloud) Append(pos int, rows []float32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range rows {
		switch at := pos + i; {
		case at == len(c.ids):
			c.ids = append(c.ids, int32(id))
		case at > len(c.ids) || c.ids[at] != int32(id):
			c.wrong = fmt.Errorf("token %v at position %d of %d", id, at, len(c.ids))
			return c.wrong
		}
	}
	c.end = len(c.ids)
	return nil
}

func (c *leadingCloud) Truncate(pos int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = c.ids[:min(pos, len(c.ids))]
	c.end = len(c.ids)
	return nil
}

func (c *leadingCloud) Lead(ctx context.Context, o LeadOptions, yield func([]infer.Token, Led) bool) error {
	c.mu.Lock()
	c.leads++
	start := len(c.ids)
	again := c.leading
	c.leading = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.leading = false
	}()
	if again || o.Begin < 1 || o.Begin > start {
		c.wrong = fmt.Errorf("it leads twice (%v), or an answer at %d from %d on", again, o.Begin, start)
		return c.wrong
	}
	for left := o.Max + c.over; left > 0; {
		select {
		case <-time.After(c.takes):
		case <-ctx.Done():
			return ctx.Err()
		}
		var said []infer.Token
		for i := range min(c.burst, left) {
			said = append(said, infer.Token{ID: c.text(start + i), Confidence: 0.9})
		}
		c.n++
		if c.led != nil {
			var err error
			if said, err = c.led(c.n, said); err != nil {
				return err
			}
		}
		c.mu.Lock()
		for _, t := range said {
			c.ids = append(c.ids, t.ID)
		}
		c.mu.Unlock()
		if !yield(said, Led{Checks: 1, Drafted: len(said), Accepted: len(said) - 1}) {
			return c.Truncate(start)
		}
		start, left = start+len(said), left-len(said)
	}
	return nil
}

// ledBoard is a fake board that sends token ids, with a draft model that knows the cloud's text.
func ledBoard(b *fakeBoard, c *leadingCloud) (*fakeBoard, *scripted) {
	c.text, c.takes, c.burst = verse, 30*time.Millisecond, 3
	b, d := checkingBoard(b, c, func(pos int) bool { return pos%5 == 0 })
	m := b.model
	m.Exits, m.Draft = []Exit{{Stage: NewTokenStage()}}, &DraftModel{Stage: d}
	b.model = m
	b.Session = NewSession(m, 0, c)
	return b, d
}

func answerLed(ctx context.Context, b *fakeBoard, o Options) (Result, error) {
	if o.Mode == "" {
		o.Mode = CloudLed
	}
	o.IgnoreEnd = true
	if o.OnLoss == "" {
		o.OnLoss = infer.GoAlone
	}
	return b.Generate(ctx, make([]int32, 30), o, nil)
}

// checkLed checks that what is marked as verified is the text, and that the cloud has just the
// positions of the session.
func checkLed(t *testing.T, b *fakeBoard, c *leadingCloud, a Result) {
	t.Helper()
	for i, tok := range a.Tokens {
		if tok.Verified && tok.ID != verse(30+i) {
			t.Fatalf("token %d: %+v, want %d", i, tok, verse(30+i))
		}
	}
	if c.wrong != nil {
		t.Error(c.wrong)
	}
	if c.leading {
		t.Error("the cloud is led on")
	}
	if b.cloudErr == nil && !slices.Equal(c.ids, b.Tokens()[:min(len(c.ids), len(b.Tokens()))]) {
		t.Errorf("the cloud has %v, the session %v", c.ids, b.Tokens())
	}
}

// The cloud says an answer by itself, and the board's draft follows behind it.
func TestCloudLed(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, over := range []int{0, 5} { // it is not to be run away with
			c := &leadingCloud{over: over}
			b, d := ledBoard(board(nil), c)
			a, err := answerLed(t.Context(), b, Options{MaxTokens: 100})
			checkLed(t, b, c, a)
			if err != nil || bySource(a)[infer.FromCloud] != 100 || a.Asks != 1 || a.Finish != infer.Length || len(a.Changes) != 0 {
				t.Errorf("%v, %d asks, %s, %v, %v", bySource(a), a.Asks, a.Finish, a.Changes, err)
			}
			if p := a.Proposed[infer.FromCloud]; over == 0 && (a.Checks != 34 || p.Checked != 100 || p.Agreed != 66) {
				t.Errorf("%d checks, %+v", a.Checks, p)
			}
			if behind := len(b.Tokens()) - len(d.held); behind > 8 {
				t.Errorf("the draft is %d tokens behind", behind)
			} else if n, ok := b.DraftBehind(); !ok || n != max(0, min(len(b.Tokens()), len(c.ids))-1-len(d.held)) {
				t.Errorf("the draft is said to be %d behind, %v, and is %d", n, ok, behind)
			}
			// The next turn of the conversation goes on from what the cloud has.
			a, err = b.Generate(t.Context(), slices.Concat(b.Tokens()[:80], []int32{5, 6, 7}), Options{Mode: CloudLed, MaxTokens: 20, IgnoreEnd: true, OnLoss: infer.GoAlone}, nil)
			if err != nil || len(a.Tokens) != 20 || c.wrong != nil || !slices.Equal(c.ids, b.Tokens()[:len(c.ids)]) {
				t.Errorf("%d tokens, %v, %v", len(a.Tokens), err, c.wrong)
			}
		}
	})
}

// While the link is cut in the midst of an answer the draft speaks, marked, or the answer waits or
// ends; afterwards the cloud leads again, and the text is the same.
func TestCloudLedThroughACut(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, onLoss := range []infer.OnLoss{infer.GoAlone, infer.AwaitCloud, infer.EndAnswer} {
			start := time.Now()
			cut := func() error {
				if at := time.Since(start); at > time.Second && at < 3*time.Second {
					return lostForNow
				}
				return nil
			}
			c := &leadingCloud{led: func(_ int, said []infer.Token) ([]infer.Token, error) { return said, cut() }}
			c.spoil = func(_ int, rows []Row) ([]Row, error) { return rows, cut() }
			b, _ := ledBoard(board(nil), c)
			a, err := answerLed(t.Context(), b, Options{MaxTokens: 300, OnLoss: onLoss})
			n := bySource(a)
			if c.wrong != nil {
				t.Error(c.wrong)
			}
			switch onLoss {
			case infer.GoAlone:
				last := a.Tokens[len(a.Tokens)-1]
				if err != nil || n[infer.Fallback] == 0 || a.Resumed == 0 || !last.Verified || c.leads != 2 {
					t.Errorf("%v, back %d times, led %d times, %v", n, a.Resumed, c.leads, err)
				}
			case infer.AwaitCloud:
				checkLed(t, b, c, a)
				if err != nil || n[infer.Fallback] != 0 || len(a.Tokens) != 300 || a.Resumed == 0 {
					t.Errorf("%v, back %d times, %v", n, a.Resumed, err)
				}
			case infer.EndAnswer:
				checkLed(t, b, c, a)
				if !errors.Is(err, errLost) || n[infer.Fallback] != 0 {
					t.Errorf("%v, %v", n, err)
				}
			}
		}
	})
}

// A cloud that says what may not stand, says nothing or refuses leaves the answer right, and does not hold it up.
func TestCloudLedByABadCloud(t *testing.T) {
	for name, led := range map[string]func(said []infer.Token) ([]infer.Token, error){
		"no token":      func(said []infer.Token) ([]infer.Token, error) { said[1].ID = 1 << 22; return said, nil },
		"below":         func(said []infer.Token) ([]infer.Token, error) { said[0].ID = -1; return said, nil },
		"refuses":       func([]infer.Token) ([]infer.Token, error) { return nil, errUnauthorized },
		"leads no more": func([]infer.Token) ([]infer.Token, error) { return nil, ErrNoLead },
		"busy":          func([]infer.Token) ([]infer.Token, error) { return nil, &TransientError{Err: errCut, Busy: true} },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				c := &leadingCloud{led: func(n int, said []infer.Token) ([]infer.Token, error) {
					if n < 4 {
						return said, nil
					}
					return led(said)
				}}
				b, _ := ledBoard(board(nil), c)
				a, err := answerLed(t.Context(), b, Options{MaxTokens: 60})
				n := bySource(a)
				for i, tok := range a.Tokens {
					if tok.Verified && tok.ID != verse(30+i) && n[infer.Fallback] == 0 {
						t.Fatalf("token %d: %+v", i, tok)
					}
				}
				if err != nil || len(a.Tokens) != 60 {
					t.Errorf("%v, lost %v, %v", n, a.Lost, err)
				}
				if name == "leads no more" && (n[infer.Fallback] != 0 || len(a.Changes) != 1 || a.Changes[0].To != Verified) {
					t.Errorf("%v, %+v", n, a.Changes)
				}
			})
		})
	}
}

// Who leads may change as often as it likes, in the midst of an answer: the text does not.
func TestCloudLedChangesOver(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, mode := range []infer.Mode{Verified, CloudLed} {
			c := &leadingCloud{}
			b, _ := ledBoard(board(nil), c)
			asked := 0
			a, err := answerLed(t.Context(), b, Options{Mode: mode, MaxTokens: 200, Draft: infer.DraftModel, CloudLeads: func() bool {
				asked++
				return asked/7%2 == 1
			}})
			checkLed(t, b, c, a)
			if n := bySource(a); err != nil || len(a.Tokens) != 200 || n[infer.Fallback] != 0 || n[infer.FromDraft] == 0 || c.leads < 3 || len(a.Changes) < 3 {
				t.Errorf("%s: %v, led %d times, %d changes, %v", mode, n, c.leads, len(a.Changes), err)
			}
		}
	})
}

// Another mode, a cloud that cannot lead and candidates that are asked for leave the checks to the
// board.
func TestCloudLedWhereItMayNot(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		c := &leadingCloud{}
		b, _ := ledBoard(board(nil), c)
		a, err := answerLed(t.Context(), b, Options{MaxTokens: 40, Logprobs: true, TopLogprobs: 2})
		checkLed(t, b, c, a)
		if err != nil || len(a.Tokens) != 40 || c.leads != 0 || len(a.Tokens[0].Top) != 2 {
			t.Errorf("%d tokens, led %d times, %v", len(a.Tokens), c.leads, err)
		}
		saysWhy(t, a, "the likeliest tokens")
		plain := &rowsCloud{text: verse, takes: 20 * time.Millisecond}
		b, _ = checkingBoard(board(nil), plain, nil)
		a, err = answerLed(t.Context(), b, Options{MaxTokens: 40})
		if n := bySource(a); err != nil || len(a.Tokens) != 40 || n[infer.Fallback] != 0 {
			t.Errorf("of a cloud that does not lead: %v, %v", n, err)
		}
		saysWhy(t, a, "does not go on by itself")
	})
}

// saysWhy checks that the answer says once, at its start, why it is another mode's.
func saysWhy(t *testing.T, a Result, why string) {
	t.Helper()
	if len(a.Changes) != 1 || a.Changes[0].To != Verified || !strings.Contains(a.Changes[0].Reason, why) {
		t.Errorf("changes %+v, not one to verified because %s", a.Changes, why)
	}
}

// An answer that is cancelled in the midst of what the cloud says stops the cloud, and can be gone
// on with.
func TestCloudLedCancelled(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		c := &leadingCloud{}
		b, _ := ledBoard(board(nil), c)
		ctx, cancel := context.WithTimeout(context.Background(), 1013*time.Millisecond)
		defer cancel()
		a, err := answerLed(ctx, b, Options{MaxTokens: 300})
		checkLed(t, b, c, a)
		if err != nil || a.Finish != infer.Cancelled || len(a.Tokens) == 0 {
			t.Fatalf("%s after %d tokens, %v", a.Finish, len(a.Tokens), err)
		}
		rest, err := answerLed(t.Context(), b, Options{Said: ids(a), MaxTokens: len(a.Tokens) + 50})
		if err != nil || len(rest.Tokens) != 50 || c.wrong != nil {
			t.Fatalf("%d tokens, %v, %v", len(rest.Tokens), err, c.wrong)
		}
		for i, tok := range rest.Tokens {
			if tok.ID != verse(30+len(a.Tokens)+i) || !tok.Verified {
				t.Fatalf("token %d after the cut: %+v", i, tok)
			}
		}
	})
}

// What the cloud was about to hand over when an answer ended is no part of the session: the next
// question stands where it was.
func TestCloudLedTakesBackWhatWasUnderWay(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for range 20 { // which of two that are ready goes first is up to chance
			ctx, cancel := context.WithCancel(t.Context())
			c := &leadingCloud{led: func(n int, said []infer.Token) ([]infer.Token, error) {
				if n == 5 {
					<-ctx.Done()
					time.Sleep(time.Second) // by then it is waited for
				}
				return said, nil
			}}
			b, _ := ledBoard(board(nil), c)
			n := 0
			a, err := b.Generate(ctx, make([]int32, 30), Options{Mode: CloudLed, MaxTokens: 100, IgnoreEnd: true, OnLoss: infer.GoAlone}, func(infer.Token) {
				if n++; n == 12 {
					time.Sleep(time.Second) // the next ones are being said
					cancel()
				}
			})
			cancel()
			checkLed(t, b, c, a)
			if err != nil || a.Finish != infer.Cancelled {
				t.Fatalf("%s, %v", a.Finish, err)
			}
			_, err = b.Generate(t.Context(), slices.Concat(b.Tokens(), []int32{5, 6, 7}), Options{Mode: CloudLed, MaxTokens: 5, IgnoreEnd: true, OnLoss: infer.GoAlone}, nil)
			if err != nil || c.wrong != nil {
				t.Fatalf("%v, %v", err, c.wrong)
			}
		}
	})
}

// Settings that only make a token less likely, or have it stand later, are no reason to take what the
// cloud says for wrong: it stays the one that leads.
func TestCloudLedUnderABias(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		end, vocab := int32(0), board(nil).model.Vocab
		for !vocab.End(end) {
			end++
		}
		for name, sampling := range map[string]infer.Sampling{
			"a token that is wanted more": {Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 7, Bias: 2}}}},
			"an end from a position on":   {EndFrom: 40, Grammar: "root ::= [^\\x00]*"},
		} {
			c := &leadingCloud{led: func(n int, said []infer.Token) ([]infer.Token, error) {
				for i := range said {
					if sampling.Grammar != "" {
						said[i].ID = 300
					}
				}
				if n == 5 { // at position 42
					said[0].ID = end
				}
				return said, nil
			}}
			b, _ := ledBoard(board(nil), c)
			if sampling.Grammar == "" {
				c.led = nil
			}
			o := Options{Mode: CloudLed, OnLoss: infer.EndAnswer, MaxTokens: 60, IgnoreEnd: sampling.Grammar == "", Sampling: sampling}
			a, err := b.Generate(t.Context(), make([]int32, 30), o, nil)
			want, finish := 60, infer.Length
			if sampling.Grammar != "" {
				want, finish = 13, infer.Stop
			}
			if err != nil || len(a.Tokens) != want || a.Finish != finish || a.Lost != nil || bySource(a)[infer.FromCloud] != want {
				t.Errorf("%s: %d tokens (%s), %v, lost %v, %v", name, len(a.Tokens), a.Finish, bySource(a), a.Lost, err)
			}
		}
	})
}

// A draft model that fails is no end of an answer whose tokens the cloud says: it goes on without, this
// answer and the next, and only once the cloud is lost there is nobody left.
func TestCloudSpeaksWithoutItsDraft(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, mode := range []infer.Mode{Verified, CloudLed} {
			for name, broken := range map[string]bool{"one that fails": true, "one trained with less": false} {
				c := &leadingCloud{}
				b, d := ledBoard(board(nil), c)
				if broken {
					d.fail = errCut
				} else {
					b.draft.model.Context = 45
				}
				a, err := answerLed(t.Context(), b, Options{Mode: mode, MaxTokens: 100})
				checkLed(t, b, c, a)
				if n := bySource(a); err != nil || len(a.Tokens) != 100 || n[infer.Fallback] != 0 || a.Draft == nil {
					t.Fatalf("%s, %s: %v, lost %v, draft %v, %v", mode, name, n, a.Lost, a.Draft, err)
				}
				next, err := b.Generate(t.Context(), slices.Concat(b.Tokens(), []int32{5}), Options{Mode: mode, MaxTokens: 20, IgnoreEnd: true, OnLoss: infer.GoAlone}, nil)
				if err != nil || len(next.Tokens) != 20 || c.wrong != nil {
					t.Errorf("%s, %s: the next answer: %d tokens, %v, %v", mode, name, len(next.Tokens), err, c.wrong)
				}
			}
		}
	})
}

// While the cloud is lost a draft that fails leaves nobody: the answer waits for the cloud as long as a
// short cut may last, and no longer.
func TestDraftFailsWhileTheCloudIsLost(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, cutFor := range []time.Duration{3 * time.Second, time.Hour} {
			start := time.Now()
			cut := func() error {
				if at := time.Since(start); at > time.Second && at < time.Second+cutFor {
					return lostForNow
				}
				return nil
			}
			c := &leadingCloud{led: func(_ int, said []infer.Token) ([]infer.Token, error) { return said, cut() }}
			c.spoil = func(_ int, rows []Row) ([]Row, error) { return rows, cut() }
			b, d := ledBoard(board(nil), c)
			a, err := answerLed(t.Context(), b, Options{MaxTokens: 200, Decided: func(Result) {
				if time.Since(start) > 1500*time.Millisecond {
					d.fail = errCut
				}
			}})
			if c.wrong != nil {
				t.Error(c.wrong)
			}
			n := bySource(a)
			switch short := cutFor < time.Minute; {
			case short && (err != nil || len(a.Tokens) != 200 || n[infer.Fallback] == 0 || a.Resumed == 0):
				t.Errorf("after a cut of %s: %v, back %d times, %v", cutFor, n, a.Resumed, err)
			case !short && (!errors.Is(err, errLost) || a.Finish != infer.CloudLost || a.Draft == nil):
				t.Errorf("after a cut of %s: %v, %s, %v", cutFor, n, a.Finish, err)
			}
		}
	})
}
