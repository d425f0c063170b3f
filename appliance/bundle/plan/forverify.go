package plan

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bundle/split"
	"skerry/appliance/engine"
	"skerry/appliance/predict"
	"skerry/appliance/status"
)

// TypeOptions of ForVerify.
type TypeOptions struct {
	Source    string // a GGUF
	Draft     string // that of the draft model, "" for prompt lookup alone
	Dir       string // where there is room for the whole model, for as long as it is measured
	Threads   int    // 0: the cores less one
	Quantizer split.Quantizer
	Progress  func(step string, done, total int64) // may be nil
}

// TypeChoice is the type of a model's weights that suits a machine on which the model checks
// drafts.
type TypeChoice struct {
	Type  string         `json:"type"` // one of split.Options.Type
	Pays  bool           `json:"pays"` // drafts save time
	Why   string         `json:"why"`
	Types []TypeMeasured `json:"types"` // the fastest first
}

// TypeMeasured is what a type takes.
type TypeMeasured struct {
	Type  string        `json:"type"`
	Bytes int64         `json:"bytes"`
	Pass  float64       `json:"pass_s"` // in seconds of processor time, as all here
	Check predict.Batch `json:"check"`  // batches with the logits of every row
	// Alone is a token without drafts, which is a pass; Token is one with as many drafts as suit,
	// at an acceptance of AssumedAcceptance, and Draft how many that are.
	Token float64 `json:"token_s"`
	Draft int     `json:"draft"`
	// Agreement is the share of positions of a short text at which this finds the same token
	// likeliest as the model as it came.
	Agreement float64 `json:"agreement"`
	likeliest []int32
	came      bool // it is how the model came
}

// LeastAgreement is that of a type that may be taken for its speed.
const LeastAgreement = .9

// comparedText is what types are compared on, up to comparedTokens of it.
const comparedText = `The ferry to the island leaves at seven in the morning and comes back before dark. Its captain has
made the crossing for thirty years, and still looks at the barometer first. "If the needle falls faster than
the tide," she says, "we stay where we are." On calm days the trip takes forty minutes. Passengers sit on
the upper deck, drink coffee from paper cups, and count the buoys.

To add two numbers in Go one writes a function that takes both and returns their sum:

func add(a, b int) int {
	return a + b
}

It can be tested with a table of cases, each of which has the two numbers and the sum that is expected.`

const comparedTokens = 192

// AssumedAcceptance is the share of a draft model's tokens that are taken to be right as long as
// nobody has measured it, a little more than 0.72, which a pair of 1.5 and 0.5 billion parameters
// had on general prompts (0.91 on code). AssumedLookup is that of prompt lookup.
const AssumedAcceptance = .75

// AssumedLookup is what prompt lookup is taken to find.
var AssumedLookup = predict.Lookup{Share: .08, Acceptance: .7}

// checkRows are the sizes of checks that are measured.
var checkRows = []int{2, 3, 4, 5, 8}

// leastTypeGain is the share of a token's time that another type than TypeAuto has to save, as it
// says a somewhat different text.
const leastTypeGain = .05

// ForVerify runs the model in every type that it can be stored in, and its draft, on this machine
// and takes the type in which a token takes the least time where drafts are checked: what a pass
// takes and what further rows of a check add to it decide together. Processor time is what is
// measured, so that other work on the machine matters little.
func ForVerify(ctx context.Context, o TypeOptions) (*TypeChoice, error) {
	names, err := split.Types(o.Source)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, ".types-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var draft float64
	if o.Draft != "" {
		o.report("measure the draft", 0, 1)
		if draft, _, err = passesBy(ctx, processorTime, o.Draft, o.Threads, nil); err != nil {
			return nil, err
		}
	}
	c := &TypeChoice{}
	for i, name := range names {
		m, err := o.measure(ctx, name, filepath.Join(dir, "whole.gguf"), i, len(names))
		if err != nil {
			return nil, err
		}
		if err := m.predict(draft); err != nil {
			return nil, err
		}
		c.Types = append(c.Types, m)
	}
	c.compare()
	c.choose()
	return c, nil
}

// compare fills in how often each type agrees with the model as it came.
func (c *TypeChoice) compare() {
	as := c.Types[slices.IndexFunc(c.Types, func(t TypeMeasured) bool { return t.came })].likeliest
	for i := range c.Types {
		equal := 0
		for at, id := range c.Types[i].likeliest {
			if id == as[at] {
				equal++
			}
		}
		c.Types[i].Agreement = float64(equal) / float64(max(1, len(as)))
	}
}

// likeliest are the tokens that the model finds likeliest after each of comparedText.
func likeliest(s *engine.Stage) (ids []int32, err error) {
	v := s.Vocab()
	defer v.Close()
	text, err := v.Tokenize(comparedText, true, false)
	if err != nil {
		return nil, err
	}
	text = text[:min(len(text), comparedTokens)]
	if err := s.Truncate(0, 0); err != nil {
		return nil, err
	}
	b := engine.NewBatch(0, 0, len(text), engine.WantLogits)
	b.Tokens = text
	out, err := s.Forward(b)
	for row := range slices.Chunk(out.Logits, s.VocabSize()) {
		ids = append(ids, int32(engine.Best(row)))
	}
	return ids, err
}

