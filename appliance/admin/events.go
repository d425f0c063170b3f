package admin

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"

	"skerry/appliance/status"
)

// Event of the daemon, as it comes over /api/v1/events.
type Event struct {
	Kind status.Kind
	Data json.RawMessage // of the kind's type, as the kinds have it
}

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 5 * time.Second
	largestEvent = 4 << 20 // bytes
)

// errEnded says that the daemon ended a stream, as when it stops.
var errEnded = errors.New("the daemon has ended the stream")

// Events of the kinds, of all without one, until ctx is done or the caller stops.
// The present status comes first where it is among the kinds. A daemon that is lost
// is yielded as an error and looked for again, and tokens go on where they were; a
// caller that does not want to wait stops there.
func (c *Client) Events(ctx context.Context, kinds ...status.Kind) iter.Seq2[Event, error] {
	path := "/api/v1/events"
	if len(kinds) > 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, string(k))
		}
		path += "?kinds=" + strings.Join(names, ",")
	}
	return func(yield func(Event, error) bool) {
		last, pause := "", c.pause
		for {
			before := last
			err := c.stream(ctx, path, &last, yield)
			if err == nil || ctx.Err() != nil || !yield(Event{}, err) {
				return
			}
			if last != before {
				pause = c.pause
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// stream yields one connection's events, those after the last, and notes each one's
// id there. It returns nil once the caller has had enough.
func (c *Client) stream(ctx context.Context, path string, last *string, yield func(Event, error) bool) error {
	header := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		header.Set("Last-Event-ID", *last)
	}
	resp, err := c.do(ctx, "GET", path, header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for e, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: largestEvent}) {
		if err != nil {
			return c.why(ctx, err)
		}
		if e.LastEventID != "" {
			*last = e.LastEventID
		}
		if !yield(Event{status.Kind(e.Type), json.RawMessage(e.Data)}, nil) {
			return nil
		}
	}
	return errEnded
}
