package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/predict"
)

// Options of Make.
type Options struct {
	Profile
	// Room is the memory that a model may have on this machine, in bytes; 0: not known. The
	// profile's counts before it.
	Room int64
	// Has says whether the program has a mode that package predict knows; others are
	// predicted, and not chosen.
	Has func(mode string) bool
	// Bandwidth is what this machine's memory yields, in bytes a second, for a board whose
	// pass is not known; nil: Bandwidth.
	Bandwidth func() float64
	// Measured is what was measured of the board, nil for nothing.
	Measured *Measured
}

// Plan is what to make of a model.
type Plan struct {
	Model   *Model      `json:"model"`
	Draft   string      `json:"draft"` // "" for none
	Exits   []int       `json:"exits"`
	Mode    string      `json:"mode"`
	Why     string      `json:"why"`
	Second  string      `json:"second,omitempty"`
	Pass    float64     `json:"board_pass_s"`
	Memory  int64       `json:"memory,omitempty"` // that the board has for a model
	Answer  int         `json:"answer_tokens"`
	Prompt  int         `json:"prompt_tokens"`
	Modes   []ModePlan  `json:"modes"`
	Drafts  []DraftPlan `json:"drafts"`
	Assumed []string    `json:"assumed"` // what was not measured, each a sentence
	has     func(string) bool
}

// ModePlan is a mode with the draft that suits it.
type ModePlan struct {
	predict.Prediction
	With string `json:"draft_by,omitempty"`
}

// DraftPlan is what one way to draft would bring.
type DraftPlan struct {
	Name    string  `json:"name"`
	Mode    string  `json:"mode,omitempty"` // the fastest that drafts with it
	Total   float64 `json:"answer_s,omitempty"`
	Lacking string  `json:"lacking,omitempty"` // why it was not judged
}

// ErrNoMode is wrapped where a model can be answered with in no mode.
var ErrNoMode = errors.New("no mode can be had")

// scratchBytes is what the program takes beside weights and KV cache.
const scratchBytes = 256 << 20

// Make plans for a model: for each mode the draft that suits it, and the mode in which an
// answer takes the least time. Errors are a *ProfileError or wrap predict.ErrCase or ErrNoMode.
func Make(m *Model, o Options) (*Plan, error) {
	board, err := o.board()
	if err != nil {
		return nil, err
	}
	if o.Pass < 0 || !(o.Profile.Memory >= 0) || !(o.Wrong >= 0 && o.Wrong <= 100) {
		return nil, &ProfileError{"--pass, --memory and --max-disagreement are 0 or more, the last at most 100"}
	}
	p := &Plan{Model: m, Exits: m.Exits, Answer: o.Answer, Prompt: o.Prompt, has: o.Has}
	if board.Memory == 0 {
		board.Memory = o.Room
	}
	p.Memory = board.Memory
	p.speed(&board, o)
	kv := m.KVBytes * int64(o.Prompt+o.Answer)
	base := predict.Case{Board: board, Split: m.Split, RowBytes: 4 * float64(m.Embedding), WholeBytes: m.WholeBytes + kv + scratchBytes, BoardBytes: m.BoardBytes + kv + scratchBytes}
	if err := o.fill(&base); err != nil {
		return nil, err
	}
	lookup := base.Lookup
	base.Lookup = predict.Lookup{}
	limits := predict.Limits{Wrong: o.Wrong / 100}
	for _, d := range slices.Concat([]candidate{{}}, m.drafts) {
		if d.draft != nil && d.lacking != "" && o.Acceptance == 0 || d.draft == nil && d.lacking != "" {
			p.Drafts = append(p.Drafts, DraftPlan{Name: d.name, Lacking: d.lacking})
			continue
		}
		c := base
		d.apply(&c, o, lookup)
		all, err := predict.All(c)
		if err != nil {
			return nil, err
		}
		p.merge(d.name, all, limits)
	}
	var predictions []predict.Prediction
	for _, x := range p.Modes {
		if o.Has != nil && !o.Has(x.Mode) && x.Not == "" {
			x.Not = notHere
		}
		predictions = append(predictions, x.Prediction)
	}
	choice := new(predict.Chooser).Choose(time.Time{}, predictions, o.Answer, limits)
	if choice.Best == "" {
		return nil, fmt.Errorf("%w for %s: %s; take a smaller model (skerry model recommend), or describe a cloud with --cloud-pass and --rtt", ErrNoMode, m.Name, p.Modes[0].Not)
	}
	p.Mode, p.Why, p.Second, p.Draft = choice.Best, choice.Why, choice.Second, p.mode(choice.Best).With
	return p, nil
}