func (o TypeOptions) report(step string, done, total int64) {
	if o.Progress != nil {
		o.Progress(step, done, total)
	}
}

// measure is of one type; path is a file that may be written meanwhile.
func (o TypeOptions) measure(ctx context.Context, name, path string, i, n int) (m TypeMeasured, err error) {
	defer os.Remove(path)
	step := fmt.Sprintf("try type %s (%d of %d)", name, i+1, n)
	made, err := split.Retype(ctx, o.Source, path, name, o.Quantizer, func(done, total int64) { o.report(step, done, total) })
	if err != nil {
		return m, err
	}
	if !made {
		path = o.Source
	}
	st, err := os.Stat(path)
	if err != nil {
		return m, err
	}
	o.report(step+": measure", 0, 1)
	m = TypeMeasured{Type: name, Bytes: st.Size(), came: !made}
	one, batch, err := passesBy(ctx, processorTime, path, o.Threads, checkRows, func(s *engine.Stage) (err error) {
		m.likeliest, err = likeliest(s)
		return err
	})
	if err != nil {
		return m, err
	}
	m.Pass = one
	for i, rows := range checkRows {
		m.Check = append(m.Check, predict.BatchPoint{Rows: rows, Share: max((batch[i]/one-1)/float64(rows-1), 0)})
	}
	return m, nil
}

// predict fills in what a token takes with a draft model of so much processor time a token, 0 for
// prompt lookup alone.
func (m *TypeMeasured) predict(draft float64) error {
	c := predict.Case{Board: predict.Machine{Pass: m.Pass, Batch: m.Check}, May: predict.Nothing, Lookup: AssumedLookup, Answer: 128}
	if draft > 0 {
		c.Draft = &predict.Draft{Cost: draft / m.Pass, Acceptance: AssumedAcceptance}
	}
	all, err := predict.All(c)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Mode == predict.UnsplitDraft {
			m.Token, m.Draft = p.Token, max(p.Draft, p.Match)
		}
	}
	return nil
}

// choose takes the fastest that says about the same, or what TypeAuto makes where no other is clearly
// faster.
func (c *TypeChoice) choose() {
	auto := c.Types[0]
	slices.SortStableFunc(c.Types, func(a, b TypeMeasured) int { return cmp.Compare(a.Token, b.Token) })
	best := auto
	var refused []string
	for _, t := range c.Types {
		if t.Token > auto.Token*(1-leastTypeGain) {
			break
		}
		if t.Agreement >= LeastAgreement {
			best = t
			break
		}
		refused = append(refused, fmt.Sprintf("%s, which is faster, would change %.0f %% of the likeliest tokens (--type %[1]s takes it all the same)", t.Type, 100*(1-t.Agreement)))
	}
	c.Type, c.Pays = best.Type, best.Draft > 0
	switch {
	case len(c.Types) == 1:
		c.Why = "the model can be stored in no other type"
	case best.Type == auto.Type && len(refused) > 0:
		c.Why = strings.Join(refused, "; ")
	case best.Type == auto.Type:
		c.Why = "no other type saves a twentieth of a token's time"
	default:
		c.Why = fmt.Sprintf("a token takes %.2f of what it takes in %s; the text is that of the model in %s, whose likeliest token is that of the model as it came at %.0f %% of positions",
			best.Token/auto.Token, auto.Type, best.Type, 100*best.Agreement)
	}
	if c.Pays {
		c.Why += fmt.Sprintf("; checking up to %d drafts at once, a token takes %.2f of a pass", best.Draft, best.Token/best.Pass)
	} else {
		c.Why += "; drafts do not pay on this machine in it, and the modes that check them go on without (it may be otherwise in a cloud with a GPU)"
	}
}

// Text writes what was measured and chosen, with a table that table prints.
func (c *TypeChoice) Text(w io.Writer, table func(io.Writer, ...[]string) error) error {
	header := []string{"TYPE", "SIZE", "PASS"}
	for _, rows := range checkRows {
		header = append(header, fmt.Sprintf("M OF %d", rows))
	}
	rows := [][]string{append(header, "DRAFTS", "A TOKEN", "SAME TOKENS")}
	for _, t := range c.Types {
		row := []string{t.Type, status.Bytes(t.Bytes), span(t.Pass)}
		for _, p := range t.Check {
			row = append(row, fmt.Sprintf("%.2f", p.Share))
		}
		rows = append(rows, append(row, fmt.Sprint(t.Draft), span(t.Token), fmt.Sprintf("%.0f %%", 100*t.Agreement)))
	}
	if err := table(w, rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "type %s: %s\n", c.Type, strings.TrimSpace(c.Why))
	return err
}
