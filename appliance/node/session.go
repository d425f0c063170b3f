package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/bundle/offer"
	"skerry/appliance/decode"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/hidden"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/wire"
)

// CloudSession is a session with the cloud as the token loop wants it. It outlives
// connections.
type CloudSession struct {
	session *cloudlink.Session
}

var (
	_ decode.Cloud         = (*CloudSession)(nil)
	_ decode.LinkEstimator = (*CloudSession)(nil)
	_ decode.Sharer        = (*CloudSession)(nil)
	_ decode.Resender      = (*CloudSession)(nil)
	_ decode.Generator     = (*CloudSession)(nil)
)

// openSession opens a session on the link, connected or not.
func openSession(ctx context.Context, l *cloudlink.Link, opt cloudlink.SessionOptions) (*CloudSession, error) {
	s, err := l.OpenSession(ctx, opt)
	if b := l.Status().Budget; errors.Is(err, cloudlink.ErrBudget) && b.Spent >= b.Bytes {
		// Nothing is sent any more: the board is alone, exact or not.
		opt.Exact, opt.Encodings = false, []wire.DType{wire.F32}
		s, err = l.OpenSession(ctx, opt)
	}
	if err != nil {
		return nil, err
	}
	return &CloudSession{session: s}, nil
}

// Close ends the session.
func (c *CloudSession) Close() error {
	c.session.Close()
	return nil
}

// Share has the session read its rows where the token loop keeps them.
func (c *CloudSession) Share(rows *hidden.Buffer) error { return c.session.Share(rows) }

func (c *CloudSession) Append(pos int, hidden []float32) error { return c.session.Append(pos, hidden) }

func (c *CloudSession) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	a, err := c.session.Ask(ctx, pos, topK)
	if err != nil {
		return decode.Row{}, asTransient(permanent(err))
	}
	return Candidates(a, topK), nil
}

func (c *CloudSession) Truncate(pos int) error { return c.session.Truncate(pos) }

func (c *CloudSession) Resend(from int) error { return c.session.Resend(from) }

func (c *CloudSession) Generate(ctx context.Context, prompt []int32, most int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	return asTransient(permanent(c.session.Generate(ctx, prompt, most, ignoreEnd, yield)))
}

func (c *CloudSession) State() (monitor.State, string) { return c.session.State() }

// DownSince is since when the link is down, zero while it is not.
func (c *CloudSession) DownSince() time.Time { return c.session.DownSince() }

func (c *CloudSession) Predict(pos int) (time.Duration, bool) {
	cost, spread, known := c.session.Predict(pos)
	return cost + spread, known
}

// Keep forgets what the cloud has of the session from pos on, and returns the
// branch since when that holds.
func (c *CloudSession) Keep(pos int) (branch uint32, err error) {
	if c.session.Stats().Position > pos {
		if err := c.Truncate(pos); err != nil {
			return 0, err
		}
	}
	return c.session.Stats().Branch, nil
}

// Bytes are those that this session has sent and got.
func (c *CloudSession) Bytes() (up, down uint64) {
	st := c.session.Stats()
	return st.Bytes, st.BytesDown
}

// Candidates are the logits of an answer as the token loop wants them.
func Candidates(a cloudlink.Answer, topK int) decode.Row {
	if topK == 0 {
		return decode.Row{Logits: a.Row, LogSumExp: a.LogSumExp}
	}
	r := decode.Row{IDs: make([]int32, len(a.Candidates)), Logits: make([]float32, len(a.Candidates)), LogSumExp: a.LogSumExp}
	for i, k := range a.Candidates {
		r.IDs[i], r.Logits[i] = k.ID, k.Logit
	}
	return r
}

// asTransient marks an error that passes as the token loop knows it.
func asTransient(err error) error {
	busy := errors.Is(err, cloudlink.ErrBusy)
	if !busy && !errors.Is(err, cloudlink.ErrLost) && !errors.Is(err, cloudlink.ErrDraining) &&
		!errors.Is(err, cloudlink.ErrStale) && !errors.Is(err, cloudlink.ErrInternal) {
		return err
	}
	e := &decode.TransientError{Err: err, Busy: busy}
	if r := new(cloudlink.RemoteError); errors.As(err, &r) {
		e.RetryAfter = r.RetryAfter
	}
	return e
}

// permanent takes from a refusal that will not pass the look of a lost link, and
// adds to the refusal of a bundle those that the cloud has.
func permanent(err error) error {
	var r *cloudlink.RemoteError
	if !errors.As(err, &r) {
		return err
	}
	switch r.Code {
	case wire.CodeUnauthorized, wire.CodeProtocol, wire.CodeContextFull:
		return errors.New(status.OneLine(err))
	case wire.CodeUnknownBundle:
		return fmt.Errorf("%s: %s", offer.LacksText(r.Bundles), offer.LacksRemedy(r.Bundles))
	}
	return err
}
