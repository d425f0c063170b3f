package status

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Kind of an event of the hub.
type Kind string

// The kinds, and the type of each one's value.
const (
	KindStatus Kind = "status" // Status, at most one a second
	KindTokens Kind = "tokens" // []Said, at most one every TokenBatch
	KindLog    Kind = "log"    // Record
	KindHealth Kind = "health" // []Problem, when they have changed
	KindPage   Kind = "page"   // the page's own: what of it has changed
)

const (
	// TokenBatch is how long tokens are gathered into one event.
	TokenBatch = 100 * time.Millisecond
	// MaxReaders of one hub. A browser's page is one.
	MaxReaders = 32
	// SaidKept is how many tokens the hub remembers for pages that open, or come
	// back, in mid answer. They are in memory only.
	SaidKept = 400

	backlog = 64 // events that a reader may be behind before it loses some
)

// Errors of Subscribe.
var (
	ErrReaders = errors.New("too many are watching: close another page, or wait")
	ErrClosed  = errors.New("the daemon is stopping")
)

// Event is one thing that has happened. IDs never fall, also from one run of the
// daemon to the next: whoever has had an event has had all tokens up to its ID.
type Event struct {
	ID    uint64
	Kind  Kind
	Value any
	// JSON is the value's, made once for all readers.
	JSON func() ([]byte, error)
}

// Said is a token as it was said.
type Said struct {
	ID      uint64 `json:"id"`
	Session string `json:"session"`
	Owner   string `json:"-"`      // the key whose words it answers, "" for this machine
	Source  string `json:"source"` // one of infer.Sources
	Text    string `json:"text"`
	Index   int    `json:"index"` // in its answer
}

// Hub hands events to whoever watches. Nothing is made, no clock ticks and no
// goroutine runs while nobody does; a slow reader loses events and delays nobody.
type Hub struct {
	readers atomic.Int32 // len(open), to be looked at without mu
	work    sync.WaitGroup

	mu      sync.Mutex // guards all following fields
	closed  bool
	id      uint64
	open    map[*Reader]bool
	pollers []*poller
	said    []Said // a ring of SaidKept, the oldest at oldest once it is full
	oldest  int
	pending []Said // not yet published
	flush   *time.Timer
}

// NewHub returns an open one.
func NewHub() *Hub {
	return &Hub{open: map[*Reader]bool{}, id: uint64(time.Now().UnixMicro())}
}

// Wanted says whether anybody reads events of the kind.
func (h *Hub) Wanted(kind Kind) bool {
	if h.readers.Load() == 0 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted(kind)
}

func (h *Hub) wanted(kind Kind) bool {
	for r := range h.open {
		if r.wants(kind) {
			return true
		}
	}
	return false
}

// Publish tells the kind's readers the value, which is not made without any. It
// never waits for them.
func (h *Hub) Publish(kind Kind, value func() any) {
	if !h.Wanted(kind) {
		return
	}
	v := value()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) > 0 { // whoever comes back after this has not had those
		h.send(h.pending[0].ID-1, kind, v)
		return
	}
	h.id++
	h.send(h.id, kind, v)
}

func (h *Hub) send(id uint64, kind Kind, v any) {
	e := Event{ID: id, Kind: kind, Value: v, JSON: sync.OnceValues(func() ([]byte, error) { return json.Marshal(v) })}
	for r := range h.open {
		if !r.wants(kind) {
			continue
		}
		select {
		case r.events <- e:
		default:
			r.lost.Add(1)
		}
	}
}

// Token notes a token that has just been said. Its ID is the hub's to give.
func (h *Hub) Token(t Said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.id++
	t.ID = h.id
	if len(h.said) < SaidKept {
		h.said = append(h.said, t)
	} else {
		h.said[h.oldest] = t
		h.oldest = (h.oldest + 1) % SaidKept
	}
	if h.readers.Load() == 0 || !h.wanted(KindTokens) {
		return
	}
	h.pending = append(h.pending, t)
	if h.flush == nil {
		h.work.Add(1)
		h.flush = time.AfterFunc(TokenBatch, h.flushTokens)
	}
}

func (h *Hub) flushTokens() {
	defer h.work.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed && len(h.pending) > 0 {
		h.send(h.pending[len(h.pending)-1].ID, KindTokens, h.pending)
	}
	h.pending, h.flush = nil, nil
}

// Recent returns the tokens said after the event of that ID (0: all that are
// remembered), the newest last, and the ID up to which that is all.
func (h *Hub) Recent(after uint64) (said []Said, id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	said = slices.Concat(h.said[h.oldest:], h.said[:h.oldest])
	first := 0
	for first < len(said) && said[first].ID <= after {
		first++
	}
	return said[first:], h.id
}

// Close ends every reader, and returns once nothing of the hub runs any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	if h.flush != nil && h.flush.Stop() {
		h.work.Done()
	}
	for r := range h.open {
		h.drop(r)
	}
	h.mu.Unlock()
	h.work.Wait()
}
