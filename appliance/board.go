package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
)

// boardSide is everything a run needs on the board: the stages, their heads, the
// session, and in collaborative mode the way to the cloud.
type boardSide struct {
	name     string
	vocab    *engine.Vocab
	session  *decode.Session
	client   *cloudlink.Client
	counted  cloudlink.Stats // what linkStats has told
	link     *linksim.Link
	spec     string
	local    *localCloud
	saidLost bool // that the cloud is lost was said; it stays lost
	degraded bool // a cloud was wanted and is not there
	closers  []func()
}

func (b *boardSide) onClose(f func()) { b.closers = append(b.closers, f) }

func (b *boardSide) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
	b.closers = nil
}

// openBoard prepares the bundle, starts or finds the cloud and loads the stages.
func openBoard(ctx context.Context, out *console, c *runCmd) (_ *boardSide, err error) {
	var spec linksim.Spec
	if c.Link != "" {
		if spec, err = linksim.Parse(c.Link); err != nil {
			return nil, usageError("--link: %w", err)
		}
	}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return nil, usageError("--cloud %q: give HOST:PORT", c.Cloud)
		}
	}
	b := &boardSide{spec: c.Link}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if k := engine.Init(""); k.Baseline() {
		out.note("%s", baselineWarning)
	}
	dir := c.Bundle
	if dir == "" {
		if dir, err = defaultBundle(ctx, out); err != nil {
			return nil, err
		}
	}
	mode := decode.Mode(c.Mode)
	if mode == decode.Collaborative && c.Cloud == "" {
		// Started first: it loads while the board does.
		if b.local, err = startLocalCloud(ctx, c, dir); err != nil {
			return nil, err
		}
		b.onClose(b.local.stop)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	bd, err := bundle.Open(ctx, dir, boardRoles(m, mode)...)
	if err != nil {
		return nil, err
	}
	b.name = bd.Manifest.Name
	model, err := b.load(ctx, bd, mode, c)
	if err != nil {
		return nil, err
	}
	var cloud decode.Cloud
	if mode == decode.Collaborative {
		if cloud, err = b.connect(ctx, out, c, spec, bd, model); err != nil {
			return nil, err
		}
	}
	b.session = decode.NewSession(model, 0, cloud)
	return b, nil
}

// boardRoles are the files that a mode computes with on the board.
func boardRoles(m *bundle.Manifest, mode decode.Mode) []bundle.Role {
	if mode == decode.Unsplit {
		return []bundle.Role{bundle.Unsplit}
	}
	return []bundle.Role{bundle.Board1, bundle.Board2}[:len(m.Exits)]
}

// load opens the stages a mode needs.
func (b *boardSide) load(ctx context.Context, bd *bundle.Bundle, mode decode.Mode, c *runCmd) (decode.Model, error) {
	opt := engine.Options{Context: c.Context, Threads: c.Threads}
	m := decode.Model{Context: c.Context}
	open := func(role bundle.Role) (*engine.Stage, error) {
		s, err := engine.OpenStage(bd.Path(role), opt)
		if err == nil {
			b.onClose(s.Close)
		}
		return s, err
	}
	if mode == decode.Unsplit {
		s, err := open(bundle.Unsplit)
		if err != nil {
			return m, err
		}
		m.Whole, m.Vocab = s, s.Vocab()
		m.Context = fit(s, c.Context)
	} else {
		var first *engine.Stage
		for i, role := range boardRoles(bd.Manifest, mode) {
			s, err := open(role)
			if err != nil {
				return m, err
			}
			if i == 0 {
				first, m.Vocab = s, s.Vocab()
				m.Context = fit(s, c.Context)
			}
			exit := bd.Manifest.Heads[i]
			fitted, err := bd.FittedHead(ctx, exit.Exit)
			if err != nil {
				return m, err
			}
			h, err := calibrate.NewHead(bd, fitted, s, first, engine.HeadOptions{Threads: s.Options().Threads})
			if err != nil {
				return m, err
			}
			b.onClose(h.Close)
			m.Exits = append(m.Exits, decode.Exit{Stage: s, Head: h, Threshold: exit.Threshold})
		}
	}
	b.vocab = m.Vocab
	b.onClose(m.Vocab.Close)
	return m, nil
}

// fit keeps the context within what the model was trained with.
func fit(s *engine.Stage, want int) int {
	if n := s.TrainedContext(); n > 0 {
		return min(want, n)
	}
	return want
}

