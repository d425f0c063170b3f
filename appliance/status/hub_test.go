package status_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"skerry/appliance/status"
)

func next(t *testing.T, r *status.Reader) status.Event {
	t.Helper()
	select {
	case e, open := <-r.Events():
		if !open {
			t.Fatal("the reader has ended")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
	panic("unreachable")
}

func subscribe(t *testing.T, h *status.Hub, kinds ...status.Kind) *status.Reader {
	t.Helper()
	r, err := h.Subscribe(kinds...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHubMakesNothingUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := status.NewHub()
		defer h.Close()
		made := 0
		value := func() any { made++; return made }
		h.Poll(status.KindStatus, time.Second, value)
		h.Publish(status.KindHealth, value)
		time.Sleep(time.Hour)
		r := subscribe(t, h, status.KindLog)
		h.Publish(status.KindHealth, value)
		time.Sleep(time.Hour)
		r.Close()
		if made != 0 {
			t.Fatalf("%d values for no reader", made)
		}
		r = subscribe(t, h, status.KindStatus)
		time.Sleep(3500 * time.Millisecond)
		r.Close()
		r.Close()
		time.Sleep(time.Hour)
		if made != 3 {
			t.Fatalf("%d values in 3.5 s of reading", made)
		}
	})
}

func TestHubNeverWaitsForAReader(t *testing.T) {
	h := status.NewHub()
	slow, fast := subscribe(t, h, status.KindLog), subscribe(t, h, status.KindLog)
	const n = 1000
	var last uint64
	for i := range n {
		h.Publish(status.KindLog, func() any { return i })
		e := next(t, fast)
		if e.Value != i || e.ID <= last {
			t.Fatalf("event %d is %v, ID %d after %d", i, e.Value, e.ID, last)
		}
		last = e.ID
	}
	h.Close()
	got := 0
	for range slow.Events() {
		got++
	}
	if got == 0 || got+int(slow.Lost()) != n {
		t.Errorf("the slow reader got %d and lost %d of %d", got, slow.Lost(), n)
	}
	if fast.Lost() != 0 {
		t.Errorf("the fast reader lost %d", fast.Lost())
	}
}

func TestTokensComeInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := status.NewHub()
		defer h.Close()
		h.Token(status.Said{Session: "a", Text: "before"})
		_, before := h.Recent(0)
		r := subscribe(t, h, status.KindTokens)
		begin := time.Now()
		for i := range 25 {
			h.Token(status.Said{Session: "a", Index: i})
			time.Sleep(10 * time.Millisecond)
		}
		var said []status.Said
		for len(said) < 25 {
			e := next(t, r)
			batch := e.Value.([]status.Said)
			if e.ID != batch[len(batch)-1].ID {
				t.Errorf("event %d ends with token %d", e.ID, batch[len(batch)-1].ID)
			}
			said = append(said, batch...)
		}
		if took := time.Since(begin); took < 2*status.TokenBatch {
			t.Errorf("25 tokens of 250 ms in %v", took)
		}
		for i, s := range said {
			if s.Index != i {
				t.Fatalf("token %d is %d", i, s.Index)
			}
		}
		recent, _ := h.Recent(before)
		if !slices.Equal(recent, said) {
			t.Errorf("%d remembered after the first, %d told", len(recent), len(said))
		}
		if all, _ := h.Recent(0); len(all) != 26 || all[0].Text != "before" {
			t.Errorf("%d remembered in all", len(all))
		}
		if none, _ := h.Recent(said[24].ID); len(none) != 0 {
			t.Errorf("%d after the last", len(none))
		}
	})
}

func TestHubRemembersTheNewest(t *testing.T) {
	h := status.NewHub()
	defer h.Close()
	for i := range 3*status.SaidKept + 7 {
		h.Token(status.Said{Index: i})
	}
	said, _ := h.Recent(0)
	if len(said) != status.SaidKept || said[0].Index != 2*status.SaidKept+7 || said[len(said)-1].Index != 3*status.SaidKept+6 {
		t.Errorf("%d tokens, %d to %d", len(said), said[0].Index, said[len(said)-1].Index)
	}
}

