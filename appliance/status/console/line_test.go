package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/status"
)

// hungUp is a line that is hung up at once.
type hungUp struct{}

func (hungUp) Read([]byte) (int, error)    { return 0, io.EOF }
func (hungUp) Write(b []byte) (int, error) { return len(b), nil }
func (hungUp) Close() error                { return nil }

// A line that is not there is looked for again, less often than one that was hung up; what
// is wrong is told once, and again after the line was there.
func TestServeLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, missing := time.Now(), errors.New("no such line")
		var opened, told []string
		steps := []func() (io.ReadWriteCloser, error){
			func() (io.ReadWriteCloser, error) { return nil, missing },
			func() (io.ReadWriteCloser, error) { return nil, missing },
			func() (io.ReadWriteCloser, error) { return hungUp{}, nil },
			func() (io.ReadWriteCloser, error) { return nil, missing },
			func() (io.ReadWriteCloser, error) { cancel(); return nil, missing },
		}
		open := func() (io.ReadWriteCloser, error) {
			opened = append(opened, time.Since(began).String())
			next := steps[0]
			steps = steps[1:]
			return next()
		}
		ServeLine(ctx, Options{Daemon: newDaemon(status.Status{}), Raw: true}, open, func(err error) { told = append(told, err.Error()) })
		if got, want := fmt.Sprint(opened), "[0s 5s 10s 11s 16s]"; got != want {
			t.Errorf("opened at %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(told), "[no such line EOF no such line]"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}
