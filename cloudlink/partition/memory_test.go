package partition_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// eight gives the connections it accepts the names of eight boards in turn.
type eight struct {
	transport.Listener
	n atomic.Int64
}

type calledConn struct {
	transport.Conn
	name string
}

func (c calledConn) Peer() string { return c.name }

func (l *eight) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return calledConn{c, fmt.Sprintf("board-%d", l.n.Add(1)%8)}, nil
}

func newEight(t testing.TB, stage *fakestage.Stage, change func(*partition.Config)) *cloud {
	t.Helper()
	dir := t.TempDir()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", dir)
	must(t, err)
	c := &cloud{stage: stage, dir: dir, ln: &eight{Listener: ln}}
	c.serve(t, change)
	return c
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// TestBudget has 64 sessions of eight boards send more than the budget to a
// stage that does not move, and then lets it compute all of it.
func TestBudget(t *testing.T) {
	const (
		wide, each = 1024, 448
		budget     = 96 << 20 // of 112 MB that come
		slack      = 48 << 20 // of windows, packets and goroutines of 64 streams
	)
	stage := fakestage.New(wide, vocab, 64, 64*each, 256)
	moving := make(chan struct{})
	stage.Before = func(int) { <-moving }
	c := newEight(t, stage, func(conf *partition.Config) {
		conf.Budget, conf.Log, conf.Pass = budget, slog.New(slog.DiscardHandler), time.Hour
		conf.MaxWait = time.Hour
	})
	frame := encode(t, wire.EncodeHidden(0, wide, make([]float32, wide), wire.F32))
	before := heap()
	var g errgroup.Group
	for range 8 {
		raw := c.dialRaw(t)
		for i := range 8 {
			open := openMsg(byte(i))
			open.Context = each
			s := raw.stream(encode(t, open, wire.NewAsk(wire.Ref{Session: open.Session, Epoch: 1, Position: each - 1}, 1, 1, nil)))
			up := raw.uplink(encode(t, header(byte(i))))
			g.Go(func() error { return pour(up, frame, each) })
			g.Go(func() error { return gotAnswer(s) })
		}
	}
	st := c.heldBack(t, budget/3)
	grown := heap() - before
	t.Logf("budget %d MB: %d MB counted, the heap grew by %d MB, of %d MB to send", budget>>20,
		st.Memory.Total()>>20, grown>>20, 64*each*wide*4>>20)
	if n := st.Memory.Total(); n > budget+budget/10 || n < budget/3 {
		t.Errorf("%d bytes are counted, the budget is %d", n, budget)
	}
	if grown > budget+budget/10+slack {
		t.Errorf("the heap grew by %d bytes, the budget is %d", grown, budget)
	}
	var sum int64
	for _, d := range c.server.Devices() {
		sum += d.Queued
		if d.Sessions != 8 || d.Queued == 0 || d.Queued > budget/4+budget/8 {
			t.Errorf("%+v", d)
		}
	}
	if st.RowsUp == c.server.Stats().RowsUp && sum != st.Memory.Queues { // else a row has come meanwhile
		t.Errorf("%d bytes queued by device, %d in all", sum, st.Memory.Queues)
	}
	close(moving)
	must(t, g.Wait())
	if st := c.server.Stats(); st.Rows != 64*each {
		t.Errorf("%d rows computed", st.Rows)
	}
}

// heldBack waits until every board has rows queued, at least bytes in all, and
// nothing more comes.
func (c *cloud) heldBack(t *testing.T, bytes int64) (st partition.Stats) {
	t.Helper()
	still := 0
	eventually(t, func() bool {
		now := c.server.Stats()
		if still++; now.RowsUp != st.RowsUp || now.Memory.Total() < bytes {
			still = 0
		}
		for _, d := range c.server.Devices() {
			if d.Sessions < 8 || d.Queued == 0 {
				still = 0
			}
		}
		st = now
		return still == 50
	})
	return st
}

// pour writes n rows, of which frame is the first, in turn.
func pour(up transport.SendStream, frame []byte, n int) error {
	m, err := wire.NewReader(bytes.NewReader(frame), 0).Next()
	if err != nil {
		return err
	}
	row := *m.(*wire.Hidden)
	for pos := range n {
		row.Position = uint64(pos)
		b, err := wire.Append(nil, &row)
		if err != nil {
			return err
		}
		if _, err := up.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// answered reads up to the first answer.
func gotAnswer(s transport.Stream) error {
	s.SetReadDeadline(time.Now().Add(5 * time.Minute)) // only so that a failure ends
	for r := wire.NewReader(s, 0); ; {
		m, err := r.Next()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Answer:
			return nil
		case *wire.Error:
			return fmt.Errorf("refused: %+v", m)
		}
	}
}
