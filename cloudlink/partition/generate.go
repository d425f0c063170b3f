package partition

import (
	"math"
	"slices"
	"time"

	"skerry/cloudlink/wire"
)

// generate takes a request to go on alone: an ask that moves on by a token each
// time it is answered, and shares the stage like any other.
func (t *tail) generate(m *wire.Generate, now time.Time) {
	a := &ask{Ask: &wire.Ask{Ref: m.Ref, Serial: m.Serial}, gen: m}
	a.bytes = askOverhead + 4*int64(len(m.Ends))
	t.lastAsk, t.lastUsed = now, now
	t.take(a, now)
}

// generated says the token that row makes and appends it. It reports whether
// the generation is over.
func (t *tail) generated(a *ask, row row, now time.Time) (over bool) {
	best := row.best
	m := &wire.Token{
		Ref: a.Ref, Serial: a.Serial, ID: best[0].ID,
		Confidence: finite(math.Exp(float64(best[0].Logit) - row.sum)),
		Queue:      uint64(max(now.Sub(a.ready)-a.compute, 0).Microseconds()),
		Compute:    uint64(a.compute.Microseconds()),
	}
	if len(best) > 1 {
		m.Margin = finite(float64(best[0].Logit - best[1].Logit))
	}
	pos := a.pos() + 1
	a.gen.Max--
	switch {
	case slices.Contains(a.gen.Ends, m.ID):
		m.Stop = wire.StopEnd
	case a.gen.Max == 0:
		m.Stop = wire.StopMax
	case pos >= t.limit:
		m.Stop = wire.StopContext
	case t.queue.End() != pos:
		t.reply(refusal(a.Ask, wire.CodeProtocol, "positions were appended beyond a generation"))
		return true
	}
	t.reply(m)
	if m.Stop != wire.StopNot {
		return true
	}
	t.queue.Append(pos, []float32{float32(m.ID)}) // it is the next position
	t.learn(pos, []float32{float32(m.ID)})
	t.accountQueue()
	a.Position, a.got, a.ready, a.compute, a.rows = uint64(pos), nil, now, 0, 0
	t.lastUsed, t.lastAsk = now, now
	return false
}

// finite keeps what has no meaning, as the margin of two infinities, off the
// wire.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
