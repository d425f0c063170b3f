package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/engine"
	"skerry/appliance/status"
)

// A question is what the edge's process wants to know, a reply what it is told.
type (
	question struct {
		Do     string  `json:"do"` // spent, pass or likeliest
		Tokens []int32 `json:"tokens,omitempty"`
		From   int     `json:"from,omitempty"`
	}
	reply struct {
		Spent strategies.Spent `json:"spent"`
		T     float64          `json:"t"`
		M     float64          `json:"m"`
		Check float64          `json:"check"`
		IDs   []int32          `json:"ids,omitempty"`
		Error string           `json:"error,omitempty"`
	}
)

// answer tells what is asked until the asking ends.
func (p *served) answer(in io.Reader, out io.Writer) {
	asks, told := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var a question
		if asks.Decode(&a) != nil {
			return
		}
		t, err := p.tell(a)
		if err != nil {
			t.Error = status.OneLine(err)
		}
		if told.Encode(t) != nil {
			return
		}
	}
}

func (p *served) tell(a question) (t reply, err error) {
	p.telling.Lock()
	defer p.telling.Unlock()
	switch a.Do {
	case "spent":
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Spent = p.spent
	case "pass":
		t.T, t.M, t.Check, err = p.pass()
	case "likeliest":
		t.IDs, err = p.likeliest(a.Tokens, a.From)
	default:
		err = fmt.Errorf("asked to do %q", a.Do)
	}
	return t, err
}

// passPrompt is what the KV cache holds when a pass is timed, passBatch the batch
// that the marginal cost is taken from, and passTimes how often either is timed.
const (
	passPrompt = 64
	passBatch  = 8
	passTimes  = 9
)

// pass times the whole model: seconds of one position, and the marginal cost of a
// further one in passes, with the logits of the last position alone and with those of all.
func (p *served) pass() (t, m, check float64, err error) {
	if p.score.Options().Context < passPrompt+passBatch {
		return 0, 0, 0, errors.New("the context is too short to time a pass")
	}
	p.scored = nil
	if _, err := p.forward(make([]int32, passPrompt), 0, passPrompt-1); err != nil {
		return 0, 0, 0, err
	}
	var times [3][]float64
	for range passTimes {
		for i, of := range [...]struct{ rows, logitsFrom int }{{1, 0}, {passBatch, passBatch - 1}, {passBatch, 0}} {
			start := time.Now()
			if _, err := p.forward(make([]int32, of.rows), passPrompt, of.logitsFrom); err != nil {
				return 0, 0, 0, err
			}
			times[i] = append(times[i], time.Since(start).Seconds())
		}
	}
	t = bench.Median(times[0])
	share := func(batch []float64) float64 { return max((bench.Median(batch)/t-1)/(passBatch-1), 0) }
	return t, share(times[1]), share(times[2]), nil
}

// likeliest goes on from what the text before had in common with this one.
func (p *served) likeliest(tokens []int32, from int) (ids []int32, err error) {
	if from < 0 || from >= len(tokens) {
		return nil, fmt.Errorf("tokens from %d of %d", from, len(tokens))
	}
	at := 0
	for at < min(len(p.scored), from) && p.scored[at] == tokens[at] {
		at++
	}
	p.scored = nil
	for next := at; at < len(tokens); at = next {
		next = min(at+scoreRows, len(tokens))
		logits, err := p.forward(tokens[at:next], at, max(from-at, 0))
		if err != nil {
			return nil, err
		}
		for row := range slices.Chunk(logits, p.score.VocabSize()) {
			ids = append(ids, int32(engine.Best(row)))
		}
	}
	p.scored = tokens
	return ids, nil
}

// scoreRows bounds how many rows are computed at a time, as the logits of each are a vocabulary.
const scoreRows = 64

// forward computes tokens at pos, with logits of those from the given one on.
func (p *served) forward(tokens []int32, pos, from int) ([]float32, error) {
	if err := p.score.Truncate(0, pos); err != nil {
		return nil, err
	}
	b := engine.NewBatch(0, pos, len(tokens), 0)
	b.Tokens = tokens
	for i := from; i < len(tokens); i++ {
		b.Want[i] = engine.WantLogits
	}
	out, err := p.score.Forward(b)
	return out.Logits, err
}
