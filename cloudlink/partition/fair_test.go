package partition_test

import (
	"context"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
)

// The stage of these tests: 35 ms for the first row of a pass, a twentieth of
// it for every other.
const (
	firstRow = 35 * time.Millisecond
	otherRow = 0.05
)

func costly(sessions int) *fakestage.Stage {
	s := fakestage.New(width, vocab, sessions, 2048*sessions, 256)
	s.Before = fakestage.Cost(firstRow, otherRow)
	return s
}

// load is what one session of a board does over and over: n rows, an ask, and
// back to the start when the context is full.
func load(ctx context.Context, s *cloudlink.Session, n int) {
	hidden := make([]float32, n*width)
	for pos := 0; ctx.Err() == nil; {
		if pos+n > 1024 {
			pos = 0
			if s.Truncate(0) != nil {
				return
			}
		}
		if s.Append(pos, hidden) != nil {
			return
		}
		pos += n
		s.Ask(ctx, pos-1, 1)
	}
}

// throughput has board i keep sessions[i] sessions busy with asks of rows[i]
// rows each for some virtual seconds, and returns what every board got.
func throughput(t *testing.T, sessions, rows []int, change func(*partition.Config)) []partition.DeviceStats {
	t.Helper()
	total := 0
	for _, n := range sessions {
		total += n
	}
	var got []partition.DeviceStats
	inFleet(t, len(sessions), costly(total), change, func(t *testing.T, fl *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		for i, n := range sessions {
			client := fl.dial(i)
			for range n {
				s := open(t, client)
				go func() {
					load(ctx, s, rows[i])
					ended <- struct{}{}
				}()
			}
			defer client.Close()
		}
		time.Sleep(warmUp)
		before := fl.server.Devices()
		time.Sleep(measured)
		got = fl.server.Devices()
		for i := range got {
			got[i].Rows -= before[i].Rows
			got[i].Answers -= before[i].Answers
		}
		cancel()
		for range total {
			<-ended
		}
	})
	return got
}

const (
	warmUp   = 5 * time.Second
	measured = 20 * time.Second
)

// jain is Jain's index of fairness (Jain, Chiu and Hawe 1984): 1 when all get
// the same, 1/n when one gets all.
func jain(xs []float64) float64 {
	var sum, squares float64
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(xs)) * squares)
}

func repeat(n, first int, others int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = others
	}
	out[0] = first
	return out
}

// TestOneDeviceFloods has eight boards with 64 sessions, the first of which
// asks for hundreds of rows at once, or has most of the sessions.
func TestOneDeviceFloods(t *testing.T) {
	alone := throughput(t, []int{1}, []int{1}, nil)
	for name, c := range map[string]struct {
		sessions, rows []int
		shared         bool // the others want as much as they can get
	}{
		"with long backlogs":   {repeat(8, 8, 8), repeat(8, 500, 1), true},
		"with many sessions":   {repeat(8, 57, 1), repeat(8, 1, 1), false},
		"with both, all alike": {repeat(8, 57, 1), repeat(8, 100, 100), true},
	} {
		t.Run(name, func(t *testing.T) {
			got := throughput(t, c.sessions, c.rows, nil)
			var total, others float64
			var rows []float64
			for i, d := range got {
				total += float64(d.Rows)
				if i > 0 {
					others += float64(d.Answers)
					rows = append(rows, float64(d.Rows))
				}
			}
			sec := measured.Seconds()
			index := jain(rows)
			t.Logf("a session alone: %.1f rows/s; together: %.1f rows/s; the flooding board: %.1f; each other: %.1f; Jain's index of those %.4f; their answers/s %.1f",
				float64(alone[0].Rows)/sec, total/sec, float64(got[0].Rows)/sec, (total-float64(got[0].Rows))/sec/7, index, others/sec)
			if index < 0.9 {
				t.Errorf("Jain's index of the others is %.3f", index)
			}
			if total < 2*float64(alone[0].Rows) {
				t.Errorf("together %.0f rows, one session alone %d", total, alone[0].Rows)
			}
			if c.shared && float64(got[0].Rows) > 1.1*total/8 {
				t.Errorf("the flooding board has %d of %.0f rows, a share is an eighth", got[0].Rows, total)
			}
		})
	}
}

// TestLongBacklogWaitsForOne: one session computes backlogs of a thousand rows
// all the time; another's single row waits for one pass of it at most.
func TestLongBacklogWaitsForOne(t *testing.T) {
	inFleet(t, 2, costly(2), nil, func(t *testing.T, fl *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		busy, client := fl.dial(0), fl.dial(1)
		defer busy.Close()
		defer client.Close()
		s := open(t, client)
		must(t, s.Append(0, make([]float32, width)))
		ask(t, s, 0, 1) // now others are known to be about
		ended, b := make(chan struct{}), open(t, busy)
		go func() {
			defer close(ended)
			load(ctx, b, 1000)
		}()
		var most time.Duration
		for pos := 1; pos < 60; pos++ {
			time.Sleep(time.Duration(pos*37%101) * 3 * time.Millisecond) // anywhere in a pass
			must(t, s.Append(pos, make([]float32, width)))
			a := ask(t, s, pos, 1)
			if pos > 10 { // the cost of a pass is known
				most = max(most, a.Queue)
			}
		}
		cancel()
		busy.Close()
		<-ended
		t.Logf("the longest wait was %v; a pass of one row takes %v", most, firstRow)
		if most > 2*firstRow+10*time.Millisecond {
			t.Errorf("a row waited %v, a pass may take %v", most, 2*firstRow)
		}
		if most < firstRow/2 {
			t.Errorf("no row waited more than %v: the other session was not busy", most)
		}
	})
}
