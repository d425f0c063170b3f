package sched

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPaceLearns feeds passes of a cost with a fixed part and a part by row.
func TestPaceLearns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fixed := rapid.Float64Range(0, 0.1).Draw(t, "fixed")
		row := rapid.Float64Range(1e-5, 0.1).Draw(t, "row")
		var p Pace
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 500), 10, 100).Draw(t, "sizes") {
			p.Add(n, Seconds(fixed+row*float64(n)))
		}
		p.Add(1, Seconds(fixed+row)) // two sizes at least
		p.Add(300, Seconds(fixed+300*row))
		for _, n := range []int{1, 10, 200} {
			want := fixed + row*float64(n)
			if got := p.Pass(n).Seconds(); math.Abs(got-want) > 0.01*want+1e-6 {
				t.Fatalf("a pass of %d rows takes %v s, predicted %v", n, want, got)
			}
		}
		budget := Seconds(rapid.Float64Range(0, 1).Draw(t, "budget"))
		n := p.Room(budget, 512)
		if n < minRoom || n > 512 {
			t.Fatalf("room for %d rows", n)
		}
		limit := max(budget.Seconds(), 2*fixed)
		if took := fixed + row*float64(n); n > minRoom && took > 1.01*limit+1e-6 {
			t.Fatalf("%d rows take %v s, may take %v", n, took, limit)
		}
	})
}

// TestPaceFollows: after a change of speed the newest passes count.
func TestPaceFollows(t *testing.T) {
	var p Pace
	for range 1000 {
		p.Add(10, 10*time.Millisecond)
	}
	for range 100 {
		p.Add(10, 100*time.Millisecond)
	}
	if d := p.PerRow(); d < 9900*time.Microsecond || d > 10*time.Millisecond {
		t.Errorf("%v by row, the newest passes took 10 ms", d)
	}
}

func TestPaceKnowsNothing(t *testing.T) {
	var p Pace
	if p.Pass(100) != 0 || p.PerRow() != 0 || p.Wait(1000, 1, 10) != 0 {
		t.Errorf("predicts %v, %v, %v", p.Pass(100), p.PerRow(), p.Wait(1000, 1, 10))
	}
	if n := p.Room(time.Millisecond, 77); n != 77 {
		t.Errorf("room for %d", n)
	}
	p.Add(5, 0) // a clock too coarse to see it
	if n := p.Room(time.Millisecond, 77); n != 77 {
		t.Errorf("room for %d when nothing takes time", n)
	}
}

// TestNobodyWaitsForOneself: a machine that stood still makes passes look slow; rows that are
// alone are to be taken all the same, or no pass would ever show that it is over.
func TestNobodyWaitsForOneself(t *testing.T) {
	var p Pace
	for range 20 {
		p.Add(1, time.Millisecond)
		p.Add(8, 2*time.Millisecond)
	}
	p.Add(1, 10*time.Second)
	for _, own := range []int{0, 1, 64, 2000} {
		if got := p.Wait(0, own, 64); got != 0 {
			t.Errorf("%d rows alone wait %v", own, got)
		}
	}
	if alone, beside := p.Wait(1, 1, 64), p.Wait(1, 2000, 64); alone > beside {
		t.Errorf("one row waits %v, 2000 wait %v", alone, beside)
	}
}
