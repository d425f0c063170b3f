package cloudlink_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
)

// leave cuts off the board's sockets with ports up to last.
func (w *linkWorld) leave(last int) {
	gone := func(a net.Addr) bool {
		u, ok := a.(*net.UDPAddr)
		return ok && u.Port >= 1000 && u.Port <= last
	}
	drop := func(p simnet.Packet) bool { return gone(p.From) || gone(p.To) }
	w.router.drop.Store(&drop)
}

// TestMigration: when the board's address changes, the connection moves with
// it, and nobody but the status notices.
func TestMigration(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		var here atomic.Int32
		w.conf.Towards(func() net.IP { return net.IPv4(10, 0, 0, byte(here.Load())) })
		l, s := w.link(t)
		defer l.Close()
		client := l.Client()
		time.Sleep(time.Second)

		w.networks.change <- struct{}{} // of an address that does not matter
		time.Sleep(time.Second)
		if st := l.Status(); st.Migrations != 0 || !st.Connected {
			t.Errorf("%+v", st)
		}
		for move := 1; move <= 3; move++ {
			got := make(chan error, 1)
			go func() {
				_, err := s.Ask(t.Context(), 2+move, 1) // in flight over the move
				got <- err
			}()
			time.Sleep(rtt)
			here.Add(1)
			w.leave(1000 + move - 1) // the address is gone before another is there
			w.networks.change <- struct{}{}
			start := time.Now()
			if err := s.Append(2+move, make([]float32, 8)); err != nil {
				t.Fatal(err)
			}
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			t.Logf("move %d: answered after %v", move, time.Since(start))
			if took := time.Since(start); took > 800*time.Millisecond {
				t.Errorf("answered %v after the move", took)
			}
			if st := l.Status(); st.Migrations != uint64(move) || st.Reconnects != 0 || l.Client() != client {
				t.Errorf("%+v", st)
			}
			time.Sleep(5 * time.Second)
		}
		if n := len(w.seen(cloudlink.EventMigrated)); n != 3 {
			t.Errorf("%d migrations observed", n)
		}
	})
}

// TestMigrationFails: a connection that cannot move is dialled anew.
func TestMigrationFails(t *testing.T) {
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		var here atomic.Int32
		w.conf.Towards(func() net.IP { return net.IPv4(10, 0, 0, byte(here.Load())) })
		l, s := w.link(t)
		defer l.Close()
		here.Add(1)
		w.leave(1001) // of the old path and the new
		w.networks.change <- struct{}{}
		start := time.Now()
		time.Sleep(time.Millisecond)
		if _, err := s.Ask(t.Context(), 20, 1); !errors.Is(err, cloudlink.ErrLost) {
			t.Error(err)
		}
		w.answer(t, s, 2)
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		time.Sleep(time.Second)
		if st := l.Status(); st.Migrations != 0 || st.Reconnects != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestChangeEndsPause: a network that changes while the link is down is tried
// at once.
func TestChangeEndsPause(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		w.router.cut.Store(true)
		l := cloudlink.NewLink(w.conf)
		defer l.Close()
		time.Sleep(time.Hour)
		for l.Status().NextDial.IsZero() {
			time.Sleep(time.Second)
		}
		w.router.cut.Store(false)
		for _, poke := range []func(){func() { w.networks.change <- struct{}{} }, l.Retry} {
			start := time.Now()
			poke()
			time.Sleep(2*rtt + 100*time.Millisecond)
			if st := l.Status(); !st.Connected {
				t.Errorf("%v after the network changed: %+v", time.Since(start), st)
			}
		}
	})
}
