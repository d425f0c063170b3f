package fleet_test

import (
	"errors"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/wire"
)

// Workers are replaced one after the other by those of a newer protocol, and back again: boards of
// both protocols go on at whichever takes them, with the same answers, and nobody hears what it
// does not understand.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	const older = wire.Protocol - 1
	for _, speaks := range []uint32{wire.Protocol, older} {
		w := newWorld(t, 0)
		w.protocol = older
		w.add(t)
		w.protocol = speaks
		b := w.board(t, w.workers[0].addr())
		leads, err := b.link.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Tokens: true, Context: 64})
		if err != nil {
			t.Fatal(err)
		}
		if err := leads.AppendTokens(0, []int32{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		// asks has whoever speaks of it refuse to lead, and the others not hear of it.
		asks := func(of uint32) {
			t.Helper()
			eventually(t, func() bool {
				err := leads.Lead(t.Context(), cloudlink.LeadOptions{Max: 3}, func([]cloudlink.LedToken, cloudlink.LedChecks) bool { return true })
				said := (*cloudlink.RemoteError)(nil)
				if errors.Is(err, cloudlink.ErrLost) || errors.Is(err, cloudlink.ErrNotOwner) || errors.Is(err, cloudlink.ErrBusy) {
					return false // the session is on its way
				}
				if !errors.Is(err, cloudlink.ErrNoLead) || errors.As(err, &said) != (min(of, speaks) >= wire.ProtocolLead) {
					t.Errorf("at a worker of protocol %d, a board of %d: %v", of, speaks, err)
				}
				return true
			})
		}
		b.say(5)
		asks(older)
		for _, next := range []uint32{wire.Protocol, older, wire.Protocol} {
			before := w.at(t, b.where())
			w.protocol = next
			after := w.add(t)
			w.protocol = speaks
			eventually(t, func() bool { return len(before.fleet.Status().Workers) > 1 })
			before.fleet.Update(func(o *fleet.Worker) { o.Draining = true })
			before.server.Drain(t.Context(), patience)
			// It goes once it has heard of it and waits for nothing.
			eventually(t, func() bool { return b.where() == after.addr() })
			b.say(5)
			asks(next)
			before.stop()
			if err := before.fleet.Close(); err != nil {
				t.Error(err)
			}
			eventually(t, func() bool { return len(after.fleet.Status().Workers) == 1 })
			b.say(3)
		}
		if st := b.link.Status(); st.Breaches != 0 {
			t.Errorf("workers have broken the protocol %d times for a board of protocol %d", st.Breaches, speaks)
		}
	}
}
