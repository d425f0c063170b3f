package partition

// WholeStage is all blocks of a model. It takes rows with Token set in place of
// Hidden, and is otherwise as a Stage.
type WholeStage interface {
	Vocab() int
	Sequences() int
	Context() int
	MaxRows() int
	Forward(rows []Row) (logits [][]float32, err error)
	Truncate(seq, pos int) error
}

// whole makes a Stage of a WholeStage: a token id travels as a hidden state of
// width 1, exact as a float32 below 2^24.
type whole struct {
	WholeStage
}

func (whole) Width() int { return 1 }

func (w whole) Forward(rows []Row) ([][]float32, error) {
	for i := range rows {
		rows[i].Token, rows[i].Hidden = int32(rows[i].Hidden[0]), nil
	}
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
