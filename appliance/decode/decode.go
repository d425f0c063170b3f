// Package decode is the token loop: from a prompt to tokens, each said by the
// first exit that is confident, by the cloud, or by the board alone.
//
// One mechanism carries every mode, lazy catch-up: a stage that is skipped only
// queues the hidden states it would have computed; when next needed it computes
// its whole backlog as one batch at the right positions. The mid stage here and
// the tail stage in the cloud differ only in who holds the backlog.
//
// The loop follows CE-CoLLM (Jin and Wu, arXiv 2411.02829): early exits with
// confidence thresholds, hidden states uploaded while the next stage computes,
// a standalone and a collaborative mode.
package decode

import (
	"errors"
	"fmt"
	"time"

	"skerry/appliance/engine"
)

// Mode is how tokens are decided.
type Mode string

// The modes.
const (
	// Standalone never asks: it says what exit 1 or exit 2 says.
	Standalone Mode = "standalone"
	// Collaborative says an exit's token where the exit is confident and asks
	// the cloud otherwise.
	Collaborative Mode = "collaborative"
	// Unsplit runs the whole model in this process: the oracle.
	Unsplit Mode = "unsplit"
)

// Source says which part of the system said a token.
type Source string

// The sources.
const (
	Exit1       Source = "exit1"
	Exit2       Source = "exit2"
	FromCloud   Source = "cloud"
	Fallback    Source = "fallback" // the deepest exit, unsure, because the cloud could not be asked or did not answer
	FromUnsplit Source = "unsplit"
)

// Sources in the order people read them.
var Sources = []Source{Exit1, Exit2, FromCloud, Fallback, FromUnsplit}

// Reason says why the cloud has not said a token.
type Reason string

// The reasons.
const (
	Asked     Reason = ""             // it has
	Confident Reason = "confident"    // an exit was sure
	Alone     Reason = "standalone"   // the mode never asks
	Lost      Reason = "link lost"    // asked, or the cloud is lost for good: no answer can be had
	Whole     Reason = "unsplit"      // there is no cloud in this mode
	Deadline  Reason = "deadline"     // asked, and no answer in time
	TooSlow   Reason = "too slow"     // not asked: no answer was to be expected in time
	Down      Reason = "link down"    // not asked: the link is down at present
	Poor      Reason = "link poor"    // not asked: the link is poor and the board leads
	Busy      Reason = "cloud busy"   // the cloud refused, or asked to be left alone for a while
	Owed      Reason = "answers owed" // not asked: too many late answers are still owed
)

// Token is the record of one emitted token.
type Token struct {
	ID int32 `json:"id"`
	// Text is what can be shown once the token is out: its bytes up to the last
	// whole character. The texts of an answer join to its whole text.
	Text   string `json:"text"`
	Source Source `json:"source"`
	// Verified says that the full model agrees or has said it itself.
	Verified bool `json:"verified"`
	// Confidence is the probability of the likeliest token at the source, before
	// any filter; Margin the gap between the two best logits.
	Confidence float64 `json:"confidence"`
	Margin     float64 `json:"margin"`
	// WaitMS is how long the loop waited for the cloud, in milliseconds.
	WaitMS float64 `json:"wait_ms"`
	Why    Reason  `json:"why_not_asked,omitempty"`
	// Logprob and Top where Options.Logprobs wants them: natural logarithms of
	// probabilities at the source, before any filter, Top the likeliest first.
	Logprob float64     `json:"logprob,omitempty"`
	Top     []Candidate `json:"top,omitempty"`
	// Change is of the first token decided in another mode, nil elsewhere.
	Change *Change `json:"change,omitempty"`
}

// Candidate is a token that might have been said.
type Candidate struct {
	ID      int32   `json:"id"`
	Logprob float64 `json:"logprob"`
}

// Change of the mode in the middle of an answer.
type Change struct {
	At     int    `json:"at"` // position of the first token decided in the mode
	To     Mode   `json:"to"`
	Reason string `json:"reason"` // with the figures it rests on
}

// OnLoss is what to do when the cloud is lost in the middle of an answer.
type OnLoss string

// The policies.
const (
	GoAlone OnLoss = "alone" // the board goes on until the cloud is back
	Stop    OnLoss = "stop"  // the answer ends with an error
	Await   OnLoss = "wait"  // the answer waits until the cloud is back
)

// Options of an answer.
type Options struct {
	Mode Mode
	// Thresholds are the confidences from which exit 1 and exit 2 are believed;
	// one value serves both. Above 1 is never reached. Without any each exit has
	// its own default (Exit.Threshold).
	Thresholds []float64
	Sampling   engine.Sampling
	// MaxTokens ends the answer; 0 goes on to the end of the context.
	MaxTokens int
	// IgnoreEnd goes on past the model's end of answer, to measure and compare.
	IgnoreEnd bool
	// Eager has Collaborative ask once exit 1 is unsure, before exit 2 is computed:
	// sooner, and for nothing where exit 2 is sure.
	Eager  bool
	OnLoss OnLoss
	// MaxTokenLatency bounds the time from one token to the next: past it the
	// deepest exit speaks. 0 waits for the cloud however long it takes. The first
	// token's time begins when the board has computed the prompt.
	MaxTokenLatency time.Duration
	// Said are the first tokens of the answer, said by an earlier process: the
	// answer goes on after them as if it had never been cut. They count towards
	// MaxTokens, and are neither emitted nor in Answer.Tokens.
	Said []int32 `json:"-"`
	// Logprobs wants Token.Logprob, and TopLogprobs so many of Token.Top. An exit
	// over a shortlist gives the probabilities within it.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
	// Prefill is told, while a prompt is computed, how many of its positions are,
	// those that were in the KV cache included; may be nil.
	Prefill func(done, total int) `json:"-"`
}

