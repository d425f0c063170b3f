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
		Pass  strategies.Pass  `json:"pass"`
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
		t.Pass, err = p.pass()
	case "likeliest":
		t.IDs, err = p.likeliest(a.Tokens, a.From)
	default:
		err = fmt.Errorf("asked to do %q", a.Do)
	}
	return t, err
}

// passPrompt is what the KV cache holds when a pass is timed, passTimes how often each size is.
const (
	passPrompt = 64
	passTimes  = 3
)

// passRows are the sizes of batches that are timed with the logits of the last position alone, the
// largest as prompts are read, and checkRows those with the logits of all.
var (
	passRows  = []int{1, 2, 4, 8, 32}
	checkRows = []int{2, 3, 4, 6, 8}
)

// pass times the whole model.
func (p *served) pass() (strategies.Pass, error) {
	p.scored = nil
	if p.score.Options().Context < passPrompt+slices.Max(passRows) {
		return strategies.Pass{}, errors.New("the context is too short to time a pass")
	}
	if _, err := p.forward(make([]int32, passPrompt), 0, passPrompt-1); err != nil {
		return strategies.Pass{}, err
	}
	last, all := make([][]float64, len(passRows)), make([][]float64, len(checkRows))
	timed := func(times *[]float64, rows, from int) error {
		start := time.Now()
		_, err := p.forward(make([]int32, rows), passPrompt, from)
		*times = append(*times, time.Since(start).Seconds())
		return err
	}
	for range passTimes {
		for i, rows := range passRows {
			if err := timed(&last[i], rows, rows-1); err != nil {
				return strategies.Pass{}, err
			}
		}
		for i, rows := range checkRows {
			if err := timed(&all[i], rows, 0); err != nil {
				return strategies.Pass{}, err
			}
		}
	}
	t := bench.Median(last[0])
	return strategies.Pass{T: t, Last: strategies.BatchOf(t, passRows[1:], last[1:]), All: strategies.BatchOf(t, checkRows, all)}, nil
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