// Whoever comes back after an event that overtook tokens is told those.
func TestEventsOvertakeTokensUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := status.NewHub()
		defer h.Close()
		r := subscribe(t, h, status.KindTokens, status.KindLog)
		h.Token(status.Said{Index: 1})
		h.Token(status.Said{Index: 2})
		h.Publish(status.KindLog, func() any { return "first" })
		first, second := next(t, r), next(t, r)
		if first.Kind != status.KindLog || second.Kind != status.KindTokens {
			t.Fatalf("%s before %s", first.Kind, second.Kind)
		}
		if missed, _ := h.Recent(first.ID); len(missed) != 2 {
			t.Errorf("%d tokens after the first event", len(missed))
		}
		if missed, _ := h.Recent(second.ID); len(missed) != 0 {
			t.Errorf("%d tokens after the second", len(missed))
		}
	})
}

// IDs of a later run are above those of an earlier one, so that a page that comes
// back is not told what it has heard.
func TestEventIDsGrowOverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := status.NewHub()
		for range 100 {
			h.Token(status.Said{})
		}
		_, first := h.Recent(0)
		time.Sleep(time.Second)
		if _, second := status.NewHub().Recent(0); second <= first {
			t.Errorf("%d after %d", second, first)
		}
	})
}

func TestHubEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := status.NewHub()
		h.Poll(status.KindStatus, time.Second, func() any { return 1 })
		var readers []*status.Reader
		for range status.MaxReaders {
			readers = append(readers, subscribe(t, h, status.KindStatus, status.KindTokens))
		}
		if _, err := h.Subscribe(status.KindLog); !errors.Is(err, status.ErrReaders) {
			t.Errorf("one reader too many: %v", err)
		}
		readers[0].Close()
		subscribe(t, h, status.KindLog).Close()
		h.Token(status.Said{}) // its batch is still to come
		h.Close()              // leaves nothing running, or the bubble never ends
		for _, r := range readers {
			for range r.Events() {
			}
		}
		if _, err := h.Subscribe(status.KindLog); !errors.Is(err, status.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		h.Token(status.Said{})
		h.Close()
	})
}

func TestLogsKeepTheNewest(t *testing.T) {
	var below strings.Builder
	logs := status.NewLogs(3, slog.NewTextHandler(&below, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := status.NewHub()
	defer h.Close()
	logs.FanOut(h)
	r := subscribe(t, h, status.KindLog)
	log := slog.New(logs).With("part", "link").WithGroup("q")
	log.Debug("unseen")
	log.Info("one")
	log.Warn("two\x1b[31m\nthree", "rtt", 3*time.Millisecond, slog.Group("g", "k", "a \"b\""))
	log.Info("four")
	log.Error(strings.Repeat("é", 5000), "e", errors.New("x"))
	records := logs.Records(0)
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	if got, want := records[0].String(), `WARN  two [31m three part=link q.rtt=3ms q.g.k="a \"b\""`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got := records[2]; len(got.Message) > 1100 || !strings.HasSuffix(got.Message, "…") || got.Attrs[1].Value != "x" {
		t.Errorf("%d bytes, %v", len(got.Message), got.Attrs)
	}
	if got := logs.Records(1); len(got) != 1 || got[0].Level != "ERROR" {
		t.Errorf("the newest is %v", got)
	}
	if e := next(t, r); e.Value.(status.Record).Message != "one" {
		t.Errorf("the hub has %v", e.Value)
	}
	if !strings.Contains(below.String(), "unseen") || !strings.Contains(below.String(), "q.rtt=3ms") {
		t.Errorf("the next handler has %q", below.String())
	}
}

func TestLogsAreAHandler(t *testing.T) {
	var logs *status.Logs
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		logs = status.NewLogs(10, nil)
		return logs
	}, func(t *testing.T) map[string]any {
		r := logs.Records(1)[0]
		result := map[string]any{slog.LevelKey: r.Level, slog.MessageKey: r.Message}
		if !r.Time.IsZero() {
			result[slog.TimeKey] = r.Time
		}
		for _, a := range r.Attrs {
			keys := strings.Split(a.Key, ".")
			at := result
			for _, k := range keys[:len(keys)-1] {
				if at[k] == nil {
					at[k] = map[string]any{}
				}
				at = at[k].(map[string]any)
			}
			at[keys[len(keys)-1]] = a.Value
		}
		return result
	})
}

// BenchmarkToken is what a token costs with the page closed.
func BenchmarkToken(b *testing.B) {
	h := status.NewHub()
	defer h.Close()
	b.ReportAllocs()
	for i := range b.N {
		h.Token(status.Said{Session: "s", Source: "exit1", Text: " word", Index: i})
	}
}

func BenchmarkLogs(b *testing.B) {
	log := slog.New(status.NewLogs(200, nil))
	b.ReportAllocs()
	for i := range b.N {
		log.LogAttrs(context.Background(), slog.LevelInfo, "asked", slog.Int("position", i))
	}
}
