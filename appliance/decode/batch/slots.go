// Package batch serves several conversations at once from one model: a fair
// queue, a slot for each conversation under way with its own sequence in every
// stage, one goroutine that merges what their token loops want computed into
// batches, and the KV cache of prefixes, in memory and on disk.
//
// What a session says does not depend on the others beside it, nor on where its
// prefix came from: every slot has a KV cache of its own, as large as the context of
// one conversation. Kernels whose results depend on the number of rows, as those of
// newer ARM cores, are the exception: what is merged then moves logits a little.
package batch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"skerry/appliance/decode"
)

// Options of New. The zero value is one slot with no queue, no cloud and no cache.
type Options struct {
	// Sequences is how many conversations are decoded at once; the stages must
	// have been opened with as many. Default 1.
	Sequences int
	// Queue is how many requests may wait for a slot; more are refused.
	Queue int
	Cache Cache
	// Open makes the cloud of sequence seq, nil for none. A cloud that is an
	// io.Closer is closed by Close. An error is logged, and the
	// slot is alone until the next. While there is one, a session keeps the hidden
	// states after exit 1, n_embd·4 bytes a position.
	Open func(seq int) (decode.Cloud, error)
	Now  func() time.Time // default time.Now
	Log  *slog.Logger     // default none
}

// Cache of prefixes on disk.
type Cache struct {
	Dir    string // "" for none
	Bytes  int64  // least recently used files beyond it are deleted; default 256 MiB
	Bundle string // id of the model's bundle: entries of another are not used
	Least  int    // positions from which a prefix is worth a file; default 128
	// Unnamed has text of requests without a session be kept too. No Forget deletes it.
	Unnamed bool
	// Known says whether there is such a session; files of others are deleted when the
	// cache is opened and by Tidy. nil: files are deleted by Forget alone.
	Known func(session string) bool
	// Beside says that others use the directory at the same time: what is half written there
	// may be theirs, and stays.
	Beside bool
}

// Ask is a request for a slot.
type Ask struct {
	Client  string  // who asks: clients take turns
	Session string  // its slot is taken where it is free; "" for none
	Prompt  []int32 // of the Generate that follows
	// Progress is told how many requests are ahead while this one waits, may be nil.
	// It must not call into the Slots.
	Progress func(ahead int)
	// Anew has the slot hold nothing, for Embed. Admitted is of one that had a slot and gave
	// way: the queue's limit does not hold for it.
	Anew, Admitted bool
}

// Stats for the status.
type Stats struct {
	Running int
	Waiting int
	Limit   int // of Waiting
	Refused uint64
	Slots   []SlotStats
	// Prefix reuse: positions of prompts, and of them those taken from the slot
	// itself, from another one and from disk.
	Prompt, Kept, Forked, Restored uint64
	CacheBytes                     int64
	CacheEntries                   int
	// Batches computed and the rows in them: their ratio says how well requests
	// are merged.
	Batches, Rows uint64
}

// SlotStats is one slot.
type SlotStats struct {
	Session, Client string
	Running         bool
	Tokens          int // positions it holds
	DraftBehind     int // of them, those that the draft model lacks; -1 where there is none
	Used            time.Time
}

// ErrQueueFull is wrapped by the *FullError of an Acquire that was refused.
var ErrQueueFull = errors.New("the queue is full")

// ErrClosed is returned by Acquire, and by answers under way, after Close.
var ErrClosed = errors.New("the model is being unloaded: ask again in a moment")

// FullError says when to come back.
type FullError struct {
	Waiting    int
	RetryAfter time.Duration // an estimate from how long answers took of late
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s: %d requests wait for a slot; ask again in %s", ErrQueueFull, e.Waiting, e.RetryAfter.Round(time.Second))
}

// Unwrap returns ErrQueueFull.
func (e *FullError) Unwrap() error { return ErrQueueFull }

// Slots of one model. Its methods may be called concurrently.
type Slots struct {
	opt     Options
	context int // positions of a conversation
	// embeds and noEmbedding are what Embeds returns.
	embeds      int
	noEmbedding error
	batcher     *batcher
	cache       *cache // nil for none
	writes      sync.WaitGroup

	// prep is held while a slot is made to hold a prompt's prefix: of all sessions
	// only that one then forgets anything, so that others can be copied from.
	prep sync.Mutex

	mu     sync.Mutex // guards all following
	slots  []*slot
	queue  []*waiter // first come first
	turns  map[string]uint64
	turn   uint64
	recent recentPrompts
	took   time.Duration // an answer of late, smoothed
	stats  Stats
	closed bool
}

