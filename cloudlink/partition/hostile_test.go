package partition_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// rawConn is a board that writes what it likes.
type rawConn struct {
	t testing.TB
	transport.Conn
}

func (c *cloud) dialRaw(t testing.TB) rawConn {
	t.Helper()
	_, tlsConf, err := cloudlink.DevTLS(c.dir)
	must(t, err)
	conn, err := transport.Dial(t.Context(), transport.Options{
		Addr: c.ln.Addr().String(), TLS: tlsConf, Idle: patience, Handshake: patience,
	})
	must(t, err)
	t.Cleanup(func() { conn.Close(transport.CodeNone, "") })
	return rawConn{t, conn}
}

func encode(t testing.TB, msgs ...wire.Message) []byte {
	t.Helper()
	var b []byte
	for _, m := range msgs {
		var err error
		b, err = wire.Append(b, m)
		must(t, err)
	}
	return b
}

// stream opens a bidirectional stream and writes b to it.
func (c rawConn) stream(b []byte) transport.Stream {
	c.t.Helper()
	s, err := c.OpenStream(c.t.Context(), transport.UrgencyAsk)
	must(c.t, err)
	_, err = s.Write(b)
	must(c.t, err)
	return s
}

// uplink opens a unidirectional stream and writes b to it.
func (c rawConn) uplink(b []byte) transport.SendStream {
	c.t.Helper()
	s, err := c.OpenUniStream(c.t.Context(), transport.UrgencyUplink)
	must(c.t, err)
	_, err = s.Write(b)
	must(c.t, err)
	return s
}

// wantRefusal reads up to a fatal error and the end of the stream.
func wantRefusal(t testing.TB, s transport.Stream, code wire.Code) *wire.Error {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(patience))
	r := wire.NewReader(s, 0)
	for {
		m, err := r.Next()
		if err != nil {
			t.Fatalf("no refusal: %v", err)
		}
		if e, ok := m.(*wire.Error); ok {
			if e.Code != code || !e.Fatal {
				t.Fatalf("refused with %+v, want %v", e, code)
			}
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("after the refusal: %v", err)
			}
			return e
		}
	}
}

func openMsg(id byte) *wire.Open {
	return &wire.Open{
		Ref: wire.Ref{Session: wire.SessionID{id}, Epoch: 1}, Protocol: wire.Protocol,
		Bundle: bundleID, Encodings: []wire.DType{wire.F32}, Context: 100,
	}
}

func header(id byte) *wire.UplinkHeader {
	return &wire.UplinkHeader{Ref: openMsg(id).Ref}
}

