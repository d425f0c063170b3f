package conversation

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"skerry/appliance/cloudnode/child"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// localCloud is a cloud partition in a process of its own on loopback, for the
// time of one run.
type localCloud struct {
	*child.Process
	ready  chan struct{} // closed once found or failed
	found  child.Announcement
	failed error
}

// stateOfLocal is the state directory, and where nothing can be written to that,
// one for the time of the run.
func (c *Conversation) stateOfLocal(state string) (string, error) {
	if err := os.MkdirAll(state, 0o700); err == nil && unix.Access(state, unix.W_OK) == nil {
		return state, nil
	}
	dir, err := os.MkdirTemp("", "skerry-state")
	if err == nil {
		c.onClose(func() error { return os.RemoveAll(dir) })
	}
	return dir, err
}

func startLocalCloud(f *Flags, state, bundle string) (*localCloud, error) {
	args := []string{"cloud", "--json", "--attached", "--listen", "127.0.0.1:0", "--bundle", bundle,
		"--sessions", "1", "--context", strconv.Itoa(f.Context), "--threads", strconv.Itoa(f.Threads), "--gpu-layers", f.GPULayers.String(), "--state", state}
	if m := infer.Mode(f.Mode); m == decode.CloudOnly || m == decode.CloudLed {
		args = append(args, "--whole")
	}
	p, err := child.Start(args...)
	if err != nil {
		return nil, fmt.Errorf("starting a cloud partition here: %w", err)
	}
	l := &localCloud{Process: p, ready: make(chan struct{})}
	go func() {
		defer close(l.ready)
		l.found, l.failed = p.Announced()
	}()
	return l, nil
}

// address waits until the partition can be reached.
func (l *localCloud) address(ctx context.Context) (string, error) {
	select {
	case <-l.ready:
		return l.found.Listening, l.failed
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stop ends the process and waits for it.
func (l *localCloud) stop() { l.Stop(l.ready) }
