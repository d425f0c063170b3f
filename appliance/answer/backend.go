package answer

import (
	"context"
	"iter"
	"time"
)

// Backend is what the handlers need of the daemon. Its methods may be called
// concurrently, and while the model is still loading.
type Backend interface {
	// Ask begins an answer, or returns an *Error. The answer of a request without a
	// session ends when ctx does; one with a session goes on and may be followed
	// again.
	Ask(ctx context.Context, r Request) (Answer, error)
	// Follow finds an answer of a session, under way, whole or cut by a restart (it
	// then goes on). The id may be empty for the session's last. An id of another
	// answer is NoSession.
	Follow(ctx context.Context, session, id string) (Answer, error)
	// Models on this board, the loaded one first.
	Models() []Model
	// Pull fetches and prepares a model by name, calling progress as it goes.
	Pull(ctx context.Context, name string, progress func(Progress)) error
	// Load has a model loaded (Ollama's empty prompt); keep < 0 for ever, 0 to
	// unload now.
	Load(ctx context.Context, name string, keep time.Duration) error
	// Tokenize counts the tokens of a request without answering it.
	Count(ctx context.Context, r Request) (int, error)
}

// Answer is one under way. Several may follow it.
type Answer interface {
	ID() string
	Session() string
	Model() string
	Created() time.Time
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
	Tools        bool      `json:"tools"` // the template knows tools
}

// Progress of a pull.
type Progress struct {
	What  string `json:"what"` // "fetching X", "splitting", "checking"
	Done  int64  `json:"done"` // bytes or steps
	Total int64  `json:"total"`
}
