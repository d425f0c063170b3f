package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Options of New. Loader is needed.
type Options struct {
	Loader Loader
	// Journal keeps sessions over restarts; nil: none is kept beyond this process.
	Journal Journal
	// Defaults of the decoding, for what a request leaves open. A mode that the
	// model cannot be decoded in stands for the model's first.
	Defaults decode.Options
	// Undelivered has a whole answer of a session count as not yet delivered until Delivered
	// is called: whoever asks the same again in another process gets it again. A question that
	// cannot be written down is refused then, and not answered all the same.
	Undelivered bool
	// Forget deletes what files beside the journal hold of a session, whether a model is
	// loaded or not; nil where there are none.
	Forget func(session string) error
	// Images keeps the images of sessions, with the journal; nil: a session has none.
	Images ImageStore
	// KeepAlive unloads a model so long after its last use; 0: never. Requests and Load
	// overrule it.
	KeepAlive time.Duration
	// Pin names models that are loaded at once and never unloaded.
	Pin []string
	// Waiting is how many requests may wait for their models; default 64.
	Waiting int
	// Observe, where it is set, is called for every token, and Queued with how long each
	// request has waited for a slot; neither may block.
	Observe func(TokenSeen)
	Queued  func(time.Duration)
	// Choose, where it is set, says which of a model's modes an answer is decoded in where
	// neither the request nor the defaults name one; "" leaves it at the first. The model is
	// told by its bundle's id.
	Choose func(bundle string, modes []infer.Mode) infer.Mode
	// BoardLeads is decode.Options' of answers whose mode Choose says, by the bundle's id; nil:
	// the cloud is asked while it can be.
	BoardLeads func(bundle string) bool
	// CloudLeads is likewise.
	CloudLeads func(bundle string) bool
	// Watch, where it is set, is called for every answer that is decoded.
	Watch func() Watched
	Log   *slog.Logger
	// Random draws seeds and ids; default math/rand/v2.
	Random func() uint64
	// Answers that have ended are kept in memory for KeepFor (default 10 minutes) and
	// up to KeepBytes (64 MB), the oldest going first.
	KeepFor   time.Duration
	KeepBytes int64
}

// TokenSeen is a token that an answer has just got, for Options.Observe.
type TokenSeen struct {
	Session string
	Bundle  string // id of the model's
	Owner   string // of the session or the answer: a key's name, "" for this machine
	Answer  string
	Index   int // in the answer, from 1
	Source  infer.Source
	Mode    infer.Mode // of the answer
	Text    string
	// Took is the time since the token before it, of the first one since the request; Wait is
	// what of it went by waiting for the cloud.
	Took, Wait time.Duration
	// First says that it is the first of a request, and so took a prefill.
	First bool
}

// Watched is work whose progress a watchdog watches.
type Watched interface {
	Progress()
	Done()
}

// Core is the daemon without its listeners: an infer.Backend over the models that memory has
// room for. Its methods may be called concurrently.
type Core struct {
	opt         Options
	count       *counts
	jobsWG      sync.WaitGroup
	all         context.Context // of every job
	cutAll      context.CancelCauseFunc
	wg          sync.WaitGroup      // the loader and keepEvicting
	life        context.Context     // of both
	promptTurns *semaphore.Weighted // to make a prompt
	pinning     sync.Mutex          // held while pinned models are looked for; taken before mu
	unpinned    []string            // names of those that are not here; guarded by pinning
	cancel      context.CancelFunc

	mu       sync.Mutex // guards all following
	defaults decode.Options
	entries  []*entry      // the models that were asked for, the default first
	loading  *entry        // on its way into memory, nil for none
	queue    []*waiter     // requests that wait for their models, first come first
	changed  chan struct{} // closed at the next change of state
	wake     chan struct{} // holds one token when the loader is to try now
	keepConf time.Duration // how long models stay after their last use; < 0: for ever
	stopping bool
	pendings map[string]*pending // answers that wait for their models, by id
	jobs     map[string]*job     // by id
	sessions map[string]*job     // the last of each session
	bytes    int64               // of jobs that have ended
	busy     int                 // jobs under way
	idle     chan struct{}       // closed when busy is 0, nil while nobody waits

	// blocked is the model that has no room beside those in use, nil for none; since when, and
	// how many requests were let in before it.
	blocked      *entry
	blockedSince time.Time
	passed       int

	preferCloud bool // the board is hot: answers leave every token that they can to the cloud
	threads     int  // that compute, 0: all

	asked   time.Time               // when a request last came, or the last answer ended
	disturb context.CancelCauseFunc // ends what is done at leisure, nil while nothing is

	preparing int // requests whose prompts are made, or that wait for it

	journalErr error // the last write that the journal refused
}

