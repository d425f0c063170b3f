package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/bundle/offer"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// CloudSession is a session with the cloud as the token loop wants it. It outlives
// connections.
type CloudSession struct {
	*cloudlink.Session
	noLead func(error) // told that the cloud is too old to lead; nil for nobody
}

var (
	_ decode.Cloud         = (*CloudSession)(nil)
	_ decode.LinkEstimator = (*CloudSession)(nil)
	_ decode.Sharer        = (*CloudSession)(nil)
	_ decode.Resender      = (*CloudSession)(nil)
	_ decode.Generator     = (*CloudSession)(nil)
	_ decode.RowsAsker     = (*CloudSession)(nil)
	_ decode.Leader        = (*CloudSession)(nil)
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
	return &CloudSession{Session: s}, nil
}

// Ask returns the logits as the token loop samples them, and errors as it knows them.
func (c *CloudSession) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	a, err := c.Session.Ask(ctx, pos, topK)
	if err != nil {
		return decode.Row{}, asTransient(permanent(err))
	}
	return Candidates(a, topK), nil
}

// AskRows returns the logits of several rows as Ask does of one.
func (c *CloudSession) AskRows(ctx context.Context, pos, n, topK int) ([]decode.Row, error) {
	answers, err := c.Session.AskRows(ctx, pos, n, topK)
	switch {
	case errors.Is(err, cloudlink.ErrOneRow):
		return nil, fmt.Errorf("%w: %w", decode.ErrOneRow, err)
	case err != nil:
		return nil, asTransient(permanent(err))
	}
	rows := make([]decode.Row, len(answers))
	for i, a := range answers {
		rows[i] = Candidates(a, topK)
	}
	return rows, nil
}

// Generate returns errors as the token loop knows them.
func (c *CloudSession) Generate(ctx context.Context, prompt []int32, most int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	return asTransient(permanent(c.Session.Generate(ctx, prompt, most, ignoreEnd, yield)))
}

// Lead has the cloud go on by itself.
func (c *CloudSession) Lead(ctx context.Context, o decode.LeadOptions, yield func([]infer.Token, decode.Led) bool) error {
	err := Lead(ctx, c.Session, o, yield)
	if errors.Is(err, decode.ErrNoLead) {
		if c.noLead != nil && !errors.As(err, new(*cloudlink.RemoteError)) { // which is of one answer
			c.noLead(err)
		}
		return err
	}
	return asTransient(permanent(err))
}

// Lead has the cloud of a session go on by itself, with the sampler's settings as it reads them. The
// error wraps decode.ErrNoLead where it does not.
func Lead(ctx context.Context, s *cloudlink.Session, o decode.LeadOptions, yield func([]infer.Token, decode.Led) bool) error {
	settings, err := json.Marshal(o.Sampling)
	if err != nil {
		return err
	}
	opt := cloudlink.LeadOptions{Max: o.Max, Begin: o.Begin, IgnoreEnd: o.IgnoreEnd, Draft: string(o.Draft), Sampler: settings}
	err = s.Lead(ctx, opt, func(said []cloudlink.LedToken, checks cloudlink.LedChecks) bool {
		tokens := make([]infer.Token, len(said))
		for i, t := range said {
			tokens[i] = infer.Token{ID: t.ID, Confidence: t.Confidence, Margin: t.Margin, Logprob: t.Logprob}
		}
		return yield(tokens, decode.Led(checks))
	})
	if errors.Is(err, cloudlink.ErrNoLead) {
		return fmt.Errorf("%w: %w", decode.ErrNoLead, err)
	}
	return err
}

// Predict returns within what time nine of ten asks for pos would be answered if asked
// now, and false while that is not known.
func (c *CloudSession) Predict(pos int) (time.Duration, bool) {
	cost, spread, known := c.Session.Predict(pos)
	return cost + spread, known
}

// Keep forgets what the cloud has of the session from pos on, and returns the
// branch since when that holds.
func (c *CloudSession) Keep(pos int) (branch uint32, err error) {
	if c.Stats().Position > pos {
		if err := c.Truncate(pos); err != nil {
			return 0, err
		}
	}
	return c.Stats().Branch, nil
}

// Bytes are those that this session has sent and got.
func (c *CloudSession) Bytes() (up, down uint64) {
	st := c.Stats()
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
