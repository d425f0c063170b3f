package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// host is this machine, as the board sees it through qemu's network.
const host = "10.0.2.2"

// updates are what the board is updated from: the version of the image once more, as its
// daemon knows itself by it, and others that are made from that; signed with a key of the run.
type updates struct {
	dir    string
	from   string // of the sound one, as make image has made it
	made   manifest.Manifest
	key    publish.Key
	server *http.Server
	served chan struct{}
	url    string
	// breaks says that the next answer with a root breaks off in its middle.
	breaks atomic.Bool
	ranges atomic.Int32 // how often a part was asked for
}

// newUpdates makes those that every step may want, and serves what is in their directory.
func (t *try) newUpdates(ctx context.Context) (u *updates, err error) {
	u = &updates{dir: filepath.Join(t.dir, "updates"), from: t.update, served: make(chan struct{})}
	text, err := os.ReadFile(filepath.Join(t.update, manifest.File))
	if err != nil {
		return nil, fmt.Errorf("%w: make image makes the update of an image, too", err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return nil, err
	}
	u.made = *m
	path := filepath.Join(t.dir, "key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := publish.NewKey(path); err != nil {
			return nil, err
		}
	}
	if u.key, err = publish.ReadKey(path, ""); err != nil {
		return nil, err
	}
	if err := u.make(ctx, "sound", ""); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.url = fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port)
	u.server = &http.Server{Handler: u.handler()}
	go func() {
		defer close(u.served)
		u.server.Serve(l) // until it is closed
	}()
	return u, nil
}

// make makes an update with another root, or the same where that is "", unless it is there already.
func (u *updates) make(ctx context.Context, name, root string) error {
	dir := filepath.Join(u.dir, name)
	if _, err := os.Stat(filepath.Join(dir, manifest.SignatureFile)); err == nil {
		return nil
	}
	var files []publish.File
	for _, f := range u.made.Files {
		from := filepath.Join(u.from, f.Name)
		if f.Name == rootFile && root != "" {
			from = root
		}
		files = append(files, publish.File{Name: f.Name, From: from})
	}
	return publish.Write(ctx, dir, "", u.made, files, u.key)
}

const rootFile = "root.erofs"

// handler serves the directory. An answer that breaks is one that the network has cut.
func (u *updates) handler() http.Handler {
	files := http.FileServer(http.Dir(u.dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			u.ranges.Add(1)
		}
		if filepath.Base(r.URL.Path) == rootFile && u.breaks.CompareAndSwap(true, false) {
			w = &breaking{ResponseWriter: w, left: 1 << 20}
		}
		files.ServeHTTP(w, r)
	})
}

// breaking is an answer that breaks off.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}

func (u *updates) close() {
	u.server.Close()
	<-u.served
}

