package infer

import (
	"context"
	"iter"
	"time"
)

// Asker answers questions: the core of a board, and the daemon through its client.
type Asker interface {
	// Ask begins an answer, or returns an *Error. The answer of a request without a
	// session ends when ctx does; one with a session goes on and may be followed
	// again.
	Ask(ctx context.Context, r Request) (Answer, error)
	// Follow finds an answer of a session, under way, whole or cut by a restart. An
	// answer that does not exist is NoSession, a session of another's Forbidden.
	Follow(ctx context.Context, f Following) (Answer, error)
}

// Backend is what the handlers need of the daemon. Its methods may be called
// concurrently, and while the model is still loading.
type Backend interface {
	Asker
	// Models on this board, the loaded ones first.
	Models() []Model
	// Resolve returns the model that is meant by a name, loaded or not, "" for the default.
	// It is an *Error that is NoModel where there is no such model, and another where that
	// cannot be told yet.
	Resolve(name string) (Model, error)
	// Pull fetches and prepares a model by name, calling progress as it goes.
	Pull(ctx context.Context, name string, progress func(Progress)) error
	// Load has a model loaded (Ollama's empty prompt); keep < 0 for ever, 0 to
	// unload now. It holds until the next request for the model.
	Load(ctx context.Context, name string, keep time.Duration) error
	// Wake has a model loaded, and leaves it to the configuration how long it stays.
	Wake(ctx context.Context, name string) error
	// Count returns how many tokens a request is, without answering it. The error is TooLong
	// where they leave no room for an answer: with the number where it is known, else with 0.
	Count(ctx context.Context, r Request) (int, error)
}

// Following names an answer.
type Following struct {
	By      By
	Session string
	ID      string // of the answer, "" for the session's last
	// Look leaves everything as it is: an answer that was cut ends where it was cut, and
	// no model is loaded to read one. Without it the answer goes on.
	Look bool
}

// Answer is one under way. Several may follow it.
type Answer interface {
	ID() string
	Session() string
	Model() string
	Created() time.Time
	// Begun is how many tokens the prompt is, and how many of the answer were said before
	// this process went on with it. Through a client that does not know it both are 0.
	Begun() (prompt, said int)
	// Events yields from the event after index tokens on, and ends after End or
	// when ctx does. A slow reader delays nobody; pieces may come joined. From 0
	// there may be Queued and Prefill events; an index beyond what is known yields
	// Rewind first.
	Events(ctx context.Context, from int) iter.Seq[Event]
}

// Model is one that this board has, or could have.
type Model struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest"` // bundle id, hex
	Path         string    `json:"-"`      // directory of the bundle, for whoever loads it
	Modified     time.Time `json:"modified"`
	Bytes        int64     `json:"bytes"`
	Loaded       bool      `json:"loaded"`
	LoadedBytes  int64     `json:"loaded_bytes"` // weights and KV in memory
	Architecture string    `json:"architecture"`
	Parameters   int64     `json:"parameters"`
	Quantization string    `json:"quantization"`
	Context      int       `json:"context"` // in force where loaded, else trained
	Trained      int       `json:"trained_context"`
	Embedding    int       `json:"embedding_length"`
	Blocks       int       `json:"blocks"`
	Exits        []int     `json:"exits"`
	Template     string    `json:"template"`
	Licence      string    `json:"licence"`
	Tools        bool      `json:"tools"`            // the template knows tools
	Vision       bool      `json:"vision,omitempty"` // it has a projector: it reads images
	// Embeds says that it makes embeddings as it is loaded, or would be; it is known of one
	// that was asked for by name.
	Embeds bool `json:"embeds,omitempty"`
	// Of those that are loaded: when it is unloaded if nobody asks any more, zero for never,
	// and whether the configuration has it stay.
	Expires time.Time `json:"expires,omitzero"`
	Pinned  bool      `json:"pinned,omitempty"`
}

// Progress of a pull.
type Progress struct {
	What  string `json:"what"` // "fetching X", "splitting", "checking"
	Done  int64  `json:"done"` // bytes or steps
	Total int64  `json:"total"`
}
