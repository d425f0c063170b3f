package calibrate

import (
	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// steps are the confidences the report is drawn up for.
var steps = []float64{0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995}

// tally counts what one head said against the whole model, by confidence step.
type tally struct{ said, right []int }

func newTally() *tally { return &tally{make([]int, len(steps)), make([]int, len(steps))} }

func (t *tally) add(confidence float64, right bool) {
	i := len(steps) - 1
	for i > 0 && confidence < steps[i] {
		i--
	}
	t.said[i]++
	if right {
		t.right[i]++
	}
}

// agreement over all tokens.
func (t *tally) agreement() float64 {
	said, right := 0, 0
	for i := range t.said {
		said, right = said+t.said[i], right+t.right[i]
	}
	return ratio(right, said)
}

func ratio(a, b int) float64 { return float64(a) / float64(max(1, b)) }

func (t *tally) measured() []bundle.HeadMeasured {
	out := make([]bundle.HeadMeasured, len(steps))
	said, right := 0, 0
	for i := len(steps) - 1; i >= 0; i-- {
		said, right = said+t.said[i], right+t.right[i]
		out[i] = bundle.HeadMeasured{Confidence: steps[i], Agreement: ratio(right, said), Tokens: said,
			BinAgreement: ratio(t.right[i], t.said[i]), BinTokens: t.said[i]}
	}
	for i := range out {
		out[i].Share = ratio(out[i].Tokens, said)
	}
	return out
}

// judged is a head under measurement.
type judged struct {
	head   *engine.Head
	depth  int // index
	all    *tally
	byKind map[string]*tally
}

// report is the sink of the report texts: it runs the heads on what streams by and
// compares them with the whole model's greedy token.
type report struct {
	kind  string
	heads []*judged
	said  counter
}

func (r *report) take(s states) error {
	if err := r.said.take(s); err != nil {
		return err
	}
	for _, j := range r.heads {
		logits, err := j.head.Logits(s.depths[j.depth])
		if err != nil {
			return err
		}
		if j.byKind[r.kind] == nil {
			j.byKind[r.kind] = newTally()
		}
		size := j.head.Size()
		for i, want := range s.greedy {
			row := logits[i*size : (i+1)*size]
			id := int32(engine.Best(row))
			if ids := j.head.Tokens(); ids != nil {
				id = ids[id]
			}
			c := engine.Describe(row).Confidence
			j.all.add(c, id == want)
			j.byKind[r.kind].add(c, id == want)
		}
	}
	return nil
}

func (j *judged) kinds() map[string]float64 {
	out := map[string]float64{}
	for k, t := range j.byKind {
		out[k] = t.agreement()
	}
	return out
}

// An exit is believed from the confidence at which, of the tokens that reach it,
// believed agree with the whole model on report texts, if that was seen on enough
// of them; above 1 where there is none.
const (
	believed    = 0.9
	seenEnough  = 50
	neverEnough = 1.01
)

func threshold(m []bundle.HeadMeasured) float64 {
	for _, s := range m {
		if s.Agreement >= believed && s.Tokens >= seenEnough {
			return s.Confidence
		}
	}
	return neverEnough
}