// merge takes what a draft brings to each mode where that is better than what is known.
func (p *Plan) merge(name string, all []predict.Prediction, l predict.Limits) {
	if p.Modes == nil {
		p.Modes = make([]ModePlan, len(all))
		for i := range all {
			p.Modes[i] = ModePlan{Prediction: all[i]}
		}
		return
	}
	d := DraftPlan{Name: name}
	for i, x := range all {
		if x.Not == "" && x.Drafts() && (d.Mode == "" || x.Total(p.Answer) < d.Total) {
			d.Mode, d.Total = x.Mode, x.Total(p.Answer)
		}
		switch was := &p.Modes[i]; {
		case better(x, was.Prediction, p.Answer, l):
			*was = ModePlan{x, name}
		case x.Not != "" && was.Not != "" && x.Not != predict.NothingProposes:
			was.Not = x.Not
		}
	}
	p.Drafts = append(p.Drafts, d)
}

func (p *Plan) mode(name string) ModePlan {
	i := slices.IndexFunc(p.Modes, func(m ModePlan) bool { return m.Mode == name })
	return p.Modes[i]
}

// apply sets what a candidate adds to a case. A draft that others have measured otherwise is
// as --acceptance says.
func (d candidate) apply(c *predict.Case, o Options, l predict.Lookup) {
	if d.lookup || d.file != "" { // a match comes before a draft model
		c.Lookup = l
	}
	if d.draft == nil {
		return
	}
	draft := *d.draft
	if d.exits != nil {
		draft = *d.exits.Draft(c.Board.Batch)
		draft.Unfit = d.draft.Unfit
	}
	if o.Acceptance > 0 && !d.lookup {
		draft.Acceptance = o.Acceptance
	}
	if o.Measured != nil && d.file != "" && o.Measured.Draft > 0 {
		draft.Cost = o.Measured.Draft / o.Measured.Pass
	}
	c.Draft, c.Threshold = &draft, d.threshold
	if d.file != "" {
		c.WholeBytes += d.bytes
		c.BoardBytes += d.bytes
	}
}

// better says whether a can be had and b cannot, or a is right more often where b is not as
// often as it is to be, or as often and faster.
func better(a, b predict.Prediction, tokens int, l predict.Limits) bool {
	if a.Not != "" || b.Not != "" {
		return a.Not == "" && b.Not != ""
	}
	ra, rb := min(a.Right, 1-l.Wrong), min(b.Right, 1-l.Wrong)
	if ra != rb {
		return ra > rb
	}
	return a.Total(tokens) < b.Total(tokens)*(1-1e-9)
}

// notHere is why a mode that is predicted is not chosen.
const notHere = "this program has no such mode"

// speed sets the board's pass and batches, from what was given, measured, or by the speed of
// its memory: a pass reads every weight once.
func (p *Plan) speed(b *predict.Machine, o Options) {
	switch {
	case b.Pass > 0:
	case o.Measured != nil:
		b.Pass = o.Measured.Pass
	default:
		measure := o.Bandwidth
		if measure == nil {
			measure = Bandwidth
		}
		rate := measure()
		b.Pass = float64(p.Model.PassBytes) / (rate * BandwidthShare)
		p.Assumed = append(p.Assumed, fmt.Sprintf("The board's pass is estimated from %.1f GB/s of memory: --measure runs the model.", rate/1e9))
	}
	switch {
	case len(b.Batch) > 0:
	case o.Measured != nil:
		b.Batch = o.Measured.Batch
	default:
		b.Batch = UsualBatch()
		p.Assumed = append(p.Assumed, "A further token of a batch on the board is taken to cost half of a pass, and in prompts a fifth: --measure or --batch says more.")
	}
	p.Pass = b.Pass
	if o.CloudPass == 0 {
		p.Assumed = append(p.Assumed, "There is no cloud: --cloud-pass and --rtt describe one.")
	} else if o.RTT == 0 {
		p.Assumed = append(p.Assumed, "The link is taken to have no delay: give --rtt as skerry link test measures it.")
	}
}

// UsualBatch is what batches cost on processors where nothing was measured.
func UsualBatch() predict.Batch {
	return predict.Batch{{Rows: 2, Share: .6}, {Rows: 8, Share: .5}, {Rows: 64, Share: .2}}
}
