package partition

// WholeStage is all blocks of a model. It takes rows with Tokens in place of Hidden, and
// is otherwise as a Stage.
type WholeStage interface {
	Vocab() int
	Sequences() int
	Context() int
	MaxRows() int
	Forward(rows Rows) (logits []float32, err error)
	Truncate(seq, pos int) error
}

// whole makes a Stage of a WholeStage: a token id travels as a hidden state of
// width 1, exact as a float32 below 2^24.
type whole struct {
	WholeStage
}

func (whole) Width() int { return 1 }

func (w whole) Forward(rows Rows) ([]float32, error) {
	rows.Tokens = make([]int32, len(rows.Hidden))
	for i, id := range rows.Hidden {
		rows.Tokens[i] = int32(id)
	}
	rows.Hidden = nil
	return w.WholeStage.Forward(rows)
}

// positionBytes returns what a position in the stage costs, 0 where it does
// not say.
func positionBytes(s any) int64 {
	if w, ok := s.(whole); ok {
		s = w.WholeStage
	}
	if p, ok := s.(interface{ PositionBytes() int }); ok {
		return int64(max(p.PositionBytes(), 0))
	}
	return 0
}

// stageBytes returns what a stage took when it was opened, 0 where it does not say.
func stageBytes(s any) (weights, kv int64) {
	if w, ok := s.(whole); ok {
		s = w.WholeStage
	}
	if b, ok := s.(interface{ Bytes() (weights, kv int64) }); ok {
		return b.Bytes()
	}
	return 0, 0
}

// stages returns the schedulers of all stages, those of whole models too.
func (s *Server) stages() []*scheduler {
	out := make([]*scheduler, 0, len(s.schedulers)+len(s.wholes))
	for _, b := range s.conf.Bundles {
		out = append(out, s.schedulers[b.ID])
		if w := s.wholes[b.ID]; w != nil {
			out = append(out, w)
		}
	}
	return out
}

// whole reports whether the stage takes token ids.
func (s *scheduler) whole() bool {
	_, ok := s.bundle.Stage.(whole)
	return ok
}