// servedTo are the updates, whose key the board trusts from now on.
func (t *try) servedTo(ctx context.Context, m *machine) (*updates, error) {
	u, err := t.newUpdates(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = m.ssh(ctx, "echo "+u.key.Public()+" > /etc/skerry/update.pub"); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// begin has the board run, and says what it may be updated from and which slot it is in.
func (t *try) begin(ctx context.Context) (u *updates, slot update.Slot, err error) {
	if err := t.on(ctx); err != nil {
		return nil, "", err
	}
	if u, err = t.servedTo(ctx, t.card); err != nil {
		return nil, "", err
	}
	s, err := t.card.state(ctx)
	if err != nil {
		u.close()
		return nil, "", err
	}
	return u, s.Slot, nil
}

// outcome is how the last update ended, in few words.
func outcome(s *install.State) string {
	switch {
	case s == nil || s.Last == nil:
		return "nothing is recorded"
	case s.Last.Kept:
		return "kept, in slot " + string(s.Slot)
	}
	return "slot " + string(s.Slot) + ": " + s.Last.Reason
}

func apply(u *updates, name string) string {
	// It is the same version again, which takes an insistence.
	return "skerry update apply --allow-downgrade " + u.url + name + "/"
}

// state is how the board says its updates are.
func (m *machine) state(ctx context.Context) (*install.State, error) {
	text, err := m.ssh(ctx, "skerry update status --json")
	if err != nil {
		return nil, err
	}
	s := new(install.State)
	return s, json.Unmarshal([]byte(text), s)
}

// cutWriting cuts the power once the record says that the slot is written to.
func (t *try) cutWriting(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	applied := make(chan error, 1)
	go func() {
		_, err := t.card.ssh(ctx, apply(u, "sound"))
		applied <- err
	}()
	err = t.card.until(ctx, func(s *install.State) bool { return s.Phase == update.Writing })
	t.card.kill()
	if ended := <-applied; err != nil {
		return errors.Join(err, ended)
	}
	s, err := t.settled(ctx, slot, false)
	t.note(err, "an update, cut while it is written", "%.72s", outcome(s))
	return err
}

// updates updates the board well.
func (t *try) updates(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	// What an update before has fetched would be used.
	if _, err := t.card.ssh(ctx, "rm -rf /var/lib/board/downloads"); err != nil {
		return err
	}
	u.breaks.Store(true)
	began := time.Now()
	if err := t.applyAndRestart(ctx, apply(u, "sound")); err != nil {
		return err
	}
	if u.ranges.Load() == 0 {
		err = errors.New("it was fetched in one go")
	}
	t.note(err, "its download, broken off once", "gone on with by %d requests for a part", u.ranges.Load())
	s, err := t.settled(ctx, slot.Other(), true)
	t.note(err, "an update", "%s, after %.0f s", outcome(s), time.Since(began).Seconds())
	return err
}

// back goes back to the version before.
func (t *try) back(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	u.close()
	if err := t.applyAndRestart(ctx, "skerry update rollback"); err != nil {
		return err
	}
	s, err := t.settled(ctx, slot.Other(), true)
	t.note(err, "a rollback", "%s", outcome(s))
	return err
}

// rotten applies an update that does not start.
func (t *try) rotten(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	path := filepath.Join(t.dir, "rotten")
	if err := os.WriteFile(path, bytes.Repeat([]byte("rotten! "), 1<<17), 0o644); err != nil {
		return err
	}
	if err := u.make(ctx, "rotten", path); err != nil {
		return err
	}
	if err := t.applyAndRestart(ctx, apply(u, "rotten")); err != nil {
		return err
	}
	// It restarts by itself, and qemu ends there.
	if err := errors.Join(t.card.start(ctx), t.card.off(ctx)); err != nil {
		return err
	}
	s, err := t.settled(ctx, slot, false)
	t.note(err, "an update that does not start", "%.72s", outcome(s))
	return err
}

// unhealthy applies an update whose daemon never becomes ready.
func (t *try) unhealthy(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	root, err := t.unhealthyRoot(ctx)
	if err != nil {
		return err
	}
	if err := u.make(ctx, "unhealthy", root); err != nil {
		return err
	}
	if err := t.applyAndRestart(ctx, apply(u, "unhealthy")); err != nil {
		return err
	}
	if err := errors.Join(t.card.start(ctx), t.card.off(ctx)); err != nil {
		return err
	}
	s, err := t.settled(ctx, slot, false)
	t.note(err, "an update whose daemon does not start", "%.72s", outcome(s))
	return err
}

// unhealthyRoot is the root of the update, but for a daemon that ends at once.
func (t *try) unhealthyRoot(ctx context.Context) (path string, err error) {
	dir, path := filepath.Join(t.dir, "unhealthy"), filepath.Join(t.dir, "unhealthy.erofs")
	defer os.RemoveAll(dir)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := tool("fsck.erofs", "--extract="+dir, "--preserve-perms", filepath.Join(t.update, rootFile)); err != nil {
		return "", err
	}
	conf := filepath.Join(dir, "usr/lib/systemd/system/skerry.service.d/90-unhealthy.conf")
	if err := os.WriteFile(conf, []byte("[Service]\nExecStart=\nExecStart=/usr/bin/false\n"), 0o644); err != nil {
		return "", err
	}
	return path, tool("mkfs.erofs", "-zlz4", "--all-root", path, dir)
}

// resetOnTrial has the watchdog reset a board whose version is on trial: its kernel stops, and with it
// systemd, which pets the watchdog.
func (t *try) resetOnTrial(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	m := t.card
	if err := t.applyAndRestart(ctx, apply(u, "sound")); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	if err := m.until(ctx, func(s *install.State) bool { return s.Trial }); err != nil {
		return err
	}
	if _, err := m.monitor(ctx, "watchdog_action reset"); err != nil {
		return err
	}
	hung := time.Now()
	var asked sync.WaitGroup
	cut, cancel := context.WithCancel(ctx)
	asked.Go(func() {
		m.ssh(cut, "echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger") // there is no answer
	})
	err = m.off(ctx)
	cancel()
	asked.Wait()
	if err != nil {
		return err
	}
	after := time.Since(hung)
	s, err := t.settled(ctx, slot, false)
	t.note(err, "an update that the watchdog resets", "reset after %.0f s; %.50s", after.Seconds(), outcome(s))
	return err
}

// applyAndRestart has the board do what ends with a restart, which ends qemu.
func (t *try) applyAndRestart(ctx context.Context, command string) error {
	ended := make(chan error, 1)
	go func() {
		said, err := t.card.ssh(ctx, command)
		if err != nil {
			err = fmt.Errorf("%s: %w: %.300s", command, err, said)
		}
		ended <- err
	}()
	select {
	case <-t.card.gone:
		t.card.qemu = nil
		<-ended // the connection has ended with the board
		return nil
	case err := <-ended:
		// It is refused, or the connection was closed before the board was off.
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() != connectionLost {
			return err
		}
		return t.card.off(ctx)
	}
}

// connectionLost is how ssh ends where the connection does; else it ends as the command did.
const connectionLost = 255

// settled starts the board, and waits until no update is going on, and the last one has ended
// as it should.
func (t *try) settled(ctx context.Context, slot update.Slot, kept bool) (s *install.State, err error) {
	if err := t.on(ctx); err != nil {
		return nil, err
	}
	if err = t.card.until(ctx, func(is *install.State) bool { s = is; return is.Phase == update.Idle }); err != nil {
		return s, err
	}
	if s.Slot != slot || s.Last == nil || s.Last.Kept != kept {
		return s, fmt.Errorf("slot %s should run: %s", slot, outcome(s))
	}
	return s, t.asItWas(ctx, t.card)
}

// until asks the board for the state of its updates until it is as wanted.
func (m *machine) until(ctx context.Context, is func(*install.State) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it did not come to that"))
	defer cancel()
	for {
		if s, err := m.state(ctx); err == nil && is(s) {
			return nil
		}
		if err := m.pause(ctx, time.Second); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// off waits until the board has switched itself off: qemu ends where the board would restart.
func (m *machine) off(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the board has not restarted"))
	defer cancel()
	select {
	case <-m.gone:
		m.qemu = nil
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