// connect dials the cloud and opens the session. Where the cloud cannot be had
// and the user has not asked to stop, the board is alone and says so.
func (b *boardSide) connect(ctx context.Context, out *console, c *runCmd, spec linksim.Spec, bd *bundle.Bundle, m decode.Model) (decode.Cloud, error) {
	addr := c.Cloud
	if b.local != nil {
		var err error
		if addr, err = b.local.address(ctx); err != nil {
			return nil, err
		}
	}
	cloud, err := b.dial(ctx, c, addr, spec, bd, m)
	if err == nil || ctx.Err() != nil {
		return cloud, cmp.Or(ctx.Err(), err)
	}
	if c.Link != "" { // the link knows only the emulated address
		err = fmt.Errorf("cloud %s: %w", addr, err)
	}
	if decode.OnLoss(c.OnLoss) == decode.Stop {
		return nil, err
	}
	out.note("skerry: %s: answering alone", oneLine(err))
	b.degraded, b.saidLost = true, true
	return &lostCloud{err}, nil
}

// dialTimeout bounds the wait for a cloud that does not answer.
const dialTimeout = 5 * time.Second

func (b *boardSide) dial(ctx context.Context, c *runCmd, addr string, spec linksim.Spec, bd *bundle.Bundle, m decode.Model) (decode.Cloud, error) {
	target, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("cloud %s: %w (check the address)", addr, err)
	}
	if c.Link != "" {
		if b.link, err = linksim.Start(context.WithoutCancel(ctx), spec, target, c.Seed); err != nil {
			return nil, err
		}
		b.onClose(func() { b.link.Close() })
		addr = b.link.Addr().String()
	}
	state, err := stateDir(c.State)
	if err != nil {
		return nil, err
	}
	_, tls, err := cloudlink.DevTLS(filepath.Join(state, "dev"))
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, err := cloudlink.Dial(dialing, cloudlink.Config{Addr: addr, TLS: tls, Device: "board", Version: version, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("cloud %s: no answer within %s (is `skerry cloud` running there, and may UDP pass?)", addr, dialTimeout)
		}
		return nil, err
	}
	b.client = client
	b.onClose(func() { client.Close() })
	session, err := client.OpenSession(dialing, cloudlink.SessionOptions{Bundle: bd.Manifest.ID(), Width: m.Exits[0].Stage.Width(), Context: m.Context, Exact: true})
	if err != nil {
		return nil, err
	}
	b.onClose(func() { session.Close() })
	return &cloudSession{session}, nil
}

// linkStats are of the time since the last call, so of one answer; the first
// also counts the handshake. They are nil where no link was wanted.
func (b *boardSide) linkStats() *linkStats {
	if b.client == nil && !b.degraded {
		return nil
	}
	l := &linkStats{Emulated: b.spec}
	if b.client != nil {
		s := b.client.Stats()
		l.BytesUp, l.BytesDown = int64(s.BytesSent-b.counted.BytesSent), int64(s.BytesReceived-b.counted.BytesReceived)
		l.RTTms = float64(s.SmoothedRTT.Microseconds()) / 1000
		b.counted = s
	}
	return l
}

// cloudSession is a session of the link as the token loop wants it.
type cloudSession struct{ *cloudlink.Session }

func (c *cloudSession) Append(pos int, hidden []float32) error {
	return served(c.Session.Append(pos, hidden))
}

func (c *cloudSession) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	a, err := c.Session.Ask(ctx, pos, topK)
	if err != nil {
		return decode.Row{}, served(err)
	}
	if topK == 0 {
		return decode.Row{Logits: a.Row, LogSumExp: a.LogSumExp}, nil
	}
	r := decode.Row{IDs: make([]int32, len(a.Candidates)), Logits: make([]float32, len(a.Candidates)), LogSumExp: a.LogSumExp}
	for i, k := range a.Candidates {
		r.IDs[i], r.Logits[i] = k.ID, k.Logit
	}
	return r, nil
}

// served adds to the refusal of a bundle those that the cloud has.
func served(err error) error {
	var r *cloudlink.RemoteError
	if !errors.Is(err, cloudlink.ErrUnknownBundle) || !errors.As(err, &r) {
		return err
	}
	var have []string
	for _, b := range r.Bundles {
		have = append(have, fmt.Sprintf("%s (%x)", b.Name, b.ID[:8]))
	}
	return fmt.Errorf("%w, but %s: run that with --bundle, or serve this one there", err, strings.Join(have, ", "))
}

// lostCloud stands for a cloud that was never reached.
type lostCloud struct{ err error }

func (c *lostCloud) Append(int, []float32) error { return c.err }
func (c *lostCloud) Truncate(int) error          { return c.err }
func (c *lostCloud) Ask(context.Context, int, int) (decode.Row, error) {
	return decode.Row{}, c.err
}
