package partition_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// TestOldBoard writes what a board of protocol 1 writes: it gets float32, its
// gap ends the session as it expects, and nothing is kept for it.
func TestOldBoard(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64))
	raw := c.dialRaw(t)
	control := raw.stream(encode(t, &wire.Hello{ProtocolMin: 1, ProtocolMax: 1, Device: "old", Epoch: 1}))
	m, err := wire.NewReader(control, 0).Next()
	must(t, err)
	if w, ok := m.(*wire.Welcome); !ok || w.Protocol != 1 {
		t.Fatalf("%+v", m)
	}
	old := openMsg(1)
	old.Protocol, old.Encodings = 1, []wire.DType{wire.Q8_0, wire.F32}
	s := raw.stream(encode(t, old))
	hidden := rows(rand.New(rand.NewPCG(12, 1)), 3)
	raw.uplink(encode(t, header(1), wire.EncodeHidden(0, width, hidden, wire.F32)))
	_, err = s.Write(encode(t, wire.NewAsk(wire.Ref{Session: old.Session, Epoch: 1, Position: 2}, 1, 0, nil)))
	must(t, err)
	r := wire.NewReader(s, 0)
	m, err = r.Next()
	must(t, err)
	if o, ok := m.(*wire.Opened); !ok || o.Encoding != wire.F32 || o.Protocol != 0 || o.Position != 0 {
		t.Fatalf("%+v", m)
	}
	m, err = r.Next()
	must(t, err)
	wantRow(t, cloudlink.Answer{Row: m.(*wire.Answer).Logits}, hidden)

	gap := header(1)
	gap.Branch, gap.Position, gap.Keep = 1, 9, 9
	raw.uplink(encode(t, gap))
	wantRefusal(t, s, wire.CodeSendFrom)
	eventually(t, func() bool { st := c.server.Stats(); return st.Reserved == 0 && st.Contexts == 0 })
}

// oldCloud is a cloud of protocol 1 by hand: it ignores what it does not know,
// refuses what such a cloud refuses, and forgets a session with its connection.
type oldCloud struct {
	t  *testing.T
	ln transport.Listener
}

func (c *oldCloud) serve(ctx context.Context) {
	for {
		conn, err := c.ln.Accept(ctx)
		if err != nil {
			return
		}
		go c.connection(conn)
	}
}

func (c *oldCloud) connection(conn transport.Conn) {
	rows := make(chan []float32, 1)
	go func() {
		u, err := conn.AcceptUniStream(conn.Context())
		if err == nil {
			rows <- c.uplink(u)
		}
	}()
	for {
		s, err := conn.AcceptStream(conn.Context(), transport.UrgencyAsk)
		if err != nil {
			return
		}
		go c.stream(s, rows)
	}
}

func (c *oldCloud) stream(s transport.Stream, rows chan []float32) {
	r := wire.NewReader(s, 0)
	for {
		m, err := r.Next()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *wire.Hello:
			s.Write(encode(c.t, &wire.Welcome{Protocol: 1, Version: "old"}))
		case *wire.Open:
			if m.Protocol != 1 {
				s.Write(encode(c.t, &wire.Error{Ref: m.Ref, Code: wire.CodeProtocol, Text: "not spoken", Fatal: true}))
				s.Close()
				return
			}
			s.Write(encode(c.t, &wire.Opened{Ref: wire.Ref{Session: m.Session, Epoch: m.Epoch, Branch: m.Branch}, Context: 100}))
		case *wire.Ask:
			got := <-rows
			rows <- got
			s.Write(encode(c.t, wire.NewAnswer(m, nil, fakestage.Expect(got, width, vocab))))
		}
	}
}

// uplink returns ten rows, which have to begin at 0 and be float32.
func (c *oldCloud) uplink(u transport.ReceiveStream) (got []float32) {
	r := wire.NewReader(u, 0)
	m, err := r.Next()
	if h, ok := m.(*wire.UplinkHeader); err != nil || !ok || h.Position != 0 {
		c.t.Errorf("uplink begins with %+v, %v", m, err)
		return nil
	}
	for len(got) < 10*width {
		m, err := r.Next()
		h, ok := m.(*wire.Hidden)
		if err != nil || !ok || h.Tensor.DType != wire.F32 {
			c.t.Errorf("uplink goes on with %+v, %v", m, err)
			return nil
		}
		got, _ = h.Float32(got)
	}
	return got
}

