package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/decode"
)

// localCloud is a cloud partition in a process of its own on loopback, for the
// time of one run. It ends when this process does, however that comes, because
// its stdin then closes.
type localCloud struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	log    tail
	ready  chan struct{} // closed once found or failed
	found  announcement
	failed error
}

// stateOfLocal is the state directory, and where nothing can be written to that,
// one for the time of the run.
func (b *boardSide) stateOfLocal(c *runCmd) (string, error) {
	state, err := stateDir(c.State)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(state, 0o700); err == nil && unix.Access(state, unix.W_OK) == nil {
		return state, nil
	}
	dir, err := os.MkdirTemp("", "skerry-state")
	if err == nil {
		b.onClose(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

func startLocalCloud(c *runCmd, state, bundle string) (*localCloud, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"cloud", "--json", "--attached", "--listen", "127.0.0.1:0", "--bundle", bundle,
		"--sessions", "1", "--context", strconv.Itoa(c.Context), "--threads", strconv.Itoa(c.Threads), "--state", state}
	if decode.Mode(c.Mode) == decode.CloudOnly {
		args = append(args, "--whole")
	}
	l := &localCloud{cmd: exec.Command(exe, args...), ready: make(chan struct{})}
	l.cmd.Stderr = &l.log
	// A process group of its own: Ctrl-C in the terminal is for this process.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a cloud partition here: %w", err)
	}
	go func() {
		defer close(l.ready)
		if err := json.NewDecoder(stdout).Decode(&l.found); err != nil {
			l.failed = fmt.Errorf("the cloud partition started here failed: %s", cmp.Or(l.log.last(), err.Error()))
		}
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

func (l *localCloud) pid() int { return l.cmd.Process.Pid }

// stop ends the process and waits for it.
func (l *localCloud) stop() {
	l.stdin.Close()
	timer := time.AfterFunc(5*time.Second, func() { l.cmd.Process.Kill() })
	defer timer.Stop()
	<-l.ready
	l.cmd.Wait() // how it ended no longer matters
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - 4096; n > 0 {
		t.buf = t.buf[n:]
	}
	return len(p), nil
}

// last is the last line that is no log record, such as an error, without the
// program's name.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if s := string(lines[i]); s != "" && !strings.HasPrefix(s, "{") {
			return strings.TrimPrefix(s, "skerry: ")
		}
	}
	return ""
}
