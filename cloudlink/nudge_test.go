package cloudlink_test

import (
	"testing"
	"time"
)

// TestNudge: a probe for clouds without Ping is acknowledged and does no harm.
func TestNudge(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		time.Sleep(10 * time.Second)
		for range 5 {
			before := l.Client().Stats().PacketsReceived
			l.Client().Nudge()
			time.Sleep(rtt + 50*time.Millisecond)
			if l.Client().Stats().PacketsReceived == before {
				t.Error("nothing came back")
			}
		}
		time.Sleep(20 * time.Second)
		if st := w.server.Stats(); st.BadFrames != 0 {
			t.Errorf("%+v", st)
		}
		w.answer(t, s, 2)
	})
}
