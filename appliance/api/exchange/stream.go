package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"skerry/appliance/infer"
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

// Stream is a reply that is written piece by piece, each flushed and with a
// deadline of its own, so that a reader who stalls is dropped.
type Stream struct {
	w       http.ResponseWriter
	kind    string // Content-Type
	stall   time.Duration
	Started bool
	Buf     bytes.Buffer
	// named is set once an event had an id. Some clients take an empty line after that for
	// an event, of no data, even where there was none.
	named bool
}

// Stream begins a reply of this content type that is written bit by bit.
func (s *Server) Stream(w http.ResponseWriter, kind string) *Stream {
	return &Stream{w: w, kind: kind, stall: s.Stall}
}

// Flush sends what is in buf.
func (o *Stream) Flush() error {
	if !o.Started {
		o.Started = true
		o.w.Header().Set("Content-Type", o.kind)
		o.w.Header().Set("Cache-Control", "no-cache")
		o.w.Header().Set("X-Accel-Buffering", "no") // a proxy would hold it back
		o.w.WriteHeader(http.StatusOK)
	}
	deadline(o.w, o.stall)
	defer deadline(o.w, 0)
	_, err := o.Buf.WriteTo(o.w)
	if err != nil {
		return err
	}
	if err := http.NewResponseController(o.w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// Comment is a line of an event stream that clients skip.
func (o *Stream) Comment(format string, args ...any) error {
	fmt.Fprintf(&o.Buf, ": "+format+"\n", args...)
	if !o.named {
		o.Buf.WriteByte('\n')
	}
	return o.Flush()
}

// Event adds one to an event stream; flush sends it.
func (o *Stream) Event(kind, id string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if kind != "" {
		fmt.Fprintf(&o.Buf, "event: %s\n", kind)
	}
	if id != "" {
		fmt.Fprintf(&o.Buf, "id: %s\n", id)
		o.named = true
	}
	fmt.Fprintf(&o.Buf, "data: %s\n\n", b)
	return nil
}

// Line sends one of a stream of JSON lines.
func (o *Stream) Line(data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	o.Buf.Write(append(b, '\n'))
	return o.Flush()
}

var errCut = &infer.Error{Code: infer.Stopping, Message: "the answer was cut before its end: ask again, or follow its session", RetryAfter: time.Second}

// Relay calls each for the events of a after index from, and idle (which may be
// nil) whenever nothing has happened for the time of KeepAlive. It returns once
// each has had the End, with the first error of either.
func (s *Server) Relay(ctx context.Context, a infer.Answer, from int, each func(infer.Event) error, idle func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan infer.Event)
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
			if err := each(e); err != nil || e.Kind == infer.End {
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