// TestOldCloud: a durable session that would rather send 16 bits works with a
// cloud of protocol 1, over a lost connection too.
func TestOldCloud(t *testing.T) {
	dir := t.TempDir()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", dir)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); (&oldCloud{t, ln}).serve(ctx) }()
	defer func() { cancel(); <-served; ln.Close() }()
	here := &cloud{dir: dir, ln: ln}

	client := here.dial(t)
	s := open(t, client, durable, func(o *cloudlink.SessionOptions) { o.Encodings = []wire.DType{wire.F16} })
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(12, 2)), 10)
	early := make(chan error, 1)
	go func() {
		_, err := s.AskRows(ctx, 9, 3, 1)
		early <- err
	}()
	must(t, s.Append(0, hidden))
	wantErr(t, <-early, cloudlink.ErrOneRow) // whether or not it was put before the cloud said what it speaks
	wantRow(t, ask(t, s, 9, 0), hidden)
	if _, err := s.AskRows(ctx, 9, 3, 1); !errors.Is(err, cloudlink.ErrOneRow) || s.SeveralRows() {
		t.Errorf("several rows of a cloud that knows of one: %v", err)
	}
	wantRow(t, askRows(t, s, 9, 1, 0)[0], hidden)
	must(t, client.Close())
	here.resumed(t, s, 2)
	wantRow(t, ask(t, s, 9, 0), hidden)
	if st := s.Stats(); st.Encoding != wire.F32 || st.Rows != 20 {
		t.Errorf("%+v", st)
	}
}

// TestCloudWantsRowsForever: a cloud that says it lacks rows whatever it gets
// is given up, not fed for ever.
func TestCloudWantsRowsForever(t *testing.T) {
	dir := t.TempDir()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", dir)
	must(t, err)
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	uplinks := make(chan int, 1)
	go func() {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		conn.AcceptStream(ctx, transport.UrgencyAsk) // control
		s, err := conn.AcceptStream(ctx, transport.UrgencyAsk)
		if err != nil {
			return
		}
		go io.Copy(io.Discard, s)
		n := 0
		for ; ; n++ {
			u, err := conn.AcceptUniStream(ctx)
			if err != nil {
				break
			}
			m, err := wire.NewReader(u, 0).Next()
			if h, ok := m.(*wire.UplinkHeader); err == nil && ok {
				s.Write(encode(t, &wire.Error{Ref: wire.Ref{Session: h.Session, Epoch: h.Epoch, Branch: h.Branch}, Code: wire.CodeSendFrom}))
			}
		}
		uplinks <- n
	}()
	here := &cloud{dir: dir, ln: ln}
	client := here.dial(t)
	s := open(t, client, durable)
	defer s.Close()
	must(t, s.Append(0, rows(rand.New(rand.NewPCG(12, 3)), 5)))
	_, err = s.Ask(ctx, 4, 1)
	if !errors.Is(err, cloudlink.ErrLost) || !errors.Is(err, cloudlink.ErrSendFrom) {
		t.Fatal(err)
	}
	must(t, client.Close())
	if n := <-uplinks; n < 2 || n > 20 {
		t.Errorf("%d uplinks", n)
	}
}

// A board of protocol 2 sees no change: it is spoken to in its own, and its asks are answered
// as they were.
func TestBoardOfProtocol2(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64))
	raw := c.dialRaw(t)
	m, err := wire.NewReader(raw.stream(encode(t, &wire.Hello{ProtocolMin: 1, ProtocolMax: 2, Device: "older", Epoch: 1})), 0).Next()
	must(t, err)
	if w, ok := m.(*wire.Welcome); !ok || w.Protocol != 2 {
		t.Fatalf("%+v", m)
	}
	open := openMsg(1)
	open.Protocol, open.Newest, open.Resends = 1, 2, true
	s := raw.stream(encode(t, open))
	hidden := rows(rand.New(rand.NewPCG(12, 4)), 3)
	raw.uplink(encode(t, header(1), wire.EncodeHidden(0, width, hidden, wire.F32)))
	_, err = s.Write(encode(t, wire.NewAsk(wire.Ref{Session: open.Session, Epoch: 1, Position: 2}, 1, 4, nil)))
	must(t, err)
	r := wire.NewReader(s, 0)
	m, err = r.Next()
	must(t, err)
	if o, ok := m.(*wire.Opened); !ok || o.Protocol != 2 {
		t.Fatalf("%+v", m)
	}
	m, err = r.Next()
	must(t, err)
	if a, ok := m.(*wire.Answer); !ok || a.Len() != 1 || len(a.Tensor.Dims) != 1 || len(a.IDs) != 4 {
		t.Fatalf("%+v", m)
	}
}
