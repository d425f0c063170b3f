// Package decode is the token loop: from a prompt to tokens, each sampled from the
// logits of the first exit that is confident, of the cloud, or of the board alone.
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

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// Options of an answer. Sessions keep them as JSON: what a field is called there stays,
// whatever its name here.
type Options struct {
	Mode infer.Mode `json:"Mode"`
	// Thresholds are the confidences from which exit 1 and exit 2 are believed; one value
	// serves both, and of two the second a draft model. Above 1 is never reached. Without
	// any each has its own default (Exit.Threshold, DraftModel.Threshold).
	Thresholds []float64 `json:"Thresholds"`
	// Policy names the rule by which an exit is believed (package policy); "" is
	// policy.Confidence.
	Policy   string         `json:"policy,omitempty"`
	Sampling infer.Sampling `json:"Sampling"`
	// MaxTokens ends the answer; 0 goes on to the end of the context.
	MaxTokens int `json:"MaxTokens"`
	// IgnoreEnd goes on past the model's end of answer, to measure and compare.
	IgnoreEnd bool `json:"IgnoreEnd"`
	// Eager has Collaborative ask once exit 1 is unsure, before exit 2 is computed:
	// sooner, and for nothing where exit 2 is sure.
	Eager bool `json:"Eager"`
	// Draft says which drafts are checked in a mode that checks drafts; the text is the same
	// with any. "" is infer.DraftAuto.
	Draft  infer.Drafting `json:"draft,omitempty"`
	OnLoss infer.OnLoss   `json:"OnLoss"`
	// BoardLeads says whether the whole model on this board is expected to be faster than the
	// cloud at present. It is asked before every token of Verified, where the board has the
	// whole model: the text is the same from either. nil: the cloud is asked while it can be.
	BoardLeads func() bool `json:"-"`
	// CloudLeads says whether the cloud is expected to be faster if it goes on by itself. It is asked
	// before every check of Verified and CloudLed; nil: it leads in CloudLed, and not in Verified.
	CloudLeads func() bool `json:"-"`
	// MaxTokenLatency bounds the time from one token to the next: past it the
	// deepest exit is sampled. 0 waits for the cloud however long it takes. The first
	// token's time begins when the board has computed the prompt.
	MaxTokenLatency time.Duration `json:"MaxTokenLatency"`
	// Said are the first tokens of the answer, emitted by an earlier process: the
	// answer goes on after them as if it had never been cut. They count towards
	// MaxTokens, and are neither emitted nor in Result.Tokens.
	Said []int32 `json:"-"`
	// Logprobs wants Token.Logprob, and TopLogprobs so many of Token.Top. An exit
	// over a shortlist gives the probabilities within it.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
	// NoDraftAhead drafts nothing while a check is under way: it computes on this machine's
	// cores itself.
	NoDraftAhead bool `json:"-"`
	// Decided is told after every step that decided tokens, once they are emitted, what the answer
	// has come to; may be nil.
	Decided func(Result) `json:"-"`
	// CatchUp is told, in the middle of an answer, how many of the positions that the
	// rest of the model lacks it has computed; may be nil.
	CatchUp func(done, total int) `json:"-"`
	// Prefill is told, before and while a prompt is computed, how many of its positions are,
	// those that were in the KV cache included; may be nil.
	Prefill func(done, total int) `json:"-"`
	// Waiting is told every second that the answer waits for the cloud, from another
	// goroutine; may be nil.
	Waiting func() `json:"-"`
}

// DefaultThreshold is that of an exit of which nothing was measured. It is high
// because the model's own norm and LM head are poor exits: after 20 of SmolLM2's
// 30 blocks a confidence of 0.8 agrees with the full model on a third of tokens,
// one of 0.99 on two thirds.
const DefaultThreshold = 0.99

// Check returns what is wrong with the options.
func (o Options) Check() error {
	if err := o.checkMode(); err != nil {
		return err
	}
	if _, err := policy.New(o.Policy, o.Thresholds); err != nil {
		return err
	}
	if o.MaxTokens < 0 {
		return fmt.Errorf("max tokens is %d: choose 0 (no limit) or more", o.MaxTokens)
	}
	if o.OnLoss != infer.GoAlone && o.OnLoss != infer.EndAnswer && o.OnLoss != infer.AwaitCloud {
		return fmt.Errorf("on loss %q is unknown: choose %s, %s or %s", o.OnLoss, infer.GoAlone, infer.EndAnswer, infer.AwaitCloud)
	}
	if o.MaxTokenLatency < 0 {
		return fmt.Errorf("max token latency is %s: choose 0 (no limit) or more", o.MaxTokenLatency)
	}
	if o.TopLogprobs < 0 || o.TopLogprobs > maxLogprobs {
		return fmt.Errorf("top logprobs is %d: choose 0 to %d", o.TopLogprobs, maxLogprobs)
	}
	if err := o.Draft.Check(); err != nil {
		return err
	}
	return o.Sampling.Check()
}

// Result is what Generate returns.
type Result struct {
	Text         string
	Tokens       []infer.Token
	Finish       infer.Finish
	PromptTokens int           // of the whole prompt
	Prefilled    int           // of them computed now; the rest was in the KV cache
	FirstToken   time.Duration // from the call to the first token
	Total        time.Duration
	Asks         int           // of the cloud
	CaughtUp     int           // rows the mid stage computed from its backlog
	Handover     int           // positions the rest of the model had to compute when it first stood in for the cloud
	HandoverTook time.Duration // and how long that took
	Lost         error         // why the cloud was first lost, nil if it was not
	Resumed      int           // times the cloud was back after a loss
	Late         int           // answers that came after the deadline
	LateAgreed   int           // of them, those whose likeliest token is the one that was emitted instead
	Changes      []infer.Change
	// Agreement by the exit that spoke: how often a late answer bore it out.
	Agreement map[infer.Source]infer.Agreement
	// Checks are the passes of the full model that decided tokens, in a mode that checks
	// drafts.
	Checks int
	// Proposed counts by drafter the tokens of which the full model was asked, and of them
	// those that it said itself: in a mode that checks drafts those of every check, else those
	// that were not believed.
	Proposed map[infer.Source]infer.Agreement
	Draft    error // why the session goes on without its draft model, nil if it does not
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
	// Alone is set where calibration believes the exit at every confidence, so that all
	// tokens may be its own where the cloud cannot be asked.
	Alone bool
}

// Model is what the loop computes with. Exits may be one or two; with Whole alone
// only Unsplit works, with Draft alone only Standalone.
type Model struct {
	Exits []Exit
	Whole Stage
	// Tail is what follows after exit 1, with the model's own head, on this board: with
	// exit 1's stage the whole model, for when the cloud cannot be asked. It holds
	// TailContext positions of each sequence; 0: as many as the others. nil where the
	// board has no room for it.
	Tail        Stage
	TailContext int
	// Draft proposes tokens in place of the exits, of which the first stage alone is then
	// needed, for a cloud that takes hidden states; nil for none.
	Draft *DraftModel
	Vocab *engine.Vocab
	// Context is the most positions one session may hold.
	Context int
	// Learnt is what sessions of the model have in common of what they learn of drafts; with
	// nil each learns for itself.
	Learnt *Learnt
}

// Row is a row of logits, or the best of it.
type Row struct {
	IDs       []int32 // nil: the vocabulary in order
	Logits    []float32
	LogSumExp float64 // of the whole row
}
