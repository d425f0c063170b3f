package session

import (
	"bytes"
	"context"
	"math"
	"testing"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// attached returns a session of three positions in which asks wait for candidates, for a
// row, among three tokens and for candidates of three rows, or with tokens a generation.
func attached(tokens bool) (*Session, *Attachment) {
	opt := Options{Width: 2, Context: 16, Vocabulary: 8, Durable: true, Tokens: tokens, ID: wire.SessionID{1}}
	if tokens {
		opt.Width = 1
	}
	s, err := New(opt, nil)
	if err != nil {
		panic(err)
	}
	a := &Attachment{s: s, conn: alone{}, stream: muteStream{}, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	s.rows.append(0, make([]float32, 3*opt.Width), true)
	s.mu.Lock()
	s.begin(a)
	s.mu.Unlock()
	for _, p := range []*pending{
		{pos: 2, topK: 2, rows: 1}, {pos: 2, rows: 1}, {pos: 2, mask: []int32{1, 5, 7}, rows: 1}, {pos: 2, topK: 2, rows: 3},
	} {
		if !tokens {
			p.result = make(chan askResult, 1)
			s.expect(p)
		}
	}
	if tokens {
		s.expect(&pending{pos: 2, rows: 1, generate: &wire.Generate{Max: 4}, result: make(chan askResult, 5)})
	}
	return s, a
}

// alone is a connection that carries one session and nothing of it anywhere.
type alone struct{}

func (alone) Epoch() uint64                         { return 1 }
func (alone) Register(*Attachment, ...func()) error { return nil }
func (alone) Forget(*Attachment)                    {}
func (alone) Lost(err error) error                  { return err }
func (alone) Breach(error)                          {}
func (alone) Settled()                              {}
func (alone) Answered(rows int, took time.Duration) {}
func (alone) OpenUniStream(context.Context, transport.Urgency) (transport.SendStream, error) {
	return nil, context.Canceled
}

// muteStream takes everything and says nothing.
type muteStream struct{ transport.Stream }

func (muteStream) CancelRead(uint64)  {}
func (muteStream) CancelWrite(uint64) {}

// FuzzAnswers has a cloud say anything to a session, on its stream and in receipts.
// Whatever is taken for an answer is one that was asked for.
func FuzzAnswers(f *testing.F) {
	ref := wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 2}
	ask := func(serial, topK uint32) *wire.Ask { return wire.NewAsk(ref, serial, topK, nil) }
	best := wire.NewAnswer(ask(1, 2), []int32{3, 4}, []float32{1, 0})
	best.LogSumExp = 1.5
	row := wire.NewAnswer(ask(2, 0), nil, make([]float32, 8))
	row.LogSumExp = math.Log(8)
	nan := wire.NewAnswer(ask(2, 0), nil, []float32{float32(math.NaN())})
	several := ask(4, 2)
	several.Rows = 3
	rows := wire.NewAnswer(several, []int32{3, 4, 0, 7, 5, 1}, []float32{1, 0, 2, 1, 3, 2}, 1.5, 2.5)
	rows.LogSumExp = 3.5
	var all []byte
	for _, m := range []wire.Message{
		&wire.Opened{Ref: ref, Context: 16, Protocol: 2}, &wire.Opened{Ref: ref, Context: 16, Protocol: 3}, best, row, nan, rows,
		&wire.Token{Ref: ref, Serial: 1, ID: 7}, &wire.Error{Ref: ref, Serial: 1, Code: wire.CodeBusy, RetryAfter: 1 << 40},
		&wire.Error{Ref: ref, Code: wire.CodeSendFrom}, &wire.Receipt{Ref: ref, Bytes: 1, Time: 1 << 50, Queue: 3},
	} {
		b, err := wire.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b...)
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Add(all, false)
	f.Fuzz(func(t *testing.T, b []byte, tokens bool) {
		s, a := attached(tokens)
		defer s.cancel()
		results := map[uint32]*pending{}
		for serial, p := range s.waiting {
			results[serial] = p
		}
		for r := wire.NewReader(bytes.NewReader(b), s.answerBytes()); ; {
			m, err := r.Next()
			if err != nil {
				break
			}
			if receipt, ok := m.(*wire.Receipt); ok {
				err = a.Receipt(receipt)
			} else {
				err = s.handle(a, m)
			}
			if err != nil {
				break
			}
		}
		for _, p := range results {
			for len(p.result) > 0 {
				if r := <-p.result; r.err == nil {
					asked(t, s, p, r)
				}
			}
		}
	})
}

// asked checks that a result is one that p may have.
func asked(t *testing.T, s *Session, p *pending, r askResult) {
	switch {
	case p.generate != nil:
		if r.token == nil || r.token.ID < 0 || int(r.token.ID) >= s.opt.Vocabulary {
			t.Fatalf("%+v as a token", r)
		}
		return
	case r.answer == nil:
		t.Fatalf("%+v as an answer", r)
	}
	out := newAnswers(r.answer)
	if len(out) != p.rows {
		t.Fatalf("%d rows to an ask for %d", len(out), p.rows)
	}
	for _, a := range out {
		if p.topK == 0 && len(p.mask) == 0 && len(a.Row) != s.opt.Vocabulary || p.topK > 0 && len(a.Candidates) != p.topK ||
			len(a.Candidates) > max(p.topK, len(p.mask)) {
			t.Fatalf("%+v to an ask for %d of %v", a, p.topK, p.mask)
		}
		for _, c := range a.Candidates {
			if c.ID < 0 || int(c.ID) >= s.opt.Vocabulary || math.IsNaN(float64(c.Logit)) {
				t.Fatalf("%+v as a candidate", c)
			}
		}
		if a.Queue < 0 || a.Compute < 0 || math.IsNaN(a.LogSumExp) {
			t.Fatalf("%+v", a)
		}
	}
}
