package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/wire"
)

// Dial connects over an emulated link, which runs in this process.
func (f *benchFar) Dial(ctx context.Context, l linksim.Spec) (strategies.Conn, error) {
	_, tls, err := cloudlink.DevTLS(filepath.Join(f.state, "dev"))
	if err != nil {
		return nil, err
	}
	link, err := linksim.Start(context.WithoutCancel(ctx), l, f.addr, 1)
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, err := cloudlink.Dial(dialing, cloudlink.Config{Addr: link.Addr().String(), TLS: tls, Device: "bench", Version: version})
	if err != nil {
		link.Close()
		return nil, err
	}
	return &benchConn{f, link, client}, nil
}

type benchConn struct {
	far    *benchFar
	link   *linksim.Link
	client *cloudlink.Client
}

func (c *benchConn) Sent() uint64 { return c.client.Stats().BytesSent }

func (c *benchConn) Close() error { return errors.Join(c.client.Close(), c.link.Close()) }

var benchEncodings = map[strategies.Encoding]wire.DType{strategies.F32: wire.F32, strategies.F16: wire.F16, strategies.Q8: wire.Q8_0}

// Open opens a session as run opens that of the mode, with the variant's encoding.
func (c *benchConn) Open(ctx context.Context, v strategies.Variant) (strategies.Session, error) {
	o := sessionOptions(v.Mode, c.far.bundle.Manifest.ID(), c.far.model)
	if t, ok := benchEncodings[v.Encoding]; ok && t != wire.F32 {
		o.Exact, o.Encodings = false, []wire.DType{t}
	}
	s, err := c.open(ctx, o)
	if err != nil {
		return nil, err
	}
	if got := s.Stats().Encoding; !o.Tokens && len(o.Encodings) > 0 && got != o.Encodings[0] {
		s.Close()
		return nil, fmt.Errorf("the cloud takes encoding %d, not %d", got, o.Encodings[0])
	}
	return &benchSession{s}, nil
}

// open waits for the room that sessions closed before leave late.
func (c *benchConn) open(ctx context.Context, o cloudlink.SessionOptions) (*cloudlink.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for {
		s, err := c.client.OpenSession(ctx, o)
		if err != nil {
			return nil, err
		}
		if err = s.Ready(ctx); err == nil {
			return s, nil
		}
		s.Close()
		if !errors.Is(err, cloudlink.ErrBusy) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type benchSession struct{ *cloudlink.Session }

func (s *benchSession) Ask(ctx context.Context, pos, topK int) (decode.Row, time.Duration, error) {
	a, err := s.Session.Ask(ctx, pos, topK)
	if err != nil {
		return decode.Row{}, 0, err
	}
	return candidates(a, topK), a.Compute, nil
}
