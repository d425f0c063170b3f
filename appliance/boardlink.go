package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// boardLink is the way to the cloud as the token loop wants it: one session on a
// link that is kept up, and a watch on both. The session outlives connections.
type boardLink struct {
	*keptLink
	session *cloudlink.Session
	watch   *sessionWatch
	own     bool // the link is this session's alone, and closes with it
}

var (
	_ decode.Cloud     = (*boardLink)(nil)
	_ decode.Outlook   = (*boardLink)(nil)
	_ decode.Resender  = (*boardLink)(nil)
	_ decode.Generator = (*boardLink)(nil)
)

// openLink starts dialling and opens the one session, connected or not.
func openLink(ctx context.Context, conf cloudlink.LinkConfig, opt cloudlink.SessionOptions, mode decode.Mode, db *storage.DB) (*boardLink, error) {
	k := keepLink(conf, db, nil)
	l, err := k.open(ctx, opt)
	if err != nil {
		k.close()
		return nil, err
	}
	l.own = true
	k.tell(opt.Bundle, func() (string, string) { return string(mode), "ok" })
	return l, nil
}

// open opens a session on the link, connected or not.
func (k *keptLink) open(ctx context.Context, opt cloudlink.SessionOptions) (*boardLink, error) {
	s, err := k.OpenSession(ctx, opt)
	if b := k.Status().Budget; errors.Is(err, cloudlink.ErrBudget) && b.Spent >= b.Bytes {
		// Nothing is sent any more: the board is alone, exact or not.
		opt.Exact, opt.Encodings = false, []wire.DType{wire.F32}
		s, err = k.OpenSession(ctx, opt)
	}
	if err != nil {
		return nil, err
	}
	return &boardLink{keptLink: k, session: s, watch: watchSession(k, s)}, nil
}

func (l *boardLink) close() {
	l.session.Close()
	if l.own {
		l.keptLink.close()
	}
	l.watch.stop()
	l.forget(l.session)
}

func (l *boardLink) Append(pos int, hidden []float32) error {
	if err := l.session.Append(pos, hidden); err != nil {
		return err
	}
	l.watch.appended(l.session.Stats().Position)
	return nil
}

func (l *boardLink) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	predicted, _, _ := l.watch.predict(pos)
	start := time.Now()
	a, err := l.session.Ask(ctx, pos, topK)
	l.asked(err)
	if err != nil {
		return decode.Row{}, lasting(err)
	}
	l.watch.answered(pos, a, time.Since(start), predicted)
	return candidates(a, topK), nil
}

func (l *boardLink) Truncate(pos int) error {
	l.watch.truncated(pos)
	return l.session.Truncate(pos)
}

// keep forgets what the cloud has of the session from pos on, and returns the
// branch since when that holds.
func (l *boardLink) keep(pos int) (branch uint32, err error) {
	if l.session.Stats().Position > pos {
		if err := l.Truncate(pos); err != nil {
			return 0, err
		}
	}
	return l.session.Stats().Branch, nil
}

// bytes are those that this session has sent and got.
func (l *boardLink) bytes() (up, down uint64) {
	st := l.session.Stats()
	return st.Bytes, st.BytesDown
}

func (l *boardLink) Resend(from int) error { return l.session.Resend(from) }

func (l *boardLink) Generate(ctx context.Context, prompt []int32, most int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	return lasting(l.session.Generate(ctx, prompt, most, ignoreEnd, yield))
}

func (l *boardLink) Predict(pos int) (time.Duration, bool) {
	cost, spread, known := l.watch.predict(pos)
	return cost + spread, known
}

// candidates are the logits of an answer as the token loop wants them.
func candidates(a cloudlink.Answer, topK int) decode.Row {
	if topK == 0 {
		return decode.Row{Logits: a.Row, LogSumExp: a.LogSumExp}
	}
	r := decode.Row{IDs: make([]int32, len(a.Candidates)), Logits: make([]float32, len(a.Candidates)), LogSumExp: a.LogSumExp}
	for i, k := range a.Candidates {
		r.IDs[i], r.Logits[i] = k.ID, k.Logit
	}
	return r
}

// lasting takes from a refusal that will not pass the look of a lost link, and
// adds to the refusal of a bundle those that the cloud has.
func lasting(err error) error {
	var r *cloudlink.RemoteError
	if !errors.As(err, &r) {
		return err
	}
	switch r.Code {
	case wire.CodeUnauthorized, wire.CodeProtocol, wire.CodeContextFull:
		return errors.New(oneLine(err))
	case wire.CodeUnknownBundle:
		var have []string
		for _, b := range r.Bundles {
			have = append(have, fmt.Sprintf("%s (%x)", b.Name, b.ID[:8]))
		}
		return fmt.Errorf("%s, but %s: run that with --bundle, or serve this one there", oneLine(err), strings.Join(have, ", "))
	}
	return err
}
