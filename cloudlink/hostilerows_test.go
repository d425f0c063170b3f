package cloudlink_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// twoBest is an honest answer with the two best of each of so many rows.
func twoBest(a *wire.Ask, rows int) *wire.Answer {
	var ids []int32
	var logits []float32
	var before []float64
	for i := range rows {
		ids, logits = append(ids, int32(i), int32(i+1)), append(logits, 1, 0.5)
		if i > 0 {
			before = append(before, 1.5)
		}
	}
	m := wire.NewAnswer(a, ids, logits, before...)
	m.LogSumExp, m.Rows, m.Compute = 1.5, 3, 1000
	return m
}

// TestHostileRows: an answer to an ask for several rows that no honest cloud gives ends
// the session with a typed error, as one to any other ask does; several rows where one
// was asked for do so too.
func TestHostileRows(t *testing.T) {
	with := func(change func(*wire.Answer)) func(a *wire.Ask) wire.Message {
		return func(a *wire.Ask) wire.Message {
			m := twoBest(a, 3)
			change(m)
			return m
		}
	}
	for _, c := range []struct {
		name   string
		rows   int
		answer func(a *wire.Ask) wire.Message
	}{
		{"one row", 3, func(a *wire.Ask) wire.Message { return twoBest(a, 1) }},
		{"a row too few", 3, func(a *wire.Ask) wire.Message { return twoBest(a, 2) }},
		{"a row too many", 3, func(a *wire.Ask) wire.Message { return twoBest(a, 4) }},
		{"rows where one was asked for", 1, func(a *wire.Ask) wire.Message { return twoBest(a, 3) }},
		{"rows of nothing", 3, func(a *wire.Ask) wire.Message {
			m := wire.NewAnswer(a, nil, nil, 1, 1)
			m.LogSumExp = 1
			return m
		}},
		{"whole rows", 3, func(a *wire.Ask) wire.Message {
			m := wire.NewAnswer(a, nil, make([]float32, 3*scriptedVocab), 5, 5)
			m.LogSumExp = 5
			return m
		}},
		{"one candidate of each", 3, func(a *wire.Ask) wire.Message {
			m := wire.NewAnswer(a, []int32{1, 2, 3}, []float32{1, 1, 1}, 1.5, 1.5)
			m.LogSumExp = 1.5
			return m
		}},
		{"more than the session has asked for", 3, func(a *wire.Ask) wire.Message {
			return wire.NewAnswer(a, nil, make([]float32, 3*20*scriptedVocab), 5, 5)
		}},
		{"a token of no vocabulary in the first row", 3, with(func(m *wire.Answer) { m.IDs[0] = scriptedVocab })},
		{"a token twice in the second row", 3, with(func(m *wire.Answer) { m.IDs[3] = m.IDs[2] })},
		{"rising logits in the last row", 3, with(func(m *wire.Answer) { m.Logits[4] = 0 })},
		{"a logit that is no number", 3, with(func(m *wire.Answer) { m.Logits[1] = float32(math.NaN()) })},
		{"a sum that is no number", 3, with(func(m *wire.Answer) { m.Before[0] = math.NaN() })},
		{"a sum below the largest logit", 3, with(func(m *wire.Answer) { m.Before[1] = -1 })},
		{"a sum above what the vocabulary allows", 3, with(func(m *wire.Answer) { m.Before[0] = 30 })},
		{"the position of another row", 3, with(func(m *wire.Answer) { m.Position = 0 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			var evil atomic.Bool
			evil.Store(true)
			cloud := &scripted{vocab: scriptedVocab, answer: func(a *wire.Ask, m *wire.Answer) []wire.Message {
				if !evil.Load() {
					return one(twoBest(a, a.Wanted()))
				}
				return one(c.answer(a))
			}}
			inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
				l, s := w.open(t, false)
				defer l.Close()
				got, err := rowsOf(t, s, c.rows)
				if !errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) {
					t.Fatalf("answered %+v, %v", got, err)
				}
				time.Sleep(time.Second)
				if st := l.Status(); st.Breaches != 1 || !st.Connected {
					t.Errorf("%+v", st)
				}
				evil.Store(false)
				time.Sleep(time.Minute)
				if got, err := rowsOf(t, s, 3); err != nil || len(got) != 3 || got[2].Candidates[1].ID != 3 {
					t.Errorf("once it is honest: %+v, %v", got, err)
				}
			})
		})
	}
}

