package slots

import (
	"errors"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// unit is a stage or an exit head with what is to be computed on it. The compute
// goroutine alone touches it.
type unit struct {
	stage decode.Stage // nil: a head
	head  decode.Head
	width int
	jobs  []*job
	// skipped counts how often in a row deeper units went first.
	skipped int
	took    time.Duration // by the last batch
}

// job is one call of a session's token loop.
type job struct {
	unit *unit
	seq  int
	b    engine.Batch // of a stage; a head's has Hidden alone
	n    int          // rows
	at   int          // of them computed
	out  engine.Output
	err  error
	done chan struct{}
}

func (j *job) left() int { return j.n - j.at }

// stage is a stage as one slot's session sees it.
type stage struct {
	c    *compute
	unit *unit
	seq  int
}

func (s *stage) Width() int { return s.unit.width }

func (s *stage) Forward(b engine.Batch) (engine.Output, error) {
	j := &job{unit: s.unit, seq: s.seq, b: b, n: len(b.Pos)}
	err := s.c.do(j)
	return j.out, err
}

func (s *stage) Truncate(seq, pos int) error { return s.unit.stage.Truncate(seq, pos) }

// errNotKept is of a stage that is no decode.Keeper.
var errNotKept = errors.New("this stage cannot copy or keep positions")

func (s *stage) Position(seq int) int {
	if k, ok := s.unit.stage.(decode.Keeper); ok {
		return k.Position(seq)
	}
	return 0
}

func (s *stage) Copy(from, to, pos int) error {
	if k, ok := s.unit.stage.(decode.Keeper); ok {
		return k.Copy(from, to, pos)
	}
	return errNotKept
}

func (s *stage) ExportPrefix(seq, pos int) ([]byte, error) {
	if k, ok := s.unit.stage.(decode.Keeper); ok {
		return k.ExportPrefix(seq, pos)
	}
	return nil, errNotKept
}

func (s *stage) Import(seq int, state []byte) error {
	if k, ok := s.unit.stage.(decode.Keeper); ok {
		return k.Import(seq, state)
	}
	return errNotKept
}

// head is an exit head as one slot's session sees it.
type head struct {
	c    *compute
	unit *unit
	seq  int
}

func (h *head) Tokens() []int32 { return h.unit.head.Tokens() }

func (h *head) Logits(hidden []float32) ([]float32, error) {
	j := &job{unit: h.unit, seq: h.seq, b: engine.Batch{Hidden: hidden}, n: len(hidden) / h.unit.width}
	err := h.c.do(j)
	return j.out.Logits, err
}

// units are those of a model, in the order a token passes them: of each exit the
// stage, the head and the full head, then the whole model.
func units(m decode.Model) (all []*unit) {
	for _, e := range m.Exits {
		w := e.Stage.Width()
		all = append(all, &unit{stage: e.Stage, width: w}, &unit{head: e.Head, width: w}, &unit{head: e.Full, width: w})
	}
	if m.Whole != nil {
		all = append(all, &unit{stage: m.Whole, width: m.Whole.Width()})
	}
	return all
}

// forSlot is the model as the session of sequence seq sees it.
func (c *compute) forSlot(m decode.Model, seq int) decode.Model {
	exits := make([]decode.Exit, len(m.Exits))
	for i, e := range m.Exits {
		exits[i] = decode.Exit{Threshold: e.Threshold,
			Stage: &stage{c, c.units[3*i], seq}, Head: &head{c, c.units[3*i+1], seq}}
		if e.Full != nil {
			exits[i].Full = &head{c, c.units[3*i+2], seq}
		}
	}
	m.Exits = exits
	if m.Whole != nil {
		m.Whole = &stage{c, c.units[len(c.units)-1], seq}
	}
	return m
}
