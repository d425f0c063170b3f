package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What is done at leisure begins once nobody has asked for a while, and ends with the next
// request, however soon that comes.
func TestLeisureEndsWithARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil)
		ready(t, c)
		defer stop(t, c)
		const quiet = 5 * time.Minute
		began := time.Now()
		free, end, err := c.Leisure(t.Context(), quiet)
		if err != nil || time.Since(began) < quiet-time.Minute || free.Err() != nil {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		a := ask(t, c, raw("", 60))
		if <-free.Done(); !errors.Is(context.Cause(free), ErrAsked) {
			t.Errorf("it ends for %v", context.Cause(free))
		}
		end(nil)
		// An answer under way is no leisure, nor is the time after it.
		listen(t, a, 0, 0)
		ended := time.Now()
		free, end, err = c.Leisure(t.Context(), quiet)
		if took := time.Since(ended); err != nil || took < quiet || took > 3*quiet {
			t.Errorf("%v after %s", err, took)
		}
		end(nil)
		if <-free.Done(); !errors.Is(context.Cause(free), context.Canceled) {
			t.Errorf("it ends for %v", context.Cause(free))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := c.Leisure(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A model that is renewed is loaded once more, after the answer under way, and stays then as
// it was to.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		ready(t, c)
		defer stop(t, c)
		a := ask(t, c, raw("", 60))
		renewed := make(chan error, 1)
		go func() {
			done, err := c.Renew(t.Context(), "d1")
			if err == nil && !done {
				err = errors.New("nothing is renewed")
			}
			renewed <- err
		}()
		synctest.Wait()
		c.Configure(c.opt.Defaults, 0) // which has models stay for ever
		if h := listen(t, a, 0, 0); len(h.text) != 60 {
			t.Errorf("%d letters of the answer under way", len(h.text))
		}
		if err := <-renewed; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if h := listen(t, ask(t, c, raw("", 5)), 0, 0); len(h.text) != 5 || w.loads != 2 || w.closed != 1 {
			t.Errorf("%q after %d loads, %d models closed", h.text, w.loads, w.closed)
		}
		// Of one that is not loaded there is nothing to renew, and it is not loaded for that.
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if done, err := c.Renew(t.Context(), "d1"); done || err != nil || w.loads != 2 || w.closed != 2 {
			t.Errorf("renewed without a model: %v, %v after %d loads, %d models closed", done, err, w.loads, w.closed)
		}
	})
}

// Who no longer waits for a model to be loaded anew has it stay.
func TestRenewGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		ready(t, c)
		defer stop(t, c)
		a := ask(t, c, raw("", 60))
		ctx, cancel := context.WithCancel(t.Context())
		renewed := make(chan error, 1)
		go func() {
			_, err := c.Renew(ctx, "d1")
			renewed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-renewed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		listen(t, a, 0, 0)
		time.Sleep(time.Minute)
		if w.closed != 0 || w.loads != 1 {
			t.Errorf("%d loads, %d models closed", w.loads, w.closed)
		}
	})
}
