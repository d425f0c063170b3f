package status

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Longest texts of a record; what is longer is cut.
const (
	maxMessage = 1024
	maxValue   = 256
)

// Record is one line of the log.
type Record struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"` // INFO, WARN, ERROR
	Message string    `json:"message"`
	Attrs   []Attr    `json:"attributes,omitempty"`
}

// Attr is a key, behind those of its groups, and its value.
type Attr struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// String is the line without its time: level, message, key=value.
func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %s", r.Level, r.Message)
	for _, a := range r.Attrs {
		value := a.Value
		if strings.ContainsAny(value, " \"=") || value == "" {
			value = fmt.Sprintf("%q", value)
		}
		b.WriteString(" " + a.Key + "=" + value)
	}
	return b.String()
}

// Logs is an slog.Handler that remembers the newest records of level info and
// above, hands them to a hub's readers, and everything on to the next handler. It
// knows nothing of what it is given: that no prompt's text is logged is its
// callers' duty.
type Logs struct {
	ring  *ring
	next  slog.Handler
	group string // "a.b."
	attrs []Attr
}

type ring struct {
	mu      sync.Mutex // guards all following fields
	records []Record
	oldest  int
	size    int
	hub     *Hub
}

// NewLogs keeps n records and hands all on to next, which may be nil.
func NewLogs(n int, next slog.Handler) *Logs {
	if next == nil {
		next = slog.DiscardHandler
	}
	return &Logs{ring: &ring{size: max(n, 1)}, next: next}
}

// FanOut has every further record published on the hub.
func (l *Logs) FanOut(h *Hub) {
	l.ring.mu.Lock()
	defer l.ring.mu.Unlock()
	l.ring.hub = h
}

// Records returns the newest n (0: all that are remembered), the newest last.
func (l *Logs) Records(n int) []Record {
	l.ring.mu.Lock()
	defer l.ring.mu.Unlock()
	all := slices.Concat(l.ring.records[l.ring.oldest:], l.ring.records[:l.ring.oldest])
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all
}

// Enabled implements slog.Handler.
func (l *Logs) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || l.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *Logs) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		l.keep(r)
	}
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

func (l *Logs) keep(r slog.Record) {
	rec := Record{Time: r.Time.UTC(), Level: r.Level.String(), Message: clean(r.Message, maxMessage), Attrs: slices.Clone(l.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		rec.Attrs = flatten(rec.Attrs, l.group, a)
		return true
	})
	l.ring.mu.Lock()
	if len(l.ring.records) < l.ring.size {
		l.ring.records = append(l.ring.records, rec)
	} else {
		l.ring.records[l.ring.oldest] = rec
		l.ring.oldest = (l.ring.oldest + 1) % l.ring.size
	}
	hub := l.ring.hub
	l.ring.mu.Unlock()
	if hub != nil {
		hub.Publish(KindLog, func() any { return rec })
	}
}

// WithAttrs implements slog.Handler.
func (l *Logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.next = l.next.WithAttrs(attrs)
	with.attrs = slices.Clone(l.attrs)
	for _, a := range attrs {
		with.attrs = flatten(with.attrs, l.group, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (l *Logs) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	with := *l
	with.next = l.next.WithGroup(name)
	with.group += clean(name, maxValue) + "."
	return &with
}

// flatten appends the attribute, or those of a group, below the prefix.
func flatten(to []Attr, prefix string, a slog.Attr) []Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key == "" {
			return to
		}
		return append(to, Attr{clean(prefix+a.Key, maxValue), clean(v.String(), maxValue)})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range v.Group() {
		to = flatten(to, prefix, member)
	}
	return to
}

// clean makes a text fit for one line of any terminal: no control characters, no
// more than limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
