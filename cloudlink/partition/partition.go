// Package partition is the cloud's side of the link: it holds a context for
// every session and computes the tail stage for them.
//
// Hidden states only queue when they arrive. An ask makes the stage compute the
// backlog up to the asked position, together with the work of other sessions,
// so that positions the board answered itself cost a share of a batch and no
// head. One goroutine per stage owns it; the scheduler is the only caller.
package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"skerry/cloudlink/wire"
)

// Row is one position of one sequence on its way through the tail stage.
type Row struct {
	Seq, Pos int
	Hidden   []float32 // [n_embd]float32
	Logits   bool      // whether this row's logits are wanted
}

// Stage is the tail stage of a model. One goroutine calls it.
type Stage interface {
	Width() int     // n_embd
	Vocab() int     // n_vocab
	Sequences() int // contexts it can hold at once
	Context() int   // positions in all, shared by the sequences
	MaxRows() int   // rows one Forward takes
	// Forward computes rows, each at the next position of its sequence, and
	// returns one row of logits, [n_vocab]float32, per row that wants them, in
	// order; they are valid until the next call.
	Forward(rows []Row) (logits [][]float32, err error)
	// Truncate forgets the positions of a sequence at pos and above.
	Truncate(seq, pos int) error
}

// Bundle is a model that this partition serves.
type Bundle struct {
	ID    wire.Hash
	Name  string
	Stage Stage
}

// Config describes a server. Bundles is needed.
type Config struct {
	Bundles []Bundle
	Log     *slog.Logger // default: none
	Version string       // of the software, told to boards
	// MaxQueued is how many positions a session may leave uncomputed, default
	// 2048. Above it the stage catches up without being asked and the board's
	// stream is held back, so that neither memory nor a late ask's backlog
	// grows beyond it. Each costs n_embd times 4 bytes.
	MaxQueued int
	Clock     func() time.Time // default time.Now
}

const defaultMaxQueued = 2048

// ErrConfig is wrapped by every error of NewServer.
var ErrConfig = errors.New("cloud partition")

func (c Config) withDefaults() (Config, error) {
	if len(c.Bundles) == 0 {
		return c, fmt.Errorf("%w: no bundle to serve", ErrConfig)
	}
	seen := map[wire.Hash]bool{}
	for _, b := range c.Bundles {
		s := b.Stage
		switch {
		case s == nil || s.Width() <= 0 || s.Vocab() <= 0 || s.Sequences() <= 0 || s.Context() <= 0 || s.MaxRows() <= 0:
			return c, fmt.Errorf("%w: bundle %s (%s) has an empty stage", ErrConfig, b.Name, b.ID)
		case seen[b.ID]:
			return c, fmt.Errorf("%w: bundle %s (%s) is given twice", ErrConfig, b.Name, b.ID)
		}
		seen[b.ID] = true
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = defaultMaxQueued
	}
	return c, nil
}
