package cloudlink_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/transport"
)

// rows32KB make a first flight of 32 KB: 32 bytes each.
const rows32KB = 1000

// TestRestartedBoardAsksInItsFirstFlight: a new client with nothing but the
// stores of the last one gets its first answer after one round trip.
func TestRestartedBoardAsksInItsFirstFlight(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		defer stop()
		start := time.Now()
		c := w.dial()
		w.say(c, 3)
		w.within(start, 2, "a fresh dial's first answer")
		if c.Used0RTT() {
			t.Error("a fresh dial used 0-RTT")
		}
		time.Sleep(3 * rtt)
		c.Close()

		for _, n := range []int{1, rows32KB} {
			start = time.Now()
			c = w.dial()
			w.within(start, 0, "the dial")
			w.say(c, n)
			w.within(start, 1, "the first answer")
			<-c.Confirmed()
			if !c.Used0RTT() {
				t.Error("0-RTT was not used")
			}
			time.Sleep(3 * rtt)
			c.Close()
		}
	})
}

// TestRestartedCloudKnowsItsTickets as long as it keeps its keys.
func TestRestartedCloudKnowsItsTickets(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		w.visit()
		stop()
		stop = w.serve()
		defer func() { stop() }()
		w.visitAtOnce(rows32KB, "the first answer")
	})
}

// TestRestartedCloudHasContextsInFiles: a first flight goes on from a context that a file holds,
// once the handshake is confirmed, and only what is new is computed.
func TestRestartedCloudHasContextsInFiles(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		shelf := fakestage.NewShelf()
		w.keeper = shelf
		stop := w.serve()
		c := w.dial()
		s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: earlyBundle, Width: 8, Context: 1024, Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w.sayIn(s, 300)
		time.Sleep(3 * rtt)
		stop()
		<-s.Detached()
		c.Close() // the next client has the same socket
		if shelf.Held() != 1 {
			t.Fatalf("%d contexts are kept", shelf.Held())
		}
		w.stage = fakestage.New(8, 100, 8, 4096, 2048)
		stop = w.serve()
		defer func() { stop() }()
		c = w.dial()
		defer c.Close()
		if err := c.Resume(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.sayIn(s, 305)
		if n := w.stage.Rows.Load(); n != 5 {
			t.Errorf("%d rows computed of 5", n)
		}
		if !c.Used0RTT() {
			t.Error("0-RTT was not used")
		}
	})
}

// TestRejectedFlightIsSentAgain: the cloud has lost its ticket keys. Nobody who
// uses the client notices but by the time it takes.
func TestRejectedFlightIsSentAgain(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		w.visit()
		stop()
		w.keys.Data.Keys = nil
		stop = w.serve()
		defer func() { stop() }()
		start := time.Now()
		c := w.dial()
		w.within(start, 0, "the dial")
		s := w.open(c)
		hidden := make([]float32, 8*40)
		if err := s.Append(0, hidden); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := s.Truncate(0); err != nil { // resets the uplink in early data
			t.Fatal(err)
		}
		w.sayIn(s, 20)
		w.within(start, 2, "the first answer")
		if c.Used0RTT() {
			t.Error("early data that was rejected counts as used")
		}
		w.say(c, 7) // a stream opened after the rejection
		time.Sleep(3 * rtt)
		c.Close()
		w.visitAtOnce(3, "the first answer after that")
	})
}

// TestCloudOffBurnsNoTicket: a dial that nobody answers ends in bounded time,
// with the ticket back in the store. Now and then one goes without, in case
// early data is what the network swallows.
func TestCloudOffBurnsNoTicket(t *testing.T) {
	inEarlyWorld(t, func(t *testing.T, w *earlyWorld) {
		stop := w.serve()
		w.visit()
		stop()
		if n := w.store.tickets(); n != 1 {
			t.Fatalf("%d tickets", n)
		}
		w.router.dropping(func(p simnet.Packet) bool { return true })
		fresh := 0
		for range 8 {
			start := time.Now()
			c, err := cloudlink.Dial(t.Context(), cloudlink.Config{
				Addr: "192.0.2.2:2", TLS: w.clientTLS, Socket: w.board, Tickets: w.store, Epochs: w.store,
			})
			if err == nil {
				s := w.open(c)
				_, err = s.Ask(t.Context(), 0, 1)
				<-c.Done()
				c.Close()
			} else {
				fresh++
			}
			if !errors.Is(err, cloudlink.ErrLost) {
				t.Fatalf("got %v", err)
			}
			if d := time.Since(start); d > 2*transport.DefaultHandshake {
				t.Errorf("the loss was noticed after %v", d)
			}
			if n := w.store.tickets(); n != 1 {
				t.Fatalf("%d tickets after a dial that nobody answered", n)
			}
		}
		if fresh != 2 {
			t.Errorf("%d of 8 dials went without a ticket", fresh)
		}
		w.router.dropping(nil)
		stop = w.serve()
		defer func() { stop() }()
		w.visitAtOnce(3, "the first answer")
	})
}
