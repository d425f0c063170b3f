package admin

import (
	"context"
	"encoding/json"
	"time"

	"skerry/appliance/status"
)

// ForConsole is the daemon as package status/console wants it.
type ForConsole struct{ *Client }

// logsEvery is how often new lines of the log are fetched, at most logsAtOnce.
const (
	logsEvery  = 2 * time.Second
	logsAtOnce = 200
)

// Logs yields the newest n lines and each new one. It asks again and again, so that
// none is missed between a list and a stream.
func (d ForConsole) Logs(ctx context.Context, n int, line func(status.Record)) error {
	var last time.Time
	for {
		records, err := d.Client.Logs(ctx, n)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		seen := last
		for _, r := range records {
			if r.Time.After(seen) {
				last = r.Time
				line(r)
			}
		}
		n = logsAtOnce
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logsEvery):
		}
	}
}

// Tokens yields what is said from now on.
func (d ForConsole) Tokens(ctx context.Context, said func([]status.Said)) error {
	for e, err := range d.Events(ctx, status.KindTokens) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var batch []status.Said
		if err := json.Unmarshal(e.Data, &batch); err != nil {
			return err
		}
		said(batch)
	}
	return nil
}

// Restart restarts the daemon.
func (d ForConsole) Restart(ctx context.Context) error { return d.Power(ctx, Restart) }

// PowerOff shuts the board down.
func (d ForConsole) PowerOff(ctx context.Context) error { return d.Power(ctx, PowerOff) }
