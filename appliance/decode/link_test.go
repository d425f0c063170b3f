package decode

import (
	"context"
	"errors"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// outage is a cloud whose link is lost for a while from the third ask on; asks
// meanwhile fail at once.
func outage(d time.Duration) *fakeCloud {
	var since time.Time
	return &fakeCloud{answer: func(n int) (time.Duration, int32, error) {
		switch {
		case n == 2:
			since = time.Now()
			return 10 * time.Millisecond, 0, lostForNow
		case n > 2 && time.Since(since) < d:
			return 0, 0, lostForNow
		}
		return 20 * time.Millisecond, cloudSays, nil
	}}
}

// A link that comes back is used again, and the record says when it was not.
func TestLinkComesBack(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		c := outage(3 * time.Second)
		b := board(c)
		a, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 100})
		if err != nil {
			t.Fatal(err)
		}
		n := count(a)
		if n[infer.WhyLost] != 1 || n[infer.WhyDown] < 10 || n[infer.Asked] != 99-n[infer.WhyDown] || a.Resumed != 1 || !errors.Is(a.Lost, errCut) {
			t.Errorf("%v, resumed %d, lost %v", n, a.Resumed, a.Lost)
		}
		if a.Asks != n[infer.Asked]+1 {
			t.Errorf("%d asks, %d answered", a.Asks, n[infer.Asked])
		}
		if c.end != 4+99 {
			t.Errorf("%d rows were handed on", c.end)
		}
		if tok := a.Tokens[99]; tok.Source != infer.FromCloud {
			t.Errorf("the last token: %+v", tok)
		}
		if b, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 5}); err != nil || b.Lost != nil || b.Resumed != 0 || count(b)[infer.Asked] != 5 {
			t.Errorf("the next answer: %+v, %v", b, err)
		}
	})
}

func TestLossStops(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		a, err := board(outage(3*time.Second)).generate(t, t.Context(), 4, Options{MaxTokens: 100, OnLoss: infer.EndAnswer})
		if !errors.Is(err, errCut) || a.Finish != infer.CloudLost || len(a.Tokens) != 2 || !errors.Is(a.Lost, errCut) {
			t.Errorf("%v, %s, %d tokens, lost %v", err, a.Finish, len(a.Tokens), a.Lost)
		}
	})
}

func TestLossIsWaitedOut(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		start := time.Now()
		a, err := board(outage(20*time.Second)).generate(t, t.Context(), 4, Options{MaxTokens: 10, OnLoss: infer.AwaitCloud})
		if err != nil || count(a)[infer.Asked] != 10 || a.Resumed != 1 || time.Since(start) > 23*time.Second {
			t.Errorf("%v, resumed %d, %s, %v", count(a), a.Resumed, time.Since(start), err)
		}
		if wait := a.Tokens[2].WaitMS; wait < 20000 {
			t.Errorf("the token of the outage waited %v ms", wait)
		}
		// No longer than a deadline allows, nor than the user.
		b := board(outage(20 * time.Second))
		if a, err = b.generate(t, t.Context(), 4, Options{MaxTokens: 10, OnLoss: infer.AwaitCloud, MaxTokenLatency: bound}); err != nil || count(a)[infer.Asked] == 10 {
			t.Errorf("%v, %v", count(a), err)
		}
		b.inTime(t, bound)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a, err = board(outage(time.Hour)).generate(t, ctx, 4, Options{OnLoss: infer.AwaitCloud}); err != nil || a.Finish != infer.Cancelled || len(a.Tokens) != 2 {
			t.Errorf("%v, %s, %d tokens", err, a.Finish, len(a.Tokens))
		}
	})
}

// A refusal for good ends the use of the cloud, whatever the policy.
func TestRefusedForGood(t *testing.T) {
	for _, policy := range []infer.OnLoss{infer.GoAlone, infer.EndAnswer, infer.AwaitCloud} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			c := &fakeCloud{answer: func(n int) (time.Duration, int32, error) {
				if n < 2 {
					return time.Millisecond, cloudSays, nil
				}
				return time.Millisecond, 0, errUnauthorized
			}}
			a, err := board(c).generate(t, t.Context(), 4, Options{MaxTokens: 10, OnLoss: policy})
			if !errors.Is(a.Lost, errUnauthorized) || c.asked != 3 {
				t.Errorf("%s: lost %v, %d asked", policy, a.Lost, c.asked)
			}
			if alone := policy == infer.GoAlone; alone != (err == nil) || alone && count(a)[infer.WhyLost] != 8 || !alone && !errors.Is(err, errUnauthorized) {
				t.Errorf("%s: %v, %v", policy, count(a), err)
			}
		})
	}
}

// A busy cloud is left alone for as long as it says.
func TestBusyCloud(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		var refused time.Time
		c := &fakeCloud{answer: func(n int) (time.Duration, int32, error) {
			switch {
			case n == 1:
				refused = time.Now()
				return 0, 0, &TransientError{Err: errors.New("busy"), Busy: true, RetryAfter: 2 * time.Second}
			case n == 2 && time.Since(refused) < 2*time.Second:
				t.Errorf("asked again after %s", time.Since(refused))
			}
			return 10 * time.Millisecond, cloudSays, nil
		}}
		a, err := board(c).generate(t, t.Context(), 4, Options{MaxTokens: 60})
		if n := count(a); err != nil || n[infer.WhyBusy] < 10 || n[infer.Asked] != 60-n[infer.WhyBusy] || a.Lost != nil {
			t.Errorf("%v, lost %v, %v", n, a.Lost, err)
		}
	})
}

// longDown is an outlook on a link that has been down for long.
type longDown struct{ *foreseen }

func (longDown) DownSince() time.Time { return time.Now().Add(-time.Hour) }

// A conversation that begins while the link is long down asks nobody first.
func TestLongDownIsNotAsked(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		c := &foreseen{
			fakeCloud: &fakeCloud{answer: func(int) (time.Duration, int32, error) {
				return time.Second, 0, lostForNow
			}},
			state: func() (monitor.State, string) { return monitor.Down, "no answer" },
		}
		a, err := board(longDown{c}).generate(t, t.Context(), 4, Options{MaxTokens: 5})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(a); a.Asks != 0 || n[infer.WhyDown] != 5 {
			t.Errorf("%d asks, %v", a.Asks, n)
		}
	})
}
