package decode

import (
	"context"
	"time"

	"skerry/appliance/bundle"
)

// Options of a run. Zero values are not usable: take Defaults.
type Options struct {
	Threads int // of every candidate, the memory reader's too
	Poll    int // as engine.Options has it
	// Prompt is the length of a prompt whose prefill is timed, Decode the number
	// of tokens a turn decodes after a short prompt; both in tokens.
	Prompt, Decode int
	// Rounds is the most of either kind; Budget ends a model's rounds earlier,
	// but never before the first is whole. Preparation does not count.
	Rounds int
	Budget time.Duration
	Seed   uint64 // of the order of turns
	// Shortlist is the number of tokens of the shortlist heads.
	Shortlist int
	// Peer may be nil; PeerReason then says why.
	Peer       Peer
	PeerReason string
	// Progress may be nil.
	Progress func(step string, done, total int64)
}

func (o Options) report(step string, done, total int) {
	if o.Progress != nil {
		o.Progress(step, int64(done), int64(total))
	}
}

// Model is a model to measure.
type Model struct {
	Name string
	// Splits are bundles of one model with all their stages. Exits 1 and 2 are
	// the first one's; of the others only the last exit is measured.
	Splits []*bundle.Bundle
	// Batches are the batch sizes for the marginal cost of a position, measured
	// with each of BatchThreads; none if empty. 1 is always among them.
	Batches, BatchThreads []int
	Targets               []Target
}

// Peer is another program that runs the same GGUF.
type Peer interface {
	Name() string
	Start(ctx context.Context, model string, o PeerOptions) (PeerRunner, error)
}

// PeerOptions are what the stages under comparison have.
type PeerOptions struct {
	Threads, Context, Batch int
}

// PeerRunner evaluates tokens in one sequence. Times are of the evaluation alone.
type PeerRunner interface {
	// Prompt empties the cache and evaluates tokens as one, logits of the last.
	Prompt(ctx context.Context, tokens []int32) (time.Duration, error)
	// Decode goes on, token by token, logits of each.
	Decode(ctx context.Context, tokens []int32) (time.Duration, error)
	Close() error
}
