package remote

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
)

// dialTime bounds the wait for a connection, and for room for a session.
const dialTime = 5 * time.Second

// Dial connects over an emulated link, which runs in this process.
func (p *Partition) Dial(ctx context.Context, l linksim.Spec) (strategies.Conn, error) {
	_, tls, err := cloudlink.DevTLS(filepath.Join(p.opt.State, "dev"))
	if err != nil {
		return nil, err
	}
	link, err := linksim.Start(context.WithoutCancel(ctx), l, p.addr, 1)
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	client, err := cloudlink.Dial(dialing, cloudlink.Config{Addr: link.Addr().String(), TLS: tls, Device: "bench", Version: p.opt.Version})
	if err != nil {
		link.Close()
		return nil, err
	}
	return &conn{p, link, client}, nil
}

type conn struct {
	partition *Partition
	link      *linksim.Link
	client    *cloudlink.Client
}

func (c *conn) Sent() uint64 { return c.client.Stats().BytesSent }

func (c *conn) Close() error { return errors.Join(c.client.Close(), c.link.Close()) }

// Open opens a session as run opens that of the mode, with the variant's encoding.
func (c *conn) Open(ctx context.Context, v strategies.Variant) (strategies.Session, error) {
	m, err := v.On(c.partition.opt.Model)
	if err != nil {
		return nil, err
	}
	o := node.SessionOptions(v.Mode, c.partition.opt.Bundle.Manifest.ID(), m)
	if e := v.Encoding.OnWire(); e != nil {
		node.SendAs(&o, e.Name)
	}
	s, err := c.open(ctx, o)
	if err != nil {
		return nil, marked(err)
	}
	if got := s.Stats().Encoding; !o.Tokens && len(o.Encodings) > 0 && got != o.Encodings[0] {
		s.Close()
		return nil, fmt.Errorf("the cloud takes encoding %d, not %d", got, o.Encodings[0])
	}
	return &session{s}, nil
}

// open waits for the room that sessions closed before leave late.
func (c *conn) open(ctx context.Context, o cloudlink.SessionOptions) (*cloudlink.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
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

type session struct{ *cloudlink.Session }

func (s *session) Ask(ctx context.Context, pos, topK int) (decode.Row, time.Duration, error) {
	a, err := s.Session.Ask(ctx, pos, topK)
	if err != nil {
		return decode.Row{}, 0, marked(err)
	}
	return node.Candidates(a, topK), a.Compute, nil
}

// marked is an error as package strategies knows it.
func marked(err error) error {
	if errors.Is(err, cloudlink.ErrBusy) {
		return fmt.Errorf("%w: %w", strategies.ErrBusy, err)
	}
	return err
}

// Lead is that of the board.
func (s *session) Lead(ctx context.Context, o decode.LeadOptions, yield func([]infer.Token, decode.Led) bool) error {
	return marked(node.Lead(ctx, s.Session, o, yield))
}

// AskRows is of one pass, whose time every row has.
func (s *session) AskRows(ctx context.Context, pos, n, topK int) (rows []decode.Row, compute time.Duration, err error) {
	answers, err := s.Session.AskRows(ctx, pos, n, topK)
	for _, a := range answers {
		rows, compute = append(rows, node.Candidates(a, topK)), max(compute, a.Compute)
	}
	return rows, compute, marked(err)
}
