package quality

import (
	"context"
	"fmt"
	"strings"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// DefaultModes are the modes that are measured unless told.
var DefaultModes = []string{string(decode.Unsplit), string(decode.Collaborative), string(decode.Standalone)}

// ParseModes reads names of modes, none standing for DefaultModes. Unsplit, which the others
// are held against, is always among them and comes first.
func ParseModes(names []string) ([]strategies.Variant, error) {
	out := []strategies.Variant{{Name: string(decode.Unsplit), Mode: decode.Unsplit, Draft: infer.DraftOff}}
	if len(names) == 0 {
		names = DefaultModes
	}
	known := map[string]bool{out[0].Name: true}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if known[name] {
			continue
		}
		v, err := strategies.ParseVariant(name)
		if err != nil {
			return nil, fmt.Errorf("mode %q is unknown: choose of %s, %s", name, decode.Unsplit, strings.Join(strategies.Default, ", "))
		}
		known[name] = true
		out = append(out, v)
	}
	return out, nil
}

// Bench is what answers and judges.
type Bench struct {
	Modes []strategies.Variant // unsplit first
	// MaxTokens is how long an answer may be, 0 for what is usual for its kind.
	MaxTokens int
	Seed      uint64 // of the intervals
	// Context is the most positions of a question and its answer; longer ones are left out.
	Context int
	// Answer answers a prompt in a mode.
	Answer func(ctx context.Context, v strategies.Variant, prompt []int32, maxTokens int) (decode.Result, error)
	// Runner runs programs; nil where none can be run, for the reason in NoRunner.
	Runner   Runner
	NoRunner string
	// Progress may be nil.
	Progress func(step string, done, total int64)
}

// Asked is a task with its items as the model reads them: [items][n_tokens]int32.
type Asked struct {
	Task
	Prompts [][]int32
}

// Run has every mode answer every task.
func (b *Bench) Run(ctx context.Context, tasks []Asked) ([]TaskReport, error) {
	var reports []TaskReport
	for _, t := range tasks {
		r, err := b.task(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// answered is what a mode said to the items of a task.
type answered struct {
	texts  []string
	scores map[Metric][]float64
	row    Row
}

func (b *Bench) task(ctx context.Context, t Asked) (TaskReport, error) {
	s, _ := spec(t.Kind)
	r := TaskReport{Name: t.Name, Kind: t.Kind, Entries: t.Entries, Empty: t.Empty, Metrics: s.metrics, MaxTokens: s.maxTokens, Rows: []Row{}}
	if b.MaxTokens > 0 {
		r.MaxTokens = b.MaxTokens
	}
	if t.Kind == Code && b.Runner == nil {
		r.Skipped = b.NoRunner
		return r, nil
	}
	short := Asked{Task: t.Task}
	short.Items = nil
	var entries []int
	for i, p := range t.Prompts {
		if len(p)+r.MaxTokens > b.Context {
			r.TooLong++
			continue
		}
		short.Items, short.Prompts = append(short.Items, t.Items[i]), append(short.Prompts, p)
		entries = append(entries, t.Items[i].Entry)
	}
	if r.Answers = len(short.Items); r.Answers == 0 {
		r.Skipped = fmt.Sprintf("every question is longer than %d tokens, its answer included", b.Context)
		return r, nil
	}
	var base *answered
	for _, v := range b.Modes {
		a, err := b.mode(ctx, v, short, s, r.MaxTokens)
		if err != nil {
			return r, fmt.Errorf("%s: %w", v.Name, err)
		}
		if base == nil {
			base = a
		}
		r.Rows = append(r.Rows, a.compare(base, s, entries, b.Seed))
	}
	return r, nil
}

// mode has one mode answer a task and scores what it says.
func (b *Bench) mode(ctx context.Context, v strategies.Variant, t Asked, s kindSpec, maxTokens int) (*answered, error) {
	a := &answered{scores: map[Metric][]float64{}, row: Row{Mode: v.Name, Sources: map[infer.Source]int{}}}
	asks := 0
	for n, i := range t.Items {
		if b.Progress != nil {
			b.Progress(t.Name+": "+v.Name, int64(n), int64(len(t.Items)))
		}
		result, err := b.Answer(ctx, v, t.Prompts[n], maxTokens)
		if err != nil {
			return nil, err
		}
		text := strings.TrimSpace(result.Text)
		a.texts = append(a.texts, text)
		for _, m := range s.metrics {
			x := score(m, i, s.labels, text)
			if m == PassAt1 {
				if x, err = passes(ctx, b.Runner, i, text); err != nil {
					return nil, err
				}
			}
			a.scores[m] = append(a.scores[m], x)
		}
		for _, token := range result.Tokens {
			a.row.Sources[token.Source]++
		}
		a.row.Tokens += len(result.Tokens)
		asks += result.Asks
		if result.Finish == infer.Length {
			a.row.Cut++
		}
	}
	if a.row.Tokens > 0 {
		a.row.Asks = float64(asks) / float64(a.row.Tokens)
	}
	return a, nil
}

// compare fills in the row of a mode, beside the unsplit model's answers.
func (a *answered) compare(base *answered, s kindSpec, entries []int, seed uint64) Row {
	r := a.row
	r.Scores = map[Metric]Score{}
	for _, m := range s.metrics {
		score := Score{Mean: mean(a.scores[m])}
		if a != base {
			score.Difference = differ(a.scores[m], base.scores[m], entries, seed)
		}
		r.Scores[m] = score
	}
	for i, text := range a.texts {
		if text == base.texts[i] {
			r.Same++
			r.Near++ // also where neither has a word
			continue
		}
		r.Near += rougeL(text, base.texts[i])
	}
	r.Same /= float64(len(a.texts))
	r.Near /= float64(len(a.texts))
	return r
}

func mean(x []float64) (sum float64) {
	for _, v := range x {
		sum += v / float64(len(x))
	}
	return sum
}