// slot is one sequence of the model.
type slot struct {
	seq     int
	session *decode.Session
	cloud   decode.Cloud

	// Guarded by Slots.mu:
	id     string // session that it was last given to
	client string
	taken  bool
	used   time.Time
}

// Slot is one conversation's turn at the model.
type Slot struct {
	s      *Slots
	at     *slot
	began  time.Time
	cached int
	shared int // first positions of the prompt worth keeping on disk
	// sharers are the sessions whose text those are, "" for a request without one.
	sharers [2]string
	noDraft error // why the session had given up its draft model before
	once    sync.Once
}

// New makes the slots of a model, whose stages and heads it alone uses from now
// on; each sequence of a stage holds Model.Context positions. Stages must be
// decode.Keepers for prefixes to be shared. A cache that cannot be opened is logged
// and done without.
func New(m decode.Model, opt Options) (*Slots, error) {
	opt.Sequences = max(1, opt.Sequences)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Slots{opt: opt, context: m.Context, turns: map[string]uint64{}, took: firstGuess}
	if opt.Cache.Dir != "" {
		var err error
		if s.cache, err = openCache(opt.Cache, opt.Open != nil, opt.Log); err != nil {
			opt.Log.Warn("going on without the cache of prefixes: prompts are computed again after a restart", "err", err)
		}
	}
	if m.Learnt == nil {
		m.Learnt = new(decode.Learnt)
	}
	s.embeds, s.noEmbedding = m.Embeds()
	s.batcher = newBatcher(executors(m), opt.Sequences)
	for seq := range opt.Sequences {
		sl := &slot{seq: seq}
		s.slots = append(s.slots, sl)
		if opt.Open != nil {
			var err error
			if sl.cloud, err = opt.Open(seq); err != nil {
				opt.Log.Warn("the cloud session could not be opened: going on alone", "slot", seq, "err", err)
				sl.cloud = nil
			}
		}
		sl.session = decode.NewSession(s.batcher.forSlot(m, seq), seq, sl.cloud)
	}
	return s, nil
}

// Session of the slot: Generate is to be called with the prompt of the Ask, and by
// one goroutine at a time.
func (sl *Slot) Session() *decode.Session { return sl.at.session }

// Cached is how many positions of the prompt are not computed again.
func (sl *Slot) Cached() int { return sl.cached }

// Seq is the number of the slot, that of Options.Open.
func (sl *Slot) Seq() int { return sl.at.seq }

// Cloud of the slot, nil for none.
func (sl *Slot) Cloud() decode.Cloud { return sl.at.cloud }

// Release gives the slot back, whatever became of the answer. Its conversation
// stays in the KV cache until the slot is needed. It may be called twice.
func (sl *Slot) Release() { sl.once.Do(func() { sl.s.release(sl) }) }

// Stats returns the state of the slots.
func (s *Slots) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Waiting, st.Limit = len(s.queue), s.opt.Queue
	st.Batches, st.Rows = s.batcher.batches.Load(), s.batcher.rows.Load()
	for _, sl := range s.slots {
		if sl.taken {
			st.Running++
		}
		behind, drafts := sl.session.DraftBehind()
		if !drafts {
			behind = -1
		}
		st.Slots = append(st.Slots, SlotStats{Session: sl.id, Client: sl.client, Running: sl.taken, Tokens: len(sl.session.Held()), DraftBehind: behind, Used: sl.used})
	}
	if s.cache != nil {
		st.CacheBytes, st.CacheEntries = s.cache.size()
	}
	return st
}

// Close ends what is under way, waits for the slots' goroutines and closes the
// clouds. The stages stay open. Every Slot must be released too.
func (s *Slots) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, w := range s.queue {
		w.got <- nil
	}
	s.queue = nil
	s.mu.Unlock()
	s.batcher.close()
	s.writes.Wait()
	s.prep.Lock() // no slot opens a cloud after this
	defer s.prep.Unlock()
	var err error
	for _, sl := range s.slots {
		if c, ok := sl.cloud.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}