// DefaultThreshold is that of an exit of which nothing was measured. It is high
// because the model's own norm and LM head are poor exits: after 20 of SmolLM2's
// 30 blocks a confidence of 0.8 agrees with the full model on a third of tokens,
// one of 0.99 on two thirds.
const DefaultThreshold = 0.99

// Check returns what is wrong with the options.
func (o Options) Check() error {
	switch o.Mode {
	case Standalone, Collaborative, Unsplit, CloudOnly, Naive, Paper:
	default:
		return fmt.Errorf("mode %q is unknown: choose %s, %s or %s, or of the baselines %s, %s or %s", o.Mode, Collaborative, Standalone, Unsplit, CloudOnly, Naive, Paper)
	}
	if n := len(o.Thresholds); n > 2 {
		return fmt.Errorf("%d thresholds: give one, or one for each of two exits", n)
	}
	for _, t := range o.Thresholds {
		if !(t >= 0) {
			return fmt.Errorf("threshold %v: choose 0 (always believed) to 1; above 1 is never reached", t)
		}
	}
	if o.MaxTokens < 0 {
		return fmt.Errorf("max tokens is %d: choose 0 (no limit) or more", o.MaxTokens)
	}
	if o.OnLoss != GoAlone && o.OnLoss != Stop && o.OnLoss != Await {
		return fmt.Errorf("on loss %q is unknown: choose %s, %s or %s", o.OnLoss, GoAlone, Stop, Await)
	}
	if o.MaxTokenLatency < 0 {
		return fmt.Errorf("max token latency is %s: choose 0 (no limit) or more", o.MaxTokenLatency)
	}
	if o.TopLogprobs < 0 || o.TopLogprobs > mostLogprobs {
		return fmt.Errorf("top logprobs is %d: choose 0 to %d", o.TopLogprobs, mostLogprobs)
	}
	if err := o.checkBaseline(); err != nil {
		return err
	}
	return o.Sampling.Check()
}

// threshold of exit i, counted from 0, whose own default is def.
func (o Options) threshold(i int, def float64) float64 {
	switch {
	case len(o.Thresholds) == 0 && def > 0:
		return def
	case len(o.Thresholds) == 0:
		return DefaultThreshold
	case len(o.Thresholds) == 1:
		return o.Thresholds[0]
	}
	return o.Thresholds[i]
}

// Finish says why an answer ended.
type Finish string

// The ends.
const (
	FinishStop   Finish = "stop"      // the model ended it
	FinishLength Finish = "length"    // MaxTokens or the context
	FinishCancel Finish = "cancelled" // the caller's context ended
	FinishLost   Finish = "lost"      // the cloud was lost and OnLoss is Stop
)

// Answer is what Generate returns.
type Answer struct {
	Text         string
	Tokens       []Token
	Finish       Finish
	PromptTokens int           // of the whole prompt
	Prefilled    int           // of them computed now; the rest was in the KV cache
	FirstToken   time.Duration // from the call to the first token
	Total        time.Duration
	Asks         int   // of the cloud
	CaughtUp     int   // rows the mid stage computed from its backlog
	Lost         error // why the cloud was first lost, nil if it was not
	Resumed      int   // times the cloud was back after a loss
	Late         int   // answers that came after the deadline
	LateAgreed   int   // of them, those that say the token that was said instead
	Changes      []Change
	// Agreement by the exit that spoke, over the session so far: how often a late
	// answer bore it out.
	Agreement map[Source]Agreement
}

// ErrPromptTooLong is wrapped by the error for a prompt that leaves no room.
var ErrPromptTooLong = errors.New("prompt is longer than the context")

// Stage is what the loop needs of a stage; *engine.Stage is one.
type Stage interface {
	Forward(engine.Batch) (engine.Output, error)
	Truncate(seq, pos int) error
	Width() int
}

// Head is what the loop needs of an exit head; *engine.Head is one.
type Head interface {
	// Logits turns hidden states [n][n_embd] into [n][Size()]float32.
	Logits(hidden []float32) ([]float32, error)
	// Tokens are the ids the logits belong to, nil for the vocabulary in order.
	Tokens() []int32
}

// Exit is a stage and the head on top of it.
type Exit struct {
	Stage Stage
	Head  Head
	// Full is over the whole vocabulary where Head is over a shortlist, for grammars
	// that allow none of that; nil ends such an answer with an error. Only the
	// deepest exit's is ever asked.
	Full Head
	// Threshold is the confidence the exit is believed from by default, from what
	// was measured of it; 0 stands for DefaultThreshold.
	Threshold float64
}

// Model is what the loop computes with. Exits may be one or two; with Whole alone
// only Unsplit works.
type Model struct {
	Exits []Exit
	Whole Stage
	Vocab *engine.Vocab
	// Context is the most positions one session may hold.
	Context int
}

// Row is a row of logits, or the best of it.
type Row struct {
	IDs       []int32 // nil: the vocabulary in order
	Logits    []float32
	LogSumExp float64 // of the whole row
}
