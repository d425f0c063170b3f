package serve

import (
	"context"
	"iter"
	"sync"
	"unsafe"

	"skerry/appliance/answer"
)

// said is one token of an answer with what it shows: text, and pieces of tool calls
// that come after the text.
type said struct {
	token answer.Token
	text  string
	calls []answer.CallDelta
}

// size is about what it takes, in bytes.
func (s said) size() int64 {
	n := int(unsafe.Sizeof(s)) + len(s.token.Text) + len(s.text) + len(s.token.Bytes)
	for _, c := range s.calls {
		n += int(unsafe.Sizeof(c)) + len(c.ID) + len(c.Name) + len(c.Arguments)
	}
	for _, l := range s.token.Top {
		n += int(unsafe.Sizeof(l)) + len(l.Text) + len(l.Bytes)
	}
	return int64(n)
}

// log is an answer as it grows. Tokens are only ever appended, so that readers need
// the lock for a look and no longer.
type log struct {
	mu     sync.Mutex // guards all following
	tokens []said
	bytes  int64
	before answer.Event // Queued or Prefill, as it stands
	moves  int          // of before
	end    *answer.Event
	more   chan struct{} // closed at the next change; nil while nobody waits
}

// changed wakes who waits. The caller holds mu.
func (l *log) changed() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// say appends a token.
func (l *log) say(s said) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = append(l.tokens, s)
	l.bytes += s.size()
	l.changed()
}

// progress notes how far an answer is that has no token yet.
func (l *log) progress(e answer.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = e
	l.moves++
	l.changed()
}

// close appends the end.
func (l *log) close(e answer.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Kind, e.Index = answer.End, len(l.tokens)
	l.end = &e
	l.changed()
}

// len is how many tokens there are.
func (l *log) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tokens)
}

// ids of the tokens so far.
func (l *log) ids() []int32 {
	v := l.look()
	ids := make([]int32, len(v.tokens))
	for i, s := range v.tokens {
		ids[i] = s.token.ID
	}
	return ids
}

// look is what a reader sees at once.
type look struct {
	tokens []said
	before answer.Event
	moves  int
	end    *answer.Event
	more   <-chan struct{}
}

func (l *log) look() look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil && l.end == nil {
		l.more = make(chan struct{})
	}
	return look{l.tokens, l.before, l.moves, l.end, l.more}
}

// events yields the log from the token after the first from ones on, one event a
// token, and ends after End or when ctx does.
func (l *log) events(ctx context.Context, from int) iter.Seq[answer.Event] {
	return func(yield func(answer.Event) bool) {
		next, moves := max(from, 0), 0
		for first := true; ctx.Err() == nil; first = false {
			v := l.look()
			if first && next > len(v.tokens) {
				next = len(v.tokens)
				if !yield(answer.Event{Kind: answer.Rewind, Index: next}) {
					return
				}
			}
			if len(v.tokens) == 0 && v.end == nil && v.moves > moves && from <= 0 {
				if moves = v.moves; !yield(v.before) {
					return
				}
			}
			for ; next < len(v.tokens) && ctx.Err() == nil; next++ {
				if !yield(v.tokens[next].event(next + 1)) {
					return
				}
			}
			if ctx.Err() == nil && v.end != nil {
				yield(*v.end)
				return
			}
			select {
			case <-ctx.Done():
			case <-v.more:
			}
		}
	}
}

// event of the index-th token, counted from 1.
func (s said) event(index int) answer.Event {
	e := answer.Event{Kind: answer.Text, Index: index, Text: s.text, Tokens: []answer.Token{s.token}, Calls: s.calls}
	if len(s.calls) > 0 {
		e.Kind = answer.Tools
	}
	return e
}

// size is about what the log takes, in bytes.
func (l *log) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes + int64(unsafe.Sizeof(*l))
}
