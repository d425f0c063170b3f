package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// boardLink is the way to the cloud as the token loop wants it: a connection that
// is kept up, one session that outlives it, and a watch on both.
type boardLink struct {
	*cloudlink.Link
	session *cloudlink.Session
	watch   *linkWatch
	began   time.Time
	mode    decode.Mode

	mu   sync.Mutex        // guards said
	said map[string]uint64 // tokens by source
}

var (
	_ decode.Cloud     = (*boardLink)(nil)
	_ decode.Outlook   = (*boardLink)(nil)
	_ decode.Resender  = (*boardLink)(nil)
	_ decode.Generator = (*boardLink)(nil)
)

// openLink starts dialling and opens the session, connected or not. The database
// keeps the minutes of the link; nil for nobody.
func openLink(ctx context.Context, conf cloudlink.LinkConfig, opt cloudlink.SessionOptions, mode decode.Mode, db *storage.DB) (*boardLink, error) {
	l := &boardLink{watch: newLinkWatch(), began: time.Now(), mode: mode, said: map[string]uint64{}}
	conf.Observe = l.watch.event
	l.Link = cloudlink.NewLink(conf)
	var err error
	l.session, err = l.Link.OpenSession(ctx, opt)
	if b := l.Status().Budget; errors.Is(err, cloudlink.ErrBudget) && b.Spent >= b.Bytes {
		// Nothing is sent any more: the board is alone, exact or not.
		opt.Exact, opt.Encodings = false, []wire.DType{wire.F32}
		l.session, err = l.Link.OpenSession(ctx, opt)
	}
	if err != nil {
		l.Link.Close()
		return nil, err
	}
	l.SetStatus(func() wire.Status { return l.status(opt.Bundle) })
	l.watch.follow(l.Link, l.session, linkStore(db))
	return l, nil
}

func (l *boardLink) close() {
	l.session.Close()
	l.Link.Close()
	l.watch.stop()
}

// count notes who said a token, for the status.
func (l *boardLink) count(s decode.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[string(s)]++
}

// status is what the cloud is told of this board every five minutes.
func (l *boardLink) status(bundle wire.Hash) wire.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return wire.Status{
		Version: version, Mode: string(l.mode), Health: "ok", Uptime: uint64(time.Since(l.began).Seconds()),
		Bundle: bundle, Tokens: maps.Clone(l.said),
	}
}

// await waits until the cloud has taken the session, and returns why it has not
// when ctx ends or waiting can not help.
func (l *boardLink) await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := l.Status()
		if st.Connected {
			return nil
		}
		if st.Refused {
			return errors.New(st.LastError)
		}
		select {
		case <-ctx.Done():
			if st.LastError != "" {
				return errors.New(st.LastError)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
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

func (l *boardLink) Resend(from int) error { return l.session.Resend(from) }

func (l *boardLink) Generate(ctx context.Context, prompt []int32, most int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	return lasting(l.session.Generate(ctx, prompt, most, ignoreEnd, yield))
}

func (l *boardLink) State() (monitor.State, string) { return l.watch.State() }

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

// linkMinutes keeps the monitor's minutes in the board's database.
type linkMinutes struct{ db *storage.DB }

func linkStore(db *storage.DB) monitor.Store {
	if db == nil {
		return nil
	}
	return linkMinutes{db}
}

func (s linkMinutes) AppendLink(minutes []monitor.Minute) error {
	samples := make([]storage.LinkSample, len(minutes))
	for i, m := range minutes {
		samples[i] = storage.LinkSample{
			At: m.Start, State: m.Worst.String(), Reason: m.Reason, RTT: m.RTT, Loss: m.Loss, Goodput: m.Goodput,
		}
	}
	return s.db.AppendLink(samples)
}
