package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyName is what the page's list of keys calls the board's own.
const keyName = "board"

func (b *board) keyPath() string { return b.path(filepath.Join(kept, "page-key")) }

// pageKey makes the board's own key to its page, once. The daemon keeps only its hash, so
// the key is kept here to be shown; where it is lost, another takes its place.
func (b *board) pageKey() error {
	if text, err := os.ReadFile(b.keyPath()); err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return nil
	}
	state := b.path(stateDir)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	if err := os.Chown(state, user, user); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// One of a start that was cut off between the two files, which nobody knows.
	b.run(true, "/usr/bin/skerry", "key", "rm", keyName, "--state", state)
	out, err := b.run(true, "/usr/bin/skerry", "key", "new", keyName, "--scope", "admin", "--json", "--state", state)
	if err != nil {
		return err
	}
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		return fmt.Errorf("skerry key new printed %.60q", out)
	}
	return place(b.keyPath(), []byte(made.Key+"\n"), 0o600)
}

// hostKey makes the key by which ssh knows this board, once.
func (b *board) hostKey() error {
	path := b.path(filepath.Join(kept, "ssh/host_ed25519"))
	if st, err := os.Stat(path); err == nil && st.Size() > 0 {
		return nil
	}
	// ssh-keygen asks before it writes over a file, as one of a start that was cut off.
	aside := path + ".new"
	for _, p := range []string{aside, aside + ".pub"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if _, err := b.run(false, "/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", aside); err != nil {
		return err
	}
	text, err := os.ReadFile(aside)
	if err != nil {
		return err
	}
	return errors.Join(place(path, text, 0o600), os.Remove(aside), os.Remove(aside+".pub"))
}

// enrol enrolls the board with a code from the boot partition. Where the cloud is not reached, or
// refuses the code, it tells why and fails, and is started again.
func (b *board) enrol() error {
	text, err := os.ReadFile(b.enrolPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	code, may, err := parseCode(string(text))
	if err != nil {
		return err
	}
	args := []string{"enroll", "--state", b.path(stateDir)}
	if may != "" {
		args = append(args, "--may", may)
	}
	if _, err := b.run(true, "/usr/bin/skerry", append(args, code)...); err != nil {
		now := b.readProblems()
		now.Enrol = err.Error()
		return errors.Join(fmt.Errorf("this board could not join the cloud: %w", err), b.tell(now))
	}
	b.show("\nThis board has joined the cloud.\n")
	if _, err := b.run(false, "/usr/bin/systemctl", "restart", "--no-block", "skerry.service"); err != nil {
		return err
	}
	if err := os.Remove(b.enrolPath()); err != nil {
		return err
	}
	now := b.readProblems()
	now.Enrol = ""
	return b.tell(now)
}

func (b *board) enrolPath() string { return b.path(filepath.Join(kept, "enrol")) }

// awaitsEnrolment says whether there is a code that was not used yet.
func (b *board) awaitsEnrolment() bool {
	_, err := os.Stat(b.enrolPath())
	return err == nil
}
