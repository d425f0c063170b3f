package cloudlink_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/transport"
)

// replay sends packets from another address, in order.
func (w *earlyWorld) replay(packets []simnet.Packet) {
	w.t.Helper()
	for _, p := range packets {
		if _, err := w.stranger.WriteTo(p.Data, p.To); err != nil {
			w.t.Fatal(err)
		}
	}
}

// quiesce waits until no handshake can be under way.
func quiesce() { time.Sleep(4 * transport.DefaultHandshake) }

// TestReplayBeforeTheHandshake: somebody holds a flight back and sends it from
// elsewhere. That dial is lost, since the cloud answers where the flight came
// from; the next one is served at once, whatever is replayed before it.
func TestReplayBeforeTheHandshake(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		w.visit()
		highest, accepted := w.keys.highest(), w.server.Stats().Accepted
		w.router.taken()
		w.router.dropping(func(p simnet.Packet) bool { return p.From.String() == "192.0.2.1:1" })
		c := w.dial()
		s := w.open(c)
		if err := s.Append(0, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		flight := w.router.taken()
		w.replay(flight)
		<-c.Done()
		if err := c.Err(); !errors.Is(err, cloudlink.ErrLost) {
			t.Errorf("the dial ended with %v", err)
		}
		c.Close()
		w.router.dropping(nil)
		quiesce()
		for range 3 {
			w.replay(flight)
			time.Sleep(rtt)
			if got := w.keys.highest(); got != highest {
				t.Errorf("a replay raised the epoch from %d to %d", highest, got)
			}
			if got := w.server.Stats().Accepted; got <= accepted {
				t.Error("the replay reached nobody")
			}
			start := time.Now()
			c = w.dial()
			w.say(c, 5)
			w.within(start, 1, "the board's first answer")
			<-c.Confirmed()
			time.Sleep(3 * rtt)
			if highest = w.keys.highest(); highest != c.Epoch() {
				t.Errorf("the highest epoch is %d after a connection of %d", highest, c.Epoch())
			}
			c.Close()
			accepted = w.server.Stats().Accepted
			quiesce()
		}
		if !w.log.contains("a replay, or the board gave up") || !w.log.contains("replayed first flight") {
			t.Errorf("nothing is logged:\n%s", &w.log.b)
		}
	})
}

// TestReplayDuringAndAfterTheSession replays every first flight there was.
func TestReplayDuringAndAfterTheSession(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		w.visit()
		w.router.taken()
		c := w.dial()
		s := w.open(c)
		w.sayIn(s, 5)
		flight := w.router.taken()
		time.Sleep(3 * rtt)

		raised := maps.Clone(w.keys.Data.Highest)
		unconfirmed := func() int64 { return w.server.Stats().Unconfirmed }
		n := unconfirmed()
		check := func(when string) {
			t.Helper()
			w.replay(flight)
			time.Sleep(rtt)
			rows := w.stage.Rows.Load()
			quiesce()
			if w.stage.Rows.Load() != rows {
				t.Errorf("%s the session: the cloud computed for a replay", when)
			}
			if !maps.Equal(raised, w.keys.Data.Highest) {
				t.Errorf("%s the session: epochs changed from %v to %v", when, raised, w.keys.Data.Highest)
			}
		}
		check("during")
		start := time.Now()
		w.sayIn(s, 5) // asks for the last row again: the context is as it was
		w.within(start, 1, "an answer after the replay")
		c.Close()
		time.Sleep(rtt)
		check("after")
		if unconfirmed() <= n {
			t.Error("no replay reached the cloud")
		}
		if !w.log.contains("replayed first flight") {
			t.Errorf("nothing is logged:\n%s", &w.log.b)
		}
		w.visitAtOnce(5, "the board's next first answer")
	})
}

// TestForgottenEpochs: a board that numbers on from too low is told the highest
// and is let in with the next number.
func TestForgottenEpochs(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		for range 3 {
			w.visit()
		}
		for name, early := range map[string]bool{"fresh": false, "early": true} {
			w.store.Data.Epoch = 0
			if !early {
				clear(w.store.Data.Tickets)
			}
			c := w.dial()
			s := w.open(c)
			_, err := s.Ask(t.Context(), 0, 1)
			if !errors.Is(err, cloudlink.ErrStale) && !errors.Is(err, cloudlink.ErrLost) {
				t.Fatalf("%s: %v", name, err)
			}
			<-c.Done()
			if err := c.Err(); !errors.Is(err, cloudlink.ErrStale) {
				t.Fatalf("%s: %v", name, err)
			}
			c.Close()
			w.visit()
		}
	})
}

// TestOneEpochTwice: of two connections in one epoch the first to finish its
// handshake has it.
func TestOneEpochTwice(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		w.visit()
		c := w.dial()
		w.say(c, 2)
		time.Sleep(3 * rtt)
		twin, err := cloudlink.Dial(t.Context(), cloudlink.Config{
			Addr: "192.0.2.2:2", TLS: w.clientTLS, Socket: w.stranger, Tickets: w.store, Epoch: c.Epoch(),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.open(twin).Ask(t.Context(), 0, 1)
		if !errors.Is(err, cloudlink.ErrStale) && !errors.Is(err, cloudlink.ErrLost) {
			t.Fatal(err)
		}
		<-twin.Done()
		if err := twin.Err(); !errors.Is(err, cloudlink.ErrStale) {
			t.Fatal(err)
		}
		twin.Close()
		w.say(c, 4)
		c.Close()
	})
}

// TestRevokedOnResumption: a ticket does not outlive the permission.
func TestRevokedOnResumption(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		w.visit()
		rows := w.stage.Rows.Load()
		w.keys.change(func() { w.keys.Data.Revoked[cloudlink.DevClient] = true })
		c := w.dial()
		_, err := w.open(c).Ask(t.Context(), 0, 1)
		if !errors.Is(err, cloudlink.ErrUnauthorized) && !errors.Is(err, cloudlink.ErrLost) {
			t.Fatal(err)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, cloudlink.ErrUnauthorized) {
			t.Fatal(err)
		}
		c.Close()
		if w.stage.Rows.Load() != rows {
			t.Error("the cloud computed for a revoked board")
		}
	})
}

// TestCrashBetweenEpochAndAnswer: the cloud dies when it has written the epoch
// down. The board's next number is good.
func TestCrashBetweenEpochAndAnswer(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		w.visit()
		w.router.taken()
		w.router.dropping(func(p simnet.Packet) bool { return p.From.String() == "192.0.2.2:2" && w.keys.highest() > 1 })
		c := w.dial()
		s := w.open(c)
		if err := s.Append(0, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * rtt)
		stop()
		<-c.Done()
		c.Close()
		w.router.dropping(nil)
		stop = w.serve()
		defer func() { stop() }()
		w.visit()
		if got := w.keys.highest(); got != 3 {
			t.Errorf("the highest epoch is %d after three connections", got)
		}
	})
}
