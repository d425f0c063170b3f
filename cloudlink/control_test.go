package cloudlink

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/session"
	"skerry/cloudlink/wire"
)

// FuzzControl has a cloud say anything on the control stream. What it says of itself is
// taken once and fit to be shown, and no wish of it goes beyond its bounds.
func FuzzControl(f *testing.F) {
	ref := wire.Ref{Session: wire.SessionID{1}, Epoch: 1, Position: 2}
	var all []byte
	for _, m := range []wire.Message{
		&wire.Welcome{Protocol: 2, Version: "1\x1b[2J"}, &wire.Pong{Number: 9}, &wire.Receipt{Ref: ref, Bytes: 1, Time: 1 << 50, Queue: 3},
		&wire.Drain{Grace: 7}, &wire.Drain{Grace: 1 << 40}, &wire.Error{Ref: ref, Code: wire.CodeStale, Highest: 7},
	} {
		b, err := wire.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b...)
		f.Add(b)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{
			conf: Config{Epoch: 1}, log: slog.New(slog.DiscardHandler), probes: newProbes(),
			done: make(chan struct{}), sessions: map[wire.SessionID]*session.Attachment{},
		}
		c.conf.hooks.drain = func(grace time.Duration, _ []string) {
			if grace < 0 || grace > linkerr.LongestPause {
				t.Fatalf("left alone for %v", grace)
			}
		}
		c.conf.hooks.pong = func(time.Duration) { t.Fatal("an answer to a probe that was never sent") }
		for r := wire.NewReader(bytes.NewReader(b), 0); ; {
			m, err := r.Next()
			if err != nil {
				return
			}
			before, _ := c.Welcome()
			if c.handleControl(m) != nil {
				return
			}
			after, ok := c.Welcome()
			if before.Protocol != 0 && before.Version != after.Version {
				t.Fatalf("%q, then %q", before.Version, after.Version)
			}
			if ok && linkerr.Printable(after.Version, linkerr.MaxName) != after.Version {
				t.Fatalf("version %q", after.Version)
			}
		}
	})
}
