package server

import (
	"context"
	"iter"
	"sync"
	"unsafe"

	"skerry/appliance/infer"
)

// shownToken is one token of an answer with what it shows: text, and pieces of tool calls
// that come after the text.
type shownToken struct {
	token   infer.Token
	thought string // comes before the text
	text    string
	calls   []infer.CallDelta
}

// size is about what it takes, in bytes.
func (s shownToken) size() int64 {
	n := int(unsafe.Sizeof(s)) + len(s.token.Text) + len(s.text) + len(s.thought) + len(s.token.Bytes)
	for _, c := range s.calls {
		n += int(unsafe.Sizeof(c)) + len(c.ID) + len(c.Name) + len(c.Arguments)
	}
	for _, l := range s.token.Top {
		n += int(unsafe.Sizeof(l)) + len(l.Text) + len(l.Bytes)
	}
	return int64(n)
}

// tokenLog is an answer as it grows. Tokens are only ever appended, so that readers need
// the lock for a look and no longer.
type tokenLog struct {
	mu     sync.Mutex // guards all following
	tokens []shownToken
	bytes  int64
	before infer.Event // Queued or Prefill, as it stands
	moves  int         // of before
	end    *infer.Event
	more   chan struct{} // closed at the next change; nil while nobody waits
}

// changed wakes who waits. The caller holds mu.
func (l *tokenLog) changed() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// append adds a token.
func (l *tokenLog) append(s shownToken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = append(l.tokens, s)
	l.bytes += s.size()
	l.changed()
}

// progress notes how far an answer is that has no token yet.
func (l *tokenLog) progress(e infer.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = e
	l.moves++
	l.changed()
}

// close appends the end.
func (l *tokenLog) close(e infer.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Kind, e.Index = infer.End, len(l.tokens)
	l.end = &e
	l.changed()
}

// len is how many tokens there are.
func (l *tokenLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tokens)
}

// logView is what a reader sees at one time.
type logView struct {
	tokens []shownToken
	before infer.Event
	moves  int
	end    *infer.Event
	more   <-chan struct{}
}

func (l *tokenLog) view() logView {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil && l.end == nil {
		l.more = make(chan struct{})
	}
	return logView{l.tokens, l.before, l.moves, l.end, l.more}
}

// events yields the log from the token after the first from ones on, one event a
// token, and ends after End or when ctx does.
func (l *tokenLog) events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		next, moves := max(from, 0), 0
		for first := true; ctx.Err() == nil; first = false {
			v := l.view()
			if first && next > len(v.tokens) {
				next = len(v.tokens)
				if !yield(infer.Event{Kind: infer.Rewind, Index: next}) {
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
func (s shownToken) event(index int) infer.Event {
	e := infer.Event{Kind: infer.Text, Index: index, Text: s.text, Thought: s.thought, Tokens: []infer.Token{s.token}, Calls: s.calls}
	if len(s.calls) > 0 {
		e.Kind = infer.Tools
	}
	return e
}

// size is about what the log takes, in bytes.
func (l *tokenLog) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes + int64(unsafe.Sizeof(*l))
}