var _ infer.Backend = (*Core)(nil)

// New starts loading the default model, and those that are pinned, and returns at once.
// Shutdown ends it.
func New(o Options) *Core {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Random == nil {
		o.Random = rand.Uint64
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = -1
	}
	o.Waiting = cmp.Or(o.Waiting, waitingDefault)
	o.KeepFor, o.KeepBytes = cmp.Or(o.KeepFor, 10*time.Minute), cmp.Or(o.KeepBytes, 64<<20)
	c := &Core{
		opt: o, defaults: o.Defaults, count: newCounts(), keepConf: o.KeepAlive, asked: time.Now(), changed: make(chan struct{}), wake: make(chan struct{}, 1),
		entries:  []*entry{{main: true, wanted: true, state: status.Starting, keep: o.KeepAlive}},
		pendings: map[string]*pending{}, jobs: map[string]*job{}, sessions: map[string]*job{},
	}
	c.all, c.cutAll = context.WithCancelCause(context.Background())
	c.promptTurns = semaphore.NewWeighted(promptsAtOnce)
	c.life, c.cancel = context.WithCancel(context.Background())
	c.pin()
	c.wg.Go(c.keepLoaded)
	c.wg.Go(c.keepEvicting)
	return c
}

// pin makes the entries of the default model, as far as it is known, and of the pinned ones.
func (c *Core) pin() {
	if of, err := c.opt.Loader.Resolve(""); err == nil {
		c.main().of = of
	}
	c.unpinned = c.opt.Pin
	for _, name := range c.pinMore() {
		c.opt.Log.Error("a pinned model is not here: it is pinned once it is", "model", name)
	}
}

// pinMore pins the models that are to be and were not here before, and returns the names of
// those that still are not.
func (c *Core) pinMore() []string {
	c.pinning.Lock()
	defer c.pinning.Unlock()
	var left []string
	for _, name := range c.unpinned {
		e, err := c.entryOf(name)
		if err != nil {
			left = append(left, name)
			continue
		}
		c.mu.Lock()
		e = c.current(e)
		e.pinned, e.wanted = true, true
		c.mu.Unlock()
		c.wakeLoader()
	}
	c.unpinned = left
	return left
}

// Configure changes, for requests to come, the defaults and how long models stay after their
// last use, as in Options.
func (c *Core) Configure(defaults decode.Options, keepAlive time.Duration) {
	if keepAlive == 0 {
		keepAlive = -1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults, c.keepConf = defaults, keepAlive
	for _, e := range c.entries {
		e.keep = keepAlive
	}
	c.retryNow()
}

// LimitThreads has the models computed with so many threads (0: all), and with preferCloud
// the answers to come leave every token that they can to the cloud.
func (c *Core) LimitThreads(threads int, preferCloud bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.threads, c.preferCloud = threads, preferCloud
	for _, e := range c.loaded() {
		e.model.setThreads(threads)
	}
}

// setThreads has the model computed with n threads, 0: as it was loaded.
func (m *Model) setThreads(n int) {
	if m.SetThreads != nil && n > 0 {
		m.SetThreads(n)
	}
}

// id draws the id of an answer.
func (c *Core) id() string {
	var b [8]byte
	v := c.opt.Random()
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}

// journalled keeps an error of the journal for the health; the answer itself need
// not stop for it.
func (c *Core) journalled(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.journalErr == nil || c.journalErr.Error() != err.Error() {
		c.opt.Log.Error("an answer is not written down", "error", err)
	}
	c.journalErr = err
}