// TestRowsLateTwiceAndOutOfOrder: rows that come after their check was given up, once more, or
// behind those of a later one, are taken for no other check's and are no breach; a cloud that
// never answers holds up nothing but the check itself.
func TestRowsLateTwiceAndOutOfOrder(t *testing.T) {
	var mu sync.Mutex
	var held []wire.Message
	cloud := &scripted{vocab: scriptedVocab, answer: func(a *wire.Ask, _ *wire.Answer) []wire.Message {
		mu.Lock()
		defer mu.Unlock()
		mine := twoBest(a, a.Wanted())
		mine.IDs[0] = int32(10 * a.Wanted()) // by which its rows are known
		if a.Wanted() == 3 {                 // it waits for the next
			held = append(held, mine)
			return nil
		}
		all := append([]wire.Message{mine}, held...)
		held = nil
		return append(all, all...)
	}}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		known := func(n int, a []cloudlink.Answer, err error) {
			t.Helper()
			if err != nil || len(a) != n || a[0].Candidates[0].ID != int32(10*n) {
				t.Errorf("%d rows: %+v, %v", n, a, err)
			}
		}
		got, err := rowsOf(t, s, 2)
		known(2, got, err)
		for range 20 {
			giveUp, cancel := context.WithTimeout(t.Context(), time.Second)
			if a, err := s.AskRows(giveUp, 2, 3, 2); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("nothing was answered, and it is %+v, %v", a, err)
			}
			cancel()
			got, err := s.AskRows(t.Context(), 2, 2, 2) // before whose rows, and after them, come others
			known(2, got, err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			got, err := s.AskRows(t.Context(), 2, 3, 2)
			known(3, got, err)
		})
		time.Sleep(time.Second)
		got, err = s.AskRows(t.Context(), 2, 2, 2)
		known(2, got, err)
		wg.Wait()
		time.Sleep(time.Second)
		if st := l.Status(); st.Breaches != 0 || !st.Connected || st.Reconnects != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// rowsOf asks for the two best of n rows until the link is up and something comes of it.
func rowsOf(t *testing.T, s *cloudlink.Session, n int) ([]cloudlink.Answer, error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		a, err := s.AskRows(t.Context(), 2, n, 2)
		if err == nil || errors.Is(err, cloudlink.ErrProtocol) || !errors.Is(err, cloudlink.ErrLost) || time.Since(start) > 10*time.Second {
			return a, err
		}
	}
}

// Asks for rows that no sequence has, or none at all, are refused before they are put.
func TestRowsThatCannotBe(t *testing.T) {
	inScriptedWorld(t, &scripted{vocab: scriptedVocab}, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		for _, n := range []int{-1, 0, 4, 1 << 40} {
			if _, err := s.AskRows(t.Context(), 2, n, 2); err == nil || errors.Is(err, cloudlink.ErrLost) {
				t.Errorf("%d rows up to position 2: %v", n, err)
			}
		}
	})
}

// A cloud of protocol 2 is not asked for several rows once it has said what it speaks, and
// an ask that was put before ends then; single rows are asked for as ever.
func TestCloudOfProtocol2(t *testing.T) {
	var several atomic.Int64
	cloud := &scripted{
		vocab: scriptedVocab,
		opened: func(m *wire.Opened) []wire.Message {
			m.Protocol = 2
			return one(m)
		},
		answer: func(a *wire.Ask, m *wire.Answer) []wire.Message {
			if a.Rows > 1 { // which such a cloud does not see
				several.Add(1)
			}
			return one(m)
		},
	}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		if !s.SeveralRows() {
			t.Error("several rows are given up before the cloud has said anything")
		}
		for range 3 {
			if got, err := rowsOf(t, s, 3); !errors.Is(err, cloudlink.ErrOneRow) {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		if n := several.Load(); s.SeveralRows() || n > 1 {
			t.Errorf("it was asked for several rows %d times", n)
		}
		if got, err := rowsOf(t, s, 1); err != nil || len(got) != 1 || len(got[0].Candidates) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		if st := l.Status(); st.Breaches != 0 || !st.Connected {
			t.Errorf("%+v", st)
		}
	})
}
