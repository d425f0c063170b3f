package partition

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFlowsShare plays passes over devices whose sessions come and go. No row
// is left out while there is room, and of two devices that always want more
// neither gets ahead by more than the slack there is for deadlines.
func TestFlowsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var now float64
		devices := rapid.IntRange(2, 6).Draw(t, "devices")
		all := make([]*lane, devices)
		for i := range all {
			all[i] = &lane{}
			for range rapid.IntRange(1, 6).Draw(t, "sessions") {
				all[i].tails = append(all[i].tails, &tail{})
			}
		}
		served := make([]int, devices)
		for range rapid.IntRange(1, 60).Draw(t, "passes") {
			total := 0
			for i, l := range all {
				l.want, l.deadline = 0, time.Time{}
				for _, s := range l.tails {
					s.granted = 0
					s.want = rapid.IntRange(0, 40).Draw(t, "want")
					if i < 2 { // the two that always want more
						s.want = 1000
					}
					s.deadline = time.Time{}
					if at := rapid.IntRange(0, 5).Draw(t, "deadline"); at > 0 {
						s.deadline = time.Unix(int64(at), 0)
					}
					if s.before(&flow{deadline: l.deadline}) && !s.deadline.IsZero() {
						l.deadline = s.deadline
					}
					l.want += s.want
				}
				total += l.want
			}
			room := rapid.IntRange(1, 64).Draw(t, "room")
			left := distribute(&now, all, room)
			granted := 0
			for i, l := range all {
				for _, s := range l.tails {
					granted += s.granted
					served[i] += s.granted
				}
			}
			if granted != room-left || left > 0 && granted < total {
				t.Fatalf("%d of %d rows granted, %d wanted", granted, room, total)
			}
		}
		if d := served[0] - served[1]; d > lag+2*quantum || d < -lag-2*quantum {
			t.Fatalf("served %v rows", served)
		}
	})
}

// TestIdleFlowSavesNothing: who was away gets no more than a share when back.
func TestIdleFlowSavesNothing(t *testing.T) {
	var now float64
	a, b := &lane{tails: []*tail{{}}}, &lane{tails: []*tail{{}}}
	want := func(l *lane) {
		l.want, l.tails[0].want, l.tails[0].granted = 1000, 1000, 0
	}
	for range 100 {
		want(a)
		distribute(&now, []*lane{a}, 32)
	}
	want(a)
	want(b)
	distribute(&now, []*lane{a, b}, 32)
	if n := b.tails[0].granted; n > 16+quantum {
		t.Errorf("%d of 32 rows after a long absence", n)
	}
}

// TestEarlierDeadlineFirst among flows that are even.
func TestEarlierDeadlineFirst(t *testing.T) {
	var now float64
	var lanes []*lane
	for _, at := range []int64{0, 30, 10, 20} {
		var d time.Time
		if at > 0 {
			d = time.Unix(at, 0)
		}
		lanes = append(lanes, &lane{flow: flow{want: 1, deadline: d}, tails: []*tail{{flow: flow{want: 1}}}})
	}
	distribute(&now, lanes, 2)
	for i, want := range []int{0, 0, 1, 1} {
		if got := lanes[i].tails[0].granted; got != want {
			t.Errorf("flow %d got %d rows, want %d", i, got, want)
		}
	}
}
