package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"skerry/build/nspawn"
)

// installed is a booted Debian that packages are installed in, and the log of it.
type installed struct {
	*nspawn.Container
	t   *testing.T
	ctx context.Context
	log strings.Builder

	began, lap time.Time
}

// boot starts a Debian with the tiny model in /srv/tiny, or skips the test.
func boot(t *testing.T) *installed {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	if err := nspawn.Available(); err != nil {
		t.Skip("skipped: ", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	archive, err := nspawn.Archive(ctx, filepath.Join(cache, "skerry"))
	if err != nil {
		t.Skip("skipped: ", err)
	}
	i := &installed{t: t, ctx: ctx, began: time.Now(), lap: time.Now()}
	if i.Container, err = nspawn.Boot(ctx, archive, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// step notes in the log what has been shown; details are indented below it.
func (i *installed) step(what string, details ...string) {
	now := time.Now()
	line := fmt.Sprintf("%6.1f s  %s\n", now.Sub(i.lap).Seconds(), what)
	i.lap = now
	for _, d := range details {
		for l := range strings.Lines(d) {
			line += "            | " + strings.TrimRight(l, "\n") + "\n"
		}
	}
	i.log.WriteString(line)
	i.t.Log("\n" + line)
}

// must runs a command inside that has to succeed.
func (i *installed) must(args ...string) string {
	i.t.Helper()
	out, err := i.Run(i.ctx, args...)
	if err != nil {
		i.t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, i.journal(40))
	}
	return out
}

// refused runs a command inside that has to fail with these words.
func (i *installed) refused(words string, args ...string) string {
	i.t.Helper()
	out, err := i.Run(i.ctx, args...)
	if err == nil || !strings.Contains(out, words) {
		i.t.Errorf("%s: %v, want an error with %q\n%s", strings.Join(args, " "), err, words, out)
	}
	return out
}

// journal is the end of the system's.
func (i *installed) journal(lines int, args ...string) string {
	out, _ := i.Run(i.ctx, append([]string{"journalctl", "--no-pager", "-o", "cat", "-n", strconv.Itoa(lines)}, args...)...)
	return out
}

// until waits for something to be so.
func (i *installed) until(what string, so func() bool) {
	i.t.Helper()
	for until := time.Now().Add(90 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) || i.ctx.Err() != nil {
			status, _ := i.Run(i.ctx, "systemctl", "status", "--no-pager", "-l", "skerry", "skerry-cloud")
			i.t.Fatalf("not so: %s\n%s\n%s", what, status, i.journal(40))
		}
	}
}

// ready waits until the appliance's model is loaded.
func (i *installed) ready() {
	i.t.Helper()
	i.until("the appliance is ready", func() bool { _, err := i.get("/readyz", "*/*"); return err == nil })
}

// property of a unit.
func (i *installed) property(unit, name string) string {
	out, _ := i.Run(i.ctx, "systemctl", "show", "--value", "-p", name, unit)
	return out
}

// pid of the appliance inside.
func (i *installed) pid() int {
	n, _ := strconv.Atoi(i.property("skerry.service", "MainPID"))
	return n
}

// write puts a file into the container.
func (i *installed) write(path, text string) {
	i.t.Helper()
	path = filepath.Join(i.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		i.t.Fatal(err)
	}
}

// doors polls the page's port by connections alone until stop, which returns how
// many there were and the first that was refused.
func (i *installed) doors() (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(i.ctx)
	done := make(chan struct{})
	n, first := 0, error(nil)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			conn, err := i.Dial(ctx, "tcp", "127.0.0.1:7537")
			if err == nil {
				conn.Close()
			} else if ctx.Err() == nil && first == nil {
				first = err
			}
			n++
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() (int, error) { cancel(); <-done; return n, first }
}
