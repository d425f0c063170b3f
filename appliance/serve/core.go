package serve

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
	"skerry/appliance/status"
)

// Options of New. Loader is needed.
type Options struct {
	Loader Loader
	// Journal keeps sessions over restarts; nil: none is kept beyond this process.
	Journal Journal
	// Defaults of the decoding, where a request says nothing else. A mode that the
	// model cannot be decoded in stands for the model's first.
	Defaults decode.Options
	// KeepAlive unloads the model so long after its last use; 0: never. Load
	// overrules it.
	KeepAlive time.Duration
	// Observe is told of every token while it is not nil, and Queued of how long each
	// request waited for its turn; neither may wait.
	Observe func(TokenSeen)
	Queued  func(time.Duration)
	// Watch is told of every answer that is decoded, nil for nobody.
	Watch func() Watched
	Log   *slog.Logger
	// Random draws seeds and ids; default math/rand/v2.
	Random func() uint64
	// Answers that have ended are kept in memory for KeepFor (default 10 minutes) and
	// up to KeepBytes (64 MB), the oldest going first.
	KeepFor   time.Duration
	KeepBytes int64
}

// TokenSeen is a token as it is said, for whoever watches.
type TokenSeen struct {
	Session string
	Answer  string
	Index   int // in the answer, from 1
	Source  string
	Text    string
	// Took is the time since the token before it, of the first one since the request.
	Took time.Duration
	// First says that it is the first of a request, and so took a prefill.
	First bool
}

// Watched is work that somebody sees to it makes progress.
type Watched interface {
	Progress()
	Done()
}

// Core is the daemon without its doors: answer.Backend over one model. Its methods
// may be called concurrently.
type Core struct {
	opt    Options
	count  *counts
	jobsWG sync.WaitGroup
	all    context.Context // of every job
	cutAll context.CancelCauseFunc
	wg     sync.WaitGroup  // the loader and keepTidy
	life   context.Context // of both
	die    context.CancelFunc

	mu       sync.Mutex // guards all following
	defaults decode.Options
	state    status.State
	progress status.Progress
	since    time.Time     // when its What began
	failed   error         // why there is no model
	model    *memory       // nil while none is loaded
	news     chan struct{} // closed at the next change of state
	kick     chan struct{} // holds one token when the loader is to try now
	wanted   bool          // a model is to be loaded
	again    bool          // one was unloaded, and is loaded again
	waiting  int           // requests for which it is loaded again
	keep     time.Duration // how long the model stays after its last use; < 0: for ever
	keepConf time.Duration // the same as configured, for the next model
	stopping bool
	jobs     map[string]*job // by id
	sessions map[string]*job // the last of each session
	bytes    int64           // of jobs that have ended
	busy     int             // jobs under way
	calm     chan struct{}   // closed when busy is 0, nil while nobody waits

	spared  bool // the board is hot: answers lean on the cloud
	threads int  // that compute, 0: all

	journalErr error // the last write that the journal refused
}

var _ answer.Backend = (*Core)(nil)

// New starts loading the model and returns at once. Shutdown ends it.
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
	o.KeepFor, o.KeepBytes = cmp.Or(o.KeepFor, 10*time.Minute), cmp.Or(o.KeepBytes, 64<<20)
	c := &Core{
		opt: o, defaults: o.Defaults, count: newCounts(), state: status.Starting, keep: o.KeepAlive, keepConf: o.KeepAlive, wanted: true, news: make(chan struct{}), kick: make(chan struct{}, 1),
		jobs: map[string]*job{}, sessions: map[string]*job{},
	}
	c.all, c.cutAll = context.WithCancelCause(context.Background())
	c.life, c.die = context.WithCancel(context.Background())
	c.wg.Go(c.keepLoaded)
	c.wg.Go(c.keepTidy)
	return c
}

// Configure changes, for requests to come, the defaults and how long the model stays
// after its last use, as in Options.
func (c *Core) Configure(defaults decode.Options, keepAlive time.Duration) {
	if keepAlive == 0 {
		keepAlive = -1
	}
	c.mu.Lock()
	c.defaults, c.keep, c.keepConf = defaults, keepAlive, keepAlive
	c.mu.Unlock()
	c.nudge()
}

// Spare has the model computed with so many threads, and with lean the answers to
// come leave every token that they can to the cloud.
func (c *Core) Spare(threads int, lean bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.threads, c.spared = threads, lean
	if c.model != nil {
		c.model.setThreads(threads)
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
