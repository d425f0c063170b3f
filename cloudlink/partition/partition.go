// Package partition is the cloud's side of the link: it holds a context for
// every session and computes the tail stage for them.
//
// Hidden states only queue when they arrive. An ask makes the stage compute the
// backlog up to the asked position, together with the work of other sessions,
// so that positions the board answered itself cost a share of a batch and no
// head. One goroutine per stage owns it; the scheduler is the only caller, and
// gives devices equal shares of it.
//
// A context outlives its connection, and any that is not in use may be evicted
// for a newcomer: the board is told from where to send again. What a device may
// send, open and leave unread is bounded (Devices, Quota, Config.Budget).
package partition

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"skerry/cloudlink/wire"
)

// Rows are positions of sequences on their way through a stage, n of them. What a stage
// takes lies in one piece, as it came over the wire and as the engine wants it.
type Rows struct {
	Seq, Pos []int32   // [n]
	Wanted   []bool    // [n]: whether the row's logits are
	Hidden   []float32 // [n][n_embd]float32; nil for a WholeStage
	Tokens   []int32   // [n], in its place for a WholeStage; else nil
}

// Len is how many rows there are.
func (r *Rows) Len() int { return len(r.Pos) }

// reset empties r and keeps its memory.
func (r *Rows) reset() {
	r.Seq, r.Pos, r.Wanted = r.Seq[:0], r.Pos[:0], r.Wanted[:0]
	r.Hidden, r.Tokens = r.Hidden[:0], r.Tokens[:0]
}

// Stage is the tail stage of a model. One goroutine calls it. A stage with a
// method PositionBytes() int, the bytes that one more position takes, has them
// counted against Config.Budget. One with a method Bytes() (weights, kv int64), what
// it took when it was opened, has that shown in StageStats.
type Stage interface {
	Width() int     // n_embd
	Vocab() int     // n_vocab
	Sequences() int // contexts it can hold at once
	Context() int   // positions each of them may hold
	MaxRows() int   // rows one Forward takes
	// Forward computes rows, each at the next position of its sequence, and
	// returns [m][n_vocab]float32: the logits of the m rows that want them, in
	// order. They are valid until the next call.
	Forward(rows Rows) (logits []float32, err error)
	// Truncate forgets the positions of a sequence at pos and above.
	Truncate(seq, pos int) error
}

// Bundle is a model that this partition serves.
type Bundle struct {
	ID    wire.Hash
	Name  string
	Stage Stage
	Whole WholeStage // all blocks, for boards that send token ids; nil: none
	// Leader goes on with answers of the whole model by itself; nil: boards ask for rows.
	Leader Leader
	Files  []File // what boards may fetch of it; none: nothing
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
	// MaxWait is how long an ask may have to wait for the work of others before
	// it is refused as busy, default 5 s; an ask with a shorter deadline is
	// refused at that. A stage whose newcomers would wait longer opens no more
	// sessions.
	MaxWait time.Duration
	// Pass is what a forward pass may take while other sessions are open, and
	// with it how long one's row waits for another's long backlog; default
	// 40 ms. A stage whose fixed cost is higher takes up to twice that cost.
	Pass time.Duration
	// Budget bounds, in bytes, the hidden states, rows of logits, asks and
	// answers that are held for boards, and the positions of stages that say
	// what one costs; default 1 GiB. Above it contexts are evicted: first of
	// boards that are not connected, then of those that wait for nothing.
	Budget int64
	// Quota is what each device may take.
	Quota Quota
	Clock func() time.Time // default time.Now
	// IdleContext is how long a context is kept for a board that is not
	// connected, default 10 min.
	IdleContext time.Duration
	// Grace is how long a server whose context ended goes on for the asks that
	// wait; 0 stops at once.
	Grace time.Duration
	// FileRate is how many bytes of files a second all boards together may fetch,
	// default 16 MiB; below 0 none may. A board asks for the next piece when it has
	// the last, and not while it waits for an answer.
	FileRate int
	// Keeper keeps contexts in files, which outlive the server; nil: none does. A stage
	// with methods ExportPrefix(seq, pos int) ([]byte, error) and Import(seq int, state
	// []byte) error, as the engine's, has them kept.
	Keeper Keeper
	// Devices is what is known of boards. Without it every board may do
	// everything, and epochs are kept in memory only.
	Devices Devices
	// Owners says which boards belong to this worker, where a cloud has several; nil: all do.
	Owners Owners
	// Quotas gives out Quota.Rows of a device where a cloud has several workers; nil: it is of
	// this one alone.
	Quotas Quotas
	// Protocol is the newest version of the protocol that is spoken, as by an older worker beside
	// newer ones; default wire.Protocol.
	Protocol uint32
	// Offer is the update that a board is told of, nil for none; it is asked when the
	// board comes and with each of its statuses. nil: nobody is told of any.
	Offer func(device string) *wire.Offer
}

const (
	defaultMaxQueued = 2048
	defaultMaxWait   = 5 * time.Second
	defaultPass      = 40 * time.Millisecond
	defaultBudget    = 1 << 30

	defaultIdleContext = 10 * time.Minute
	defaultFileRate    = 16 << 20
)

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
		for _, f := range b.Files {
			if !wire.FileName(f.Name) || f.Bytes < 1 || f.Path == "" {
				return c, fmt.Errorf("%w: bundle %s (%s) has a file %q that cannot be served", ErrConfig, b.Name, b.ID, f.Name)
			}
		}
		seen[b.ID] = true
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Protocol = cmp.Or(c.Protocol, wire.Protocol); c.Protocol < wire.ProtocolMin || c.Protocol > wire.Protocol {
		return c, fmt.Errorf("%w: protocol %d is not one of %d to %d", ErrConfig, c.Protocol, wire.ProtocolMin, wire.Protocol)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = defaultMaxQueued
	}
	c.MaxWait = cmp.Or(max(c.MaxWait, 0), defaultMaxWait)
	c.Pass = cmp.Or(max(c.Pass, 0), defaultPass)
	c.Budget = cmp.Or(max(c.Budget, 0), defaultBudget)
	c.IdleContext = cmp.Or(max(c.IdleContext, 0), defaultIdleContext)
	c.FileRate = cmp.Or(c.FileRate, defaultFileRate)
	c.Quota = c.Quota.withDefaults(c.Budget)
	return c, nil
}
