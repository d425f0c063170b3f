package sched

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

type device = Device[*session]

type session struct {
	Flow
	granted int
}

func (s *session) Grant(n int) { s.granted += n }

// TestFlowsShare plays passes over devices whose sessions come and go. No row
// is left out while there is room, and of two devices that always want more
// neither gets ahead by more than the slack there is for deadlines.
func TestFlowsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var queue Queue[*session]
		devices := rapid.IntRange(2, 6).Draw(t, "devices")
		all, sessions := make([]*device, devices), make([][]*session, devices)
		for i := range all {
			all[i] = &device{}
			for range rapid.IntRange(1, 6).Draw(t, "sessions") {
				sessions[i] = append(sessions[i], &session{})
			}
		}
		served := make([]int, devices)
		for range rapid.IntRange(1, 60).Draw(t, "passes") {
			total := 0
			queue.Begin()
			for i, d := range all {
				for _, s := range sessions[i] {
					s.granted = 0
					s.Want = rapid.IntRange(0, 40).Draw(t, "want")
					if i < 2 { // the two that always want more
						s.Want = 1000
					}
					s.Deadline = time.Time{}
					if at := rapid.IntRange(0, 5).Draw(t, "deadline"); at > 0 {
						s.Deadline = time.Unix(int64(at), 0)
					}
					queue.Add(d, s)
				}
				total += d.Want
			}
			room := rapid.IntRange(1, 64).Draw(t, "room")
			left := queue.Distribute(room)
			granted := 0
			for i := range all {
				for _, s := range sessions[i] {
					granted += s.granted
					served[i] += s.granted
				}
			}
			if granted != room-left || left > 0 && granted < total {
				t.Fatalf("%d of %d rows granted, %d wanted", granted, room, total)
			}
		}
		if d := served[0] - served[1]; d > maxLead+2*quantum || d < -maxLead-2*quantum {
			t.Fatalf("served %v rows", served)
		}
	})
}

// TestIdleFlowSavesNothing: who was away gets no more than a share when back.
func TestIdleFlowSavesNothing(t *testing.T) {
	var queue Queue[*session]
	var a, b device
	var ofA, ofB session
	want := func(d *device, s *session) {
		s.Want, s.granted = 1000, 0
		queue.Add(d, s)
	}
	for range 100 {
		queue.Begin()
		want(&a, &ofA)
		queue.Distribute(32)
	}
	queue.Begin()
	want(&a, &ofA)
	want(&b, &ofB)
	queue.Distribute(32)
	if n := ofB.granted; n > 16+quantum {
		t.Errorf("%d of 32 rows after a long absence", n)
	}
}

// TestEarlierDeadlineFirst among flows that are even.
func TestEarlierDeadlineFirst(t *testing.T) {
	var queue Queue[*session]
	queue.Begin()
	var all []*session
	for _, at := range []int64{0, 30, 10, 20} {
		s := &session{Flow: Flow{Want: 1}}
		if at > 0 {
			s.Deadline = time.Unix(at, 0)
		}
		queue.Add(&device{}, s)
		all = append(all, s)
	}
	queue.Distribute(2)
	for i, want := range []int{0, 0, 1, 1} {
		if got := all[i].granted; got != want {
			t.Errorf("flow %d got %d rows, want %d", i, got, want)
		}
	}
}
