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
	if p.Modes, p.Drafts, err = m.Predict(base, lookup, limits, o.draftFacts()); err != nil {
		return nil, err
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

// DraftFacts are what is known of a draft model here beside what its bundle says.
type DraftFacts struct {
	Acceptance float64 // share of its tokens that the whole model would say, 0: as the bundle has it
	Cost       float64 // of a token, in passes of the whole model, 0: as the bundle has it
	OfModel    bool    // Acceptance is that of a draft model, and not of exits
}

func (o Options) draftFacts() (f DraftFacts) {
	f.Acceptance = o.Acceptance
	if o.Measured != nil {
		f.Cost = o.Measured.Draft / o.Measured.Pass
	}
	return f
}

// Predict predicts every mode with the draft of the model that suits it, of its own and of
// lookup. The case is without draft and lookup. Errors wrap predict.ErrCase.
func (m *Model) Predict(base predict.Case, lookup predict.Lookup, l predict.Limits, facts DraftFacts) (modes []ModePlan, drafts []DraftPlan, err error) {
	for _, d := range slices.Concat([]candidate{{}}, m.drafts) {
		if d.draft == nil && d.lacking != "" || d.lacking != "" && facts.Acceptance == 0 {
			drafts = append(drafts, DraftPlan{Name: d.name, Lacking: d.lacking})
			continue
		}
		c := base
		d.apply(&c, facts, lookup)
		all, err := predict.All(c)
		if err != nil {
			return nil, nil, err
		}
		if modes == nil { // without a draft
			for _, x := range all {
				modes = append(modes, ModePlan{Prediction: x})
			}
			continue
		}
		drafts = append(drafts, merge(modes, d.name, all, c.Answer, l))
	}
	return modes, drafts, nil
}

// PassOf is the time of a pass of the whole model on a board that drafts a token in so many
// seconds; 0 where the model has no draft but lookup.
func (m *Model) PassOf(draft float64, b predict.Batch) float64 {
	for _, d := range m.drafts {
		if d.draft == nil || d.lacking != "" {
			continue
		}
		var c predict.Case
		c.Board.Batch = b
		if d.apply(&c, DraftFacts{}, predict.Lookup{}); c.Draft.Cost > 0 {
			return draft / c.Draft.Cost
		}
	}
	return 0
}

// merge takes what a draft brings to each mode where that is better than what is known.
func merge(modes []ModePlan, name string, all []predict.Prediction, tokens int, l predict.Limits) DraftPlan {
	d := DraftPlan{Name: name}
	for i, x := range all {
		if x.Not == "" && x.Drafts() && (d.Mode == "" || x.Total(tokens) < d.Total) {
			d.Mode, d.Total = x.Mode, x.Total(tokens)
		}
		switch was := &modes[i]; {
		case better(x, was.Prediction, tokens, l):
			*was = ModePlan{x, name}
		case x.Not != "" && was.Not != "" && x.Not != predict.NothingProposes:
			was.Not = x.Not
		}
	}
	return d
}

func (p *Plan) mode(name string) ModePlan {
	i := slices.IndexFunc(p.Modes, func(m ModePlan) bool { return m.Mode == name })
	return p.Modes[i]
}

// apply sets what a candidate adds to a case.
func (d candidate) apply(c *predict.Case, f DraftFacts, l predict.Lookup) {
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
	if f.Acceptance > 0 && (d.file != "" || !f.OfModel) {
		draft.Acceptance = f.Acceptance
	}
	if f.Cost > 0 && d.file != "" {
		draft.Cost = f.Cost
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
const notHere = "no mode of its own: unsplit drafts where that pays"

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
