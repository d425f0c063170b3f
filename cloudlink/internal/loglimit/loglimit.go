// Package loglimit bounds what one peer can make a program log: so many lines a
// minute, and so much of each. What is left out is counted, and the log says so.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// Lines is how many lines below Warn a minute may have, and as many from
	// Warn up: a flood of one kind does not hide the other.
	Lines = 60
	// maxText is how much of a value is logged, in bytes: a peer may have
	// chosen it.
	maxText = 256
)

// Limiter counts the lines of one peer. Its zero value has logged nothing; its
// methods may be called concurrently.
type Limiter struct {
	mu      sync.Mutex // guards all following
	windows [2]window  // below Warn, and from Warn up
}

// window is a minute of lines.
type window struct {
	began   time.Time
	lines   int
	dropped int
}

// count takes one line at a time. last says that it is the last of its minute, and
// dropped how many were left out in the minute that is over.
func (w *window) count(now time.Time) (log, last bool, dropped int) {
	if d := now.Sub(w.began); d >= time.Minute || d < 0 {
		dropped = w.dropped
		*w = window{began: now}
	}
	w.lines++
	if w.lines > Lines {
		w.dropped++
	}
	return w.lines <= Lines, w.lines == Lines, dropped
}

// Logger returns a logger like log whose lines count for l.
func (l *Limiter) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(&handler{log.Handler(), l})
}

type handler struct {
	slog.Handler
	limiter *Limiter
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	short := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		short[i] = shorten(a)
	}
	return &handler{h.Handler.WithAttrs(short), h.limiter}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.limiter}
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	kind, what := 0, "information"
	if r.Level >= slog.LevelWarn {
		kind, what = 1, "warnings"
	}
	h.limiter.mu.Lock()
	log, last, dropped := h.limiter.windows[kind].count(r.Time)
	h.limiter.mu.Unlock()
	if dropped > 0 {
		h.say(ctx, r, "lines were left out", slog.String("of", what), slog.Int("lines", dropped))
	}
	if !log {
		return nil
	}
	short := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		short.AddAttrs(shorten(a))
		return true
	})
	err := h.Handler.Handle(ctx, short)
	if last {
		h.say(ctx, r, "more lines follow than are logged, the rest of this minute is left out", slog.String("of", what))
	}
	return err
}

func (h *handler) say(ctx context.Context, r slog.Record, msg string, attrs ...slog.Attr) {
	line := slog.NewRecord(r.Time, max(r.Level, slog.LevelWarn), msg, r.PC)
	line.AddAttrs(attrs...)
	h.Handler.Handle(ctx, line)
}

// shorten cuts a value to maxText bytes of its text.
func shorten(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindString && v.Kind() != slog.KindAny {
		return a
	}
	s := v.String()
	if len(s) <= maxText {
		return a
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return slog.String(a.Key, s[:end]+"…")
}
