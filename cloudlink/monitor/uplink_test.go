package monitor

import (
	"testing"
	"time"
)

// A simulated link of a rate and a round trip carries rows; receipts come as the
// cloud sends them. What is appended at once is known to be the link's pace, and
// what trickles is not.
func TestUplink(t *testing.T) {
	const rtt, row = 100 * ms, 10 * ms // a row takes so long on the link
	c := newClock()
	start := c.Time
	var u Uplink
	u.Appended(50, c.Time)
	for i := range 50 {
		c.Time = start.Add(time.Duration(i+1)*row + rtt)
		rows, since := u.Waiting(c.Time)
		if want := min(c.Sub(start), row); rows != 50-i || i > 0 && since != want {
			t.Errorf("before receipt %d: %d rows for %s", i, rows, since)
		}
		if busy := u.Confirmed(i+1, c.Time, rtt); busy != (i >= 5) { // 50 ms later it is sure
			t.Errorf("receipt %d of a burst: busy %v", i, busy)
		}
	}
	if rows, since := u.Waiting(c.Time); rows != 0 || since != 0 {
		t.Errorf("all confirmed: %d rows for %s", rows, since)
	}
	for i := range 20 {
		u.Appended(51+i, c.Time)
		c.Time = c.Add(20 * ms)
		if i >= 6 && u.Confirmed(51+i-6, c.Time, rtt) {
			t.Errorf("receipt %d of a trickle: busy", i)
		}
	}
	if rows, since := u.Waiting(c.Time); rows != 6 || since != 0 {
		t.Errorf("%d rows for %s", rows, since)
	}
}

func TestUplinkTruncates(t *testing.T) {
	c := newClock()
	var u Uplink
	u.Appended(10, c.Time)
	u.Appended(20, c.Time)
	u.Appended(15, c.Time) // known
	for _, step := range []struct{ to, rows int }{{17, 17}, {10, 10}, {5, 5}, {0, 0}} {
		u.Truncate(step.to)
		if rows, _ := u.Waiting(c.Time); rows != step.rows {
			t.Errorf("truncated to %d: %d rows wait", step.to, rows)
		}
	}
	u.Appended(10, c.Time)
	u.Confirmed(6, c.Time, 0)
	u.Truncate(8)
	if rows, _ := u.Waiting(c.Time); rows != 2 {
		t.Errorf("%d rows wait of 8, 6 confirmed", rows)
	}
	u.Truncate(4)
	u.Appended(5, c.Time)
	if rows, _ := u.Waiting(c.Time); rows != 1 {
		t.Errorf("%d rows wait of 5, 4 confirmed", rows)
	}
}
