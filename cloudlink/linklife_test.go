package cloudlink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

// TestDrain: a cloud that stops answers what waits, refuses what is new, and
// its board leaves by itself, to come back once the cloud may be back.
func TestDrain(t *testing.T) {
	const rtt, grace = 100 * time.Millisecond, 5 * time.Second
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		got := make(chan error, 1)
		go func() {
			_, err := s.Ask(t.Context(), 3, 1) // its row is not there yet
			got <- err
		}()
		time.Sleep(rtt)
		w.stop()
		time.Sleep(rtt)
		if st := l.Status(); !st.Draining || !st.Connected || len(w.seen(cloudlink.EventDraining)) != 1 {
			t.Errorf("%+v", st)
		}
		late, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * rtt)
		if err := late.Lost(); !errors.Is(err, cloudlink.ErrDraining) || !errors.Is(err, cloudlink.ErrLost) {
			t.Errorf("a session opened while draining: %v", err)
		}
		if err := s.Append(3, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Errorf("the ask that waited: %v", err)
		}
		time.Sleep(time.Second)
		st := l.Status()
		if st.Connected || !strings.Contains(st.LastError, "stopping") || w.server.Stats().Connections != 0 {
			t.Errorf("%+v", st)
		}
		if wait := st.NextDial.Sub(time.Now()); wait < grace-3*time.Second || wait > grace+time.Second {
			t.Errorf("dials again in %v", wait)
		}
	}, func(c *partition.Config) { c.Grace = grace })
}

// TestDrainHasAnEnd: asks that nobody can answer hold a cloud up for its grace
// and no longer.
func TestDrainHasAnEnd(t *testing.T) {
	const grace = 3 * time.Second
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		got := make(chan error, 1)
		go func() {
			_, err := s.Ask(t.Context(), 50, 1)
			got <- err
		}()
		time.Sleep(time.Second)
		w.stop()
		start := time.Now()
		if err := <-got; !errors.Is(err, cloudlink.ErrLost) {
			t.Error(err)
		}
		if took := time.Since(start); took < grace || took > grace+500*time.Millisecond {
			t.Errorf("the drain took %v", took)
		}
	}, func(c *partition.Config) { c.Grace = grace })
}

// TestStatus: the cloud gets a board's status every five minutes, or up to a
// tenth later, with the bytes and the transport filled in.
func TestStatus(t *testing.T) {
	devices := &memory{}
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, _ := w.link(t)
		defer l.Close()
		l.SetStatus(fullStatus)
		time.Sleep(time.Hour)
		seen := devices.seen()
		if len(seen) < 10 || len(seen) > 13 {
			t.Errorf("%d statuses in an hour", len(seen))
		}
		last, err := wire.DecodeStatus(seen[len(seen)-1])
		if err != nil {
			t.Fatal(err)
		}
		want := fullStatus()
		if last.Version != want.Version || last.Tokens["cloud"] != want.Tokens["cloud"] ||
			last.Transport != "quic" || last.BytesUp == 0 || last.BytesDown == 0 {
			t.Errorf("%+v", last)
		}
		// What does not fit is cut, and harms nothing.
		l.SetStatus(func() wire.Status { return wire.Status{Health: strings.Repeat("\xffx", wire.MaxStatus)} })
		time.Sleep(time.Hour)
		cut := devices.seen()[len(seen):]
		if len(cut) < 10 || !l.Status().Connected || l.Status().Reconnects != 0 {
			t.Errorf("%d statuses after %d, %+v", len(cut), len(seen), l.Status())
		}
		if last, err := wire.DecodeStatus(cut[len(cut)-1]); err != nil || !strings.HasPrefix(last.Health, "?x?x") {
			t.Errorf("%+v, %v", last, err)
		}
	}, func(c *partition.Config) { c.Devices = devices })
}

// TestStatusOfAFlappingLink: a link that is lost again and again reports no more
// often than one that stays.
func TestStatusOfAFlappingLink(t *testing.T) {
	devices := &memory{}
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		l.SetStatus(fullStatus)
		for range 30 {
			time.Sleep(30 * time.Second)
			w.router.cut.Store(true)
			s.Ask(t.Context(), 2, 1)
			w.router.cut.Store(false)
			w.answer(t, s, 2)
		}
		if n := len(devices.seen()); n < 2 || n > 4 || l.Status().Reconnects < 20 {
			t.Errorf("%d statuses in a quarter of an hour with %d reconnects", n, l.Status().Reconnects)
		}
	}, func(c *partition.Config) { c.Devices = devices })
}

// TestRefusedBacksOff: a board that the cloud does not trust says so and dials
// rarely, whatever waits; a user who has seen to it need not wait.
func TestRefusedBacksOff(t *testing.T) {
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		_, stranger, err := cloudlink.DevTLS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		trusted := w.conf.TLS
		w.conf.TLS = trusted.Clone()
		w.conf.TLS.Certificates = stranger.Certificates
		mine := stranger.Certificates[0]
		w.conf.TLS.Certificates = nil
		w.conf.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }
		l := cloudlink.NewLink(w.conf)
		defer l.Close()
		s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(100 * time.Millisecond) {
			if _, err := s.Ask(t.Context(), 0, 1); !errors.Is(err, cloudlink.ErrLost) {
				t.Fatal(err)
			}
		}
		st := l.Status()
		if st.Connected || !st.Refused || !strings.Contains(st.LastError, "unauthorized") {
			t.Errorf("%+v", st)
		}
		if n := w.router.packets.Load(); n > 25*20 {
			t.Errorf("%d packets in an hour", n)
		}
		mine = trusted.Certificates[0]
		l.Retry()
		time.Sleep(time.Second)
		if st := l.Status(); !st.Connected || st.Refused {
			t.Errorf("%+v", st)
		}
	})
}

