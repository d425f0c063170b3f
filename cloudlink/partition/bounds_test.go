package partition_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// raw connects board i as one that writes what it likes.
func (fl *fleet) raw(i int) rawConn {
	fl.t.Helper()
	conn, err := transport.Dial(fl.t.Context(), transport.Options{Addr: fl.config(i).Addr, TLS: fl.tls, Socket: fl.boards[i]})
	must(fl.t, err)
	return rawConn{fl.t, conn}
}

// victim asks for turns single rows on a board of its own and returns the
// virtual time it took; every answer has to be right.
func (fl *fleet) victim(i, turns int) time.Duration {
	fl.t.Helper()
	c := fl.dial(i)
	defer c.Close()
	s := open(fl.t, c)
	hidden := rows(rand.New(rand.NewPCG(9, uint64(i))), turns)
	start := time.Now()
	for pos := range turns {
		must(fl.t, s.Append(pos, hidden[pos*width:(pos+1)*width]))
		wantRow(fl.t, ask(fl.t, s, pos, 0), hidden[:(pos+1)*width])
	}
	d := time.Since(start)
	must(fl.t, s.Close())
	return d
}

const turns = 50

// unharmed checks that a victim is served as fast as one alone on the cloud.
func (fl *fleet) unharmed(alone time.Duration) {
	fl.t.Helper()
	if d := fl.victim(1, turns); d > alone+alone/10 {
		fl.t.Errorf("%d rows took %v beside it, alone %v", turns, d, alone)
	}
}

// TestHalfOpenStreams opens as many streams as there may be and says nothing,
// or half of something, on them.
func TestHalfOpenStreams(t *testing.T) {
	half := encode(t, openMsg(1))[:20]
	inFleet(t, 2, costly(4), nil, func(t *testing.T, fl *fleet) {
		alone := fl.victim(1, turns)
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		for range 500 {
			raw.stream(half[:1])
			raw.stream(half)
			raw.uplink([]byte{byte(wire.TypeUplink)})
			raw.uplink(encode(t, header(77))) // for a session that never opens
		}
		time.Sleep(time.Second)
		if n := fl.server.Devices()[0].Streams; n != 256 {
			t.Errorf("%d undecided streams are held, want 256 of 2000", n)
		}
		fl.unharmed(alone)
		time.Sleep(11 * time.Second)
		st := fl.server.Stats()
		if n := fl.server.Devices()[0].Streams; n != 0 || st.BadFrames < 1000 {
			t.Errorf("%d undecided streams are held for ever, %d refused", n, st.BadFrames)
		}
		// The board can still open a session.
		s := raw.stream(encode(t, openMsg(2)))
		if m, err := wire.NewReader(s, 0).Next(); err != nil || m.Type() != wire.TypeOpened {
			t.Errorf("got %+v, %v", m, err)
		}
	})
}

// TestFrameNeverEnds: a session that stops in the middle of a frame ends, with
// a typed error, and the uplink of a branch that was left is not kept.
func TestFrameNeverEnds(t *testing.T) {
	inFleet(t, 2, costly(4), nil, func(t *testing.T, fl *fleet) {
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		ref := wire.Ref{Session: wire.SessionID{1}, Epoch: 1}
		ask := encode(t, wire.NewAsk(ref, 1, 0, []int32{1, 2, 3}))
		s := raw.stream(append(encode(t, openMsg(1)), ask[:len(ask)-1]...))
		up := raw.stream(encode(t, openMsg(2)))
		frame := encode(t, wire.EncodeHidden(0, width, make([]float32, width), wire.F32))
		raw.uplink(append(encode(t, header(2)), frame[:10]...))
		left := raw.stream(encode(t, openMsg(3)))
		old := raw.uplink(append(encode(t, header(3)), frame[:10]...))
		next := header(3)
		next.Branch = 1
		raw.uplink(append(encode(t, next), frame...))
		synctest.Wait()
		time.Sleep(time.Second)
		if _, err := old.Write([]byte{0}); err == nil {
			t.Error("the uplink of a branch that was left is still read")
		}
		time.Sleep(time.Minute)
		wantRefusal(t, s, wire.CodeProtocol)
		wantRefusal(t, up, wire.CodeProtocol)
		id3 := wire.Ref{Session: wire.SessionID{3}, Epoch: 1, Branch: 1}
		_, err := left.Write(encode(t, wire.NewAsk(id3, 1, 1, nil)))
		must(t, err)
		wantAnswer(t, left)
	})
}

func wantAnswer(t *testing.T, s transport.Stream) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	for r := wire.NewReader(s, 0); ; {
		m, err := r.Next()
		must(t, err)
		if m.Type() == wire.TypeAnswer {
			return
		}
	}
}

