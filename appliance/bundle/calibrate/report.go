package calibrate

import (
	"context"

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
	trust  map[string]*reliability // by kind
	words  map[int][]word          // by the number of the text
}

// report takes the report texts: it runs the heads on what came out of the model and
// compares them with the whole model's greedy token.
type report struct {
	kind   string
	width  int // n_embd
	depths int
	heads  []*judged
	said   counter
}

// reportRows go through a head at once.
const reportRows = 64

func (r *report) take(ctx context.Context, d *document) error {
	r.said.take(d)
	for _, j := range r.heads {
		if j.byKind[r.kind] == nil {
			j.byKind[r.kind], j.trust[r.kind] = newTally(), &reliability{}
		}
		for at := 0; at < d.rows(); at += reportRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(reportRows, d.rows()-at)
			hidden := make([]float32, n*r.width)
			for i := range n {
				d.stream(at+i, j.depth, r.depths, hidden[i*r.width:(i+1)*r.width])
			}
			if err := r.judge(j, d.text, hidden, d.greedy[at:at+n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge compares a head's words on hidden states [n][n_embd] of a text with those wanted.
func (r *report) judge(j *judged, text int, hidden []float32, want []int32) error {
	logits, err := j.head.Logits(hidden)
	if err != nil {
		return err
	}
	size := j.head.Size()
	for i, want := range want {
		row := logits[i*size : (i+1)*size]
		id := int32(engine.Best(row))
		if ids := j.head.Tokens(); ids != nil {
			id = ids[id]
		}
		c := engine.Describe(row).Confidence
		j.all.add(c, id == want)
		j.byKind[r.kind].add(c, id == want)
		j.trust[r.kind].add(c, id == want)
		j.words[text] = append(j.words[text], word{c, id == want})
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

func (j *judged) reliability() map[string]bundle.Reliability {
	out := map[string]bundle.Reliability{}
	for k, t := range j.trust {
		out[k] = t.summary()
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
	// leastThreshold is that of who is believed whatever his confidence: 0 would mean that
	// nothing was measured.
	leastThreshold = 0.01
)

func threshold(m []bundle.HeadMeasured, believed float64) float64 {
	for _, s := range m {
		if s.Agreement >= believed && s.Tokens >= seenEnough {
			return max(s.Confidence, leastThreshold)
		}
	}
	return neverEnough
}

// SpeaksAlone says that an exit may say every token where the whole model cannot be
// asked. It may where what it writes alone was found to make sense and it is believed at
// all. Where that was not measured it may where calibration believes it at every
// confidence: of all tokens of the report texts, not only of those that it was sure of, as
// many agree with the whole model as are asked of those that it is believed on.
func SpeaksAlone(h bundle.Head) bool {
	if h.FreeText != nil {
		return h.FreeText.Speaks() && h.Threshold <= 1
	}
	for _, m := range h.Measured {
		if m.Confidence == 0 {
			return m.Agreement >= believed && m.Tokens >= seenEnough
		}
	}
	return false
}
