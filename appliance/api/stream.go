package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"skerry/appliance/answer"
)

// deadline bounds the writes to come, 0 for no bound. It has to be taken back after
// each: HTTP/2 resets a stream at its deadline whether something is written or not.
func deadline(w http.ResponseWriter, d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	http.NewResponseController(w).SetWriteDeadline(at) // a test's recorder has none
}

// stream is a reply that is written piece by piece, each flushed and with a
// deadline of its own, so that a reader who stalls is dropped.
type stream struct {
	w       http.ResponseWriter
	kind    string // Content-Type
	stall   time.Duration
	started bool
	buf     bytes.Buffer
}

func (s *server) stream(w http.ResponseWriter, kind string) *stream {
	return &stream{w: w, kind: kind, stall: s.Stall}
}

// flush sends what is in buf.
func (o *stream) flush() error {
	if !o.started {
		o.started = true
		o.w.Header().Set("Content-Type", o.kind)
		o.w.Header().Set("Cache-Control", "no-cache")
		o.w.Header().Set("X-Accel-Buffering", "no") // a proxy would hold it back
		o.w.WriteHeader(http.StatusOK)
	}
	deadline(o.w, o.stall)
	defer deadline(o.w, 0)
	_, err := o.buf.WriteTo(o.w)
	if err != nil {
		return err
	}
	if err := http.NewResponseController(o.w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// comment is a line of an event stream that clients skip.
func (o *stream) comment(format string, args ...any) error {
	fmt.Fprintf(&o.buf, ": "+format+"\n\n", args...)
	return o.flush()
}

// event adds one to an event stream; flush sends it.
func (o *stream) event(kind, id string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if kind != "" {
		fmt.Fprintf(&o.buf, "event: %s\n", kind)
	}
	if id != "" {
		fmt.Fprintf(&o.buf, "id: %s\n", id)
	}
	fmt.Fprintf(&o.buf, "data: %s\n\n", b)
	return nil
}

// line sends one of a stream of JSON lines.
func (o *stream) line(data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	o.buf.Write(append(b, '\n'))
	return o.flush()
}

var errCut = &answer.Error{Code: answer.Stopping, Message: "the answer was cut before its end: ask again, or follow its session", RetryAfter: time.Second}

// follow calls each for the events of a after index from, and idle (which may be
// nil) whenever nothing has happened for the time of KeepAlive. It returns once
// each has had the End, with the first error of either.
func (s *server) follow(ctx context.Context, a answer.Answer, from int, each func(answer.Event) error, idle func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan answer.Event)
	go func() {
		defer close(events)
		for e := range a.Events(ctx, from) {
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range events {
		}
	}()
	timer := time.NewTimer(s.KeepAlive)
	defer timer.Stop()
	for {
		select {
		case e, more := <-events:
			if !more {
				return errors.Join(ctx.Err(), errCut)
			}
			if err := each(e); err != nil || e.Kind == answer.End {
				return err
			}
		case <-timer.C:
			if idle != nil {
				if err := idle(); err != nil {
					return err
				}
			}
		}
		timer.Reset(s.KeepAlive)
	}
}