// askOften opens session id, sends one row and asks for all of its logits n
// times, reading nothing. It returns the stream.
func askOften(raw rawConn, id byte, n int) transport.Stream {
	ref := wire.Ref{Session: wire.SessionID{id}, Epoch: 1}
	s := raw.stream(encode(raw.t, openMsg(id)))
	raw.uplink(append(encode(raw.t, header(id)), encode(raw.t, wire.EncodeHidden(0, width, make([]float32, width), wire.F32))...))
	ctx, cancel := context.WithTimeout(raw.t.Context(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.CancelWrite(transport.CodeShutdown) })
	defer stop()
	for i := range n {
		time.Sleep(time.Millisecond)
		if _, err := s.Write(encode(raw.t, wire.NewAsk(ref, uint32(i), 0, nil))); err != nil {
			break // ended for it
		}
	}
	return s
}

// TestSlowReader: a board that asks and does not read loses its session once
// its share of the budget is unread, and costs nobody else anything.
func TestSlowReader(t *testing.T) {
	small := func(conf *partition.Config) { conf.Budget = 24 << 20 }
	inFleet(t, 2, costly(4), small, func(t *testing.T, fl *fleet) {
		alone := fl.victim(1, turns)
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		askOften(raw, 1, 4000) // 8 MB; the windows of the connection take less than 4, the budget 3
		fl.unharmed(alone)
		st := fl.server.Stats()
		if st.Slow != 1 || st.Memory.Outputs > 64<<10 {
			t.Errorf("%d sessions ended for it, %d bytes still count", st.Slow, st.Memory.Outputs)
		}
	})
}

// TestSlowReadersTogether: many sessions each within bounds are not together,
// and the worst goes.
func TestSlowReadersTogether(t *testing.T) {
	small := func(conf *partition.Config) { conf.Budget = 24 << 20 }
	inFleet(t, 5, costly(8), small, func(t *testing.T, fl *fleet) {
		var most int64
		done := make(chan struct{})
		for i := range 4 {
			raw := fl.raw(i)
			defer raw.Close(transport.CodeNone, "")
			go func() {
				askOften(raw, 1, 1300+100*i) // less than 3 MB each
				done <- struct{}{}
			}()
		}
		for range 4 {
			<-done
			most = max(most, fl.server.Stats().Memory.Outputs)
		}
		st := fl.server.Stats()
		t.Logf("%d of 4 sessions ended, at most %d bytes unread, %d now", st.Slow, most, st.Memory.Outputs)
		if st.Slow == 0 || st.Slow == 4 || most > 24<<20/4+1<<20 {
			t.Errorf("%d sessions ended, %d bytes unread", st.Slow, most)
		}
	})
}

// TestStalledReader: whatever is unread for long ends the session, however
// little it is.
func TestStalledReader(t *testing.T) {
	inFleet(t, 1, costly(2), nil, func(t *testing.T, fl *fleet) {
		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		askOften(raw, 1, 1000) // 2 MB, more than the window and less than the budget
		if st := fl.server.Stats(); st.Sessions != 1 || st.Memory.Outputs == 0 {
			t.Fatalf("%+v", st)
		}
		time.Sleep(time.Minute)
		if st := fl.server.Stats(); st.Sessions != 0 || st.Memory.Outputs != 0 {
			t.Errorf("%d sessions, %d bytes unread after a minute", st.Sessions, st.Memory.Outputs)
		}
	})
}

// TestForeignSession: a board that names another's session, or another epoch,
// reaches nothing of it, and the server notes it.
func TestForeignSession(t *testing.T) {
	inFleet(t, 2, costly(4), nil, func(t *testing.T, fl *fleet) {
		c := fl.dial(1)
		defer c.Close()
		victim := open(t, c)
		hidden := rows(rand.New(rand.NewPCG(9, 9)), 3)
		must(t, victim.Append(0, hidden[:2*width]))
		wantRow(t, ask(t, victim, 1, 0), hidden[:2*width])

		raw := fl.raw(0)
		defer raw.Close(transport.CodeNone, "")
		foreign := wire.Ref{Session: victim.ID(), Epoch: 1, Branch: 7}
		raw.uplink(encode(t, &wire.UplinkHeader{Ref: foreign}, wire.EncodeHidden(0, width, make([]float32, width), wire.F32)))
		own := raw.stream(encode(t, openMsg(1), wire.NewAsk(foreign, 1, 0, nil)))
		late := header(1)
		late.Epoch = 0
		raw.uplink(encode(t, late, wire.EncodeHidden(0, width, make([]float32, width), wire.F32)))
		r := wire.NewReader(own, 0)
		for {
			m, err := r.Next()
			must(t, err)
			if e, ok := m.(*wire.Error); ok {
				if e.Code != wire.CodeStale || e.Fatal {
					t.Errorf("got %+v", e)
				}
				break
			}
		}
		time.Sleep(11 * time.Second)
		if n := fl.server.Stats().Foreign; n != 3 {
			t.Errorf("%d foreign frames noted, want 3", n)
		}
		// Its name opened by another device is another context.
		open := openMsg(1)
		open.Session = victim.ID()
		s := raw.stream(encode(t, open))
		if m, err := wire.NewReader(s, 0).Next(); err != nil || m.Type() != wire.TypeOpened {
			t.Fatalf("got %+v, %v", m, err)
		}
		must(t, victim.Append(2, hidden[2*width:]))
		wantRow(t, ask(t, victim, 2, 0), hidden)
	})
}
