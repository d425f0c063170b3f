package board

import (
	"strings"
	"testing"
	"time"
)

func TestPolicySparesAHotBoard(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var p Policy
	at := func(c float64, throttled ...Cause) ThermalLimit {
		now = now.Add(10 * time.Second)
		return p.Judge(now, 3, []Reading{{Name: "wifi", Value: 95}, {Name: "cpu", Value: c, Part: PartCPU}, {Name: "gpu", Value: c - 5, Part: PartGPU}}, Throttling{Now: throttled})
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
	if e := at(50, Cause{UnderVoltage, "under-voltage"}); !e.Spared || !strings.Contains(e.Reason, "under-voltage") {
		t.Errorf("slowed down: %+v", e)
	}
	if p = (Policy{}); at(50, Cause{ClockCapped, "clock capped"}).Spared {
		t.Error("a capped clock alone is no reason")
	}
	if e := p.Judge(now, 1, []Reading{{Name: "cpu", Value: 99}}, Throttling{}); e.Threads != 1 {
		t.Errorf("no thread left: %+v", e)
	}
}

// A hot board whose sensor fails is not taken for a cool one; one without any sensor
// is spared for its throttling alone.
func TestPolicyWithoutReadings(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	after := func(p *Policy, first []Reading, cause ...Cause) bool {
		p.Judge(now, 4, first, Throttling{Now: cause})
		p.Judge(now.Add(time.Minute), 4, nil, Throttling{})
		return p.Judge(now.Add(time.Hour), 4, nil, Throttling{}).Spared
	}
	if !after(&Policy{}, []Reading{{Name: "cpu", Value: 90, Part: PartCPU}}) {
		t.Error("hot, and then without readings: no longer spared")
	}
	if after(&Policy{}, nil, Cause{UnderVoltage, "under-voltage"}) {
		t.Error("no sensor, and no longer throttled: still spared")
	}
}