// TestHostileStreams sends every kind of bad stream over one connection. Each
// ends with a typed error, and a session of the same connection goes on.
func TestHostileStreams(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 64, 64*1024, 64))
	raw := c.dialRaw(t)
	good := raw.stream(encode(t, openMsg(0)))
	row := make([]float32, width)
	good1 := raw.uplink(encode(t, header(0), wire.EncodeHidden(0, width, row, wire.F32)))

	hidden := func(pos uint64, w, n int) []byte {
		return encode(t, wire.EncodeHidden(pos, w, make([]float32, w*n), wire.F32))
	}
	with := func(change func(*wire.Open)) []byte {
		m := openMsg(99)
		change(m)
		return encode(t, m)
	}
	for name, b := range map[string][]byte{
		"garbage":                   {0x7f, 0xff, 0xff, 0xff},
		"an answer from a board":    encode(t, &wire.Answer{}),
		"over its limit":            {byte(wire.TypeOpen), 0xbf, 0xff, 0xff, 0xff, 0x00},
		"ask before open":           encode(t, wire.NewAsk(wire.Ref{}, 1, 1, nil)),
		"uplink header on a stream": encode(t, header(0)),
		"unknown protocol":          with(func(m *wire.Open) { m.Protocol = 77 }),
		"no encoding":               with(func(m *wire.Open) { m.Encodings = nil }),
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, raw.stream(b), wire.CodeProtocol) })
	}
	t.Run("cut inside a frame", func(t *testing.T) {
		s := raw.stream([]byte{byte(wire.TypeOpen), 0x20, 0x00, 0xa1})
		s.Close()
		wantRefusal(t, s, wire.CodeProtocol)
	})
	t.Run("second open", func(t *testing.T) {
		wantRefusal(t, raw.stream(encode(t, openMsg(50), openMsg(50))), wire.CodeProtocol)
	})

	// What comes on an uplink ends the session it names, and that only.
	id := byte(100)
	for name, c := range map[string]struct {
		b    []byte
		code wire.Code
	}{
		"uplink garbage":       {[]byte{0x7f, 0xff}, wire.CodeProtocol},
		"uplink wrong width":   {hidden(0, width+1, 2), wire.CodeProtocol},
		"uplink leaves a gap":  {hidden(5, width, 1), wire.CodeSendFrom},
		"uplink beyond it all": {hidden(0, width, 101), wire.CodeContextFull},
		"uplink other frame":   {encode(t, openMsg(0)), wire.CodeProtocol},
		"uplink 16-bit":        {encode(t, &wire.Hidden{Tensor: wire.TensorHeader{DType: wire.F16, Dims: []uint64{1, width}}, Data: make([]byte, 2*width)}), wire.CodeProtocol},
		"uplink claims much":   {[]byte{byte(wire.TypeHidden), 0x04, 0x80, 0xff, 0xff, 0xff}, wire.CodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			id++
			s := raw.stream(encode(t, openMsg(id)))
			raw.uplink(append(encode(t, header(id)), c.b...))
			wantRefusal(t, s, c.code)
		})
	}
	t.Run("second uplink of a branch", func(t *testing.T) {
		s := raw.stream(encode(t, openMsg(90)))
		raw.uplink(encode(t, header(90)))
		raw.uplink(encode(t, header(90)))
		wantRefusal(t, s, wire.CodeProtocol)
	})
	t.Run("uplink without a header", func(t *testing.T) {
		u := raw.uplink(hidden(0, width, 1))
		eventually(t, func() bool { _, err := u.Write([]byte{0}); return err != nil })
	})

	// The good session still takes rows and answers.
	_, err := good1.Write(encode(t, wire.EncodeHidden(1, width, row, wire.F32)))
	must(t, err)
	_, err = good.Write(encode(t, wire.NewAsk(wire.Ref{Session: wire.SessionID{0}, Epoch: 1, Position: 1}, 1, 0, nil)))
	must(t, err)
	r := wire.NewReader(good, 0)
	for {
		m, err := r.Next()
		must(t, err)
		if a, ok := m.(*wire.Answer); ok {
			wantRow(t, cloudlink.Answer{Row: a.Logits}, make([]float32, 2*width))
			break
		}
	}
	if n := c.server.Stats().BadFrames; n < 18 {
		t.Errorf("%d bad streams counted", n)
	}
}

// TestForeignUplink: rows for a session of another connection reach nobody.
func TestForeignUplink(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 2, 2048, 64))
	victim := open(t, c.dial(t))
	must(t, victim.Ready(t.Context()))
	raw := c.dialRaw(t)
	h := &wire.UplinkHeader{Ref: wire.Ref{Session: victim.ID(), Epoch: 1, Branch: 5}}
	raw.uplink(encode(t, h, wire.EncodeHidden(0, width, make([]float32, width), wire.F32)))
	hidden := rows(rand.New(rand.NewPCG(4, 4)), 3)
	must(t, victim.Append(0, hidden))
	wantRow(t, ask(t, victim, 2, 0), hidden)
}

// TestStageFails ends the session with a typed error; the next one works.
func TestStageFails(t *testing.T) {
	stage := fakestage.New(width, vocab, 1, 1024, 64)
	broken := true
	stage.Fail = func() error {
		if broken {
			broken = false
			return errors.New("no memory left on the device")
		}
		return nil
	}
	c := newCloud(t, stage)
	client := c.dial(t)
	hidden := rows(rand.New(rand.NewPCG(4, 5)), 3)
	s := open(t, client)
	must(t, s.Append(0, hidden))
	_, err := s.Ask(t.Context(), 2, 1)
	wantErr(t, err, cloudlink.ErrInternal)
	eventually(t, func() bool { return c.server.Stats().Sessions == 0 })
	s = open(t, client)
	must(t, s.Append(0, hidden))
	wantRow(t, ask(t, s, 2, 0), hidden)
}

// TestStrangerRefused: neither a board nor a cloud of another CA is trusted.
func TestStrangerRefused(t *testing.T) {
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	_, stranger, err := cloudlink.DevTLS(t.TempDir())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = cloudlink.Dial(ctx, cloudlink.Config{Addr: c.ln.Addr().String(), TLS: stranger})
	wantErr(t, err, cloudlink.ErrUnauthorized)

	_, known, err := cloudlink.DevTLS(c.dir)
	must(t, err)
	known.Certificates = stranger.Certificates
	client, err := cloudlink.Dial(ctx, cloudlink.Config{Addr: c.ln.Addr().String(), TLS: known})
	if err == nil {
		<-client.Done()
		err = client.Err()
		client.Close()
	}
	wantErr(t, err, cloudlink.ErrUnauthorized)
	if n := c.server.Stats().Accepted; n != 0 {
		t.Errorf("%d connections accepted", n)
	}
}
