package calibrate

import (
	"runtime"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
)

// TrainOptions say how a draft is trained. The zero value trains the blocks of the second half
// of what lies below the last exit.
type TrainOptions struct {
	// Texts are the user's files to learn from; the packaged texts where there are none. Half
	// of what is learned from is the model's own answers.
	Texts  []string
	Tokens int // to learn from at most, about; default DefaultTrainTokens
	// From is the first block that is trained, counted from 0; default half of the blocks
	// below the last exit.
	From int
	// Passes is how often each text is learned from, about; default 2.
	Passes  int
	Seed    uint64
	Threads int // default all cores
	Fetch   fetch.Options
	// Cache is where what was read and written is kept, and how far the training has come, until
	// the draft is done; default as for a calibration. Keep leaves it there.
	Cache string
	Keep  bool
	// Replace allows a draft model that the bundle has to be replaced.
	Replace  bool
	Progress func(step string, done, total int64)
	Note     func(format string, args ...any)

	tune, measured, round, prompts int // tokens that the curve, and that the draft is measured on, and of a round; prompts answered at once
}

// DefaultTrainTokens is what a model of 135M parameters takes some hours of one core for.
const DefaultTrainTokens = 300_000

// TrainPoint is how far a training came with so many tokens of text: its agreement with the
// whole model on text that it does not learn from, by kind too, and the divergence that it
// lowers, in nats, on the text that it read last.
type TrainPoint struct {
	Tokens    int                `json:"tokens"`
	Loss      float64            `json:"loss,omitempty"`
	Agreement float64            `json:"agreement"`
	ByKind    map[string]float64 `json:"by_kind"`
}

// Trained is what came of a training.
type Trained struct {
	// Curve begins before the first step and ends after the last.
	Curve []TrainPoint `json:"curve"`
	// Flat says that it ended before all text was read, as more of it no longer helped.
	Flat bool `json:"flat"`
	// Draft is the bundle's new draft as it was measured; nil where nothing was gained and the
	// bundle stays as it was.
	Draft *bundle.Draft `json:"draft,omitempty"`
	// Exit is the fitted exit that the training began with, as the bundle has it.
	Exit bundle.Head `json:"exit"`
}

// Gained says that the draft agrees more with the whole model than it did before, and than the
// exit does where that was measured.
func (t *Trained) Gained() bool {
	if len(t.Curve) < 2 {
		return false
	}
	last, exit, kinds := t.Curve[len(t.Curve)-1], 0.0, 0
	for kind := range last.ByKind {
		if e, ok := t.Exit.ByKind[kind]; ok {
			exit, kinds = exit+e.Agreement, kinds+1
		}
	}
	return last.Agreement > max(t.Curve[0].Agreement, exit/float64(max(1, kinds)))
}

// The descent: positions of a step, the rate that it works up to and the steps that this takes.
const (
	trainBatch  = 512
	trainRate   = 1e-4
	trainWarmup = 20
)

// ownShare of what is learned from, after the first round, is what the draft itself wrote, with
// the whole model's word on every position of it.
const ownShare = 0.2

// Of the tokens whose probabilities a step looks at, the most frequent and some of the others,
// which must not become likely either.
const otherTokens = 1024

// A training has so many rounds, each of so many tokens at least; the curve is measured on so many
// tokens of each kind of text.
const (
	trainRounds = 10
	leastRound  = 4000
	heldTokens  = 2000
)

// leastGain is the agreement that doubling the text has to bring.
const leastGain = 0.01

func (o TrainOptions) withDefaults() TrainOptions {
	if o.Tokens == 0 {
		o.Tokens = DefaultTrainTokens
	}
	if o.Passes == 0 {
		o.Passes = 2
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.round == 0 {
		o.round = max(o.Tokens/trainRounds, leastRound)
	}
	if o.tune == 0 {
		o.tune = heldTokens
	}
	if o.prompts == 0 {
		o.prompts = slots
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	return o
}