// The bytes of an answer are in the status as soon as it is there.
func TestStatusCountsAtOnce(t *testing.T) {
	inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		before := l.Status()
		if err := s.Append(3, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ask(t.Context(), 3, 0); err != nil {
			t.Fatal(err)
		}
		if after := l.Status(); after.BytesUp <= before.BytesUp || after.BytesDown <= before.BytesDown {
			t.Errorf("%d and %d bytes before, %d and %d after", before.BytesUp, before.BytesDown, after.BytesUp, after.BytesDown)
		}
	})
}

// TestBudget: as a month's bytes go, encodings get cheaper, exact sessions are
// refused, and at the end the board is alone until the next month.
func TestBudget(t *testing.T) {
	inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
		store := &memory{month: time.Now().UTC().Format("2006-01"), up: 1000, down: 200}
		w.conf.Budget = cloudlink.Budget{Metered: true, Bytes: 400_000, Store: store}
		l, s := w.link(t)
		defer l.Close()
		if st := l.Status(); st.BytesUp < 1000 || st.BytesDown < 200 {
			t.Errorf("an earlier process's bytes are forgotten: %+v", st)
		}
		var cheapened, eighth bool
		exact := cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 10, Exact: true}
		pos := 3
		for l.Status().Connected {
			if err := s.Append(pos, make([]float32, 8)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Ask(t.Context(), pos, 0); err == nil {
				if pos++; pos >= 350 {
					s.Truncate(3)
					pos = 3
				}
			}
			time.Sleep(500 * time.Millisecond)
			spent := l.Status().Budget.Spent
			enc := l.Encodings()
			switch {
			case spent < 200_000 && enc[0] != wire.F32, spent >= 200_000 && spent < 320_000 && enc[0] != wire.F16,
				spent >= 320_000 && enc[0] != wire.Q8_0:
				t.Fatalf("%d bytes are spent, encodings %v", spent, enc)
			}
			cheapened, eighth = cheapened || enc[0] == wire.F16, eighth || enc[0] == wire.Q8_0
			other, err := l.OpenSession(t.Context(), exact)
			if spent >= 200_000 != errors.Is(err, cloudlink.ErrBudget) {
				t.Fatalf("%d bytes are spent, an exact session: %v", spent, err)
			}
			if err == nil {
				other.Close()
			}
		}
		if !cheapened || !eighth {
			t.Errorf("cheapened %v, eighth %v", cheapened, eighth)
		}
		packets := w.router.packets.Load()
		for range 100 {
			if _, err := s.Ask(t.Context(), 0, 1); !errors.Is(err, cloudlink.ErrLost) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		st := l.Status()
		if st.Connected || !st.Refused || !strings.Contains(st.LastError, "alone until") || st.Budget.Spent < 400_000 {
			t.Errorf("%+v", st)
		}
		if n := w.router.packets.Load() - packets; n > 20 {
			t.Errorf("%d packets after the budget was spent", n)
		}
		time.Sleep(time.Until(st.Budget.Ends) + 2*time.Hour)
		w.answer(t, s, 2)
		if st := l.Status(); st.Budget.Spent > 100_000 || l.Encodings()[0] != wire.F32 {
			t.Errorf("in the next month: %+v", st)
		}
	})
}

// TestCloseWhileDown ends everything at once, whatever the link is at.
func TestCloseWhileDown(t *testing.T) {
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		for _, after := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond, time.Second, time.Minute} {
			w.router.cut.Store(true)
			l := cloudlink.NewLink(w.conf)
			s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			start := time.Now()
			l.Close()
			synctest.Wait()
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("closing after %v took %v", after, took)
			}
			if _, err := s.Ask(context.Background(), 0, 1); !errors.Is(err, cloudlink.ErrClosed) {
				t.Error(err)
			}
			if _, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8}); !errors.Is(err, cloudlink.ErrClosed) {
				t.Error(err)
			}
		}
	})
}

// TestOpenAgain: a session that was closed may be opened anew at once by the same id, with a connection
// and without.
func TestOpenAgain(t *testing.T) {
	inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		opt := cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100, ID: wire.SessionID{7}}
		for round := range 40 {
			if round == 20 {
				w.stop()
				time.Sleep(10 * time.Second)
			}
			again, err := l.OpenSession(t.Context(), opt)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := again.Append(0, make([]float32, 3*8)); err != nil {
				t.Fatal(err)
			}
			if round == 19 { // the cloud hears of the end of the one before in its own time
				w.answer(t, again, 2)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100, ID: s.ID()}); err == nil {
			t.Error("a session that is open was opened once more")
		}
	})
}
