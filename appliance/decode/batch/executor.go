package batch

import (
	"errors"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// executor is a stage or an exit head with what is to be computed on it. The batcher
// goroutine alone touches it.
type executor struct {
	stage decode.Stage // nil: a head
	head  decode.Head
	width int
	jobs  []*job
	// skipped counts how often in a row deeper executors went first.
	skipped int
	took    time.Duration // by the last batch
}

// job is one call of a session's token loop.
type job struct {
	executor *executor
	seq      int
	b        engine.Batch // of a stage; a head's has Hidden alone
	n        int          // rows
	at       int          // of them computed
	out      engine.Output
	err      error
	done     chan struct{}
}

func (j *job) left() int { return j.n - j.at }

// stage is a stage as one slot's session sees it.
type stage struct {
	c        *batcher
	executor *executor
	seq      int
}

func (s *stage) Width() int { return s.executor.width }

func (s *stage) Forward(b engine.Batch) (engine.Output, error) {
	j := &job{executor: s.executor, seq: s.seq, b: b, n: len(b.Pos)}
	err := s.c.do(j)
	return j.out, err
}

func (s *stage) Truncate(seq, pos int) error { return s.executor.stage.Truncate(seq, pos) }

// errNotKept is of a stage that is no decode.Keeper.
var errNotKept = errors.New("this stage cannot copy or keep positions")

func (s *stage) Position(seq int) int {
	if k, ok := s.executor.stage.(decode.SequenceStore); ok {
		return k.Position(seq)
	}
	return 0
}

func (s *stage) Copy(from, to, pos int) error {
	if k, ok := s.executor.stage.(decode.SequenceStore); ok {
		return k.Copy(from, to, pos)
	}
	return errNotKept
}

func (s *stage) ExportPrefix(seq, pos int) ([]byte, error) {
	if k, ok := s.executor.stage.(decode.SequenceStore); ok {
		return k.ExportPrefix(seq, pos)
	}
	return nil, errNotKept
}

func (s *stage) Import(seq int, state []byte) error {
	if k, ok := s.executor.stage.(decode.SequenceStore); ok {
		return k.Import(seq, state)
	}
	return errNotKept
}

// head is an exit head as one slot's session sees it.
type head struct {
	c        *batcher
	executor *executor
	seq      int
}

func (h *head) Tokens() []int32 { return h.executor.head.Tokens() }

func (h *head) Logits(hidden []float32) ([]float32, error) {
	j := &job{executor: h.executor, seq: h.seq, b: engine.Batch{Hidden: hidden}, n: len(hidden) / h.executor.width}
	err := h.c.do(j)
	return j.out.Logits, err
}

// executors are those of a model, in the order a token passes them: of each exit the
// stage, the head and the full head, then what follows after exit 1, then the whole
// model, then a draft model.
func executors(m decode.Model) (all []*executor) {
	for _, e := range m.Exits {
		w := e.Stage.Width()
		all = append(all, &executor{stage: e.Stage, width: w}, &executor{head: e.Head, width: w}, &executor{head: e.Full, width: w})
	}
	stages := []decode.Stage{m.Tail, m.Whole}
	if m.Draft != nil {
		stages = append(stages, m.Draft.Stage)
	}
	for _, s := range stages {
		if s != nil {
			all = append(all, &executor{stage: s, width: s.Width()})
		}
	}
	return all
}

// forSlot is the model as the session of sequence seq sees it.
func (c *batcher) forSlot(m decode.Model, seq int) decode.Model {
	exits := make([]decode.Exit, len(m.Exits))
	for i, e := range m.Exits {
		exits[i] = decode.Exit{Threshold: e.Threshold, Alone: e.Alone,
			Stage: &stage{c, c.executors[3*i], seq}}
		if e.Head != nil { // a decode.TokenStage has none
			exits[i].Head = &head{c, c.executors[3*i+1], seq}
		}
		if e.Full != nil {
			exits[i].Full = &head{c, c.executors[3*i+2], seq}
		}
	}
	next := 3 * len(m.Exits)
	m.Exits = exits
	stages := []*decode.Stage{&m.Tail, &m.Whole}
	if m.Draft != nil {
		own := *m.Draft
		m.Draft = &own
		stages = append(stages, &own.Stage)
	}
	for _, s := range stages {
		if *s != nil {
			*s = &stage{c, c.executors[next], seq}
			next++
		}
	}
	return m
}
