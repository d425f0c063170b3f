package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// host is this machine, as the board sees it through qemu's network.
const host = "10.0.2.2"

// updates are what the board is updated from: the version of the image once more, as its
// daemon knows itself by it, and one whose root is no file system.
type updates struct {
	dir    string
	public string
	server *http.Server
	served chan struct{}
	url    string
}

// newUpdates makes and serves them, signed with a key of their own.
func (t *try) newUpdates(ctx context.Context) (u *updates, err error) {
	u = &updates{dir: filepath.Join(t.dir, "updates"), served: make(chan struct{})}
	text, err := os.ReadFile(filepath.Join(t.update, manifest.File))
	if err != nil {
		return nil, fmt.Errorf("%w: make image makes the update of an image, too", err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(t.dir, "key")
	if u.public, err = publish.NewKey(path); err != nil {
		return nil, err
	}
	key, err := publish.ReadKey(path, "")
	if err != nil {
		return nil, err
	}
	rotten := filepath.Join(t.dir, "rotten")
	if err := os.WriteFile(rotten, bytes.Repeat([]byte("rotten! "), 1<<17), 0o644); err != nil {
		return nil, err
	}
	var sound, broken []publish.File
	for _, f := range m.Files {
		from := filepath.Join(t.update, f.Name)
		sound = append(sound, publish.File{Name: f.Name, From: from})
		if f.Name == "root.erofs" {
			from = rotten
		}
		broken = append(broken, publish.File{Name: f.Name, From: from})
	}
	for name, files := range map[string][]publish.File{"sound": sound, "rotten": broken} {
		if err := publish.Write(ctx, filepath.Join(u.dir, name), "", *m, files, key); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.url = fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port)
	u.server = &http.Server{Handler: http.FileServer(http.Dir(u.dir))}
	go func() {
		defer close(u.served)
		u.server.Serve(l) // until it is closed
	}()
	return u, nil
}

func (u *updates) close() {
	u.server.Close()
	<-u.served
}

// tryUpdates updates the board: once with a cut while the slot is written, once well, and once
// with a version that does not start.
func (t *try) tryUpdates(ctx context.Context, m *machine) error {
	u, err := t.newUpdates(ctx)
	if err == nil {
		defer u.close()
		_, err = m.ssh(ctx, "echo "+u.public+" > /etc/skerry/update.pub")
	}
	if err != nil {
		return fmt.Errorf("updates: %w", err)
	}
	s, err := t.cutUpdate(ctx, m, u)
	t.row(err, "an update, cut while it is written", "%.58s", outcome(s))
	if err != nil {
		return err
	}
	began := time.Now()
	s, err = t.applyWhole(ctx, m, u, "sound", update.B, true)
	t.row(err, "an update", "%s, after %.0f s", outcome(s), time.Since(began).Seconds())
	if err != nil {
		return err
	}
	s, err = t.applyWhole(ctx, m, u, "rotten", update.B, false)
	t.row(err, "an update that does not start", "%.58s", outcome(s))
	return err
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

// cutUpdate cuts the power once the record says that the slot is written to.
func (t *try) cutUpdate(ctx context.Context, m *machine, u *updates) (*install.State, error) {
	applied := make(chan error, 1)
	go func() {
		_, err := m.ssh(ctx, apply(u, "sound"))
		applied <- err
	}()
	err := m.until(ctx, func(s *install.State) bool { return s.Phase == update.Writing })
	m.kill()
	if ended := <-applied; err != nil {
		return nil, errors.Join(err, ended)
	}
	return t.settled(ctx, m, update.A, false)
}

// applyWhole applies an update, and follows the board through the restart that tries it, and, of
// one that does not start, through the one that brings the old slot back.
func (t *try) applyWhole(ctx context.Context, m *machine, u *updates, name string, slot update.Slot, kept bool) (*install.State, error) {
	// The connection may end with the board.
	said, err := m.ssh(ctx, apply(u, name))
	if err := m.off(ctx); err != nil {
		return nil, err
	}
	if !kept {
		if err := errors.Join(m.start(ctx), m.off(ctx)); err != nil {
			return nil, fmt.Errorf("%w (%s)", err, said)
		}
	}
	s, settled := t.settled(ctx, m, slot, kept)
	if settled != nil {
		return s, errors.Join(settled, err)
	}
	return s, nil
}

// settled starts the board, and waits until no update is going on, and the last one has ended
// as it should.
func (t *try) settled(ctx context.Context, m *machine, slot update.Slot, kept bool) (s *install.State, err error) {
	if err := m.start(ctx); err != nil {
		return nil, err
	}
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	if err = m.until(ctx, func(is *install.State) bool { s = is; return is.Phase == update.Idle }); err != nil {
		return s, err
	}
	if s.Slot != slot || s.Last == nil || s.Last.Kept != kept {
		return s, fmt.Errorf("slot %s should run: %s", slot, outcome(s))
	}
	return s, nil
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
