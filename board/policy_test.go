package board

import (
	"strings"
	"testing"
	"time"
)

func TestPolicySparesAHotBoard(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var p Policy
	at := func(c float64, throttled ...string) Effort {
		now = now.Add(10 * time.Second)
		return p.Judge(now, 3, []Reading{{"cpu", c, "°C"}, {"gpu", c - 5, "°C"}}, Throttling{Now: throttled})
	}
	if e := at(60); e.Threads != 3 || e.Spared || e.Reason != "" {
		t.Errorf("cool: %+v", e)
	}
	if e := at(81); e.Threads != 1 || !e.Spared || !strings.Contains(e.Reason, "cpu is 81 °C") {
		t.Errorf("hot: %+v", e)
	}
	for range 20 { // between the two bounds nothing changes
		if e := at(75); !e.Spared {
			t.Fatalf("warm: %+v", e)
		}
	}
	spared := 0
	for range 10 {
		if at(65).Spared {
			spared++
		}
	}
	if spared != 6 {
		t.Errorf("spared for %d × 10 s once cool, want 6", spared)
	}
	if e := at(50, "under-voltage"); !e.Spared || !strings.Contains(e.Reason, "under-voltage") {
		t.Errorf("slowed down: %+v", e)
	}
	if p = (Policy{}); at(50, "clock capped").Spared {
		t.Error("a capped clock alone is no reason")
	}
	if e := p.Judge(now, 1, []Reading{{"cpu", 99, "°C"}}, Throttling{}); e.Threads != 1 {
		t.Errorf("no thread left: %+v", e)
	}
}
